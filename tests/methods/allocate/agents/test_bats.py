"""BATS: what is left decides whether one digs or pivots, and what a verdict leads to."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from agents_at_work import BEGAN, dig, promise, search_tree
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import agents
from headway.methods.allocate.agents import REGIMES, Bats, Regime, Tracker
from headway.methods.records import Candidate, Observation, State, Verdict, View
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@pytest.fixture(autouse=True)
def _nothing_began() -> None:
    BEGAN.clear()


@given(st.floats(0, 100), st.lists(st.floats(0, 1), max_size=6))
def test_with_less_left_it_opens_no_more_branches_and_asks_no_more_of_one_to_dig_there(left, scores):
    tracker = Tracker({"digs": 100.0})
    now, earlier = tracker.decide({"digs": left}, scores), tracker.decide({"digs": min(100.0, left + 40)}, scores)
    if earlier is not None and earlier.dig is not None:
        assert now is not None
        assert now.dig == earlier.dig == max(range(len(scores)), key=scores.__getitem__)
    elif now is not None and now.dig is None:
        assert earlier is not None
        assert now.branches <= earlier.branches


def test_the_unit_that_is_nearest_to_its_end_decides():
    assert Tracker({"searches": 100, "pages": 10}).regime({"searches": 99, "pages": 2}).name == "low"
    assert Tracker({"searches": 0}).share({"searches": 0}) == 0


def test_no_branch_is_dug_that_cannot_be_finished_and_none_is_opened_that_could_not_be(go):
    tracker = Tracker({"digs": 10.0})
    assert tracker.decide({"digs": 9}, [0.9, 0.8], [4, 2], new=4, steps=3).dig == 1
    assert tracker.decide({"digs": 9}, [0.1], [2], new=4, steps=2.5).dig == 0, "opening another one would leave too little"
    assert tracker.decide({"digs": 9}, [0.9], [4], new=4, steps=3) is None

    @hw.task
    async def program(depth: int) -> None:
        with hw.budget(digs=5):
            await agents.bats("hard", dig, promise, _right, depth=depth)

    go(program, 3)
    assert len(BEGAN) == 4, "four branches are open, and one step is left, where an answer takes two"
    go(program, 1, run_id="unknown")
    assert len(BEGAN) == 4 + 5


def test_it_solves_more_than_the_best_fixed_threshold_and_the_same_with_half_the_calls_of_one_that_tracks_nothing():
    from benchmarks.methods import allocate_agents as rows

    measured = [
        (rows.measure_bats_success(seed), rows.measure_bats_calls(seed), rows.measure_bats_equal(seed)) for seed in range(3)
    ]
    for success, calls, equal in measured:
        assert success.ours > success.baseline
        assert calls.ours < 0.6 * calls.baseline
        assert equal.ours > equal.baseline - 0.02


def test_an_answer_that_is_right_ends_the_search_and_leaves_the_rest(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(digs=1000) as book:
            found = await agents.bats("solvable", dig, promise, _right)
        return found.stopped, found.best.score, book.spent["digs"]

    stopped, score, digs = go(program)
    assert (stopped, score) == ("done", 1.0)
    assert digs < 30


async def _right(question: str, candidate: Candidate[str], index: int) -> Verdict:
    return Verdict(True)


async def _step(question: str, state: State[str], index: int) -> State[str]:
    hw.charge(digs=1)
    BEGAN.append((state.value, index))
    return State(state.value + "ab"[index % 2], 1, done=len(state.value) == 1, answer=state.value)


async def _good(question: str, values: list[str]) -> list[float]:
    return [0.9] * len(values)


@pytest.mark.parametrize(
    ("ok", "digs"), [(None, [("a", 0), ("a", 1), ("a", 2)]), (False, [("a", 0), ("b", 0), ("a", 0)])], ids=["continue", "pivot"]
)
def test_what_is_unknown_goes_on_from_before_it_and_what_is_wrong_ends_its_branch(go, ok, digs):
    async def verdict(question: str, candidate: Candidate[str], index: int) -> Verdict:
        return Verdict(ok)

    @hw.task
    async def program() -> Any:
        with hw.budget(digs=100):
            return await agents.bats("q", _step, _good, verdict, most=10)

    go(program)
    assert [each for each in BEGAN if each[0]][:3] == digs


def test_it_ends_within_its_budget_and_its_deadline_with_what_it_has(go):
    found = go(search_tree, "hard", 9)
    assert found.stopped in ("done", "budget")
    assert len(BEGAN) <= 9
    late = go(search_tree, "hard", 900, 4.0, run_id="late")
    assert late.stopped == "deadline"


def test_steps_that_cost_nothing_end_too(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(digs=9):
            return await agents.bats("q", _step, promise, _right, most=5)

    async def free(question: str, state: State[str], index: int) -> State[str]:
        return State(f"{state.value}{index}")

    @hw.task
    async def endless() -> Any:
        with hw.budget(digs=9):
            return await agents.bats("q", free, promise, _right, most=50)

    assert go(program).stopped == "done"
    assert go(endless, run_id="endless").best is None


def test_a_search_that_dies_anywhere_ends_the_same():
    whole = History(1, STEADY)
    undisturbed = whole.live(search_tree, "hard", 12)
    rows = len(whole.rows())
    for after_row in range(1, rows, max(1, rows // 8)):
        history = History(1, STEADY)
        assert history.live(search_tree, "hard", 12, crash=Crash(after_row, "after")).how == "died"
        last = history.live(search_tree, "hard", 12)
        history.check(undisturbed.outcome)
        assert last.value == undisturbed.value


def test_the_policy_widens_with_plenty_left_and_digs_where_it_was_when_little_is():
    leads = tuple("012345")
    plenty = View(leads, left={"searches": 10.0})
    assert len(Bats()(plenty, None)) == 4
    failed = tuple(Observation(step, ok=False, cost={"searches": 1.0}) for step in "012301234" * 2)
    little = View(leads, left={"searches": 1.0}, ended=failed)
    (action,) = Bats()(little, None)
    assert action.step in "01234"
    assert action.why == "dig: critical, 5% left"
    assert not Bats()(View(leads, left={"searches": 9.0}, ended=(Observation("0", ok=True),)), None), "one success is enough"


def test_a_map_under_the_policy_ends_with_the_first_success_and_says_why(go):
    @hw.task(cost={"searches": 1})
    async def look(lead: int, choice: str, index: int) -> bool:
        await asyncio.sleep(1)
        hw.charge(searches=1)
        return lead == 4 and index == 1

    @hw.task
    async def program() -> Any:
        with hw.budget(searches=40):
            return await allocate.run_map(look, list(range(8)), policy=Bats())

    ran = go(program)
    assert (ran.results, ran.stopped) == ({4: True}, "gave up")
    whys = {action.why.split(",")[0] for turn in ran.turns for action in turn.actions}
    assert whys >= {"pivot: high", "dig: high"}


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Tracker({}), "there is no budget to track"),
        (lambda: Tracker({"digs": math.nan}), "digs=nan"),
        (lambda: Tracker({"digs": 1}, REGIMES[:2]), "the last one 0"),
        (lambda: Tracker({"digs": 1}, (Regime("all", 0.0, -1, 0.5),)), "branches=-1"),
        (lambda: Bats(enough=0), "enough=0"),
        (lambda: Bats()(View(("0",)), None), "there is no budget to track"),
        (lambda: agents.judge_labels({}), "at least one constraint"),
        (lambda: agents.unified_cost({"tokens": 1}, {}), "'tokens' has no price"),
        (lambda: agents.unified_cost({"tokens": math.inf}, {"tokens": 1}), "tokens=inf"),
        (lambda: asyncio.run(agents.bats("q", _step, _good, None)), "verify=None"),  # type: ignore[arg-type]
        (lambda: asyncio.run(agents.bats("q", _step, _good, _right, most=0)), "most=0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()


def test_without_a_budget_it_is_refused_before_a_step_is_made(go):
    @hw.task
    async def program() -> None:
        await agents.bats("q", dig, promise, _right)

    with pytest.raises(hw.UsageError, match="there is no budget to track"):
        go(program)
    assert not BEGAN
