"""Knapsack: rollouts go to the prompts on which they teach most.

A group of rollouts of which all succeed, or none does, has no gradient. What a group of N is worth is therefore the probability
that it is mixed, times how informative a mixed group of this prompt is. A further rollout is never worth more than the one before,
so giving them out one by one, each where it adds most, is optimal: `knapsack` does this. `solve_knapsack` is the dynamic program,
for values of any shape. Neither may give more or less than there is.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from headway.errors import UsageError
from headway.methods import settings


def rollout_value(count: int, rate: float) -> float:
    """What a group of rollouts of one prompt is worth: (1 - p^N - (1-p)^N) · p(1-p)².

    Args:
        count: rollouts of the group, N.
        rate: the prompt's rate of success, p, from 0 to 1.

    Returns:
        The value, without a unit; 0 for a prompt that always or never succeeds.

    Raises:
        UsageError: for a count below 0, or a rate that is no probability.

    Example:
        >>> round(rollout_value(2, 0.5), 4), round(rollout_value(8, 0.5), 4), rollout_value(8, 1.0)
        (0.0625, 0.124, 0.0)

    Source:
        Knapsack RL: Li et al., arXiv 2509.25849; after the idea of.
    """
    settings.whole_number("rollout_value", count=count)
    settings.probability("rollout_value", rate=rate)
    return _value(count, min(max(rate, 0.0), 1.0))


def smooth_rate(successes: int, tries: int) -> float:
    """A rate of success from few tries, never 0 or 1: (s + 1/2) / (n + 1).

    A prompt that failed in all of its tries would be worth nothing for ever, and never be tried enough to find out.

    Args:
        successes: tries that succeeded.
        tries: of that prompt, 0 where it was not tried.

    Returns:
        The rate.

    Raises:
        UsageError: they are no counts, or there are more successes than tries.

    Example:
        >>> smooth_rate(0, 8), smooth_rate(4, 8), smooth_rate(0, 0)
        (0.05555555555555555, 0.5, 0.5)
    """
    settings.whole_number("smooth_rate", successes=successes, tries=tries)
    if successes > tries:
        raise UsageError(f"smooth_rate: {successes} successes of {tries} tries")
    return (successes + 0.5) / (tries + 1)


def knapsack(rates: Sequence[float], total: int, *, fewest: int = 2, most: int = 128) -> list[int]:
    """Divide rollouts among prompts so that their groups are worth most together.

    It is an `Allocator`. Prompts that are worth the same get the same, within one: rates that are all alike, as in a round before
    anything is known, give equal shares. It departs in going one by one instead of solving a dynamic program: the value of a group
    is concave in its size, so both find the same total, and this takes total · log(prompts) steps.

    Args:
        rates: rates of success, from 0 to 1, in the order of the prompts, such as those of the last round (see `smooth_rate`).
        total: rollouts of all prompts together.
        fewest: rollouts that every prompt gets.
        most: rollouts that no prompt gets more than.

    Returns:
        The rollouts of each prompt. They add up to `total`.

    Raises:
        UsageError: there are no prompts, a rate is no probability, or `total` can't be divided between `fewest` and `most`.

    Example:
        >>> knapsack([0.5, 0.1, 1.0], 30)
        [7, 21, 2]
        >>> knapsack([0.5, 0.5, 0.5], 30)
        [10, 10, 10]

    Source:
        Knapsack RL: Li et al., arXiv 2509.25849; after the idea of.
    """
    _check("knapsack", len(rates), total, fewest, most)
    for rate in rates:
        settings.probability("knapsack", rate=rate)
    known = [min(max(rate, 0.0), 1.0) for rate in rates]
    counts = [fewest] * len(known)
    queue = [(_gain(fewest, rate), fewest, place) for place, rate in enumerate(known)]
    heapq.heapify(queue)
    for _ in range(total - fewest * len(known)):
        _, count, place = heapq.heappop(queue)
        counts[place] = count + 1
        if counts[place] < most:
            heapq.heappush(queue, (_gain(counts[place], known[place]), counts[place], place))
    return counts


def solve_knapsack(values: Sequence[Sequence[float]], total: int, *, fewest: int = 0) -> list[int]:
    """Divide units among things so that their values add up to the most, whatever shape the values have.

    Args:
        values: for each thing, what it is worth with 0 units, 1 unit, and so on; the last is the most that it takes.
        total: units to divide, all of them.
        fewest: units that everything gets.

    Returns:
        The units of each thing. They add up to `total`. It takes things · total · (units that one may take) steps.

    Raises:
        UsageError: there is nothing to divide among, a value is not finite, or `total` can't be divided.

    Example:
        >>> solve_knapsack([[0, 1, 1, 1], [0, 0, 0, 5]], 3)
        [0, 3]

    Source:
        The multiple-choice knapsack by dynamic programming (Kellerer, Pferschy, Pisinger, "Knapsack problems", 2004).
    """
    limits = [len(worth) - 1 for worth in values]
    if min(limits, default=0) < fewest:
        raise UsageError(f"solve_knapsack: values[{limits.index(min(limits))}] has no value for fewest={fewest}")
    _check("solve_knapsack", len(limits), total, fewest, min(limits, default=0), sum(limits))
    for place, worth in enumerate(values):
        if not all(math.isfinite(value) for value in worth):
            raise UsageError(f"solve_knapsack: values[{place}]={worth!r:.80}: finite numbers")
    best: dict[int, float] = {0: 0.0}
    takes: list[dict[int, int]] = []
    for worth in values:
        after: dict[int, float] = {}
        take: dict[int, int] = {}
        for used, value in best.items():
            for count in range(fewest, min(len(worth) - 1, total - used) + 1):
                if value + worth[count] > after.get(used + count, float("-inf")):
                    after[used + count], take[used + count] = value + worth[count], count
        best = after
        takes.append(take)
    counts, left = [], total
    for take in reversed(takes):
        counts.append(take[left])
        left -= take[left]
    return counts[::-1]


def _value(count: int, rate: float) -> float:
    return max(0.0, 1 - rate**count - (1 - rate) ** count) * rate * (1 - rate) ** 2


def _gain(count: int, rate: float) -> float:
    """What one more rollout adds, negative so that the smallest is the best. A group of none is worth as little as one of one."""
    mixed = rate**count * (1 - rate) + (1 - rate) ** count * rate if count else 0.0
    return -mixed * rate * (1 - rate) ** 2


def _check(where: str, number: int, total: int, fewest: int, most: int, room: int | None = None) -> None:
    settings.whole_number(where, total=total, fewest=fewest)
    settings.whole_number(where, least=fewest, most=most)
    if not number:
        raise UsageError(f"{where}: there is nothing to divide {total} among")
    room = most * number if room is None else room
    if not fewest * number <= total <= room:
        raise UsageError(f"{where}: total={total} can't be divided among {number}: from {fewest * number} to {room} can")
