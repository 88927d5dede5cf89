"""The tally of a run: how many calls of each task are where, counted from events."""

from __future__ import annotations

import time

import pytest

from headway.events import (
    BudgetChanged,
    BudgetOpened,
    CallEnded,
    CallRetrying,
    CallReused,
    CallSpawned,
    CallStarted,
    DeadlineOpened,
    Event,
)
from headway.observe.tally import Phase, Tally


def spawned(key: str, task: str = "search") -> Event:
    return CallSpawned(at=0.0, key=key, parent="", task=task, label="")


def started(key: str, attempt: int = 1, task: str = "search") -> Event:
    return CallStarted(at=0.0, key=key, task=task, attempt=attempt, pool="inline")


def retrying(key: str) -> Event:
    return CallRetrying(at=0.0, key=key, task="search", attempt=1, error="no", delay_s=1.0)


def ended(key: str, status: str = "ok", task: str = "search") -> Event:
    return CallEnded(at=0.0, key=key, parent="", task=task, status=status, started=0.0, attempts=1, cost={})


def count(*events: Event) -> dict[str, int]:
    tally = Tally()
    for event in events:
        tally(event)
    return {phase.name.lower(): number for phase, number in zip(Phase, tally.totals(), strict=True) if number}


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([], {}),
        ([spawned("a")], {"queued": 1}),
        ([spawned("a"), started("a")], {"running": 1}),
        ([spawned("a"), started("a"), retrying("a")], {"retrying": 1}),
        ([spawned("a"), started("a"), retrying("a"), started("a", 2)], {"running": 1}),
        ([spawned("a"), started("a"), retrying("a"), started("a", 2), ended("a")], {"done": 1}),
        ([spawned("a"), started("a"), ended("a", "error")], {"failed": 1}),
        ([spawned("a"), ended("a", "cancelled")], {"cancelled": 1}),
        ([spawned("a"), started("a"), retrying("a"), ended("a", "cancelled")], {"cancelled": 1}),
        ([spawned("a"), CallReused(at=0.0, key="a", parent="", task="search", label="")], {"reused": 1}),
        ([spawned("a"), spawned("b", "embed"), started("b", task="embed")], {"queued": 1, "running": 1}),
        ([started("seen late"), ended("seen late")], {"done": 1}),
    ],
)
def test_each_call_is_counted_once_where_it_is_now(events: list[Event], counts: dict[str, int]) -> None:
    assert count(*events) == counts


def test_calls_are_counted_per_task() -> None:
    tally = Tally()
    for event in (spawned("a"), spawned("b", "embed"), started("b", task="embed"), ended("b", task="embed")):
        tally(event)
    assert dict(tally.rows()) == {"search": [1, 0, 0, 0, 0, 0, 0], "embed": [0, 0, 0, 1, 0, 0, 0]}


def test_ended_calls_take_no_memory() -> None:
    tally = Tally()
    for number in range(100):
        tally(spawned(str(number)))
        tally(ended(str(number)))
    assert not tally._open


def test_outer_budgets_come_before_inner_ones() -> None:
    tally = Tally()
    for scope, parent in (("outer", ""), ("inner", "outer"), ("other", "")):
        tally(BudgetOpened(at=0.0, scope=scope, parent=parent, limits={scope: 1.0}))
    tally(BudgetChanged(at=0.0, scope="outer", spent={"outer": 2.0}, reserved={}, closed=True))
    assert [next(iter(budget.limits)) for budget in tally.root_budgets()] == ["outer", "other", "inner"]
    assert tally.root_budgets()[0].closed


def test_a_deadline_ends_with_the_call_that_set_it() -> None:
    tally = Tally()
    assert tally.deadline() is None
    tally(DeadlineOpened(at=0.0, key="a", deadline=60.0))
    tally(DeadlineOpened(at=0.0, key="b", deadline=30.0))
    assert tally.deadline() == 60.0
    tally(ended("a"))
    assert tally.deadline() == 30.0


def test_an_event_costs_about_a_microsecond() -> None:
    tally = Tally()
    events = [event for n in range(5000) for event in (spawned(str(n)), started(str(n)), ended(str(n)))]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for event in events:
            tally(event)
        best = min(best, time.process_time() - began)
    assert best / len(events) < 4e-6  # about 0.5e-6 on a quiet machine
