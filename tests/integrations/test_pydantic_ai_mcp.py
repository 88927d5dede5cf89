"""Tools of a real MCP server, in an agent of pydantic-ai: what they are and what they gave is recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from clerks import clerk, results
from fastmcp.client.transports import StdioTransport
from pydantic_ai.exceptions import UserError
from pydantic_ai.mcp import MCPToolset

import headway as hw


def atlas(log: Path) -> MCPToolset[Any]:
    server = StdioTransport(sys.executable, [str(Path(__file__).parent / "atlas_server.py"), str(log)])
    return MCPToolset(server, id="atlas")


def asks(number: int, messages: list[Any]) -> Any:
    return [("area", {"country": "Italy"}), ("area", {"country": "Mali"})] if number == 0 else f"{results(messages)}"


def test_recorded_calls_of_an_mcp_server_are_not_made_again(tmp_path: Path) -> None:
    seen: list[str] = []
    agent = clerk(asks, seen, agent={"toolsets": [atlas(tmp_path / "log")]})

    @hw.task
    async def main() -> str:
        said = (await agent.run("How large?")).output
        if "main" not in seen:
            seen.append("main")
            raise OSError("down")
        return said

    with pytest.raises(OSError, match="down"):
        hw.run(main, store=tmp_path / "store", run_id="run")
    assert hw.run(main, store=tmp_path / "store", run_id="run") == "[5, 4]"
    assert seen == ["turn 0", "turn 1", "main"]
    assert sorted((tmp_path / "log").read_text().split()) == ["Italy", "Mali"]
    labels = {call.label for call in hw.view("run", store=tmp_path / "store").calls}
    assert {"clerk__mcp_server__atlas.get_tools", "clerk__mcp_server__atlas.call_tool"} <= labels


def test_an_mcp_server_that_comes_with_a_run_is_refused(tmp_path: Path) -> None:
    agent = clerk(asks, [])

    @hw.task
    async def main() -> str:
        return (await agent.run("How large?", toolsets=[atlas(tmp_path / "log")])).output

    with pytest.raises(UserError, match="cannot be added at runtime with Headway"):
        hw.run(main, store=None)
    assert not (tmp_path / "log").exists()
