"""Agents of pydantic-ai as durable runs: each turn of the model and each call of a tool is one recorded call.

    agent = Agent("openai:gpt-5", name="clerk", capabilities=[HeadwayDurability()])

    @hw.task
    async def answer(question: str) -> str:
        return (await agent.run(question)).output

    hw.run(answer, "who wrote it?", run_id="clerk-1")    # killed: the same line again goes on behind the last recorded turn

It needs pydantic-ai 2.68 or newer, the first with a public interface for durable engines. The classes are made when they are first
asked for, so importing this module needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.extras import explain_missing

if TYPE_CHECKING:
    from headway.integrations.pydantic_ai.durability import HeadwayDurability as HeadwayDurability
    from headway.integrations.pydantic_ai.units import UnitConfig as UnitConfig
    from headway.integrations.pydantic_ai.waiting import fail_event as fail_event
    from headway.integrations.pydantic_ai.waiting import resolve_event as resolve_event

__all__ = ["fail_event", "HeadwayDurability", "resolve_event", "UnitConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with explain_missing(f"{__name__}.{name}"):
        from headway.integrations.pydantic_ai import durability, units, waiting
    for module in (durability, units, waiting):
        if hasattr(module, name):
            globals()[name] = getattr(module, name)
    return globals()[name]
