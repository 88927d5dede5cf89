"""What a prediction says, and the little statistics in it. Units are in the names: seconds, or amounts of what a run is paid in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headway.observe import words

SURE = 1.959964  # standard deviations to each side, for 95 of 100
WORTH = 0.1  # twice the workers for less than this part of the time are not worth it


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number came out over the trials: one in ten was below `p10`, one in ten above `p90`."""

    p10: float
    p50: float
    p90: float
    mean: float


def spread(values: Sequence[float]) -> Spread:
    """Where values lie: one in ten below, half, nine in ten, and their mean.

    >>> spread([1.0, 2.0, 3.0])
    Spread(p10=1.2, p50=2.0, p90=2.8, mean=2.0)
    """
    ranked = sorted(values)
    p10, p50, p90 = (_quantile(ranked, share) for share in (0.1, 0.5, 0.9))
    return Spread(p10, p50, p90, sum(ranked) / len(ranked))


def _quantile(ranked: Sequence[float], share: float) -> float:
    """Of sorted numbers, linear in between (R. J. Hyndman and Y. Fan, The American Statistician 50, 1996, type 7)."""
    place = share * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Chance:
    """The share of trials in which something held, and between what the probability is with 95 % confidence."""

    share: float
    low: float
    high: float


def chance(held: int, trials: int, *, certain: bool = False) -> Chance:
    """E. B. Wilson's interval (J. Am. Stat. Assoc. 22, 1927). `certain`: nothing is left to chance, one trial says it all.

    >>> chance(10, 10)
    Chance(share=1.0, low=0.7224671969739421, high=1.0)
    """
    share = held / trials
    if certain:
        return Chance(share, share, share)
    square = SURE * SURE
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = SURE / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return Chance(share, max(0.0, middle - half) if held else 0.0, min(1.0, middle + half) if held < trials else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What some number of workers would do."""

    workers: int
    trials: int
    makespan_s: Spread
    cost: Mapping[str, Spread]
    utilisation: float  # the part of the workers' time that was used, from 0 to 1, for lost calls too
    lost_calls: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What another order of the calls that wait would do. The trials draw the same durations, so they are compared one by one.

    Attributes:
        order: its name.
        makespan_s: how long the run would take.
        saved: the part of the time that it saves against the order of a run that was given none, on average; below zero where it
            takes longer.
        low: `saved` lies between this and `high` with 95 % confidence.
    """

    order: str
    makespan_s: Spread
    saved: float
    low: float
    high: float


def compare_orders(name: str, plain: Sequence[float], ordered: Sequence[float]) -> Ordered:
    """Compare the makespans of the same trials in two orders.

    >>> found = compare_orders("shortest", [10.0, 20.0, 30.0], [9.0, 18.0, 27.0])
    >>> round(found.saved, 2), round(found.low, 2), round(found.high, 2)
    (0.1, 0.1, 0.1)
    """
    shares = [1.0 - there / here if here else 0.0 for here, there in zip(plain, ordered, strict=True)]
    mean = sum(shares) / len(shares)
    variance = sum((share - mean) ** 2 for share in shares) / max(1, len(shares) - 1)
    half = SURE * math.sqrt(variance / len(shares))
    return Ordered(order=name, makespan_s=spread(ordered), saved=mean, low=mean - half, high=mean + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How long a workload will take, and what it will cost: the answer of `predict`.

    `makespans_s` are the trials one by one. `longest_path_s` and `work_s` are means, without failures: no number of workers beats
    the one, w workers don't beat the other divided by w.
    """

    name: str
    calls: int
    calls_on_workers: int
    pool: str  # whose calls occupy the workers
    workers: int
    mtbf_s: float | None
    repair_s: float
    trials: int
    seed: int
    certain: bool  # nothing was left to chance: all trials would be equal, so there was one
    makespan_s: Spread
    makespans_s: tuple[float, ...]
    cost: Mapping[str, Spread]
    utilisation: float
    lost_calls: Spread
    longest_path_s: float
    work_s: float
    within_s: float | None = None
    chance_in_time: Chance | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    chance_in_budget: Mapping[str, Chance] = field(default_factory=dict)
    curve: tuple[Point, ...] = ()  # by number of workers, the asked one included
    orders: tuple[Ordered, ...] = ()  # other orders, on the asked number of workers
    notes: tuple[str, ...] = ()

    @property
    def lower_bound_s(self) -> float:
        """What these workers can't beat on average."""
        return max(self.longest_path_s, self.work_s / self.workers)

    @property
    def enough_workers(self) -> int | None:
        """The fewest workers on the curve from which twice as many save less than a tenth of the time; None where the curve
        doesn't reach so far."""
        for here, there in zip(self.curve, self.curve[1:], strict=False):
            saved = 1.0 - there.makespan_s.p50 / here.makespan_s.p50 if here.makespan_s.p50 else 0.0
            doublings = math.log2(there.workers / here.workers)
            if saved < WORTH * doublings:
                return here.workers
        return None

    def conclusion(self) -> str:
        """The prediction in one or two sentences."""
        made = self.makespan_s
        said = f"{words.count(self.workers, 'worker')} will take {words.seconds(made.p50)}"
        if made.p90 > made.p10:
            said += f" ({words.seconds(made.p10)} to {words.seconds(made.p90)} in eight of ten trials)"
        if self.chance_in_time is not None and self.within_s is not None:
            said += f"; the chance to end within {words.seconds(self.within_s)} is {percent(self.chance_in_time)}"
        for unit, found in self.chance_in_budget.items():
            said += f"; the chance to spend no more than {words.amount(self.budget[unit])} {unit} is {percent(found)}"
        return f"{said}. {self._advice()}".strip()

    def _advice(self) -> str:
        enough = self.enough_workers
        path = f"the longest path takes {words.seconds(self.longest_path_s)}"
        if enough is None:
            best = min(self.curve, key=lambda point: point.makespan_s.p50, default=None)
            if best is None or best.workers <= self.workers:
                return ""
            return f"More workers help: {best.workers:,} would take {words.seconds(best.makespan_s.p50)}."
        if enough < self.workers:
            return f"{enough:,} would do nearly as well. More hardly help: {path}."
        if enough == self.workers:
            return f"More workers hardly help: {path}."
        there = next(point for point in self.curve if point.workers == enough)
        return f"More help, up to {enough:,} workers, which would take {words.seconds(there.makespan_s.p50)}; {path}."


def percent(found: Chance) -> str:
    """A chance with its interval, in percent.

    >>> percent(chance(97, 100)), percent(chance(1, 1, certain=True))
    ('97% (92% to 99%)', '100%')
    """
    if found.low == found.high:
        return f"{found.share:.0%}"
    return f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})"
