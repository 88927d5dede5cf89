"""The tools of an MCP server, as tools that a model may be offered.

    offered = await tools.list_mcp_tools(tools.McpServer(name="files", command=[…], read_only="declared"))

The list is recorded, so a resumed run offers its model the same tools, even if the server has changed since.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from headway.errors import UsageError
from headway.models.messages import ToolSpec
from headway.near import near_misses
from headway.tools.mcp.answers import Offer
from headway.tools.mcp.calls import call_effect, call_reader, list_tools
from headway.tools.mcp.servers import McpServer
from headway.tools.parameters import ToolArgumentsError
from headway.tools.tool import Labels, Tool

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 64
_MOST_SAID = 300


async def list_mcp_tools(server: McpServer, *, only: Collection[str] = (), prefix: str = "") -> list[Tool]:
    """Ask an MCP server for its tools.

    Args:
        server: which one.
        only: the names of those that are wanted; all where there are none.
        prefix: set before their names, where those of two servers are the same. Characters that no model's API takes become `_`.

    Returns:
        The tools, in the server's order. A call of one is a call of the run: recorded, stopped for real, in the budget's time.

    Raises:
        ToolUnavailable: the server can't be opened.
        UsageError: it has no tool of a name in `only`, two tools would have one name, or the extra `mcp` is missing.

    Example:
        >>> from mcp.server import MCPServer
        >>> from headway import tools
        >>> atlas = MCPServer("atlas", log_level="CRITICAL")
        >>> @atlas.tool()
        ... def area(country: str) -> float:
        ...     '''The area of a country in km2.'''
        ...     return 302_068.0
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     server = tools.McpServer(name="atlas", target=atlas)
        ...     return [tool.name for tool in await tools.list_mcp_tools(server)]
        >>> hw.run(program, store=None)
        ['area']
    """
    offers = {offer.name: offer for offer in await list_tools(server)}
    for name in only:
        if name not in offers:
            raise UsageError(f"the MCP server {server.name!r} offers no tool {name!r}; {near_misses(name, offers)}")
    found: dict[str, Tool] = {}
    for offer in offers.values():
        if only and offer.name not in only:
            continue
        name = _NOT_IN_NAMES.sub("_", f"{prefix}{offer.name}")[:_LONGEST_NAME]
        if name in found:
            raise UsageError(f"two tools of the MCP server {server.name!r} would be called {name!r}: choose one with only=")
        found[name] = _make_tool(server, offer, name)
    return list(found.values())


def _make_tool(server: McpServer, offer: Offer, name: str) -> Tool:
    reads_only = server.reads_only(offer.name, offer.reads_only)
    labels = Labels(effect=not reads_only, reads_untrusted=server.reads_untrusted, needs_approval=server.asks_first(offer.name))
    spec = ToolSpec(name, offer.description, dict(offer.parameters))
    return Tool(spec, labels, call_reader if reads_only else call_effect, McpParameters(server, offer.name, offer.parameters))


class McpParameters:
    """The arguments of a server's tool: JSON that fits the schema which the server declared."""

    def __init__(self, server: McpServer, tool: str, schema: Mapping[str, Any]) -> None:
        self._server, self._tool, self.schema = server, tool, schema
        self.identity = (server, tool)

    def parse(self, arguments: str) -> dict[str, Any]:
        """The arguments by name. Raises ToolArgumentsError."""
        try:
            read = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ToolArgumentsError(f"{self._tool}: the arguments are no JSON: {error}. Write one JSON object.") from None
        if not isinstance(read, dict):
            raise ToolArgumentsError(f"{self._tool}: the arguments are a {type(read).__name__}. Write one JSON object.")
        if (wrong := next(iter(self._validator.iter_errors(read)), None)) is not None:
            raise ToolArgumentsError(f"{self._tool}: {wrong.message[:_MOST_SAID]} - at `{wrong.json_path}`")
        return read

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the task that calls the server."""
        return (self._server, self._tool, values), {}

    @functools.cached_property
    def _validator(self) -> Any:
        import jsonschema

        kind = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except jsonschema.SchemaError:  # the server says itself what it takes
            return jsonschema.Draft202012Validator({"type": "object"})
        return kind(self.schema)
