"""SCALE: hard steps are thought through, easy ones answered at once, and the last always counts as hard."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from agents_at_work import BEGAN, drawn

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import agents
from headway.methods.allocate.agents import Scale, Scaled, Step
from headway.methods.graph import Graph, Node, after
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

RATES = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.05}


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@hw.task
async def outline(question: str, index: int) -> list[str]:
    await asyncio.sleep(drawn(question, index).random())
    return [] if index == 0 else list(question if index == 3 else question[::-1])


@hw.task
async def pick(question: str, outlines: list[list[str]], index: int) -> int | None:
    BEGAN.append(("pick", len(outlines), index))
    return [None, 99, 2][index]


@hw.task
async def rate(question: str, problem: str, solved: list[Step[str, str]]) -> float:
    BEGAN.append(("rate", problem, len(solved)))
    return RATES[problem]


@hw.task(cost={"tokens": 30})
async def solve(question: str, problem: str, solved: list[Step[str, str]], is_slow: bool) -> str:
    BEGAN.append(("solve", problem))
    await asyncio.sleep(3 if is_slow else 1)
    hw.charge(tokens=30 if is_slow else 5)
    return "".join(step.solution[-1] for step in solved) + problem


@hw.task
async def solve_by_steps(question: str, tokens: float = 1e6, seconds: float = 1e6) -> Scaled[str, str]:
    with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
        return await agents.scale(question, outline, pick, rate, solve, outlines=5)


def test_steps_are_solved_one_after_another_and_only_hard_ones_and_the_last_slowly(go):
    found = go(solve_by_steps, "abcd")
    assert found.outline == ("a", "b", "c", "d"), "the third of those with sub-problems; what was picked before is no place"
    assert found.answer == "abcd"
    assert [step.is_slow for step in found.steps] == [False, False, True, True]
    assert [step.difficulty for step in found.steps] == [0.1, 0.2, 0.3, 0.9]
    assert [each for each in BEGAN if each[0] == "pick"] == [("pick", 4, 0), ("pick", 4, 1), ("pick", 4, 2)]
    assert [each[1:] for each in BEGAN if each[0] == "rate"] == [("a", 0), ("b", 1), ("c", 2)], "the last is not rated"


@pytest.mark.parametrize(("bounds", "stopped"), [((60, 1e6), "budget"), ((1e6, 5.0), "deadline")])
def test_it_ends_within_its_bounds_with_the_steps_that_it_has(go, bounds, stopped):
    found = go(solve_by_steps, "abcd", *bounds)
    assert found.stopped == stopped
    assert 0 < len(found.steps) < 4
    assert found.answer is None


def test_one_that_dies_anywhere_ends_the_same():
    whole = History(1, STEADY)
    undisturbed = whole.live(solve_by_steps, "abcd")
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 8)):
        history = History(1, STEADY)
        assert history.live(solve_by_steps, "abcd", crash=Crash(after_row, "after")).how == "died"
        assert history.live(solve_by_steps, "abcd").value == undisturbed.value
        history.check(undisturbed.outcome)


def test_accuracy_collapses_with_the_threshold_and_beats_other_ways_at_equal_cost():
    from benchmarks.methods import allocate_steps as rows

    for seed in range(3):
        losses, mixed, fast, slow = (
            measure(seed)
            for measure in (
                rows.measure_scale_collapse,
                rows.measure_scale_mixed,
                rows.measure_scale_fast,
                rows.measure_scale_slow,
            )
        )
        assert losses.ours > 0
        assert all(ours > theirs for ours, theirs in (mixed, fast, slow))


def test_the_policy_goes_by_difficulty_thinks_after_a_failure_and_gives_up_in_the_end(go):
    plan = Graph((Node("a", "a"), Node("b", "b"), Node("c", "c", after("a", "b"))))

    @hw.task
    async def work(does: str, choice: str, index: int, given: dict[str, str]) -> bool:
        return (does, choice) in (("a", "fast"), ("b", "slow"))

    @hw.task
    async def program() -> Any:
        policy = Scale(plan, {"a": 0.1, "b": 0.1, "c": 0.1})
        return await allocate.run_plan(plan, work, policy=policy, choices=("fast", "slow"))

    ran = go(program)
    assert ran.stopped == "gave up"
    assert [(each.step, each.choice) for each in ran.observations] == [
        ("a", "fast"),
        ("b", "fast"),
        ("b", "slow"),
        ("c", "slow"),
        ("c", "slow"),
    ]
    whys = [action.why for turn in ran.turns for action in turn.actions]
    assert whys == ["difficulty 0.10", "difficulty 0.10", "failed before", "last", "failed before"]


# --- bad input -------------------------------------------------------------------------------------------------------


async def _outline(question: str, index: int) -> list[str]:
    return list(question)


async def _rate(question: str, problem: str, solved: Any) -> float:
    return math.nan


def _scale(question: str = "ab", **changed: Any) -> Any:
    given = {"outline": _outline, "pick": pick, "rate": _rate, "solve": solve, **changed}
    parts = [given.pop(name) for name in ("outline", "pick", "rate", "solve")]
    return asyncio.run(agents.scale(question, *parts, **given))


PLAN = Graph((Node("a", 1),))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _scale(outlines=1), "of 'a': difficulty=nan"),
        (lambda: _scale(""), "wrote no sub-problem 8 times"),
        (lambda: _scale(rate=None), "rate=None"),
        (lambda: _scale(outlines=0), "outlines=0"),
        (lambda: _scale(threshold=20), "threshold=20"),
        (lambda: Scale(PLAN, {}), "difficulty= has nothing of step 'a'"),
        (lambda: Scale(PLAN, {"a": math.nan}), "difficulty=nan"),
        (lambda: Scale(PLAN, {"a": 0.5}, threshold=math.nan), "threshold=nan"),
        (lambda: Scale(PLAN, {"a": 0.5}, tries=0), "tries=0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()
