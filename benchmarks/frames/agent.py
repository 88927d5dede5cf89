"""An agent of pydantic-ai whose model and tools cost nothing: what is left is what its durability costs.

Each turn asks for two tools at once. Under DBOS the agent runs in a workflow, its tools are steps (its adapter leaves that to the
user) and the system database is SQLite as DBOS sets it up. Under Headway tools are effects: they start when what asked for them is
durable.
Both sides have run a short agent before; printed are the seconds of the agent that is timed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

TOOLS = 2
WARM_UP = 3


def steps(turns: int) -> int:
    """Recorded steps of an agent: its turns, the last of them without tools, and the calls of tools."""
    return turns * (1 + TOOLS) + 1


def agent_of(turns: int, name: str, durability: Any, tool: Callable[..., Any]) -> Agent[None, str]:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        number = sum(isinstance(message, ModelResponse) for message in messages)
        if number == turns:
            return ModelResponse([TextPart("done")])
        return ModelResponse([ToolCallPart("look", {"page": TOOLS * number + k}, f"{number}-{k}") for k in range(TOOLS)])

    made = Agent(FunctionModel(answer, model_name="scripted"), name=name, capabilities=[durability])
    made.tool_plain(tool)
    return made


async def look(page: int) -> str:
    """Look a page up."""
    return f"what page {page} says"


def headway(folder: Path) -> Callable[[Agent[None, str], str], Awaitable[Any]]:
    import headway as hw

    async def run(agent: Agent[None, str], name: str) -> Any:
        @hw.task(name=f"main-{name}")
        async def main() -> str:
            return (await agent.run("look")).output

        return await hw.arun(main, store=folder / "store", run_id=name, progress=False)

    return run


async def measure(side: str, folder: Path, turns: int) -> float:
    if side == "headway":
        from headway.integrations.pydantic_ai import HeadwayDurability

        agents = {name: agent_of(many, name, HeadwayDurability(), look) for name, many in (("warm", WARM_UP), ("timed", turns))}
        run = headway(folder)
    else:
        from dbos import DBOS
        from pydantic_ai.durable_exec.dbos import DBOSDurability

        DBOS(
            config={
                "name": "benchmark",
                "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
                "log_level": "ERROR",
            }
        )
        step = DBOS.step(name="look")(look)
        agents = {name: agent_of(many, name, DBOSDurability(), step) for name, many in (("warm", WARM_UP), ("timed", turns))}

        @DBOS.workflow()
        async def workflow(name: str) -> str:
            return (await agents[name].run("look")).output

        DBOS.launch()

        async def run(agent: Agent[None, str], name: str) -> Any:
            return await workflow(name)

    await run(agents["warm"], "warm")
    begun = time.perf_counter()
    said = await run(agents["timed"], "timed")
    took = time.perf_counter() - begun
    assert said == "done"
    return took


if __name__ == "__main__":
    print(asyncio.run(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))), flush=True)
    import os

    os._exit(0)  # DBOS's threads would keep the process
