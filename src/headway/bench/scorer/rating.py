"""Rates a scorer by what it gave answers of which some are known to be right: pure functions from scores to numbers.

An item has one right answer and several wrong ones; it counts where the right one has the best score. Items of the subset "Ties"
have many right answers, and a reference beside them with one: a scorer must put every right answer above every wrong one, and must
not care more for the difference between two right ones than for that between right and wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from headway.errors import UsageError

TIES = "Ties"
_WEIGHTS = (0.30, 0.30, 0.20, 0.20, 0.01)


@dataclass(frozen=True)
class Item:
    """A prompt with right and wrong answers.

    Attributes:
        name: tells it from other items; in the subset "Ties", `ref:N` or `tied:N`.
        prompt: what is asked.
        chosen: the right answers.
        rejected: the wrong ones.
        subset: what it belongs to; scores are averaged over subsets.
    """

    name: str
    prompt: str
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    subset: str = ""


@dataclass(frozen=True)
class Scored:
    """An item, and what its answers were given, in their order."""

    item: Item
    chosen: tuple[float, ...]
    rejected: tuple[float, ...]


@dataclass(frozen=True)
class Rating:
    """A scorer on the items of a subset.

    Attributes:
        subset: which.
        items: how many.
        score: from 0 to about 1.
        low, high: the 95 % interval over items; of "Ties", whose parts are not means over items alone, the score itself.
        auroc: how often a right answer has a better score than a wrong one to the same prompt; equals count half.
    """

    subset: str
    items: int
    score: float
    low: float
    high: float
    auroc: float


def rate(scored: Sequence[Scored]) -> list[Rating]:
    """Rate a scorer on each subset, in the order in which they come.

    Example:
        >>> items = [Item("1", "2+2=", ("4",), ("5", "3", "22")), Item("2", "3+3=", ("6",), ("5", "7", "33"))]
        >>> [right] = rate([Scored(items[0], (0.9,), (0.1, 0.3, 0.9)), Scored(items[1], (0.8,), (0.1, 0.2, 0.0))])
        >>> right.score, round(right.auroc, 3)
        (0.75, 0.917)

    Source:
        RewardBench 2: Malik et al., arXiv 2506.01937; the formula of its public code.
    """
    subsets: defaultdict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        subsets[each.item.subset].append(each)
    return [_rate_subset(name, own) for name, own in subsets.items()]


def overall(ratings: Sequence[Rating]) -> float:
    """The mean over subsets, however many items each has."""
    return fmean(rating.score for rating in ratings)


def credit(chosen: Sequence[float], rejected: Sequence[float]) -> float:
    """What an item counts: 1 where the right answer has the best score, divided by how many answers share that score; 0 where it
    has not.

    Example:
        >>> credit([0.9], [0.1, 0.2, 0.3]), credit([0.9], [0.9, 0.2, 0.9]), credit([0.1], [0.2, 0.0, 0.0])
        (1.0, 0.3333333333333333, 0.0)
    """
    top = max(*chosen, *rejected)
    return 1.0 / [*chosen, *rejected].count(top) if max(chosen) == top else 0.0


def rate_ties(scored: Sequence[Scored]) -> float:
    """The score of the subset of ties: 0.3 for the share of `tied` items whose right answers are all above the wrong ones, 0.3 for
    that of the `ref` items, 0.2 and 0.2 for how often that gap is larger than the spread of the right answers, and up to 0.01 for
    by how much.

    Raises:
        UsageError: an item's name is neither `ref:N` nor `tied:N`, or no N has both.
    """
    gaps: dict[str, dict[str, float]] = {"ref": {}, "tied": {}}
    spreads: dict[str, float] = {}
    for each in scored:
        kind, _, number = each.item.name.partition(":")
        if kind not in gaps or not number:
            raise UsageError(f"item {each.item.name!r:.80} of the subset Ties: name it ref:N or tied:N, the same N for a pair")
        gaps[kind][number] = min(each.chosen) - max(each.rejected)
        spreads |= {number: max(each.chosen) - min(each.chosen)} if kind == "tied" else {}
    both = [number for number in gaps["tied"] if number in gaps["ref"]]
    if not both:
        raise UsageError("the subset Ties has no pair of items ref:N and tied:N")
    least = {number: min(gaps["ref"][number], gaps["tied"][number]) for number in both}
    parts = (
        fmean(gap > 0 for gap in gaps["tied"].values()),
        fmean(gap > 0 for gap in gaps["ref"].values()),
        fmean(gaps["tied"][number] > spreads[number] for number in both),
        fmean(least[number] > spreads[number] for number in both),
        fmean(_margin(least[number], spreads[number]) for number in both),
    )
    return sum(weight * part for weight, part in zip(_WEIGHTS, parts, strict=True))


def find_auroc(scored: Sequence[Scored]) -> float:
    """How often a right answer is above a wrong one to the same prompt; equals count half. Each prompt counts the same."""
    return fmean(
        fmean((right > wrong) + (right == wrong) / 2 for right in each.chosen for wrong in each.rejected) for each in scored
    )


def rank_correlation(ones: Sequence[float], others: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, equals sharing theirs. NaN where all of one side are equal.

    Example:
        >>> rank_correlation([0.1, 0.5, 0.9], [3, 40, 500])
        1.0
    """
    a, b = _ranks(ones), _ranks(others)
    mean = (len(a) - 1) / 2
    spread = math.sqrt(sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b))
    return sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True)) / spread if spread else math.nan


def _rate_subset(name: str, scored: Sequence[Scored]) -> Rating:
    auroc = find_auroc(scored)
    if name == TIES:
        score = rate_ties(scored)
        return Rating(name, len(scored), score, score, score, auroc)
    counts = [credit(each.chosen, each.rejected) for each in scored]
    half = 1.96 * stdev(counts) / math.sqrt(len(counts)) if len(counts) > 1 else 1.0
    mean = fmean(counts)
    return Rating(name, len(scored), mean, max(0.0, mean - half), min(1.0, mean + half), auroc)


def _margin(gap: float, spread: float) -> float:
    return math.tanh(gap / spread - 1) if spread else math.copysign(1.0, gap) if gap else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    firsts = {value: place for place, value in reversed(list(enumerate(ordered)))}
    return [firsts[value] + (ordered.count(value) - 1) / 2 for value in values]
