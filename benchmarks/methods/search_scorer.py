"""A scorer is rated before it is trusted: scorers of planted quality on the Countdown model's answers.

They are rated on the puzzles of one seed, and best-of-n is made with them on the puzzles of another.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import NormalDist, fmean

from benchmarks.methods.row import Pair, Row
from headway.bench.scorer.countdown import Answers, best_right, make_items
from headway.bench.scorer.rating import Item, Scored, overall, rank_correlation, rate
from headway.models.base import Request
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.judge import solves
from headway.reference.countdown.sampling import CountdownModel

TEST = "tests/methods/search/samples/test_scorer.py"
PLANTED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.999)
"""How often each scorer puts a right answer above a wrong one."""
PUZZLES, SAMPLES = 60, 16
WANTED = 0.9


@cache
def countdown_answers(seed: int, puzzles: int = PUZZLES) -> list[Answers]:
    """What the model answers to held-out puzzles, and which of it is right."""
    model, found = CountdownModel.shipped(), []
    prompts = [puzzle.prompt for puzzle in make_held_out_puzzles(seed, puzzles)]
    asked = [
        Request(prompt=prompt, max_tokens=16, n=SAMPLES, temperature=1.0, seed=seed * 1000 + at)
        for at, prompt in enumerate(prompts)
    ]
    for prompt, reply in zip(prompts, model.sample_batch(asked), strict=True):
        texts = tuple(sample.text for sample in reply.samples)
        found.append(Answers(prompt, texts, tuple(solves(prompt + text) for text in texts)))
    return found


def give_scores(auroc: float, seed: int, what: object, right: Sequence[bool]) -> list[float]:
    """The scores of a scorer of that quality: right answers are above by what makes it so, in a normal noise of 1."""
    above, rng = math.sqrt(2) * NormalDist().inv_cdf(auroc), random.Random(f"{auroc} {seed} {what}")
    return [above * ok + rng.gauss(0, 1) for ok in right]


def rate_planted(auroc: float, seed: int, items: Sequence[Item]) -> float:
    """What the harness says of it."""
    return overall(rate(list(_score_items(auroc, seed, items))))


def _score_items(auroc: float, seed: int, items: Sequence[Item]) -> Iterator[Scored]:
    for item in items:
        right = [True] * len(item.chosen) + [False] * len(item.rejected)
        scores = give_scores(auroc, seed, item.name, right)
        yield Scored(item, tuple(scores[: len(item.chosen)]), tuple(scores[len(item.chosen) :]))


def share_right(auroc: float, seed: int, answers: Sequence[Answers]) -> float:
    """How often the best of the answers by such a scorer is right."""
    return fmean(best_right(each, give_scores(auroc, seed, each.prompt, each.right)) for each in answers)


@cache
def ratings(seed: int) -> tuple[list[float], list[float]]:
    """What the harness says of each planted scorer, and what best-of-n makes of it on other puzzles."""
    return rate_all(seed, countdown_answers(2 * seed + 500), countdown_answers(2 * seed + 501))


def rate_all(seed: int, rated_on: Sequence[Answers], answers: Sequence[Answers]) -> tuple[list[float], list[float]]:
    """The same, with scorers of a seed."""
    items = make_items(rated_on)
    said = [rate_planted(auroc, seed, items) for auroc in PLANTED]
    return said, [share_right(auroc, seed, answers) for auroc in PLANTED]


def measure_prediction(seed: int) -> Pair:
    return Pair(rank_correlation(*ratings(seed)), WANTED)


def measure_ranking(seed: int) -> Pair:
    return Pair(rank_correlation(ratings(seed)[0], PLANTED), WANTED)


ROWS = [
    Row(
        method="RewardBench 2",
        function="headway.bench.scorer.rating.rate",
        item="search",
        claim="scores of reward models go with their accuracy in best-of-n",
        shows="the score predicts which scorer is better in best-of-16 on Countdown",
        baseline="the correlation that is asked",
        unit="rank correlation over seven scorers",
        measure=measure_prediction,
        compare="difference",
        reached=lambda low, high: low >= 0,
        test=f"{TEST}::test_the_score_predicts_what_best_of_n_makes_of_a_scorer_on_other_puzzles",
    ),
    Row(
        method="RewardBench 2",
        function="headway.bench.scorer.rating.rate",
        item="search",
        claim="a harder benchmark, on which reward models differ",
        shows="scorers of planted quality rank as they were planted",
        baseline="the correlation that is asked",
        unit="rank correlation over seven scorers",
        measure=measure_ranking,
        compare="difference",
        reached=lambda low, high: low >= 0,
        test=f"{TEST}::test_planted_scorers_rank_as_they_were_planted",
    ),
]
