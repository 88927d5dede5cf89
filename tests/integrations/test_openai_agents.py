"""The OpenAI Agents SDK, as it is, on a model of `headway serve` and on tasks of `headway mcp`."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

import headway as hw
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, RunConfig, Runner, function_tool
from agents.mcp import MCPServerStdio

PROGRAM = Path(__file__).parent / "served.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUNBUFFERED": "1"}
QUIET = RunConfig(tracing_disabled=True)


@contextmanager
def served(program: Path) -> Iterator[str]:
    """The address at which `headway serve` offers a program's model."""
    command = [sys.executable, "-m", "headway", "serve", f"{program}:model", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(PROGRAM) as url:
        yield url


class Areas(BaseModel):
    areas: list[int]


@function_tool
async def area(country: str) -> int:
    """How large a country is."""
    return {"Italy": 301340, "France": 551695}[country]


def test_an_agent_of_the_sdk_calls_tools_through_headway_serve(url: str) -> None:
    async def run() -> tuple[str, int, list[str]]:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            agent = Agent("clerk", model=OpenAIChatCompletionsModel("scripted", client), tools=[area])
            said = await Runner.run(agent, "How large are they?", run_config=QUIET)
            kinds = [item.type for item in said.new_items]
            return said.final_output, said.context_wrapper.usage.total_tokens, kinds

    said, tokens, kinds = asyncio.run(run())
    assert said.strip() == "They are 301340 and 551695 ."
    assert tokens == 30
    assert kinds.count("tool_call_item") == kinds.count("tool_call_output_item") == 2


def test_it_streams_and_answers_in_a_type(url: str) -> None:
    async def run() -> tuple[list[str], Areas]:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            model = OpenAIChatCompletionsModel("scripted", client)
            streamed = Runner.run_streamed(Agent("clerk", model=model, tools=[area]), "How large?", run_config=QUIET)
            deltas = [
                event.data.delta
                async for event in streamed.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
            ]
            typed = Agent("clerk", model=model, tools=[area], output_type=Areas, model_settings=ModelSettings(temperature=0.5))
            return deltas, (await Runner.run(typed, "How large?", run_config=QUIET)).final_output

    deltas, typed = asyncio.run(run())
    assert len(deltas) > 3
    assert "".join(deltas).strip() == "They are 301340 and 551695 ."
    assert typed == Areas(areas=[301340, 551695])


def test_tasks_that_headway_mcp_offers_are_tools_of_the_sdk_and_runs_of_a_store(url: str, tmp_path: Path) -> None:
    command = ["-m", "headway", "mcp", str(PROGRAM), "--store", str(tmp_path / "store")]

    async def run() -> str:
        server = MCPServerStdio(
            params={"command": sys.executable, "args": command, "env": ENVIRONMENT}, client_session_timeout_seconds=60
        )
        async with AsyncOpenAI(base_url=url, api_key="none") as client, server:
            agent = Agent("clerk", model=OpenAIChatCompletionsModel("scripted", client), mcp_servers=[server])
            return (await Runner.run(agent, "How large are they?", run_config=QUIET)).final_output

    said = asyncio.run(run())
    assert "301340" in said
    assert "551695" in said
    assert [run.status for run in hw.runs(store=tmp_path / "store")] == ["done", "done"]


def test_the_programs_of_the_page_print_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "integrations" / "openai-agents.md").read_text()
    program, client, *_ = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (says,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "program.py").write_text(program)
    with served(tmp_path / "program.py") as url:
        exec(client.replace("http://127.0.0.1:8000/v1", url), {})
    assert capsys.readouterr().out == says
