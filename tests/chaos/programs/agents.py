"""An agent of pydantic-ai that dies in one life after the other. Not a test by itself.

    python agents.py STORE RESULT RAN KILLS TURNS

Each life is a process of its own, forked here so that it need not import everything again. It is killed with SIGKILL at a moment of
its own work: a unit begins, a unit has done its work, a unit's end was handed to the journal. After KILLS deaths a life may end.

In RAN a unit says `turn KEY` or `tool KEY` as it begins; after each death stand `recorded KEY` for what the store has by then, and
`died LIFE MOMENT`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import headway as hw
from headway import events
from headway.integrations.pydantic_ai import HeadwayDurability

TURNS = int(sys.argv[5])  # each asks for three tools at once
moments: list[str] = []  # of this life, so far
dies_at = 0  # the number of the moment; 0: never


def tell(*words: object) -> None:
    """One write, so that a kill leaves whole lines."""
    with Path(sys.argv[3]).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def pass_moment(what: str) -> None:
    moments.append(what)
    if len(moments) == dies_at:
        tell("dies", what)
        os.kill(os.getpid(), signal.SIGKILL)


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


def die_and_rise(kills: int) -> None:
    global dies_at
    known: set[str] = set()
    for life in range(kills + 1):
        dies_at = 0 if life == kills else 2 + life * 5 % 9  # every kind of moment, at the beginning and later on
        if not (child := os.fork()):
            code: Any = 1
            try:
                live()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        recorded = {call.key for call in hw.view("kills", store=sys.argv[1]).calls if call.state == "ok"}
        for key in sorted(recorded - known):
            tell("recorded", key)
        known |= recorded
        if os.WIFSIGNALED(status):
            tell("died", life, dies_at)
        elif status:
            raise SystemExit(f"life {life} failed")
        elif life < kills:
            raise SystemExit(f"it ended in life {life}, before the kill at moment {dies_at}: give it more to do")


if __name__ == "__main__":
    die_and_rise(int(sys.argv[4]))
