"""`headway serve`: its options. What it does is in the file beside this one, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from headway.cli.options import Trace
from headway.cli.trouble import handle_errors


@handle_errors
def serve(
    model: Annotated[
        str, typer.Argument(help="countdown, gemma, a .gguf file, openai:MODEL[@URL], or program.py:NAME.")
    ] = "countdown",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port to listen on; 0 takes any that is free.")] = 8000,
    host: Annotated[str, typer.Option("--host", help="0.0.0.0 lets other machines in, without a password.")] = "127.0.0.1",
    traceback: Trace = False,
) -> None:
    """Serve a model over the OpenAI protocol."""
    from headway.cli.commands.serve import serve_model

    serve_model(model, host, port)
