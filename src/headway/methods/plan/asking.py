"""Asking planners: when they are due, what they are told, and the call that records what each says."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.methods.graph import Trace
from headway.task import Task, task

Replan = Literal["never", "done", "step"]


@dataclass(slots=True)
class Planners:
    """Who plans, and when they are asked."""

    goal: Any
    given: tuple[Any, ...]
    rounds: int
    replan: Replan
    turn: int = 0
    changed: bool = False  # an edit was applied, or refused, since they were asked last
    speaking: dict[Any, int] = field(default_factory=dict)  # their streams
    fresh: list[str] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)  # by planner

    def are_due(self, *, idle: bool) -> bool:
        """Whether they are to be asked now. `idle`: nothing runs and nothing may start."""
        if not self.given or self.speaking or self.turn >= self.rounds:
            return False
        if not self.turn:
            return True
        if self.replan == "step":
            return bool(self.fresh)
        return self.replan == "done" and idle and (bool(self.fresh) or self.changed)


def _label(planner: Any, goal: Any, trace: Trace[Any]) -> str:
    return f"{getattr(planner, '__name__', type(planner).__name__)}: {goal!r:.60}"


@task(name="plan.ask", label=_label)
async def ask_planner(planner: Annotated[Any, unkeyed], goal: Any, trace: Trace[Any]) -> AsyncIterator[Any]:
    """What a planner says that is no task, item by item."""
    async for said in planner(goal, trace):
        yield said


def check_planners(planner: Any) -> tuple[Any, ...]:
    planners = tuple(planner) if isinstance(planner, list | tuple) else (planner,)
    for each in planners:
        function = each.fn if isinstance(each, Task) else each
        if not inspect.isasyncgenfunction(function) and not inspect.isasyncgenfunction(type(function).__call__):
            raise UsageError(
                f"execute: planner={each!r:.80}: an async generator of edits: async def planner(goal, trace): yield ..."
            )
    return planners


def check_replan(replan: Any) -> Any:
    if replan not in ("never", "done", "step"):
        raise UsageError(f'execute: replan={replan!r:.80}: "never", "done" or "step"')
    return replan
