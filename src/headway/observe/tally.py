"""Counts what a run does, from its events: the state behind a progress display.

A state machine without a clock, a thread or a screen, so that it can be tested one event at a time. An event only changes counters,
in about a microsecond: watching must not slow down a run with 100,000 calls. Another thread may read the counters at any moment to
draw them; they are at most one event old. Memory grows with the open calls, never with the ended ones.
"""

from __future__ import annotations

import enum
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from headway.events import (
    BudgetChanged,
    BudgetOpened,
    CallEnded,
    CallProgress,
    CallRetrying,
    CallReused,
    CallSpawned,
    CallStarted,
    CallWaits,
    DeadlineOpened,
    Event,
    RunEnded,
    RunStarted,
    Warned,
)
from headway.journal.records import Amounts


class Phase(enum.IntEnum):
    """Where a call is now; the index of its counter."""

    QUEUED = 0
    RUNNING = 1
    RETRYING = 2
    DONE = 3
    REUSED = 4
    FAILED = 5
    CANCELLED = 6


Counts = list[int]
"""One counter per phase."""

_QUEUED, _RUNNING, _RETRYING, _DONE, _REUSED, _FAILED, _CANCELLED = range(7)
_LAST = {"ok": _DONE, "error": _FAILED, "cancelled": _CANCELLED}


def _zeros() -> Counts:
    return [0] * len(Phase)


class BudgetTally:
    """What is spent of one budget. `depth` is 0 for a budget that is inside no other."""

    __slots__ = ("closed", "depth", "limits", "reserved", "spent")

    def __init__(self, limits: Amounts, depth: int) -> None:
        self.limits = limits
        self.depth = depth
        self.spent: Amounts = {}
        self.reserved: Amounts = {}
        self.closed = False


class Tally:
    """An event sink that counts."""

    def __init__(self) -> None:
        self.run: RunStarted | None = None
        self.end: RunEnded | None = None
        self.tasks: defaultdict[str, Counts] = defaultdict(_zeros)
        self.budgets: dict[str, BudgetTally] = {}
        self.deadlines: dict[str, float] = {}
        self.progress: dict[str, CallProgress] = {}  # what open calls said last
        self.waiting: dict[tuple[str, str], CallWaits] = {}  # by call and name of the signal
        self.short: dict[tuple[str, str], CallWaits] = {}  # by call and unit of the budget that they wait for
        self.retries = 0
        self.warnings = 0
        self._open: dict[str, int] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._on_run_started,
            RunEnded: self._on_run_ended,
            CallSpawned: self._on_spawned,
            CallReused: self._on_reused,
            CallStarted: self._on_started,
            CallRetrying: self._on_retrying,
            CallEnded: self._on_ended,
            CallProgress: self._on_progressed,
            CallWaits: self._on_waits,
            BudgetOpened: self._on_budget_opened,
            BudgetChanged: self._on_budget_changed,
            DeadlineOpened: self._on_deadline_opened,
            Warned: self._on_warned,
        }

    def __call__(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    # --- what a display reads ----------------------------------------------------------------------------------------

    def rows(self) -> list[tuple[str, Counts]]:
        """The counters of each task."""
        return list(self.tasks.items())

    def totals(self) -> Counts:
        """The counters of all tasks together."""
        columns = zip(*list(self.tasks.values()), strict=True)
        return [sum(column) for column in columns] or _zeros()

    def root_budgets(self) -> list[BudgetTally]:
        """All budgets that bound something, the outermost first, and in the order in which they were opened."""
        bounding = (budget for budget in self.budgets.values() if any(limit < math.inf for limit in budget.limits.values()))
        return sorted(bounding, key=lambda budget: budget.depth)

    def deadline(self) -> float | None:
        """The deadline that was set first by a call that is still open: the outermost one."""
        return next(iter(list(self.deadlines.values())), None)

    # --- one event at a time -----------------------------------------------------------------------------------------

    def _on_run_started(self, event: RunStarted) -> None:
        self.run = event

    def _on_run_ended(self, event: RunEnded) -> None:
        self.end = event

    def _on_spawned(self, event: CallSpawned) -> None:
        self._move(event.key, event.task, _QUEUED)

    def _on_started(self, event: CallStarted) -> None:
        self._move(event.key, event.task, _RUNNING)

    def _on_retrying(self, event: CallRetrying) -> None:
        self.retries += 1
        self._move(event.key, event.task, _RETRYING)

    def _on_reused(self, event: CallReused) -> None:
        self._leave(event.key, event.task, _REUSED)

    def _on_ended(self, event: CallEnded) -> None:
        self._leave(event.key, event.task, _LAST.get(event.status, _FAILED))
        if event.key in self.deadlines:
            del self.deadlines[event.key]
        if event.key in self.progress:
            del self.progress[event.key]

    def _move(self, key: str, task: str, phase: int) -> None:
        counts = self.tasks[task]
        before = self._open.get(key)
        if before is not None:
            counts[before] -= 1
        counts[phase] += 1
        self._open[key] = phase

    def _leave(self, key: str, task: str, phase: int) -> None:
        counts = self.tasks[task]
        before = self._open.pop(key, None)
        if before is not None:
            counts[before] -= 1
        counts[phase] += 1

    def _on_progressed(self, event: CallProgress) -> None:
        if event.key in self._open:
            self.progress[event.key] = event

    def _on_waits(self, event: CallWaits) -> None:
        waiting = self.short if event.budget else self.waiting
        if event.over:
            waiting.pop((event.key, event.name), None)
        else:
            waiting[event.key, event.name] = event

    def _on_budget_opened(self, event: BudgetOpened) -> None:
        outer = self.budgets.get(event.parent)
        self.budgets[event.scope] = BudgetTally(event.limits, outer.depth + 1 if outer else 0)

    def _on_budget_changed(self, event: BudgetChanged) -> None:
        budget = self.budgets.get(event.scope)
        if budget is not None:
            budget.spent, budget.reserved, budget.closed = event.spent, event.reserved, event.closed

    def _on_deadline_opened(self, event: DeadlineOpened) -> None:
        self.deadlines.setdefault(event.key, event.deadline)

    def _on_warned(self, event: Warned) -> None:
        self.warnings += 1
