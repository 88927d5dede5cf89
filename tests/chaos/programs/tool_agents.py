"""An agent of pydantic-ai that dies in one life after the other. Not a test by itself.

    python tool_agents.py STORE RESULT RAN KILLS TURNS

A life is killed when a unit begins, when a unit has done its work, or when a unit's end was handed to the journal.

In RAN a unit says `turn KEY` or `tool KEY` as it begins; after each death stand `recorded KEY` for what the store has by then, and
`died LIFE`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lives import die_and_rise, pass_moment, tell
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import headway as hw
from headway import events
from headway.integrations.pydantic_ai import HeadwayDurability

MOMENTS = ("a turn begins", "a turn is done", "a tool begins", "a tool is done", "an end is recorded")
TURNS = int(sys.argv[5])  # each asks for three tools at once


async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    number = sum(isinstance(message, ModelResponse) for message in messages)
    tell("turn", hw.call().key)
    pass_moment("a turn begins")
    await asyncio.sleep(0)
    if number == TURNS:
        made = [part.content for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
        said = ModelResponse([TextPart(f"{len(made)} results, {sum(made)} in all")])
    else:
        said = ModelResponse([ToolCallPart("work", {"n": 3 * number + k}) for k in range(3)])  # with call ids that are made up
    pass_moment("a turn is done")
    return said


agent = Agent(FunctionModel(answer, model_name="scripted"), name="worker", capabilities=[HeadwayDurability()])


@agent.tool_plain
async def work(n: int) -> int:
    tell("tool", hw.call().key, n)
    pass_moment("a tool begins")
    await asyncio.sleep(0.001 * (n % 3))
    pass_moment("a tool is done")
    return n * n


@hw.task
async def main(job: str) -> str:
    return (await agent.run(job)).output


def hear(event: events.Event) -> None:
    if isinstance(event, events.CallEnded) and event.task == "pydantic_ai.unit":
        pass_moment("an end is recorded")


def live() -> None:
    result = hw.run(main, "work", store=sys.argv[1], run_id="kills", progress=False, events=hear)
    Path(sys.argv[2]).write_text(result)


def recorded() -> list[str]:
    return [call.key for call in hw.view("kills", store=sys.argv[1]).calls if call.state == "ok"]


if __name__ == "__main__":
    die_and_rise(MOMENTS, live, recorded)
