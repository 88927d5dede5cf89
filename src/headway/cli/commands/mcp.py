"""`headway mcp`: the tasks of a program, and the runs of a store, for MCP clients."""

from __future__ import annotations

import asyncio
import socket
import sys
from types import ModuleType
from typing import Annotated, Any

import typer

from headway.cli import console
from headway.cli.options import Store, Trace
from headway.cli.trouble import handle_errors
from headway.errors import UsageError
from headway.extras import require


@handle_errors
def mcp(
    program: Annotated[str, typer.Argument(help="A program, as program.py or package.module. Its tasks are offered.")],
    task: Annotated[list[str] | None, typer.Option("--task", help="Offer this task only; repeat for more.  [default: all]")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Listen here for HTTP, instead of speaking on standard input and output."),
    ] = None,
    store: Store = ".headway",
    traceback: Trace = False,
) -> None:
    """Offer a program's tasks, and the runs of a store, to MCP clients."""
    require("headway mcp", "mcp")
    from headway.tools.mcp.offering import make_server

    server = make_server(_find_tasks(program, task or []), store=store)
    if port is None:
        asyncio.run(_speak(server))
    else:
        _listen(server, port)


def _find_tasks(program: str, names: list[str]) -> list[Any]:
    """The tasks and tools of a program's module."""
    from headway.cli.commands.runs import import_from_here
    from headway.near import near_misses
    from headway.task import Task
    from headway.tools.tool import Tool

    import_from_here()
    module = _load(program)
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Tool) or (isinstance(value, Task) and value.fn.__module__ == module.__name__)
    }
    for name in names:
        if name not in found:
            raise UsageError(f"{program} has no task {name!r}; {near_misses(name, found)}")
    if not found:
        raise UsageError(f"{program} has no tasks: decorate functions with @hw.task")
    return [found[name] for name in names or found]


def _load(program: str) -> ModuleType:
    import importlib

    from headway.pools.program import load_program

    if program.endswith(".py") or "/" in program:
        return load_program(program)
    try:
        return importlib.import_module(program)
    except ModuleNotFoundError as error:
        raise UsageError(f"there is no module {error.name!r} (for a file, write {program}.py)") from error


async def _speak(server: Any) -> None:
    """Serve one client on standard input and output. Whatever else prints goes to stderr, or it would break the protocol."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        sys.stdout = sys.stderr
        await server.run(read, write, server.create_initialization_options())


def _listen(server: Any, port: int) -> None:
    import uvicorn

    try:
        listening = socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as error:
        raise UsageError(f"nothing can listen on 127.0.0.1 port {port}: {error.strerror}. Choose another --port") from None
    with listening:
        out = console.out()
        out.print(f"MCP at http://127.0.0.1:{listening.getsockname()[1]}/mcp", markup=False, soft_wrap=True)
        out.file.flush()
        config = uvicorn.Config(server.streamable_http_app(), log_level="warning", access_log=False)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
