"""Says from a few questions which of two ways to search pays on a task. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from headway.errors import UsageError
from headway.methods import settings

_Z = 1.96  # the 97.5 % quantile of a normal distribution


@dataclass(frozen=True, slots=True)
class Pays:
    """Which way pays.

    Attributes:
        choice: "backtrack", "restart", or "undecided" where the questions don't tell.
        gain: how much more often backtracking was right, a mean over questions; below 0 where restarts were.
        low: the lower bound of its 95 % interval.
        high: the upper bound.
        chance: the probability of a difference at least as clear if neither paid: the sign test over questions.
        questions: how many were compared.
    """

    choice: Literal["backtrack", "restart", "undecided"]
    gain: float
    low: float
    high: float
    chance: float
    questions: int


def which_pays(backtracked: Sequence[float], restarted: Sequence[float], *, sure: float = 0.95) -> Pays:
    """Compare going back with beginning again, on the same questions at the same number of steps.

    Args:
        backtracked: for each question, whether going back solved it: 1 or 0, or the share of several tries.
        restarted: the same for restarts, in the same order.
        sure: how sure a choice must be: above a half, at most 1.

    Returns:
        The choice, and what it rests on.

    Raises:
        UsageError: the lists differ in length, are empty, or have what is no share.

    Example:
        >>> which_pays([1, 0, 0, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0]).choice
        'undecided'
        >>> which_pays([0] * 8, [1] * 8).choice
        'restart'

    Source:
        To Backtrack or Not to Backtrack: Qin et al., arXiv 2504.07052; after the idea of. The sign test is ours.
    """
    settings.number("which_pays", 0.5, 1, above=True, sure=sure)
    if len(backtracked) != len(restarted) or not backtracked:
        counts = f"{len(backtracked)} questions with backtracking and {len(restarted)} with restarts"
        raise UsageError(f"which_pays: {counts}: give both for the same questions, at least one")
    for one, other in zip(backtracked, restarted, strict=True):
        settings.number("which_pays", 0, 1, backtracked=float(one), restarted=float(other))
    gains = [float(one) - float(other) for one, other in zip(backtracked, restarted, strict=True)]
    gain, count = fmean(gains), len(gains)
    half = _Z * stdev(gains) / math.sqrt(count) if count > 1 else 1.0
    chance = sign_test(sum(each > 0 for each in gains), sum(each < 0 for each in gains))
    choice: Literal["backtrack", "restart", "undecided"] = "undecided"
    if gain and chance <= 1 - sure:
        choice = "backtrack" if gain > 0 else "restart"
    return Pays(choice, gain, max(-1.0, gain - half), min(1.0, gain + half), chance, count)


def sign_test(more: int, fewer: int) -> float:
    """The probability that at least so many of all differences have one sign, if either were as likely.

    Example:
        >>> sign_test(8, 0), sign_test(3, 3)
        (0.0078125, 1.0)
    """
    count, least = more + fewer, min(more, fewer)
    tails: int = 2 * sum(math.comb(count, heads) for heads in range(least + 1))
    outcomes: int = 2**count
    return min(1.0, tails / outcomes)
