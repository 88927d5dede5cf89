"""Keeps one connection to each MCP server, for each event loop.

The SDK wants a connection opened and closed by the same task, and allows calls from any. So each connection has an owner: a task
that belongs to no call, opens it, waits, and closes it when it is broken or when the loop ends. A pool of connections that calls
open and close loses calls (mcp-context-forge#3737).

A connection that broke stays broken in the SDK. Here the next call opens a new one. Whether a call that broke in the middle may be
made again is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from headway.errors import HeadwayError, ToolUnavailable
from headway.tools.mcp.servers import McpServer

if TYPE_CHECKING:
    from mcp.client.client import Client

OPEN_S = 60.0  # how long a server may take to start: some are downloaded first
RESTS_S = (0.2, 0.8, 2.0)  # before it is opened again where that failed: nothing has been asked of it yet
FRESH_S = 1.0  # a connection that has answered since then is taken to be there
_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[McpServer, Connection]] = WeakKeyDictionary()


def connection_to(server: McpServer) -> Connection:
    """The connection of the running loop to a server. It may not be open yet."""
    of_loop = _connections.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(server, Connection(server))


class Connection:
    """The way to one server. It is opened by the first call that needs it, and again after it broke."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self._opening: asyncio.Future[Client] | None = None
        self._ended = asyncio.Event()
        self._answered_at = 0.0

    async def client(self, *, certain: bool = False) -> Client:
        """The SDK's client, connected.

        `certain`: ask a server that has said nothing for a second whether it is still there. One that is not is opened again, so
        that a call which must not be made twice does not fall into a connection that died long ago.
        """
        client = await self._open()
        if certain and asyncio.get_running_loop().time() - self._answered_at > FRESH_S:
            try:
                await client.list_tools(cache_mode="refresh")
            except Exception:
                self.give_up(client)
                client = await self._open()
            self.hear()
        return client

    def hear(self) -> None:
        """The server has answered."""
        self._answered_at = asyncio.get_running_loop().time()

    def give_up(self, client: Client) -> None:
        """A client is broken: it is closed, and the next call opens another."""
        opening = self._opening
        if opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None:
            if opening.result() is client:
                self._ended.set()
                self._opening = None

    async def _open(self) -> Client:
        if self._opening is None or (self._opening.done() and (self._opening.cancelled() or self._opening.exception())):
            loop = asyncio.get_running_loop()
            self._opening, self._ended = loop.create_future(), asyncio.Event()
            owner = loop.create_task(_own(self.server, self._opening, self._ended), context=contextvars.Context())
            owner.set_name(f"mcp {self.server.name}")
            _OWNERS.add(owner)
            owner.add_done_callback(_OWNERS.discard)
        client = await asyncio.shield(self._opening)  # others may wait for it, too
        self.hear()
        return client


_OWNERS: set[asyncio.Task[None]] = set()  # else nothing would hold them


async def _own(server: McpServer, opening: asyncio.Future[Client], ended: asyncio.Event) -> None:
    """Open a connection, and close it when it is no longer wanted, in one task."""
    try:
        for rest_s in (*RESTS_S, None):
            try:
                async with _connect(server) as client:
                    opening.set_result(client)
                    await ended.wait()
                return
            except Exception as error:  # of the opening, or of a connection that has been given up
                if opening.done():
                    return
                if rest_s is None or isinstance(error, HeadwayError | FileNotFoundError | PermissionError):
                    opening.set_exception(_make_unavailable(server, error))
                    opening.exception()  # seen, also where its callers have gone
                    return
                await asyncio.sleep(rest_s)
    finally:
        if not opening.done():
            opening.cancel()


@contextlib.asynccontextmanager
async def _connect(server: McpServer) -> AsyncGenerator[Client, None]:
    from mcp.client.client import Client

    async with contextlib.AsyncExitStack() as stack:
        target = await _target(server, stack)
        client = Client(target, read_timeout_seconds=server.timeout)
        async with asyncio.timeout(OPEN_S):
            await stack.enter_async_context(client)
        yield client


async def _target(server: McpServer, stack: contextlib.AsyncExitStack) -> Any:
    """What the SDK connects to."""
    if server.target is not None:
        return server.target
    if server.command:
        from mcp import StdioServerParameters

        program, *args = server.command
        return StdioServerParameters(
            command=program, args=args, env=dict(server.env) or None, cwd=server.cwd or None, encoding_error_handler="replace"
        )
    if not server.headers:
        return server.url
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    http = await stack.enter_async_context(httpx2.AsyncClient(headers=dict(server.headers), timeout=httpx2.Timeout(30, read=300)))
    return streamable_http_client(server.url, http_client=http)


def _make_unavailable(server: McpServer, error: BaseException) -> HeadwayError:
    if isinstance(error, HeadwayError):
        return error
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    said = f"it did not answer within {OPEN_S:g} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return ToolUnavailable(f"the MCP server {server.name!r} can't be opened: {said}")
