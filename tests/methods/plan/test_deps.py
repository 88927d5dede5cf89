"""DEPS: the nearest sub-goal first, one at a time, and a new plan from what went wrong."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from planning import DONE

import headway as hw
from headway import UsageError
from headway.methods import plan
from headway.methods.graph import Add, Edit, Node, Trace, after
from headway.methods.plan import StepFailed, Why, deps, nearest_first
from headway.methods.records import Action, Running, View

AT = {"wood": 3.0, "stone": 1.0, "iron": 9.0, "home": 0.0}


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


@hw.task
async def act(does: str, given: dict[str, Any]) -> str:
    DONE.append(does)
    await hw.sleep(1)
    if does.startswith("fail"):
        raise StepFailed(f"no {does.split()[1]} here")
    return does


def far(id: str, view: View) -> float:
    """From where the last sub-goal was reached."""
    here = view.ended[-1].step if view.ended else "home"
    return abs(AT.get(id, 0.0) - AT.get(here, 0.0))


def reach(go: Any, planner: Any, **options: Any) -> Any:
    @hw.task
    async def program() -> Any:
        return await deps("diamond", planner, act, predict=far, errors=StepFailed, **options)

    return go(program, store=None)


async def gather(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
    for id in ("iron", "wood", "stone"):
        yield Add(Node(id, id))


def test_the_nearest_sub_goal_is_next_one_at_a_time(go, clock):
    begun = clock.now
    ran = reach(go, gather)
    assert list(ran.results) == ["stone", "wood", "iron"]
    assert clock.now - begun == pytest.approx(3)


def test_after_a_failure_what_has_not_begun_is_taken_back_and_the_planner_is_told_why(go):
    told: list[Why] = []

    async def planner(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
        told.append(why)
        if not why.description:
            yield Add(Node("stone", "stone"))
            yield Add(Node("wood", "fail wood"))
            yield Add(Node("iron", "iron", after("wood")))
            yield Add(Node("far", "far", after("iron")))
        else:
            yield Add(Node("axe", "axe"))
            yield Add(Node("iron", "iron", after("axe")))

    async def explain(goal: str, trace: Trace[str]) -> str:
        return f"An axe is needed: {trace.failures['wood']}"

    ran = reach(go, planner, explain=explain)
    assert told == [
        Why(),
        Why("Reached: stone. wood failed: StepFailed: no wood here", "An axe is needed: StepFailed: no wood here"),
    ]
    assert DONE == ["stone", "fail wood", "axe", "iron"]
    assert (dict(ran.results), set(ran.failures), ran.skipped) == ({"stone": "stone", "axe": "axe", "iron": "iron"}, {"wood"}, ())


@pytest.mark.parametrize("replans", [0, 1, 3])
def test_it_plans_anew_so_often_and_no_more(go, replans):
    async def planner(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
        yield Add(Node(f"try {len(trace.failures)}", "fail again"))

    ran = reach(go, planner, replans=replans)
    assert (len(ran.failures), ran.results) == (replans + 1, {})


def test_a_description_of_your_own_is_told_instead(go):
    told: list[str] = []

    async def planner(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
        told.append(why.description)
        if not why.description:
            yield Add(Node("x", "fail x"))

    async def describe(goal: str, trace: Trace[str]) -> str:
        return f"{goal}: {len(trace.failures)} failed"

    reach(go, planner, describe=describe)
    assert told == ["", "diamond: 1 failed"]


def test_the_choice_is_a_softmax_of_minus_the_predicted_steps():
    policy = nearest_first(lambda id, view: {"near": 1.0, "far": 2.0}[id], temperature=1.0)
    rng = random.Random(0)
    chosen = [policy(View(ready=("far", "near")), rng)[0].step for _ in range(2000)]
    assert chosen.count("near") / len(chosen) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.03)
    assert policy(View(ready=("near",), running=(Running(Action("far")),)), rng) == []
    assert policy(View(ready=()), rng) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"predict": None}, "deps: predict=None"),
        ({"replans": -1}, "deps: replans=-1"),
        ({"temperature": 0}, "nearest_first: temperature=0"),
        ({"explain": "x"}, "deps: explain='x'"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_done(go, options, says):
    @hw.task
    async def program() -> None:
        await deps("x", gather, act, **{"predict": far, **options})

    with pytest.raises(UsageError, match=says):
        go(program, store=None)
    assert DONE == []


@pytest.mark.parametrize("predicted", [math.nan, math.inf, "near"])
def test_a_prediction_that_is_no_number_of_steps_is_named(predicted):
    with pytest.raises(UsageError, match="a finite number of steps"):
        plan.nearest_first(lambda id, view: predicted)(View(ready=("a", "b")), random.Random(0))
