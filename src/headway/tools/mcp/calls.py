"""Calls of an MCP server's tools, as tasks: recorded, stopped for real, and made once where they may change something.

    await call_tool(server, "search", {"query": "the height of K2"})

A call's key has the server's name, the tool and the arguments. A call that only reads is tried again after a broken connection.
One that may change something is not: neither in this life of the run, nor in a later one. Its answer then says that nobody knows
whether it came through, and the model decides. The server is also told the call's idempotency key, in `_meta`, for servers that
know it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping
from typing import Any

import headway as hw
from headway.engine.handle import Handle
from headway.engine.outcomes.retry import Retry
from headway.errors import CallError, ToolUnavailable
from headway.task import task
from headway.tools.mcp.answers import McpAnswer, Offer, make_error, read_answer, read_offer
from headway.tools.mcp.connections import connection_to
from headway.tools.mcp.servers import McpServer

IDEMPOTENCY = "headway/idempotency-key"
MOST_PAGES, MOST_TOOLS = 100, 10_000
_UNKNOWN = "Nobody knows whether this call came through: look before you make it again."
_AGAIN = Retry(attempts=4, delay_s=0.2, on=(ToolUnavailable,))


def call_tool(server: McpServer, tool: str, arguments: Mapping[str, Any], *, reads_only: bool = False) -> Handle[McpAnswer]:
    """Call a tool of a server. `reads_only`: it changes nothing, so it may be called again."""
    return (call_reader if reads_only else call_effect)(server, tool, dict(arguments))


@task(name="mcp.list_tools", retry=_AGAIN)
async def list_tools(server: McpServer) -> list[Offer]:
    """The tools that a server offers. Those that no model can be told of are left out, with a warning."""
    connection = connection_to(server)
    client = await connection.client()
    offers: dict[str, Offer] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await _ask(connection, client, client.list_tools(cursor=cursor, cache_mode="refresh"))
        for tool in page.tools:
            offer = read_offer(tool)
            if isinstance(offer, str):
                warnings.warn(f"{server.name}: its tool {tool.name!r:.80} is left out: {offer}", RuntimeWarning, stacklevel=2)
            elif len(offers) < MOST_TOOLS:
                offers[tool.name] = offer
        cursor = page.next_cursor
        if not cursor:
            return list(offers.values())
    raise CallError(f"{server.name}: its list of tools has no end: {MOST_PAGES} pages were read")


@task(name="mcp.call", retry=_AGAIN)
async def call_reader(server: McpServer, tool: str, arguments: dict[str, Any]) -> McpAnswer:
    """A call that changes nothing."""
    connection = connection_to(server)
    return await _call(connection, await connection.client(), server, tool, arguments)


def _say_unknown(server: McpServer, tool: str, arguments: dict[str, Any]) -> hw.Happened:
    """What is recorded of a call in whose middle the program died."""
    return hw.Happened(make_error(f"The program stopped while {tool} of {server.name} ran. {_UNKNOWN}", is_certain=False))


@task(name="mcp.call_effect", effect=True, verify=_say_unknown)
async def call_effect(server: McpServer, tool: str, arguments: dict[str, Any]) -> McpAnswer:
    """A call that may change something."""
    connection = connection_to(server)
    client = await connection.client(certain=True)
    try:
        return await _call(connection, client, server, tool, arguments)
    except ToolUnavailable as error:
        return make_error(f"{error}. {_UNKNOWN}", is_certain=False)


async def _call(connection: Any, client: Any, server: McpServer, tool: str, arguments: dict[str, Any]) -> McpAnswer:
    from mcp.shared.exceptions import MCPError

    async def tell(done: float, total: float | None, message: str | None) -> None:
        hw.progress(done, total)

    asked = client.call_tool(
        tool,
        arguments,
        read_timeout_seconds=server.timeout,
        progress_callback=tell,
        meta={IDEMPOTENCY: hw.call().idempotency_key},
    )
    try:
        return read_answer(await _ask(connection, client, asked))
    except MCPError as error:  # the server has answered, with an error of the protocol
        return make_error(f"{tool}: {error.message}")
    except (RuntimeError, ValueError) as error:
        return make_error(f"{tool}: the server's answer does not fit what it declared: {_first_line(error)}", is_certain=False)


async def _ask(connection: Any, client: Any, asked: Any) -> Any:
    """What the SDK gives. Raises ToolUnavailable where no answer came, and gives the connection up where it broke."""
    from mcp.shared.exceptions import MCPError
    from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

    name = connection.server.name
    try:
        answer = await asked
    except MCPError as error:
        if error.code == REQUEST_TIMEOUT:
            raise ToolUnavailable(f"the MCP server {name!r} said nothing for {connection.server.timeout:g} s") from None
        if error.code != CONNECTION_CLOSED:
            raise
        connection.give_up(client)
        raise ToolUnavailable(f"the connection to the MCP server {name!r} broke") from None
    except asyncio.CancelledError:
        raise
    except OSError as error:
        connection.give_up(client)
        raise ToolUnavailable(f"the connection to the MCP server {name!r} broke: {_first_line(error)}") from None
    connection.hear()
    return answer


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
