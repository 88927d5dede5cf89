"""An MCP server of an atlas, as if it were far away: each call takes a while, the first breaks the connection, every fourth fails.

    python examples/assistant/server.py FOLDER        # speaks on its standard input and output

FOLDER keeps count of the calls, for the server itself forgets them when it dies.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from assistant import atlas

LATENCY_S = 0.4
server = MCPServer("far atlas")
READS = ToolAnnotations(read_only_hint=True)


async def travel() -> None:
    """The way there and back. Raises ToolError where the answer got lost, and dies at the first call of all."""
    number = count_call(Path(sys.argv[1]))
    await asyncio.sleep(LATENCY_S)
    if number == 1:
        os._exit(1)
    if number % 4 == 0:
        raise ToolError("the line to the atlas broke; ask again")


def count_call(folder: Path) -> int:
    """Which call it is, from 1 on, also after a death of this server."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir())) + 1
    (folder / f"{number:06}").touch()
    return number


def place(name: str) -> dict[str, Any]:
    try:
        return atlas.find_city(name)
    except atlas.UnknownPlace as error:
        raise ToolError(str(error)) from None


@server.tool(annotations=READS)
async def distance_km(start: str, end: str) -> float:
    """How far it is from one city to another, in km, as the crow flies. `start` and `end` are names of cities."""
    await travel()
    return round(atlas.distance_km(place(start), place(end)))


@server.tool(annotations=READS)
async def time_zone(city: str) -> str:
    """The time zone of a city, by the city's name."""
    await travel()
    return str(place(city)["timezone_id"])


if __name__ == "__main__":
    server.run("stdio")
