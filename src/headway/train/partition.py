"""Splits work so that all parts take about as long: numbers into parts, a chain into stages, an amount onto levels.

Pure functions on numbers: training shares rows out by them, and methods tasks. They never draw random numbers, so the same weights
give the same parts on every process that asks.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from headway.errors import UsageError

_Part = tuple[float, tuple[int, ...]]  # the sum of some weights, and their places


def balance(weights: Sequence[float], parts: int, *, equal: bool = False) -> list[list[int]]:
    """Split weights into parts whose sums are as equal as possible.

    By the largest differencing method: the two partial splits that are the most uneven are put together, so that they even each
    other out, until one is left. Where giving the largest weight to the lightest part does better, that is taken.

    Args:
        weights: zero or more each, such as the lengths of samples.
        parts: how many, at least 1.
        equal: whether the parts must have equally many weights, up to one.

    Returns:
        For each part the places of its weights, in order. Which part comes first means nothing. A part may be empty.

    Raises:
        UsageError: a weight is no finite number or below zero, or there are no parts.

    Example:
        >>> balance([8, 7, 6, 5, 4], 2)
        [[0, 2], [1, 3, 4]]
        >>> balance([9, 1, 1, 1], 2, equal=True)
        [[0, 2], [1, 3]]

    Source:
        Karmarkar and Karp, "The differencing method of set partitioning" (UCB/CSD 82/113, 1982).
    """
    _check("balance", weights, parts)
    splits = _difference(weights, parts, equal), _fill_lightest(weights, parts, equal)
    best = min(splits, key=lambda split: max(total for total, _ in split))
    return sorted(sorted(places) for _, places in best)


def stages(weights: Sequence[float], count: int) -> list[range]:
    """Cut a chain into stages so that the heaviest is as light as possible: the stages of a pipeline.

    Args:
        weights: of the links of the chain, in order; zero or more each.
        count: how many stages, each with at least one link.

    Returns:
        The places of the links of each stage.

    Raises:
        UsageError: a weight is no finite number or below zero, or there are fewer links than stages.

    Example:
        >>> stages([2, 1, 1, 6, 1, 1], 3)
        [range(0, 3), range(3, 4), range(4, 6)]

    Source:
        The linear partition problem, by dynamic programming over the prefix sums (Bellman).
    """
    _check("stages", weights, count)
    if len(weights) < count:
        raise UsageError(f"stages: {len(weights)} links for {count} stages: some would have none; ask for fewer stages")
    sums = [0.0, *accumulate(weights)]
    least = list(sums)  # the heaviest stage of the best cut of the first links, into so many stages as were looked at
    cuts: list[list[int]] = []
    for stage in range(1, count):
        least, chosen = _add_stage(sums, least, stage)
        cuts.append(chosen)
    ends = [len(weights)]
    for chosen in reversed(cuts):
        ends.append(chosen[ends[-1]])
    ends.append(0)
    return [range(start, end) for end, start in zip(ends[-2::-1], ends[:0:-1], strict=True)]


def fill(levels: Sequence[float], amount: float) -> list[float]:
    """Pour an amount onto levels so that the lowest rise to a common level.

    Args:
        levels: what is there already.
        amount: what is shared out, zero or more.

    Returns:
        What each gets; it adds up to the amount.

    Raises:
        UsageError: a number is not finite, or the amount is below zero, or there are no levels.

    Example:
        >>> fill([1.0, 4.0, 2.0], 3.0)
        [2.0, 0.0, 1.0]

    Source:
        Water filling, as for parallel channels: Cover and Thomas, "Elements of Information Theory", section 9.4.
    """
    if not levels or not all(map(math.isfinite, levels)) or not 0 <= amount < math.inf:
        raise UsageError(
            f"fill: levels={levels!r:.80}, amount={amount!r:.40}: finite numbers, at least one level, no amount below 0"
        )
    ranked = sorted(levels)
    below = list(accumulate(ranked))
    level = next(
        (amount + below[wet - 1]) / wet
        for wet in range(1, len(ranked) + 1)
        if wet == len(ranked) or (amount + below[wet - 1]) / wet <= ranked[wet]
    )
    return [max(0.0, level - each) for each in levels]


# --- what they are made of ---------------------------------------------------------------------------------------------


def _check(where: str, weights: Sequence[float], parts: int) -> None:
    if not isinstance(parts, int) or isinstance(parts, bool) or parts < 1:
        raise UsageError(f"{where}: {parts!r:.40} parts: a whole number, at least 1")
    for place, weight in enumerate(weights):
        if not 0 <= weight < math.inf:
            raise UsageError(f"{where}: weight {place} is {weight!r:.40}: a finite number, zero or more")


def _difference(weights: Sequence[float], parts: int, equal: bool) -> tuple[_Part, ...]:
    """The largest differencing method. A partial split lists its parts from the lightest on; where parts must have equally many
    weights, it begins with one for each."""
    ranked = sorted(range(len(weights)), key=lambda place: (-weights[place], place))
    step = parts if equal else 1
    heap: list[tuple[float, int, tuple[_Part, ...]]] = []
    for first in range(0, len(ranked), step):
        own: list[_Part] = [(float(weights[place]), (place,)) for place in ranked[first : first + step]]
        heap.append(_make_split([*own, *[(0.0, ())] * (parts - len(own))], first))
    heapq.heapify(heap)
    while len(heap) > 1:
        (_, first, one), (_, _, other) = heapq.heappop(heap), heapq.heappop(heap)
        pairs = zip(one, reversed(other), strict=True)  # the lightest with the heaviest
        heapq.heappush(heap, _make_split([(a + b, x + y) for (a, x), (b, y) in pairs], first))
    return heap[0][2] if heap else ((0.0, ()),) * parts


def _make_split(parts: list[_Part], first: int) -> tuple[float, int, tuple[_Part, ...]]:
    """A partial split as the heap keeps it: the most uneven first, and of equals the one of the heaviest weight."""
    parts.sort()
    return parts[0][0] - parts[-1][0], first, tuple(parts)


def _fill_lightest(weights: Sequence[float], parts: int, equal: bool) -> tuple[_Part, ...]:
    """The largest weight to the lightest part that has room, again and again (Graham, 1969)."""
    least, larger = divmod(len(weights), parts) if equal else (len(weights), 0)  # so many parts may have one more
    heap: list[_Part] = [(0.0, ())] * parts
    full: list[_Part] = []
    for place in sorted(range(len(weights)), key=lambda place: (-weights[place], place)):
        while len(heap[0][1]) == least and not larger:
            full.append(heapq.heappop(heap))
        total, places = heapq.heappop(heap)
        if len(places) < least:
            heapq.heappush(heap, (total + weights[place], (*places, place)))
        else:
            larger -= 1
            full.append((total + weights[place], (*places, place)))
    return (*full, *heap)


def _add_stage(sums: list[float], least: list[float], stages: int) -> tuple[list[float], list[int]]:
    """One stage more: for each number of links the heaviest stage of the best cut, and where its last stage begins."""
    best, chosen = [math.inf] * len(sums), [0] * len(sums)
    for end in range(stages + 1, len(sums)):
        cuts = range(stages, end)  # each stage before has a link
        heaviest = [(max(least[cut], sums[end] - sums[cut]), cut) for cut in _cross(cuts, least, sums, end)]
        best[end], chosen[end] = min(heaviest)
    return best, chosen


def _cross(cuts: range, least: list[float], sums: list[float], end: int) -> list[int]:
    """The cuts around which what is before becomes heavier than the last stage. The later the cut, the heavier the one and the
    lighter the other, so the best is one of them."""

    def lean(cut: int) -> float:
        return least[cut] - (sums[end] - sums[cut])

    at = bisect_left(cuts, 0.0, key=lean)
    return [cuts[place] for place in (at - 1, at) if 0 <= place < len(cuts)]
