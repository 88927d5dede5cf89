"""Who does what, one task each: the best assignment, found exactly.

    assign([[4, 1, 3], [2, 0, 5], [3, 2, 2]])          # [1, 0, 2]: the cheapest task for each row

Rows are those who work, columns what there is to do. It is pure and needs nothing else; `learned` has a policy that comes close
without being told what an assignment is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headway.errors import UsageError

Matrix = Sequence[Sequence[float]]


def assign(costs: Matrix, *, maximize: bool = False) -> list[int]:
    """Give each row a column of its own, so that the sum of what they cost is the least.

    Args:
        costs: what each row costs with each column; infinity where it can't have it. As many columns as rows, or more.
        maximize: whether the numbers are worths, whose sum is to be the largest; minus infinity where a row can't have a column.

    Returns:
        The column of each row.

    Raises:
        UsageError: rows are of unequal lengths, there are fewer columns than rows, a number is NaN, or every assignment gives some
            row a column that it can't have.

    Example:
        >>> assign([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
        [1, 0, 2]

    Source:
        Kuhn, "The Hungarian method for the assignment problem" (1955), with shortest augmenting paths (Jonker and Volgenant, 1987).
    """
    _check(costs, math.inf if not maximize else -math.inf)
    signed = [[-cost for cost in row] for row in costs] if maximize else costs
    columns = len(costs[0]) if costs else 0
    row_price, column_price = [0.0] * len(costs), [0.0] * columns
    owner = [-1] * columns
    for row in range(len(costs)):
        _augment(signed, row, row_price, column_price, owner)
    found = [-1] * len(costs)
    for column, row in enumerate(owner):
        if row >= 0:
            found[row] = column
    return found


def _augment(costs: Matrix, start: int, row_price: list[float], column_price: list[float], owner: list[int]) -> None:
    """Give one more row a column, along the cheapest path of rows that change theirs (Dijkstra's, on reduced costs)."""
    columns = len(owner)
    least, before, seen = [math.inf] * columns, [-1] * columns, [False] * columns
    column, row, reached = -1, start, 0.0
    paths: list[tuple[int, int]] = []  # columns seen, with the rows that had them
    while True:
        for other in range(columns):
            if not seen[other]:
                detour = reached + costs[row][other] - row_price[row] - column_price[other]
                if detour < least[other]:
                    least[other], before[other] = detour, column
        nearest = min((other for other in range(columns) if not seen[other]), key=least.__getitem__, default=-1)
        if nearest < 0 or least[nearest] == math.inf:
            raise UsageError(f"assign: row {start} has no column left: what it can have is all that others can have, too")
        reached, column, seen[nearest] = least[nearest], nearest, True
        if owner[nearest] < 0:
            break
        row = owner[nearest]
        paths.append((nearest, row))
    row_price[start] += reached
    for other, its_row in paths:
        row_price[its_row] += reached - least[other]
        column_price[other] -= reached - least[other]
    while column >= 0:
        owner[column] = owner[before[column]] if before[column] >= 0 else start
        column = before[column]


def _check(costs: Matrix, impossible: float) -> None:
    for number, row in enumerate(costs):
        if len(row) != len(costs[0]):
            raise UsageError(f"assign: row {number} has {len(row)} columns, row 0 has {len(costs[0])}")
        for column, cost in enumerate(row):
            if math.isnan(cost) or cost == -impossible:
                raise UsageError(
                    f"assign: row {number}, column {column} is {cost!r}: a number, or {impossible} where it can't be had"
                )
    if costs and len(costs[0]) < len(costs):
        raise UsageError(f"assign: {len(costs)} rows for {len(costs[0])} columns: some would have none")
