"""Two halves of a test that are equally hard, so that methods are compared on one and the other is left for later.

Questions differ more than methods do. Two random halves of a small test differ by several points for one and the same method. Here
each question gets a partner that weak and strong solvers alike find as hard, and the two go into different halves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headway.errors import UsageError

Profile = Sequence[float]
"""How often solvers of several strengths answer a question right: a share for each, in the order of the solvers."""


def split_halves(profiles: Sequence[Profile]) -> tuple[list[int], list[int]]:
    """Split questions into two halves that solvers of every strength find equally hard.

    Questions are paired, the hardest to pair first, each with the nearest that is left; then each pair is laid so that what the
    halves differ by, summed over the pairs so far, stays least. Where the number is odd, the last question is in neither.

    It departs in pairing the nearest questions. The paper solves an assignment problem over item parameters, which it estimates
    from many pupils; here each solver's share of right answers is known, so no parameters are needed.

    Args:
        profiles: of each question, the share of tries that was right for each of the same solvers.

    Returns:
        The places of the questions of either half, in order.

    Raises:
        UsageError: there are fewer than two questions, or profiles differ in length or are no shares.

    Example:
        >>> split_halves([[0.1, 0.5], [0.9, 1.0], [0.2, 0.5], [0.8, 1.0]])
        ([0, 1], [2, 3])

    Source:
        Parallel tests for pupils from kindergarten to grade 12, assembled by assignment; after the idea of, from notes on it.
    """
    _check(profiles)
    left = list(range(len(profiles)))
    middle = [sum(column) / len(profiles) for column in zip(*profiles, strict=True)]
    left.sort(key=lambda place: -_distance(profiles[place], middle))
    halves: tuple[list[int], list[int]] = ([], [])
    ahead = [0.0] * len(middle)
    while len(left) > 1:
        one = left.pop(0)
        other = min(left, key=lambda place: (_distance(profiles[one], profiles[place]), place))
        left.remove(other)
        first, second = sorted((one, other))
        ways = [(first, second), (second, first)]
        after = [[a + x - y for a, x, y in zip(ahead, profiles[to], profiles[away], strict=True)] for to, away in ways]
        way = min((0, 1), key=lambda number: sum(x * x for x in after[number]))
        ahead = after[way]
        for half, place in zip(halves, ways[way], strict=True):
            half.append(place)
    return sorted(halves[0]), sorted(halves[1])


def _distance(one: Profile, other: Profile) -> float:
    return math.dist(one, other)


def _check(profiles: Sequence[Profile]) -> None:
    if len(profiles) < 2:
        raise UsageError(f"split_halves: {len(profiles)} questions: give two or more")
    for place, profile in enumerate(profiles):
        if len(profile) != len(profiles[0]) or not profile or not all(0 <= share <= 1 for share in profile):
            raise UsageError(
                f"split_halves: question {place} has {list(profile)!r:.80}: give {len(profiles[0])} shares from 0 to 1"
            )
