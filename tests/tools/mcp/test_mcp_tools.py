"""Tools of MCP servers, called by real clients of real servers on each transport."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from wild import WILD, Wild

import headway as hw
from headway import models, tools
from headway.errors import ToolUnavailable, UsageError


def run(program: Callable[[], Awaitable[Any]], store: Path | None = None, run_id: str = "mcp") -> Any:
    """Run a plain coroutine function as a task."""
    task = hw.task(name=f"mcp.program.{program.__name__}")(program)
    return hw.run(task, store=store, run_id=run_id if store else None, progress=False)


def ask(name: str, **arguments: Any) -> models.ToolCall:
    return models.ToolCall(f"call-{name}", name, json.dumps(arguments))


async def one(offered: list[tools.Tool], name: str, **arguments: Any) -> tools.ToolResult:
    (result,) = await tools.run_calls(offered, [ask(name, **arguments)])
    return result


def test_tools_are_listed_called_and_stopped_on_each_transport(wild: Wild) -> None:
    server = wild.server(read_only="declared")

    async def program() -> None:
        offered = await tools.list_mcp_tools(server)
        named = {tool.name: tool for tool in offered}
        assert named["add"].spec.description == "Add two numbers."
        assert named["add"].spec.parameters["required"] == ["a", "b"]
        assert not named["add"].labels.effect
        assert named["write"].labels.effect
        assert named["write"].labels.reads_untrusted

        assert (await one(offered, "add", a=1, b=2)).content == "3"
        assert (await one(offered, "files_read_text", path="a.txt")).content == "the text of a.txt"
        shown = (await one(offered, "picture")).content
        assert shown[0] == models.Text("a pixel")
        assert isinstance(shown[1], models.Image)
        assert shown[1].data.startswith(b"\x89PNG")

        failed = await one(offered, "fail", why="it rains")
        assert failed.is_error
        assert "fail" in failed.content
        wrong = await one(offered, "add", a="x", b=2)
        assert wrong.is_error
        assert "'x' is not of type 'integer'" in str(wrong.content)
        assert "$.a" in str(wrong.content)

        flooded = await one(offered, "flood", megabytes=3)
        assert len(str(flooded.content)) <= 64 * 1024
        assert "are missing" in str(flooded.content)

        handle = named_call(server, "slow", {"seconds": 60.0})
        await wild.until("begin 60.0")
        handle.cancel()
        await wild.until("cancelled 60.0")

    run(program)
    assert wild.log.count("add 1 2") == 1


def named_call(server: tools.McpServer, name: str, arguments: dict[str, Any]) -> Any:
    from headway.tools.mcp.calls import call_tool

    return call_tool(server, name, arguments)


def test_twenty_calls_of_a_server_run_side_by_side_on_each_transport(wild: Wild) -> None:
    server = wild.server()

    async def program() -> None:
        offered = await tools.list_mcp_tools(server, only=["slow"])
        asked = [models.ToolCall(str(at), "slow", json.dumps({"seconds": 1 + at / 1000})) for at in range(20)]
        results = await tools.run_calls(offered, asked)
        assert [result.content for result in results] == ["slept"] * 20

    run(program)
    begins = [at for at, line in enumerate(wild.log) if line.startswith("begin")]
    assert begins == list(range(20)), "each had begun before the first ended"


def test_a_server_that_died_is_opened_again_and_only_what_reads_is_asked_again(make_wild: Callable[[str], Wild]) -> None:
    wild = make_wild("stdio")
    server = wild.server(read_only="declared")

    async def program() -> None:
        offered = await tools.list_mcp_tools(server)
        assert (await one(offered, "die_once")).content == "alive"
        lost = await one(offered, "write_and_die", line="a")
        assert lost.is_error
        assert "Nobody knows whether this call came through" in str(lost.content)
        assert (await one(offered, "write", line="b")).content == "wrote b"

    run(program)
    assert wild.log == ["die_once", "die_once", "write a", "write b"]


def test_a_server_that_listens_may_be_gone_for_a_moment(make_wild: Callable[[str], Wild]) -> None:
    wild = make_wild("http")
    server = wild.server()

    async def program() -> None:
        offered = await tools.list_mcp_tools(server)
        lost = await one(offered, "write_and_die", line="a")
        assert "Nobody knows" in str(lost.content)
        wild.start_again()
        assert (await one(offered, "write", line="b")).content == "wrote b"

    run(program)
    assert wild.log == ["write a", "write b"]


def test_a_resumed_run_asks_no_server_for_what_it_knows(make_wild: Callable[[str], Wild], tmp_path: Path) -> None:
    wild = make_wild("stdio")
    server = wild.server()
    store = tmp_path / "store"
    stops = [True]

    async def program() -> str:
        offered = await tools.list_mcp_tools(server)
        first = await one(offered, "write", line="a")
        if stops:
            raise KeyboardInterrupt
        return str(first.content)

    with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever an interrupt becomes
        run(program, store)
    stops.clear()
    gone = tools.McpServer(name="wild", command=["/nowhere/at/all"])
    server = gone
    assert run(program, store) == "wrote a"
    assert wild.log == ["write a"]


KILLED = """
import os, sys, threading, time
from pathlib import Path

