"""The best assignment, and a learned one."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

import pytest
from benchmarks.methods.schedule_assignment import draw, worth
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.methods.schedule.assignment.hungarian import assign
from headway.methods.schedule.assignment.learned import Assigner, round_greedily, scale, train_assigner

torch = pytest.importorskip("torch")


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    rows = draw(st.integers(1, 4))
    columns = draw(st.integers(rows, 5))
    numbers = st.one_of(st.integers(-9, 9).map(float), st.just(math.inf))
    return [[draw(numbers) for _ in range(columns)] for _ in range(rows)]


@given(tables())
def test_no_assignment_costs_less(costs):
    every = itertools.permutations(range(len(costs[0])), len(costs))
    least = min(sum(costs[row][column] for row, column in enumerate(columns)) for columns in every)
    if least == math.inf:
        with pytest.raises(UsageError, match="has no column left"):
            assign(costs)
        return
    found = assign(costs)
    assert len(set(found)) == len(costs)
    assert sum(costs[row][column] for row, column in enumerate(found)) == least
    assert found == assign([[-cost for cost in row] for row in costs], maximize=True)


def test_nobody_gets_nothing():
    assert assign([]) == []


def matches(worker: list[float], task: list[float]) -> float:
    """What fits is worth something, and the best of both most."""
    return worker[2] * task[2] + worker[3] * task[3]


@pytest.fixture(scope="module")
def policy() -> Iterator[Assigner]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train_assigner(draw, matches, workers=4, tasks=5, steps=300, width=32)
    torch.set_num_threads(threads)


def test_a_policy_that_was_trained_on_small_problems_does_well_on_large_ones(policy):
    ours = best = by_chance = 0.0
    for number in range(10):
        workers, tasks = draw(10**9 + number, 12, 15)
        table = [[matches(one, other) for other in tasks] for one in workers]
        ours += sum(table[row][column] for row, column in enumerate(policy.assign(workers, tasks)))
        best += sum(table[row][column] for row, column in enumerate(assign(table, maximize=True)))
        by_chance += sum(table[number][number] for number in range(12))
    assert ours - by_chance > 0.5 * (best - by_chance), (ours, best, by_chance)


def test_a_worker_never_gets_what_it_can_not_have_nor_what_another_has(policy):
    rng = random.Random(3)
    for number in range(20):
        workers, tasks = draw(number, 5, 6)
        available = [[rng.random() < 0.4 for _ in tasks] for _ in workers]
        found = policy.assign(workers, tasks, available)
        given = [column for column in found if column >= 0]
        assert len(set(given)) == len(given)
        assert all(available[row][column] for row, column in enumerate(found) if column >= 0)


def test_the_same_seed_trains_the_same_policy():
    one, two = (train_assigner(draw, worth, workers=2, tasks=3, steps=3, width=8) for _ in range(2))
    workers, tasks = draw(5, 4, 6)
    assert one.assign(workers, tasks) == two.assign(workers, tasks)


def test_scaled_preferences_share_each_task_out_once():
    shares = scale(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 3, torch.ones(5, 7, dtype=torch.bool))
    assert shares.sum(0).max() <= 1 + 1e-5
    assert shares.sum(1).max() <= 1 + 1e-5
    assert shares.sum() > 4.9
    assert sorted(round_greedily(shares.tolist(), [[True] * 7] * 5)) == sorted(
        set(round_greedily(shares.tolist(), [[True] * 7] * 5))
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: assign([[1.0, math.nan]]), "row 0, column 1 is nan: a number, or inf where it can't be had"),
        (lambda: assign([[1.0], [2.0]]), "2 rows for 1 columns: some would have none"),
        (lambda: assign([[1.0, 2.0], [1.0]]), "row 1 has 1 columns, row 0 has 2"),
        (lambda: train_assigner(draw, worth, workers=3, tasks=2), "3 workers for 2 tasks"),
        (lambda: train_assigner(draw, worth, workers=0, tasks=2), "workers=0: a whole number, at least 1"),
        (lambda: train_assigner(draw, lambda one, other: math.nan, workers=1, tasks=2, steps=1), "worth gave nan"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        wrong()


@pytest.mark.parametrize(
    ("workers", "tasks", "said"),
    [
        ([[0.1] * 4] * 2, [[0.1] * 5], "2 workers for 1 tasks"),
        ([[0.1] * 3], [[0.1] * 5], "workers 0: .* 4 finite numbers, as it was trained with"),
        ([[0.1] * 4], [[math.inf] * 5], "tasks 0: .* 5 finite numbers"),
    ],
)
def test_a_policy_refuses_what_it_was_not_trained_for(policy, workers, tasks, said):
    with pytest.raises(UsageError, match=said):
        policy.assign(workers, tasks)
