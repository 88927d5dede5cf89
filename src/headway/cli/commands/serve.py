"""`headway serve`: a model over the OpenAI protocol."""

from __future__ import annotations

import json
import socket

import headway as hw
from headway.cli import console
from headway.errors import UsageError
from headway.models.base import BatchModel, Model
from headway.models.opening import open as open_model
from headway.models.serving.server import require, serve

EXAMPLE = "25 8 7 3 -> 82\n"


def serve_model(name: str, host: str, port: int) -> None:
    """Open the model, listen, say how to ask, and answer until Ctrl-C."""
    require()
    model = open_model(name)
    with _listen(host, port) as listening:
        _say(model, f"http://{_write_host(host)}:{listening.getsockname()[1]}/v1")
        hw.run(serve, model, listening, store=None, progress=False)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise UsageError(f"nothing can listen on {host} port {port}: {error.strerror}. Choose another --port") from None


def _write_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _say(model: Model | BatchModel, url: str) -> None:
    prompt = EXAMPLE if model.name.startswith("countdown") else "12 + 30 ="
    body = json.dumps({"model": model.name, "prompt": prompt, "max_tokens": 30, "n": 2, "seed": 1})
    out = console.out()
    out.print(f"{model.name} answers at {url}", markup=False, soft_wrap=True)
    out.print(f"  curl {url}/completions -H 'content-type: application/json' -d '{body}'", markup=False, soft_wrap=True)
    out.file.flush()
