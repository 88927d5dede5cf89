"""Servers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[str]
    first_lines: list[str]

    def log(self, model: str, what: str) -> list[dict[str, Any]]:
        """What the misbehaving server saw of one model's name."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/log") as answer:
            return [line for line in json.load(answer) if line["model"] == model and line["what"] == what]

    def until(self, model: str, what: str, *, within_s: float = 60) -> list[dict[str, Any]]:
        end = time.monotonic() + within_s
        while not (seen := self.log(model, what)) and time.monotonic() < end:
            time.sleep(0.01)
        return seen


def start(*command: str, lines: int, stderr: int | None = None) -> Server:
    path = os.pathsep.join([str(HERE), *(path for path in sys.path if path)])
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(lines)]
    url = first[0].strip().rpartition(" ")[2]
    return Server(url if url.startswith("http") else f"http://127.0.0.1:{url}/v1", process, first)


def stop(server: Server) -> int:
    server.process.terminate()
    code = server.process.wait(timeout=60)
    assert server.process.stdout is not None
    server.process.stdout.close()
    return code
