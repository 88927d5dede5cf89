"""Tasks and runs, offered to real MCP clients in this process and over `headway mcp`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import offered
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from wild import until

import headway as hw
from headway.errors import UsageError
from headway.tools.mcp.offering import RUN, make_server

PROGRAM = str(Path(__file__).parent / "offered.py")
TASKS = [offered.greet, offered.work, offered.fail, offered.wait]


async def call(client: Client, tool: str, meta: dict[str, Any] | None = None, /, **arguments: Any) -> Any:
    return await client.call_tool(tool, arguments, meta=meta)  # type: ignore[arg-type]


async def look_around(client: Client, store: Path) -> None:
    listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert listed["greet"].description == "Greet a person."
    assert listed["greet"].input_schema["required"] == ["person"]

    said = await call(client, "greet", person={"name": "Ada", "age": 36}, times=2)
    assert said.structured_content == {"result": ["Hello, Ada (36)"] * 2}
    run_id = said.meta[RUN]
    assert hw.view(run_id, store=store).status == "done"

    shown = (await call(client, "headway_show", run=run_id)).structured_content["result"]
    assert shown["status"] == "done"
    assert {"run": run_id, "task": "offered.greet", "status": "done"} in (await call(client, "headway_runs")).structured_content[
        "result"
    ]

    wrong = await call(client, "greet", person={"name": "Ada", "age": -1})
    assert wrong.is_error
    assert "$.person.age" in wrong.content[0].text
    failed = await call(client, "fail", why="it rains")
    assert failed.is_error
    assert "ValueError: it rains" in failed.content[0].text
    unknown = await call(client, "great")
    assert unknown.is_error
    assert "did you mean 'greet'?" in unknown.content[0].text
    lost = await call(client, "headway_show", run="nothing")
    assert lost.is_error
    assert "nothing" in lost.content[0].text


def test_tasks_are_called_and_their_runs_seen(tmp_path: Path) -> None:
    async def go() -> None:
        async with Client(make_server(TASKS, store=tmp_path / "store")) as client:
            await look_around(client, tmp_path / "store")

    asyncio.run(go())


def test_the_command_offers_a_program_on_its_standard_input_and_output(tmp_path: Path) -> None:
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}  # little else is inherited
    arguments = ["-m", "headway", "mcp", PROGRAM, "--store", str(tmp_path / "store")]

    async def go() -> None:
        with (tmp_path / "stderr").open("w") as errors:
            from mcp.client.stdio import stdio_client

            target = stdio_client(StdioServerParameters(command=sys.executable, args=arguments, env=paths), errlog=errors)
            async with Client(target) as client:
                await look_around(client, tmp_path / "store")
        assert "this goes to stderr" in (tmp_path / "stderr").read_text()

    asyncio.run(go())


def test_a_client_that_cancels_stops_the_run_and_a_call_of_the_same_name_goes_on(tmp_path: Path) -> None:
    async def go() -> None:
        async with Client(make_server(TASKS, store=tmp_path / "store")) as client:
            begun = asyncio.ensure_future(call(client, "work", {RUN: "mine"}, folder=str(tmp_path), seconds=60))
            await until(lambda: (tmp_path / "log").exists() and "second" in (tmp_path / "log").read_text())
            begun.cancel()
            await asyncio.gather(begun, return_exceptions=True)
            await until(lambda: hw.view("mine", store=tmp_path / "store").status != "running")
            assert (tmp_path / "log").read_text() == "first\nsecond\n"
            shown = (await call(client, "headway_show", run="mine")).structured_content["result"]
            assert [each["state"] for each in shown["calls"] if each["task"] == "offered.step"].count("ok") == 1

    asyncio.run(go())


def test_a_run_that_waits_is_answered_by_the_client(tmp_path: Path) -> None:
    heard: list[str] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async def go() -> None:
        async with Client(make_server(TASKS, store=tmp_path / "store")) as client:
            begun = asyncio.ensure_future(
                client.call_tool("wait", {}, progress_callback=hear, meta={RUN: "waits"})  # type: ignore[arg-type]
            )
            await until(lambda: "it waits for the signal 'word': answer with headway_signal" in heard)
            await call(client, "headway_signal", run="waits", name="word", value="yes")
            assert (await begun).structured_content == {"result": "they said yes"}
            again = await call(client, "wait", {RUN: "waits"})
            assert again.structured_content == {"result": "they said yes"}

    asyncio.run(go())


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two tasks are called 'greet'"):
        make_server([offered.greet, hw.task(name="other.greet")(offered.greet.fn)], store=tmp_path)
