"""How hard each step, or each of several questions, is worked on.

Settings were chosen on seeds from 1000 on; the rows are measured on seeds from 0 on.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from benchmarks.methods.row import Pair, Row
from headway.methods.allocate.agents import is_slow, share_quota, worth_asking

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


# --- DRQA: questions of unknown length under one quota ---------------------------------------------------------------

SETS, ASKED, BATCH = 60, 24, 8  # sets of questions of a seed, questions of a set, questions of a batch
TYPICAL, SPREAD = 150.0, 1.0  # the median tokens of an answer, and the deviation of their logarithm
PROMPT = 40.0  # tokens of a prompt, without the question


def lengths_of(seed: int, number: int) -> list[float]:
    """How many tokens each answer takes."""
    rng = random.Random(f"{seed} {number} lengths")
    return [TYPICAL * math.exp(rng.gauss(0, SPREAD)) for _ in range(ASKED)]


def quota_of(share: float, prompt: float) -> float:
    """A share of what all answers take on average, each with its prompt."""
    return share * ASKED * (prompt + TYPICAL * math.exp(SPREAD**2 / 2))


def answer_in_turn(lengths: list[float], left: float, prompt: float) -> tuple[list[float], float]:
    """Answer one after another, each with its share of what is left, after a prompt that is paid once: what each has had, and what
    is left."""
    had, left = [], left - prompt
    for place, length in enumerate(lengths):
        had.append(min(length, max(0.0, left / (len(lengths) - place))))
        left -= had[-1]
    return had, max(0.0, left)


def answer_in_batches(lengths: list[float], quota: float, prompt: float) -> int:
    """As `drqa` asks, of a model that answers a batch in turn."""
    had, left = dict.fromkeys(range(len(lengths)), 0.0), quota
    while open_ := worth_asking(left, had):
        batches = [open_[start : start + BATCH] for start in range(0, len(open_), BATCH)]
        for batch, tokens in zip(batches, share_quota(left, [len(batch) for batch in batches]), strict=True):
            spent, unspent = answer_in_turn([lengths[place] for place in batch], tokens, prompt)
            left -= tokens - unspent
            for place, of_place in zip(batch, spent, strict=True):
                had[place] = max(had[place], of_place, tokens / len(batch))
                if of_place >= lengths[place]:
                    had.pop(place)
    return len(lengths) - len(had)


def answer_one_by_one(lengths: list[float], quota: float, prompt: float, *, carry: bool) -> int:
    """Each in a call of its own, with an equal share; with `carry`, of what the others have left."""
    answered, left = 0, quota
    for place, length in enumerate(lengths):
        share = (left / (len(lengths) - place) if carry else quota / len(lengths)) - prompt
        answered += length <= share
        left -= prompt + min(length, max(0.0, share)) if share > 0 else 0.0
    return answered


def compare_quotas(seed: int, *, share: float, prompt: float, carry: bool) -> Pair:
    """Questions answered of a set, on average: in batches, and one by one."""
    quota = quota_of(share, prompt)
    sets = [lengths_of(seed, number) for number in range(SETS)]
    ours = fmean(answer_in_batches(lengths, quota, prompt) for lengths in sets)
    return Pair(ours, fmean(answer_one_by_one(lengths, quota, prompt, carry=carry) for lengths in sets))


measure_drqa_shared = partial(compare_quotas, share=0.7, prompt=PROMPT, carry=True)
measure_drqa_pooled = partial(compare_quotas, share=1.0, prompt=0.0, carry=True)
measure_drqa_equal = partial(compare_quotas, share=1.0, prompt=0.0, carry=False)

drqa_row = partial(
    Row,
    method="DRQA",
    function="headway.methods.allocate.agents.drqa.drqa",
    item="allocate",
    claim="answers that were given in batches teach a model to be brief: 69 % fewer tokens on GSM8K",
    unit="questions answered of 24",
    compare="difference",
    reached=lambda low, high: low > 0,
    test="tests/methods/allocate/agents/test_drqa.py::test_more_questions_are_answered_than_one_by_one_under_the_same_quota",
)

scale_row = partial(
    Row,
    method="SCALE",
    function="headway.methods.allocate.agents.scale.scale",
    item="allocate",
    claim="57.5 % to 71.3 % on AIME25 at a threshold of 0.2; 55.7 % at 0.4 and 39.2 % at 0.7",
)
SCALE_TEST = (
    "tests/methods/allocate/agents/test_scale.py::test_accuracy_collapses_with_the_threshold_and_beats_other_ways_at_equal_cost"
)

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
    drqa_row(
        shows="under a tight quota, batches that pay for their prompt once answer more",
        baseline="one by one, each with its share of what is left",
        measure=measure_drqa_shared,
    ),
    drqa_row(
        shows="without a prompt, asking again with what is left over answers more",
        baseline="one by one, each with its share of what is left",
        measure=measure_drqa_pooled,
    ),
    drqa_row(
        shows="without a prompt, a shared quota answers more than equal shares",
        baseline="one by one, each with an equal share",
        measure=measure_drqa_equal,
    ),
]
