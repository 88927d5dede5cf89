"""What the compute-optimal choice saves, against the strongest other method and with intervals.

At each of its budgets it is compared twice: with the method that solves most for as many tokens, and with the one that solves as
many for the fewest. Who is strongest is seen on the questions that are measured on, which favours the others. The intervals are
from resampled questions (a paired bootstrap: both methods on the same ones)."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from headway.bench.search.program import Attempt

Curve: TypeAlias = list[tuple[float, float]]
"""Tokens per question and the share solved with them, the fewest tokens first."""

_RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Saving:
    """A method under a budget beside the strongest others.

    Attributes:
        budget: tokens per question.
        solved: the share that it solves.
        tokens: that it spends per question.
        for_as_much: the method that solves most for as many tokens; empty where none can do with so few.
        gain: the share that it solves more than that one.
        for_as_many: the method that solves as many for the fewest tokens; empty where none solves as many.
        cheaper: how many times the tokens that one needs; infinite where it never solves as many.
    """

    budget: int
    solved: float
    tokens: float
    for_as_much: str
    gain: Interval | None
    for_as_many: str
    cheaper: Interval | None


def savings(attempts: Sequence[Attempt], method: str, seed: int = 0) -> list[Saving]:
    """Compare a method with the strongest others, at each of its budgets."""
    table = Outcomes(attempts)
    everyone = list(range(len(table.questions)))
    rng = random.Random(seed)
    samples = [rng.choices(everyone, k=len(everyone)) for _ in range(_RESAMPLES)]
    curves = {name: table.curve(name, everyone) for name in table.methods if name != method}
    found = []
    for budget in table.methods[method]:
        tokens, solved = table.mean(method, budget, everyone)
        much = {name: share for name, curve in curves.items() if (share := solved_for(curve, tokens)) is not None}
        many = {name: needed for name, curve in curves.items() if (needed := tokens_for(curve, solved)) is not None}
        best = max(much, key=lambda name: much[name], default="")
        least = min(many, key=lambda name: many[name], default="")

        def gain(sample: list[int], best: str = best, budget: int = budget) -> float:
            tokens, solved = table.mean(method, budget, sample)
            return solved - (solved_for(table.curve(best, sample), tokens) or 0.0)

        def cheaper(sample: list[int], least: str = least, budget: int = budget) -> float:
            tokens, solved = table.mean(method, budget, sample)
            return (tokens_for(table.curve(least, sample), solved) or float("inf")) / tokens

        found.append(
            Saving(
                budget,
                solved,
                tokens,
                best,
                _interval(gain, everyone, samples) if best else None,
                least,
                _interval(cheaper, everyone, samples) if least else None,
            )
        )
    return found


class Outcomes:
    """Attempts by method, budget and question.

    Attributes:
        questions: the numbers of the questions; samples are of their places.
        methods: of each method and budget, the tokens and the success at each place.
    """

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self.questions = sorted({each.question for each in attempts})
        place = {question: at for at, question in enumerate(self.questions)}
        self.methods: defaultdict[str, dict[int, list[tuple[float, float]]]] = defaultdict(dict)
        for each in attempts:
            row = self.methods[each.method].setdefault(each.budget, [(0.0, 0.0)] * len(place))
            row[place[each.question]] = (each.tokens, float(each.solved))

    def mean(self, method: str, budget: int, sample: Sequence[int]) -> tuple[float, float]:
        """Tokens and share solved, over questions by their places."""
        row = self.methods[method][budget]
        return sum(row[at][0] for at in sample) / len(sample), sum(row[at][1] for at in sample) / len(sample)

    def curve(self, method: str, sample: Sequence[int]) -> Curve:
        return sorted(self.mean(method, budget, sample) for budget in self.methods[method])


def tokens_for(curve: Curve, solved: float) -> float | None:
    """The tokens at which a curve reaches a share, on the line between its points; None where it doesn't.

    >>> tokens_for([(10, 0.2), (30, 0.6)], 0.4), tokens_for([(10, 0.2)], 0.9)
    (20.0, None)
    """
    for number, (tokens, share) in enumerate(curve):
        if share >= solved:
            if number == 0 or share == curve[number - 1][1]:
                return tokens
            before, least = curve[number - 1]
            return before + max(0.0, (solved - least) / (share - least)) * (tokens - before)
    return None


def solved_for(curve: Curve, tokens: float) -> float | None:
    """The share that a curve reaches with some tokens, on the line between its points; None where it needs more for its first.

    >>> solved_for([(10, 0.2), (30, 0.6)], 20), solved_for([(10, 0.2), (30, 0.6)], 99), solved_for([(10, 0.2)], 9)
    (0.4, 0.6, None)
    """
    after = bisect_left(curve, (tokens, -1.0))
    if after == len(curve):
        return max(share for _, share in curve)
    there, share = curve[after]
    if there == tokens:
        return share
    if after == 0:
        return None
    before, least = curve[after - 1]
    return least + (tokens - before) / (there - before) * (share - least)


def _interval(of: Callable[[list[int]], float], everyone: list[int], samples: Sequence[list[int]]) -> Interval:
    values = sorted(of(sample) for sample in samples)
    return Interval(of(everyone), values[round(0.025 * (len(values) - 1))], values[round(0.975 * (len(values) - 1))])