import headway as hw
from headway import tools
from headway.tools.mcp.calls import call_tool

folder = Path(sys.argv[1])
server = tools.McpServer(name="wild", command=[sys.executable, sys.argv[2], str(folder)])


def die() -> None:
    while not (folder / "log").exists():
        time.sleep(0.005)
    os.kill(os.getpid(), 9)


@hw.task
async def program() -> str:
    return (await call_tool(server, "slow", {"seconds": 2.0})).text


if __name__ == "__main__":
    if sys.argv[3] == "die":
        threading.Thread(target=die, daemon=True).start()
    print(hw.run(program, store=folder / "store", run_id="killed", progress=False))
"""


def test_a_call_in_whose_middle_the_program_was_killed_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path), WILD]
    first = subprocess.run([*command, "die"], capture_output=True, text=True)
    assert first.returncode == -9
    second = subprocess.run([*command, "live"], capture_output=True, text=True)
    assert "The program stopped while slow of wild ran. Nobody knows whether this call came through" in second.stdout, second.stderr
    assert (tmp_path / "log").read_text().count("begin") == 1


def test_a_server_that_is_silent_fails_the_call_and_the_model_hears_of_it(make_wild: Callable[[str], Wild]) -> None:
    server = make_wild("in process").server(timeout=0.2)

    async def program() -> None:
        offered = await tools.list_mcp_tools(server)
        silent = await one(offered, "slow", seconds=30)
        assert silent.is_error
        assert "said nothing for 0.2 s" in str(silent.content)

    run(program)


def test_a_server_that_lies_about_its_answer_is_an_error_for_the_model() -> None:
    import mcp_types as types
    from mcp.server.lowlevel.server import Server

    async def list_all(ctx: Any, params: Any) -> Any:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        far = {"type": "object", "properties": {"x": {"$ref": "https://evil.example/schema.json"}}}
        deep: dict[str, Any] = {}
        for _ in range(60):
            deep = {"properties": {"x": deep}}
        offers = [("lie", {"type": "object"}), ("far", far), ("deep", {"type": "object", **deep})]
        return types.ListToolsResult(tools=[types.Tool(name=n, input_schema=s, output_schema=schema) for n, s in offers])

    async def call(ctx: Any, params: Any) -> Any:
        return types.CallToolResult(content=[types.TextContent(type="text", text="x")], structured_content={"n": "no number"})

    server = tools.McpServer(name="liar", target=Server("liar", on_list_tools=list_all, on_call_tool=call))

    async def program() -> None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            offered = await tools.list_mcp_tools(server)
        assert [tool.name for tool in offered] == ["lie"]
        said = " ".join(str(each.message) for each in seen)
        assert "'far' is left out: the schema of its arguments refers to 'https://evil.example/schema.json'" in said
        assert "'deep' is left out: the schema of its arguments is more than 40 levels deep" in said
        result = await one(offered, "lie")
        assert result.is_error
        assert "does not fit what it declared" in str(result.content)

    run(program)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "no name!"}, "a name is up to 32 letters"),
        ({"name": "a"}, "give one of command, url and target"),
        ({"name": "a", "command": ["x"], "url": "http://h/mcp"}, "give one of command, url and target"),
        ({"name": "a", "command": "npx server"}, "give the program and its arguments as a list"),
        ({"name": "a", "url": "h:80"}, "is no address: write http://host:8000/mcp"),
        ({"name": "a", "command": ["x"], "headers": {"a": "b"}}, "headers are for a url"),
        ({"name": "a", "url": "http://h/mcp", "env": {"a": "b"}}, "env and cwd are for a command"),
        ({"name": "a", "command": ["x"], "read_only": "read"}, "the names of tools as a list, or 'declared'"),
        ({"name": "a", "command": ["x"], "timeout": 0}, "seconds, above zero"),
        ({"name": "a", "command": ["x"], "timeout": float("nan")}, "seconds, above zero"),
    ],
)
def test_a_server_without_an_address_or_with_two_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        tools.McpServer(**options)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/at/all"], "can't be opened"),
        ([sys.executable, "-c", "print('not the protocol')"], "can't be opened"),
    ],
)
def test_a_program_that_is_no_server_is_one_clear_error(command: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headway.tools.mcp.connections.RESTS_S", ())
    monkeypatch.setattr("headway.tools.mcp.calls._AGAIN", hw.Retry(attempts=1))
    server = tools.McpServer(name="none", command=command)

    async def program() -> None:
        await named_call(server, "anything", {})

    with pytest.raises(ToolUnavailable, match=said):
        run(program)


def test_no_secret_of_a_server_is_recorded(make_wild: Callable[[str], Wild], tmp_path: Path) -> None:
    wild = make_wild("stdio")
    canary = "canary-5f0e7b1c"
    server = tools.McpServer(name="wild", command=[sys.executable, WILD, str(wild.folder)], env={"TOKEN": canary})

    async def program() -> None:
        offered = await tools.list_mcp_tools(server)
        await one(offered, "add", a=1, b=1)

    store = tmp_path / "store"
    run(program, store)
    assert canary not in repr(server)
    assert all(canary.encode() not in path.read_bytes() for path in store.rglob("*") if path.is_file())
