"""Work is split evenly: into parts, into stages of a chain, onto levels."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.train.partition import balance, fill, stages

WEIGHTS = st.lists(st.integers(0, 50), max_size=9)


def loads(weights: list[int], split: list[list[int]]) -> list[int]:
    return [sum(weights[place] for place in part) for part in split]


@given(WEIGHTS, st.integers(1, 5), st.booleans())
def test_every_weight_is_in_one_part(weights, parts, equal):
    split = balance(weights, parts, equal=equal)
    assert len(split) == parts
    assert sorted(itertools.chain(*split)) == list(range(len(weights)))
    if equal:
        assert max(map(len, split)) - min(map(len, split)) <= 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 4))
def test_no_part_is_heavier_than_graham_allows(weights, parts):
    """The largest weight to the lightest part is at most 4/3 - 1/(3 parts) of the best, and what is taken is no worse."""
    chosen = itertools.product(range(parts), repeat=len(weights))
    best = min(max(loads(weights, [[p for p, c in enumerate(each) if c == part] for part in range(parts)])) for each in chosen)
    assert best <= max(loads(weights, balance(weights, parts))) <= (4 / 3 - 1 / (3 * parts)) * best + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_equal_counts_of_rows_have_equal_lengths_where_taking_turns_has_not(seed):
    draw = random.Random(seed)
    lengths = [draw.lognormvariate(6, 0.8) for _ in range(128)]
    split, turns = balance(lengths, 8, equal=True), [list(range(part, 128, 8)) for part in range(8)]
    mean = sum(lengths) / 8
    assert {len(part) for part in split} == {16}
    assert max(loads(lengths, split)) / mean < 1.05
    assert max(loads(lengths, turns)) / mean > 1.15


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.data())
def test_no_cut_into_stages_is_better(weights, data):
    count = data.draw(st.integers(1, len(weights)))
    found = stages(weights, count)
    assert [place for stage in found for place in stage] == list(range(len(weights)))
    assert all(found)
    cuts = ([0, *cut, len(weights)] for cut in itertools.combinations(range(1, len(weights)), count - 1))
    best = min(max(sum(weights[a:b]) for a, b in itertools.pairwise(cut)) for cut in cuts)
    assert max(sum(weights[place] for place in stage) for stage in found) == best


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9), st.floats(0, 500))
def test_what_is_poured_rises_to_one_level(levels, amount):
    added = fill(levels, amount)
    assert sum(added) == pytest.approx(amount, abs=1e-6)
    assert min(added) >= 0
    lowest = min(level + more for level, more in zip(levels, added, strict=True))
    for level, more in zip(levels, added, strict=True):
        assert more == 0 or level + more == pytest.approx(lowest, abs=1e-6)


def test_nothing_is_split_into_nothing():
    assert balance([], 3) == [[], [], []]
    assert fill([5.0], 0.0) == [0.0]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (lambda: balance([1, math.nan], 2), "balance: weight 1 is nan: a finite number, zero or more"),
        (lambda: balance([-1], 2), "balance: weight 0 is -1: a finite number, zero or more"),
        (lambda: balance([1], 0), "balance: 0 parts: a whole number, at least 1"),
        (lambda: stages([1, 2], 3), "stages: 2 links for 3 stages: some would have none"),
        (lambda: stages([1, math.inf], 1), "stages: weight 1 is inf"),
        (lambda: fill([], 1.0), "fill: .* at least one level"),
        (lambda: fill([1.0], -1.0), "fill: .* no amount below 0"),
        (lambda: fill([math.nan], 1.0), "fill: .* finite numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(split, said):
    with pytest.raises(UsageError, match=said):
        split()
