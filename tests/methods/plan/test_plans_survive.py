"""A plan that is killed finds again all that it had: same edits, same devices, nothing that was recorded is done again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

import headway as hw
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods import plan
from headway.methods.graph import Add, Graph, Node, Remove, Replace, Rewire, Trace, after
from headway.methods.records import Action, View
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


class Broken(Exception):
    """What a step fails with that a plan may go on after."""


@hw.task
async def act(does: str, given: dict[str, Any], device: str) -> str:
    await asyncio.sleep(len(does) / 3)
    if device == "phone" and does == "photo":
        raise plan.DeviceLost("its battery is empty")
    if does.endswith("!"):
        raise Broken(does)
    return f"{does} after {sorted(given)}"  # which device is free depends on timing, and a killed life takes its time


@hw.task
async def think(goal: str, trace: Trace[str]) -> AsyncIterator[Any]:
    """Plans, and edits what it has planned once it sees how it goes."""
    if not trace.started:
        yield [Add(Node("a", "look")), Add(Node("b", "photo")), Add(Node("c", "listen"))]
        await asyncio.sleep(0.5)
        yield Add(Node("d", "ask!", after("a")))
        yield Add(Node("late", "write", after("e")))
    elif "d" in trace.failures and "e" not in trace.graph:
        yield Add(Node("e", "mend", after("d", on="failure")))
        yield Add(Node("f", "print", after("b", "c")))
        yield Remove("a")
    elif "e" in trace.results and "g" not in trace.graph:
        await asyncio.sleep(0.2)
        yield Add(Node("g", "sum up", after("f")))
        yield Replace("g", "conclude")
        yield Rewire("g", after("f", "e"))


@hw.task
async def errands(hold: bool) -> dict[str, str]:
    devices = [plan.Device("phone", at_once=2), plan.Device("laptop")]
    ran = await plan.galaxy(act, devices, goal="g", planner=think, errors=Broken, rounds=20, hold=hold)
    return {**ran.results, **ran.failures}


def successes(rows: Iterable[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


@pytest.mark.parametrize("hold", [True, False])
def test_a_plan_that_is_killed_at_any_record_ends_as_if_it_had_not_been(hold):
    whole = History(1, STEADY)
    undisturbed = whole.live(errands, hold)
    assert undisturbed.value["g"] == "conclude after ['e', 'f']"
    assert undisturbed.value["b"] == "photo after []"
    for record in range(1, len(whole.rows())):
        history = History(1, STEADY)
        assert history.live(errands, hold, crash=Crash(record, "after")).how == "died"
        last = history.live(errands, hold)
        assert last.value == undisturbed.value, record
        history.check(undisturbed.outcome)
        for life in history.lives:
            begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
            assert not begun & successes(life.before).keys(), record
        assert set(successes(history.rows()).values()) == {1}


@pytest.mark.long
@pytest.mark.parametrize("hold", [True, False])
def test_a_plan_makes_the_same_calls_under_many_schedules(headway_check, hold):
    headway_check(errands, hold, schedules=20)


TOKENS = [0]


def thrifty(view: View, rng: Any) -> list[Action]:
    """Begins by what is left: with more, it would begin otherwise."""
    return [Action(id, "large" if view.left["tokens"] > 50 else "small") for id in view.ready]


@hw.task(cost={"tokens": 10})
async def do(does: str, given: dict[str, str], choice: str) -> str:
    await asyncio.sleep(1)
    return choice


@hw.task
async def careful() -> dict[str, str]:
    graph = Graph((Node("a", "x"), Node("b", "y", after("a"))))
    with hw.budget(tokens=TOKENS[0]):
        return dict((await plan.execute(do, graph=graph, policy=thrifty, choices=("small", "large"))).results)


def test_a_policy_decides_the_same_again_though_there_is_more_to_spend():
    TOKENS[0] = 40
    whole = History(1, STEADY)
    assert whole.live(careful).value == {"a": "small", "b": "small"}
    history = History(1, STEADY)
    assert history.live(careful, crash=Crash(len(whole.rows()) // 2, "after")).how == "died"
    assert successes(history.rows())
    TOKENS[0] = 1000
    assert history.live(careful).value["a"] == "small"
    assert set(successes(history.rows()).values()) == {1}
    assert len(successes(history.rows())) == 3, "a, b and the run: nothing was done in two ways"
