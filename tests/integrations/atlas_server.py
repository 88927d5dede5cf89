"""An MCP server with one tool, which writes down each call in the file LOG: `python atlas_server.py LOG`."""

from __future__ import annotations

import sys
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("atlas", instructions="Ask for one country at a time.")


@server.tool()
def area(country: str) -> int:
    """How large a country is."""
    with Path(sys.argv[1]).open("a") as log:
        log.write(f"{country}\n")
    return len(country)


if __name__ == "__main__":
    server.run("stdio")
