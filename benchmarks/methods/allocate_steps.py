"""How hard each step, or each of several questions, is worked on.

Settings were chosen on seeds from 1000 on; the rows are measured on seeds from 0 on.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from benchmarks.methods.row import Pair, Row
from headway.methods.allocate.agents import is_slow

# --- SCALE: chains of steps, each answered at once or thought through ------------------------------------------------

STEPS = 6
QUESTIONS = 1500  # of a seed
WRONG_FAST, WRONG_SLOW = 0.55, 0.12  # how likely a step of difficulty 1 goes wrong
FAST, SLOW = 1.0, 6.0  # what a step costs
TAU = 0.2  # the paper's


class Chain(NamedTuple):
    """A question: how hard its steps are, how they are rated, and the luck of each."""

    difficulty: list[float]
    rated: list[float]
    luck: list[float]
    rng: random.Random


Think = Callable[[Chain, int], bool]  # whether a step of a chain is thought through


class Solved(NamedTuple):
    """The share of questions of which every step is right, and the mean cost of a question."""

    right: float
    cost: float


def chain_of(seed: int, number: int) -> Chain:
    """About three quarters of the steps are harder than 0.2, as in the paper. Ratings are off by some noise."""
    rng = random.Random(f"{seed} {number}")
    difficulty = [rng.betavariate(1.5, 2.5) for _ in range(STEPS)]
    rated = [min(1.0, max(0.0, each + rng.gauss(0, 0.08))) for each in difficulty]
    return Chain(difficulty, rated, [rng.random() for _ in range(STEPS)], rng)


def solve_all(seed: int, think: Think) -> Solved:
    """Solve all questions of a seed."""
    right, cost = [], []
    for chain in (chain_of(seed, number) for number in range(QUESTIONS)):
        slow = [think(chain, place) for place in range(STEPS)]
        wrong = (hard * (WRONG_SLOW if is_ else WRONG_FAST) for hard, is_ in zip(chain.difficulty, slow, strict=True))
        right.append(all(luck >= each for luck, each in zip(chain.luck, wrong, strict=True)))
        cost.append(sum(SLOW if each else FAST for each in slow))
    return Solved(fmean(right), fmean(cost))


def by_difficulty(threshold: float) -> Think:
    """As SCALE thinks."""
    return lambda chain, place: is_slow(chain.rated[place], threshold, is_last=place == STEPS - 1)


def vote_fast(seed: int, votes: int) -> float:
    """The share of questions that a vote of fast chains answers right; wrong answers are of ten kinds."""
    right = []
    for chain in (chain_of(seed, number) for number in range(QUESTIONS)):
        answers: Counter[int] = Counter()
        for _ in range(votes):
            is_right = all(chain.rng.random() >= hard * WRONG_FAST for hard in chain.difficulty)
            answers[-1 if is_right else chain.rng.randrange(10)] += 1
        right.append(answers.most_common(1)[0][0] == -1)
    return fmean(right)


def measure_scale_collapse(seed: int) -> Pair:
    """The smallest loss of accuracy from one threshold to the next: 0.2, 0.4, 0.7, 1."""
    right = [solve_all(seed, by_difficulty(threshold)).right for threshold in (TAU, 0.4, 0.7, 1.0)]
    return Pair(min(before - after for before, after in pairwise(right)), 0.0)


def measure_scale_mixed(seed: int) -> Pair:
    """Accuracy: by difficulty, and where as many steps are thought through, drawn by lot."""
    ours = solve_all(seed, by_difficulty(TAU))
    share = (ours.cost - STEPS * FAST) / (STEPS * (SLOW - FAST))
    return Pair(ours.right, solve_all(seed, lambda chain, place: chain.rng.random() < share).right)


def measure_scale_fast(seed: int) -> Pair:
    """Accuracy: by difficulty, and of a vote of fast chains that cost at least as much."""
    ours = solve_all(seed, by_difficulty(TAU))
    return Pair(ours.right, vote_fast(seed, -int(-ours.cost // (STEPS * FAST))))


def measure_scale_slow(seed: int) -> Pair:
    """Questions right for a hundred units: by difficulty, and with every step thought through."""
    ours, slow = solve_all(seed, by_difficulty(TAU)), solve_all(seed, lambda chain, place: True)
    return Pair(100 * ours.right / ours.cost, 100 * slow.right / slow.cost)


scale_row = partial(
    Row,
    method="SCALE",
    function="headway.methods.allocate.agents.scale.scale",
    item="allocate",
    claim="57.5 % to 71.3 % on AIME25 at a threshold of 0.2; 55.7 % at 0.4 and 39.2 % at 0.7",
)
SCALE_TEST = "tests/methods/allocate/test_scale.py::test_accuracy_collapses_with_the_threshold_and_beats_other_ways_at_equal_cost"

ROWS = [
    scale_row(
        shows="accuracy collapses as the threshold rises",
        baseline="no loss",
        unit="smallest loss of accuracy between thresholds of 0.2, 0.4, 0.7 and 1",
        measure=measure_scale_collapse,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=SCALE_TEST,
    ),
    scale_row(
        shows="thinking where it is hard beats thinking anywhere",
        baseline="as many slow steps, drawn by lot",
        unit="questions right",
        measure=measure_scale_mixed,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=SCALE_TEST,
    ),
    scale_row(
        shows="more right than fast chains at equal cost",
        baseline="majority vote of fast chains",
        unit="questions right",
        measure=measure_scale_fast,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=SCALE_TEST,
    ),
    scale_row(
        shows="more right than slow chains at equal cost",
        baseline="every step thought through, within the same budget",
        unit="questions right for a hundred units",
        measure=measure_scale_slow,
        reached=lambda low, high: low > 1,
        test=SCALE_TEST,
    ),
]
