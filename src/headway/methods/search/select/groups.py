"""Groups what is near each other: average linkage, from distances to places. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.search.allocators import cosine


def average_linkage(distances: Sequence[Sequence[float]], within: float) -> list[list[int]]:
    """Join the two groups whose mean distance is the least, as long as it is at most `within`.

    Args:
        distances: of every two things, symmetric; the diagonal does not count.
        within: the largest mean distance of two groups that are joined.

    Returns:
        The places of each group, in order; groups in the order of their first places.

    Raises:
        UsageError: a row has another length, or a distance is no finite number.

    Example:
        >>> average_linkage([[0, 9, 1], [9, 0, 8], [1, 8, 0]], within=2)
        [[0, 2], [1]]
    """
    apart = [[float(distance) for distance in row] for row in distances]
    for row in apart:
        if len(row) != len(apart) or not all(map(math.isfinite, row)):
            raise UsageError(f"average_linkage: distances: give {len(apart)} finite numbers for each of {len(apart)}")
    settings.number("average_linkage", within=within)
    groups = [[place] for place in range(len(apart))]
    while len(groups) > 1:
        least, other, one = min((apart[i][j], i, j) for i in range(len(groups)) for j in range(i))
        if least > within:
            break
        _join(groups, apart, one, other)
    return sorted(map(sorted, groups))


def _join(groups: list[list[int]], apart: list[list[float]], one: int, other: int) -> None:
    """Join two groups, the later into the earlier. The distance from the joint group is the mean over its members."""
    a, b = len(groups[one]), len(groups[other])
    for at in range(len(groups)):
        apart[one][at] = apart[at][one] = (a * apart[one][at] + b * apart[other][at]) / (a + b)
    groups[one] += groups.pop(other)
    apart.pop(other)
    for row in apart:
        row.pop(other)


def group_by_angle(vectors: Sequence[Sequence[float]], within: float = 0.05) -> list[int]:
    """Group vectors by average linkage over their cosine distances.

    Args:
        vectors: of one length; one of length zero is at distance 1 from all.
        within: the largest mean cosine distance of two groups that are joined, from 0 to 2.

    Returns:
        The number of each vector's group, from 0, in the order in which groups first occur.

    Raises:
        UsageError: the vectors differ in length or are not finite, or `within` is no distance.

    Example:
        >>> group_by_angle([[1, 0], [0, 1], [1, 0.1]])
        [0, 1, 0]
    """
    settings.number("group_by_angle", 0, 2, within=within)
    numbers = [0] * len(vectors)
    for number, group in enumerate(average_linkage([[1 - value for value in row] for row in cosine(vectors)], within)):
        for place in group:
            numbers[place] = number
    return numbers
