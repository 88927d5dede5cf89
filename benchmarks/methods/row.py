"""A row of the catalogue: what a method must show here, how it is measured, and what came of it.

A module of this folder lists its rows as `ROWS`. A `Row` is measured, seed by seed, against the strongest simple baseline; a `Held`
is a promise that tests hold and that has no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, NamedTuple

# the 97.5 % quantile of Student's t, by degrees of freedom from 1 on
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
FEWEST = 3  # seeds of a row that has chance in it


class Pair(NamedTuple):
    """What one seed gave: our figure, and that of the baseline, in the unit of the row."""

    ours: float
    baseline: float


class Interval(NamedTuple):
    """A mean over seeds, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is measured of a method.

    Attributes:
        method: what people call it.
        function: the dotted name of what implements it; its docstring names the paper and says where it departs.
        item: the room it belongs to ("search", "allocate", "schedule", "workloads", "catalogue").
        claim: what the paper claims, in one line.
        shows: what must hold here.
        baseline: what it is compared with: the strongest simple way.
        unit: of both figures.
        measure: gives both figures for a seed, always the same ones.
        compare: whether ours is compared with the baseline by their ratio or their difference, seed by seed.
        reached: whether the property holds, from the bounds of the 95 % interval of that comparison.
        test: the test of the property, as pytest names it.
        seeds: how many; `exact` where chance has no part and one is enough.
        first_seed: the first of them. Settings are chosen on others.
        reason: why it is not reached, where it isn't.
        slow: it takes minutes, and is measured only by name or with --slow.
    """

    method: str
    function: str
    item: str
    claim: str
    shows: str
    baseline: str
    unit: str
    measure: Callable[[int], Pair]
    reached: Callable[[float, float], bool]
    test: str
    compare: Literal["ratio", "difference"] = "ratio"
    seeds: int = 5
    first_seed: int = 0
    exact: bool = False
    reason: str = ""
    slow: bool = False

    def __post_init__(self) -> None:
        if not self.exact and self.seeds < FEWEST:
            raise ValueError(f"{self.name}: {self.seeds} seeds: at least {FEWEST}, or exact=True where chance has no part")

    @property
    def name(self) -> str:
        """What tells it from all other rows."""
        return f"{self.method}: {self.shows}"

    @property
    def numbers(self) -> range:
        """The seeds that it is measured on."""
        return range(self.first_seed, self.first_seed + (1 if self.exact else self.seeds))


@dataclass(frozen=True, kw_only=True)
class Held:
    """A promise without a number, and the tests that hold it."""

    item: str
    promise: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return self.promise


def compare(row: Row, pairs: Sequence[Pair]) -> Interval:
    """Compare ours with the baseline over all seeds. A ratio is averaged by its logarithm, where there is one."""
    if row.compare == "difference":
        return interval([ours - baseline for ours, baseline in pairs])
    ratios = [ours / baseline if baseline else math.copysign(math.inf, ours) if ours else 1.0 for ours, baseline in pairs]
    if all(0 < ratio < math.inf for ratio in ratios):
        return Interval(*map(math.exp, interval([math.log(ratio) for ratio in ratios])))
    return interval(ratios)


def interval(values: Sequence[float]) -> Interval:
    """The mean of values, and its 95 % interval by Student's t; of one value, the value alone.

    >>> [round(bound, 2) for bound in interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    mean = fmean(values)
    if len(values) == 1 or not math.isfinite(mean):
        return Interval(mean, mean, mean)
    half = _T[min(len(values) - 2, len(_T) - 1)] * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
