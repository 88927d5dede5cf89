"""How budgets are divided: the knapsack is optimal, and a parent that shares by KISS's rule can always pay for its own work."""

from __future__ import annotations

import math
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import testing
from headway.errors import UsageError
from headway.methods import allocate
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

RATES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def worth(counts: list[int], rates: list[float]) -> float:
    return math.fsum(allocate.rollout_value(count, rate) for count, rate in zip(counts, rates, strict=True))


@given(RATES, st.integers(2, 9))
def test_going_one_by_one_is_worth_as_much_as_the_dynamic_program(rates, mean):
    total, most = mean * len(rates), 16
    counts = allocate.knapsack(rates, total, most=most)
    values = [[allocate.rollout_value(count, rate) for count in range(most + 1)] for rate in rates]
    exact = allocate.solve_knapsack(values, total, fewest=2)
    assert sum(counts) == sum(exact) == total
    assert all(2 <= count <= most for count in counts)
    assert worth(counts, rates) == pytest.approx(worth(exact, rates), abs=1e-12)


@given(RATES, st.integers(2, 40))
def test_a_knapsack_is_worth_at_least_as_much_as_equal_shares(rates, mean):
    counts = allocate.knapsack(rates, mean * len(rates))
    assert worth(counts, rates) >= worth([mean] * len(rates), rates) - 1e-12


@given(st.floats(0, 1), st.integers(1, 9), st.integers(2, 9))
def test_prompts_of_one_rate_get_equal_shares(rate, prompts, mean):
    assert allocate.knapsack([rate] * prompts, mean * prompts) == [mean] * prompts


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=4), min_size=1, max_size=3), st.data())
def test_the_dynamic_program_finds_what_trying_everything_finds(values, data):
    total = data.draw(st.integers(0, 2 * len(values)))
    found = allocate.solve_knapsack(values, total)

    def best(things, left):
        if not things:
            return 0.0 if left == 0 else -math.inf
        return max(things[0][count] + best(things[1:], left - count) for count in range(min(left, len(things[0]) - 1) + 1))

    assert sum(worths[count] for worths, count in zip(values, found, strict=True)) == pytest.approx(best(values, total))


@hw.task(cost={"tokens": 1})
async def work(path: str, number: int) -> None:
    hw.charge(tokens=1)


@hw.task
async def grow(path: str, tree: list[Any], keeps: bool) -> None:
    """Fan out, let the children spend all that they may, then note what is left for the work after them, and spend it."""
    had = hw.remaining("tokens")
    if tree:
        budgets = allocate.child_budgets(len(tree), "tokens") if keeps else [hw.budget(tokens=had / len(tree)) for _ in tree]
        handles = []
        for place, (child, part) in enumerate(zip(tree, budgets, strict=True)):
            with part:
                handles.append(grow(f"{path}{place}", child, keeps))
        await hw.gather(*handles)
        LEFT[path] = (hw.remaining("tokens"), had / (len(tree) + 1))
    number = 0
    while hw.remaining("tokens") >= 1:
        await work(path, number)
        number += 1


@hw.task
async def spend_all(tree: list[Any], tokens: float, keeps: bool) -> float:
    with hw.budget(tokens=tokens) as all_of_it:
        await grow("", tree, keeps)
    return all_of_it.spent["tokens"]


LEFT: dict[str, tuple[float, float]] = {}
TREES = st.recursive(st.just([]), lambda trees: st.lists(trees, min_size=1, max_size=3), max_leaves=4)


@hypothesis.settings(max_examples=12)
@given(TREES, st.floats(1, 16))
def test_a_parent_keeps_a_share_however_deep_its_children_nest_theirs(tree, tokens):
    LEFT.clear()
    spent = testing.run(spend_all, tree, tokens, True, store=None)
    assert spent <= tokens
    assert all(left >= kept - 1e-9 for left, kept in LEFT.values())


def test_a_parent_that_gives_all_to_its_children_has_nothing_left():
    LEFT.clear()
    testing.run(spend_all, [[], [[], []]], 36.0, False, store=None)
    assert {left for left, _ in LEFT.values()} == {0.0}


def test_shares_are_found_again_after_a_crash_and_nothing_is_spent_twice():
    program = (spend_all, [[], [[], []]], 37.5, True)
    whole = History(1, STEADY)
    undisturbed = whole.live(*program)
    history = History(1, STEADY)
    for part in (0.3, 0.6, 0.9):
        assert history.live(*program, crash=Crash(int(len(whole.rows()) * part), "after")).how == "died"
    assert history.live(*program).value == undisturbed.value == 37.0
    history.check(undisturbed.outcome)


@pytest.mark.parametrize(
    ("given_units", "said"),
    [((), "no budget is open here"), (("tokens",), "no budget bounds 'tokens' here"), (("money", "tokens"), "bounds 'money' here")],
)
def test_there_must_be_something_to_share(given_units, said):
    @hw.task
    async def program() -> None:
        allocate.child_budgets(2, *given_units)

    with pytest.raises(UsageError, match=said):
        testing.run(program, store=None)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: allocate.knapsack([], 4), "nothing to divide 4 among"),
        (lambda: allocate.knapsack([0.5, math.nan], 8), "rate=nan: a number from 0 to 1"),
        (lambda: allocate.knapsack([50.0], 8), "rate=50.0: a number from 0 to 1"),
        (lambda: allocate.knapsack([0.5, 0.5], 3), "total=3 can't be divided among 2: from 4 to 256 can"),
        (lambda: allocate.knapsack([0.5], 3, fewest=4, most=3), "most=3: a whole number, at least 4"),
        (lambda: allocate.knapsack([0.5], 3, fewest=-1), "fewest=-1: a whole number, at least 0"),
        (lambda: allocate.rollout_value(-1, 0.5), "count=-1: a whole number, at least 0"),
        (lambda: allocate.smooth_rate(9, 8), "9 successes of 8 tries"),
        (lambda: allocate.share(math.nan, 2), "left=nan: a finite number"),
        (lambda: allocate.share(math.inf, 2), "left=inf: a finite number"),
        (lambda: allocate.share(1.0, 0), "children=0: a whole number, at least 1"),
        (lambda: allocate.child_budgets(0), "children=0: a whole number, at least 1"),
        (lambda: allocate.solve_knapsack([], 0), "nothing to divide 0 among"),
        (lambda: allocate.solve_knapsack([[0.0], []], 0), r"values\[1\] has no value for fewest=0"),
        (lambda: allocate.solve_knapsack([[0.0, math.inf]], 1), r"values\[0\]=\[0.0, inf\]: finite numbers"),
        (lambda: allocate.solve_knapsack([[0.0, 1.0]], 2), "total=2 can't be divided among 1: from 0 to 1 can"),
    ],
)
def test_what_can_not_be_divided_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()
