"""Whether a verifier would pay: a diagnosis from rewards of samples, before one is trained or trusted.

Without a verifier, the best that a model can be taught is what its own right samples do on average. With one, the best of several
samples is kept. The difference is large where samples of one question differ much in reward (heterogeneity), and where some are
clearly better than the mean (anti-concentration), and it grows with the length of solutions. Where all samples of a question do
alike, a verifier has nothing to choose from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev, stdev

from headway.errors import UsageError
from headway.methods import settings

_SIDE = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What rewards of samples say about a verifier. All are means over questions.

    Attributes:
        heterogeneity: the standard deviation of the rewards of one question.
        anticoncentration: the share of its samples whose reward is above its mean by half of that or more.
        chosen: the reward of the sample with the best score, of `n`.
        cloned: the mean reward of the samples that have any, which imitating them would reach.
        low: what choosing gains over imitating, at least: the lower end of the 95 % interval over questions.
        high: its upper end.
    """

    heterogeneity: float
    anticoncentration: float
    chosen: float
    cloned: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """What choosing by scores gains over imitating."""
        return self.chosen - self.cloned

    @property
    def pays(self) -> bool:
        """Whether the gain is surely above nothing."""
        return self.low > 0


def diagnose(rewards: Sequence[Sequence[float]], scores: Sequence[Sequence[float]] | None = None, *, n: int = 8) -> Diagnosis:
    """Say what a verifier would gain over none, from recorded rewards of samples.

    It departs from the paper, whose bounds are for policies trained with and without a verifier: here both are compared by what
    their samples give, without training.

    Args:
        rewards: of the samples of each question, zero or more each: how much of what there was to gain they gained.
        scores: what the verifier that is diagnosed gave each of them; without it, one that is never wrong.
        n: of how many samples the best would be kept.

    Returns:
        The diagnosis.

    Raises:
        UsageError: there are fewer than two questions, a question has fewer than `n` samples or more or fewer scores than samples,
            or a number is none.

    Example:
        >>> same, mixed = [[0.5] * 4] * 3, [[0.0, 0.2, 0.4, 1.0], [0.1, 0.1, 0.9, 0.5], [0.3, 0.8, 0.2, 0.0]]
        >>> diagnose(same, n=4).pays, diagnose(mixed, n=4).pays
        (False, True)

    Source:
        "Scaling test-time compute without verification or RL is suboptimal": Setlur et al., arXiv 2502.12118; after the idea of,
        from the abstract.
    """
    settings.at_least_one("diagnose", n=n)
    judged = rewards if scores is None else scores
    _check(rewards, judged, n)
    spreads, shares, gains, chosen, cloned = [], [], [], [], []
    for own, said in zip(rewards, judged, strict=True):
        spread, mean = pstdev(own), fmean(own)
        spreads.append(spread)
        shares.append(fmean(float(spread > 0 and reward >= mean + spread / 2) for reward in own))
        chosen.append(expect_best(own, said, n))
        cloned.append(fmean([reward for reward in own if reward > 0] or [0.0]))
        gains.append(chosen[-1] - cloned[-1])
    half = _SIDE * stdev(gains) / math.sqrt(len(gains))
    return Diagnosis(
        fmean(spreads), fmean(shares), fmean(chosen), fmean(cloned), fmean(gains) - half, fmean(gains) + half
    )  # fmt: skip


def expect_best(rewards: Sequence[float], scores: Sequence[float], n: int) -> float:
    """The mean reward of the sample with the best score among `n` of these, over all ways to take `n`; equal scores share.

    Example:
        >>> expect_best([0.0, 1.0, 0.0], [0.1, 0.9, 0.1], 2)
        0.6666666666666666
    """
    order = sorted(range(len(scores)), key=lambda place: scores[place])
    ways, total, expected, start = math.comb(len(scores), n), 0, 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        here = math.comb(end, n) - total  # ways to take n whose best score is this one
        expected += here / ways * fmean(rewards[place] for place in order[start:end])
        total, start = total + here, end
    return expected


def _check(rewards: Sequence[Sequence[float]], scores: Sequence[Sequence[float]], n: int) -> None:
    if len(rewards) < 2 or len(scores) != len(rewards):
        raise UsageError(f"diagnose: rewards={len(rewards)} questions, scores={len(scores)}: give the same, two or more")
    for number, (own, said) in enumerate(zip(rewards, scores, strict=True)):
        if len(own) != len(said) or len(own) < n:
            raise UsageError(
                f"diagnose: question {number} has rewards={len(own)}, scores={len(said)}: give as many of both, at least n={n}"
            )
        for reward, score in zip(own, said, strict=True):
            settings.finite(f"diagnose: question {number}", rewards=reward)
            settings.number(f"diagnose: question {number}", scores=score)
