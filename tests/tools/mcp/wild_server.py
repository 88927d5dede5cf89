"""A real MCP server that behaves well and badly, by the tool that is called. Run as a program: `wild_server.py FOLDER [PORT]`.

What it does is written to FOLDER/log, a line each, before it is done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def make(folder: Path) -> MCPServer:
    server = MCPServer("wild", log_level="CRITICAL")

    def note(line: str) -> None:
        with (folder / "log").open("a") as log:
            log.write(line + "\n")

    @server.tool(annotations=types.ToolAnnotations(read_only_hint=True))
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        note(f"add {a} {b}")
        return a + b

    @server.tool()
    async def write(line: str) -> str:
        """Write a line, which can't be unwritten."""
        note(f"write {line}")
        return f"wrote {line}"

    @server.tool()
    async def write_and_die(line: str) -> str:
        """Write a line, and end the server before it answers."""
        note(f"write {line}")
        os._exit(3)

    @server.tool(annotations=types.ToolAnnotations(read_only_hint=True))
    async def die_once() -> str:
        """End the server the first time, answer the second."""
        note("die_once")
        if (folder / "log").read_text().count("die_once") == 1:
            os._exit(3)
        return "alive"

    @server.tool()
    async def slow(seconds: float, ctx: Context) -> str:
        """Take a while, and say how far it is."""
        note(f"begin {seconds}")
        try:
            for step in range(20):
                await ctx.report_progress(step, 20)
                await asyncio.sleep(seconds / 20)
        except asyncio.CancelledError:
            note(f"cancelled {seconds}")
            raise
        note(f"end {seconds}")
        return "slept"

    @server.tool()
    async def fail(why: str) -> str:
        """Fail."""
        raise ValueError(why)

    @server.tool()
    async def flood(megabytes: int) -> str:
        """Say far too much."""
        return "x" * (megabytes << 20)

    @server.tool()
    async def picture() -> list[types.ContentBlock]:
        """A picture and a word."""
        import base64

        image = types.ImageContent(type="image", data=base64.b64encode(PIXEL).decode(), mime_type="image/png")
        return [types.TextContent(type="text", text="a pixel"), image]

    @server.tool(name="files.read/text", annotations=types.ToolAnnotations(read_only_hint=True))
    async def dotted(path: str) -> str:
        """A name that no model API takes."""
        return f"the text of {path}"

    return server


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        made.run("streamable-http", port=int(sys.argv[2]))
    else:
        made.run("stdio")
