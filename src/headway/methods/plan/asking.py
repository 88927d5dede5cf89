"""Asking planners and policies: when they are due, what they are told, and how what they say is recorded."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from headway.context import random
from headway.engine.call import current
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.joins.recorded import name_decision, recall, record
from headway.journal.codec.codec import digest
from headway.journal.decisions import Chosen, Start
from headway.methods.graph import Add, EditRefused, Need, Replace, Trace
from headway.methods.protocols import Policy, check_actions
from headway.methods.records import Action, Observation, Running, View
from headway.methods.search.failures import Failures
from headway.scopes.budget import remaining
from headway.scopes.deadline import time_left
from headway.task import Task, task

Choices: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]] | Callable[[Any], Sequence[str]]
Test: TypeAlias = Callable[[Any], bool]

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


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all steps of one plan."""

    policy: Policy | None
    choices: Choices | None
    tests: Mapping[str, Test]
    failures: Failures
    hold: bool
    most_steps: int

    def holds(self, need: Need, results: Mapping[str, Any]) -> bool:
        return need.step in results and bool(self.tests[need.test](results[need.step]))

    def check_tests(self, needs: Sequence[Need]) -> None:
        """Raises UsageError for a condition that nobody has said the meaning of."""
        for need in needs:
            if need.test and need.test not in self.tests:
                known = ", ".join(sorted(self.tests)) or "none"
                raise UsageError(f"execute: a step needs {need.step!r} on the condition {need.test!r}; tests= has: {known}")


class Ways:
    """How each step may be done, as the caller says, without what is lost."""

    def __init__(self, choices: Choices | None) -> None:
        self._choices = choices
        self._of: dict[str, tuple[str, ...]] = {}
        self.lost: dict[str, str] = {}  # with what was said of it
        self.are_given = choices is not None

    def add(self, id: str, does: Any) -> None:
        """Take up a step. Raises EditRefused where it can be done in no way."""
        if self._choices is None:
            return
        known = self._choices
        found: Any = known.get(id, ("",)) if isinstance(known, Mapping) else known(does) if callable(known) else known
        if isinstance(found, str) or not isinstance(found, Sequence) or not all(isinstance(one, str) for one in found):
            raise UsageError(f"execute: choices={found!r:.80} of step {id!r}: a list of names")
        if not isinstance(known, Mapping) and not callable(known) and not found:
            raise UsageError(f"execute: choices={found!r:.80}: at least one name")
        ways = tuple(found)
        if all(one in self.lost for one in ways):
            raise EditRefused(f"add {id}: {self._say(ways)}. Nothing of these edits was applied")
        self._of[id] = ways

    def add_edited(self, edits: Sequence[Any]) -> None:
        """Take up the steps that edits add or change."""
        for edit in edits if self.are_given else ():
            if isinstance(edit, Add):
                self.add(edit.node.id, edit.node.does)
            elif isinstance(edit, Replace):
                self.add(edit.id, edit.does)

    def of(self, id: str) -> tuple[str, ...]:
        """How a step may be done now; nothing where all of it is lost."""
        if self._choices is None:
            return ("",)
        ways = self._of[id]
        return tuple(one for one in ways if one not in self.lost) if self.lost else ways

    def say_lost(self, id: str) -> str:
        """Why a step can't be done any more."""
        return self._say(self._of[id])

    def _say(self, ways: tuple[str, ...]) -> str:
        if not ways:
            return "choices= has no way to do it"
        return "all that it can be done with is lost: " + ", ".join(f"{one} ({self.lost[one]})" for one in ways)


def ask_policy(policy: Policy, view: View, turn: int) -> tuple[Action, ...]:
    """What a policy starts now: as it is recorded, or asked, checked and recorded. So a resumed plan starts the same, though its
    budget may have been raised since."""
    name, rng, frame = _name_of(policy), random(), current.get()
    if frame is None:
        return _check(name, view, policy(view, rng))
    known = digest(repr((turn, view.ready, [(each.action.step, each.action.choice) for each in view.running])).encode())
    decision = name_decision(frame, "policy", known)
    if (told := recall(frame, decision, Chosen)) is not None:
        try:
            return _check(told.policy, view, [Action(each.step, each.choice, each.count, each.why) for each in told.starts])
        except UsageError:
            pass  # the plan has changed: it is no answer any more
    actions = _check(name, view, policy(view, rng))
    if actions or view.running:  # giving up is asked again when the run goes on with more to spend
        record(frame, decision, Chosen(name, tuple(Start(each.step, each.choice, each.count, each.why) for each in actions)))
    return actions


def _name_of(policy: Any) -> str:
    named = getattr(policy, "name", None)
    return named if isinstance(named, str) else str(getattr(policy, "__name__", type(policy).__name__))


def _check(name: str, view: View, answer: Any) -> tuple[Action, ...]:
    actions = check_actions(name, view, answer)
    if several := next((action for action in actions if action.count > 1), None):
        raise UsageError(f"policy {name!r}: {several.count} samples of step {several.step!r}: a step of a plan is done once")
    return actions


def make_view(ready: tuple[str, ...], ways: Ways, running: Sequence[tuple[str, str]], ended: Sequence[Observation]) -> View:
    """What a policy is shown. Each of its parts is recorded, so that a resumed plan shows the same."""
    return View(
        ready,
        {id: ways.of(id) for id in ready},
        tuple(Running(Action(step, choice)) for step, choice in running),
        tuple(ended),
        remaining(),
        time_left(),
    )
