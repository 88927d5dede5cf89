"""Who is continued how often: what must be true of every allocator, and what each is about."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.methods.search import allocators
from headway.methods.search.allocators import beam, cosine, dora, dora_weights, dvts, largest_remainder, rebase, softmax, temp

# Scores that differ by more than rounding, in any order; and how many continuations there are.
SCORES = st.lists(st.integers(0, 1000), min_size=1, max_size=24, unique=True).map(lambda whole: [each / 1000 for each in whole])
TOTALS = st.integers(0, 200)

ALLOCATORS = {
    "temp": temp,
    "beam": lambda scores, total: beam(scores, total, 4),
    "dvts": lambda scores, total: dvts(scores, total, list(range(len(scores)))),
    "rebase": rebase,
    "dora": lambda scores, total: dora(scores, total, alone(len(scores))),
}
every_allocator = pytest.mark.parametrize("name", ALLOCATORS)


def alone(size: int) -> list[list[float]]:
    return blocks(list(range(size)))


def blocks(directions: list[int]) -> list[list[float]]:
    """States of one direction are the same, of two they have nothing in common."""
    return [[float(one == other) for other in directions] for one in directions]


@every_allocator
@given(scores=SCORES, total=TOTALS)
def test_counts_add_up_and_none_is_negative(name, scores, total):
    counts = ALLOCATORS[name](scores, total)
    assert len(counts) == len(scores)
    assert sum(counts) == total
    assert min(counts) >= 0


@every_allocator
@given(scores=SCORES, total=TOTALS)
def test_a_better_state_never_gets_less(name, scores, total):
    counts = ALLOCATORS[name](scores, total)
    if name == "temp":  # does not look at scores
        assert max(counts) - min(counts) <= 1
        return
    by_score = [count for _, count in sorted(zip(scores, counts, strict=True))]
    assert by_score == sorted(by_score)


@every_allocator
@given(scores=SCORES, total=TOTALS, seed=st.integers(0, 1000))
def test_the_order_of_the_states_does_not_matter(name, scores, total, seed):
    if name == "temp" and total % len(scores):
        return  # somebody has to get the rest, and they are all alike
    order = random.Random(seed).sample(range(len(scores)), len(scores))
    counts = ALLOCATORS[name](scores, total)
    assert ALLOCATORS[name]([scores[place] for place in order], total) == [counts[place] for place in order]


@every_allocator
def test_no_states_get_nothing(name):
    assert ALLOCATORS[name]([], 7) == []


@given(scores=SCORES, total=TOTALS)
def test_a_beam_keeps_as_many_as_fill_its_width(scores, total):
    kept = [count for count in beam(scores, total, 4) if count]
    assert len(kept) == (min(len(scores), max(1, total // 4)) if total else 0)
    assert not kept or max(kept) - min(kept) <= 1


@given(scores=SCORES, total=TOTALS, groups=st.integers(1, 6))
def test_dvts_continues_the_best_of_each_group_alone(scores, total, groups):
    group = [place % groups for place in range(len(scores))]
    counts = dvts(scores, total, group)
    best = {max((score, place) for place, score in enumerate(scores) if group[place] == each)[1] for each in set(group)}
    assert {place for place, count in enumerate(counts) if count} <= best
    assert total < len(best) or all(counts[place] for place in best)
    assert max((counts[place] for place in best), default=0) - min((counts[place] for place in best), default=0) <= 1


@given(scores=SCORES)
def test_the_temperature_of_rebase_goes_from_the_best_alone_to_all_alike(scores):
    greedy = rebase(scores, 100, 1e-5)
    assert greedy[scores.index(max(scores))] == 100
    even = rebase(scores, len(scores) * 3, 1e9)
    assert set(even) == {3}


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(UsageError, match=r"temperature=.*: a number above 0"):
        rebase([0.5, 0.1], 4, temperature)


@given(scores=SCORES, total=TOTALS)
def test_dora_is_rebase_where_no_two_states_are_alike(scores, total):
    assert dora(scores, total, alone(len(scores))) == rebase(scores, total)


@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    sizes=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    temperature=st.floats(0.05, 1),
)
def test_dora_gives_a_direction_its_softmax_share_whatever_its_size(rewards, sizes, temperature):
    """Theorem 1: with the same reward within a direction, the shares of its states add up to softmax over directions."""
    directions = [direction for direction in range(len(rewards)) for _ in range(sizes[direction])]
    scores = [rewards[direction] for direction in directions]
    weights = dora_weights(scores, blocks(directions), temperature)
    shares = [sum(w for w, d in zip(weights, directions, strict=True) if d == each) for each in range(len(rewards))]
    assert shares == pytest.approx(softmax(rewards, temperature), abs=5e-5)


def test_doras_identity_to_four_digits():
    """Clusters of 5, 2, 1 and 8 equal states. REBASE pays a direction for its size: .409 .060 .135 .397; DORA does not."""
    rewards, sizes = [0.45, 0.35, 0.50, 0.40], [5, 2, 1, 8]
    directions = [direction for direction, size in enumerate(sizes) for _ in range(size)]
    scores = [rewards[direction] for direction in directions]

    def share(weights: list[float]) -> list[float]:
        return [sum(w for w, d in zip(weights, directions, strict=True) if d == each) for each in range(4)]

    by_size = [size * math.exp(reward / 0.1) for size, reward in zip(sizes, rewards, strict=True)]
    assert share(softmax(scores, 0.1)) == pytest.approx([each / sum(by_size) for each in by_size], abs=5e-5)
    assert [round(each, 4) for each in share(softmax(scores, 0.1))] == [0.4086, 0.0601, 0.1347, 0.3965]
    assert share(dora_weights(scores, blocks(directions))) == pytest.approx(softmax(rewards, 0.1), abs=5e-5)
    assert [round(each, 4) for each in share(dora_weights(scores, blocks(directions)))] == [0.2760, 0.1015, 0.4551, 0.1674]
    assert share(list(map(float, dora(scores, 16_000, blocks(directions)))))[2] == pytest.approx(16_000 * 0.4551, abs=1)


def test_states_that_are_nearly_alike_share_nearly_as_one():
    vectors = [[1.0, 0.0], [0.999, 0.04], [0.0, 1.0]]
    weights = dora_weights([0.5, 0.5, 0.5], cosine(vectors))
    assert weights[2] == pytest.approx(weights[0] + weights[1], rel=0.1)


def test_a_cosine_is_that_of_the_angle():
    assert cosine([[3.0, 4.0], [4.0, -3.0], [6.0, 8.0], [0.0, 0.0]])[0] == pytest.approx([1, 0, 1, 0])


@given(weights=st.lists(st.floats(1e-6, 1), min_size=1, max_size=40), total=st.integers(0, 500))
def test_rounding_is_never_off_by_one_or_more(weights, total):
    counts = largest_remainder(weights, total)
    assert sum(counts) == total
    for weight, count in zip(weights, counts, strict=True):
        assert abs(count - weight / sum(weights) * total) < 1 + 1e-6


def test_softmax_of_nothing_is_nothing_and_large_values_do_not_overflow():
    assert allocators.softmax([]) == []
    assert softmax([1000.0, 1000.0], 0.001) == [0.5, 0.5]


# --- scores of every sort --------------------------------------------------------------------------------------------


@every_allocator
@pytest.mark.parametrize("scores", [[0.0] * 5, [1.0] * 5, [-3.0, -1.0, -2.0], [0.0, -1e300, 1e300], [1e-320] * 3, [7.0]], ids=str)
@pytest.mark.parametrize("total", [0, 1, 7])
def test_scores_of_every_sort_are_shared_out_without_a_rest(name, scores, total):
    counts = ALLOCATORS[name](scores, total)
    assert sum(counts) == total
    if name != "temp" and total:
        assert counts[scores.index(max(scores))] == max(counts)


@every_allocator
def test_no_state_gets_nothing(name):
    assert ALLOCATORS[name]([], 5) == []


@pytest.mark.parametrize("name", ["beam", "dvts", "rebase", "dora"])
@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_scores_that_can_not_be_compared_are_refused(name, strange, place):
    scores = [0.2, 0.8]
    scores.insert(place, strange)
    with pytest.raises(UsageError, match=f"a score of {strange!r}: a finite number"):
        ALLOCATORS[name](scores, 5)


@pytest.mark.parametrize(
    ("weights", "said"),
    [([0.5, -0.1], "a weight of -0.1: weights are zero or more"), ([math.nan, 1.0], "a weight of nan"), ([1.0, math.inf], "inf")],
)
def test_weights_that_are_none_are_refused(weights, said):
    with pytest.raises(UsageError, match=said):
        largest_remainder(weights, 3)


def test_weights_of_nothing_are_alike():
    assert largest_remainder([0.0, 0.0, 0.0], 4) == [2, 1, 1]


def test_a_direction_that_is_shared_by_all_leaves_something_of_everybody():
    """Their shares of their own rows are too small for a number where a similarity is off the scale."""
    scores, similarity = [1.0, 0.0], [[-1e6, 1e6], [1e6, -1e6]]
    assert sum(dora_weights(scores, similarity)) == pytest.approx(1)
    assert dora_weights(scores, similarity) == softmax(scores, 0.1)


@pytest.mark.parametrize("width", [0, -1, math.nan])
def test_a_beam_of_no_width_is_refused(width):
    with pytest.raises(UsageError, match=r"width=.*: a whole number, at least 1"):
        beam([0.5, 0.6], 4, width)
