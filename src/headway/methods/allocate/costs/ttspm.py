"""TTSPM: how far more samples help, from few of them.

A question is either within reach, and then each sample solves it at one rate, or it is not. So the share of questions that N
samples solve is F(N) = F_max · (1 - (1-p)^N), and there is a number of samples after which the next one gains too little. The same
form holds for rounds of rethinking, one after another, with p the probability that a round mends a wrong answer.

Both numbers are the most likely ones, in closed form but for one bisection. Rates that differ much between questions break the
model: then the curve rises for longer than it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headway.errors import UsageError
from headway.methods import settings


@dataclass(frozen=True, slots=True)
class Saturation:
    """How performance grows with samples, or with rounds of rethinking: F(N) = F_max · (1 - (1-p)^N).

    Attributes:
        most: F_max, the share of questions that are within reach, from 0 to 1.
        rate: p, how often a sample solves a question that is within reach, from 0 to 1.

    Raises:
        UsageError: either is no probability.

    Example:
        >>> curve = Saturation(most=0.8, rate=0.3)
        >>> round(curve.at(1), 2), round(curve.at(8), 2), curve.saturates(0.01)
        (0.24, 0.75, 9)

    Source:
        TTSPM: Wang et al., "Scaling over scaling", arXiv 2505.20522; after the idea of.
    """

    most: float
    rate: float

    def __post_init__(self) -> None:
        settings.probability("Saturation", most=self.most, rate=self.rate)

    def at(self, samples: int) -> float:
        """The share of questions that so many samples solve.

        Args:
            samples: how many.

        Returns:
            The share, from 0 to 1.

        Raises:
            UsageError: `samples` is no whole number from 0 on.
        """
        settings.whole_number("Saturation.at", samples=samples)
        return self.most * (1 - (1 - self.rate) ** samples)

    def saturates(self, gain: float) -> int:
        """After how many samples the next one gains no more than this: N* = ⌈ln(gain / (F_max · p)) / ln(1-p)⌉.

        Args:
            gain: what a sample must add to be worth its cost, as a share of questions, above 0.

        Returns:
            The number of samples, 0 where even the first gains too little.

        Raises:
            UsageError: the gain is not above 0: then no number is enough.
        """
        settings.number("Saturation.saturates", 0.0, 1.0, above=True, gain=gain)
        first = self.most * self.rate
        if first <= gain:
            return 0
        return 1 if self.rate >= 1 else math.ceil(math.log(gain / first) / math.log1p(-self.rate) - 1e-9)


def fit_saturation(successes: Sequence[int], samples: int = 8) -> Saturation:
    """The most likely curve, from a few samples of each of some questions.

    It departs in fitting by maximum likelihood, not by least squares on the curve. Successes are binomial for a question within
    reach, and zero for all others.

    Args:
        successes: for each question, how many of its samples were right.
        samples: how many each question had.

    Returns:
        The curve. Where no sample was right nothing is within reach, as far as anybody can tell.

    Raises:
        UsageError: there are no questions, or a count is not from 0 to `samples`.

    Example:
        >>> curve = fit_saturation([0, 0, 1, 2, 3, 2, 0, 4], samples=8)
        >>> round(curve.most, 3), round(curve.rate, 3)
        (0.675, 0.278)

    Source:
        TTSPM: Wang et al., "Scaling over scaling", arXiv 2505.20522; after the idea of.
    """
    settings.at_least_one("fit_saturation", samples=samples)
    if not successes:
        raise UsageError("fit_saturation: there are no questions to estimate from")
    settings.whole_number("fit_saturation", **{f"successes[{place}]": count for place, count in enumerate(successes)})
    if max(successes) > samples:
        raise UsageError(f"fit_saturation: {max(successes)} successes of {samples} samples")
    solved, right = sum(count > 0 for count in successes), sum(successes)
    if not solved:
        return Saturation(0.0, 0.0)
    rate = _rate_of_solved(right / solved, samples)
    most = solved / len(successes) / (1 - (1 - rate) ** samples)
    if most > 1:  # all are within reach: more would be wrong than were
        return Saturation(1.0, right / (samples * len(successes)))
    return Saturation(most, rate)


def _rate_of_solved(mean: float, samples: int) -> float:
    """The rate at which a question that is solved at all has so many successes on average, by bisection."""
    low, high = 1e-9, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        expected = samples * rate / (1 - (1 - rate) ** samples)
        low, high = (rate, high) if expected < mean else (low, rate)
    return high
