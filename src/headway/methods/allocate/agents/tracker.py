"""Tracks how much of a budget is left, and what an agent should do about it: the decisions of BATS.

tracker = Tracker(hw.remaining())                  # at the start
tracker.regime(hw.remaining())                     # Regime('medium', …): two new branches at once, not four
tracker.report(hw.remaining())                     # "searches: 64 used, 36 left …", for a prompt
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.records import Verdict

Decision = Literal["success", "continue", "pivot"]


class Regime(NamedTuple):
    """How to act while at least so much of the budget is left.

    Attributes:
        name: what it is called.
        above: the share of the budget from which on it holds.
        branches: how many new branches are opened at once; 0 opens none.
        enough: the score from which on an open branch is worth digging, instead of opening others.
        patience: how often one lead of a map is tried before others are.
    """

    name: str
    above: float
    branches: int
    enough: float
    patience: int = 1


REGIMES = (
    Regime("high", 0.7, 4, 0.5, 4),
    Regime("medium", 0.3, 2, 0.4, 3),
    Regime("low", 0.1, 1, 0.2, 2),
    Regime("critical", 0.0, 0, 0.0, 1),
)
"""Shares and branches are the paper's; what is enough, and the patience, are ours."""


class Move(NamedTuple):
    """What to do next: dig at an open branch, by its place, or open so many others."""

    dig: int | None = None
    branches: int = 0


@dataclass(frozen=True)
class Tracker:
    """How much of a budget is left, and what follows from it. Pure.

    Attributes:
        total: the amounts at the start, by unit, as `hw.remaining()` gives them.
        regimes: from plenty to little; the last holds from a share of 0 on.
        least: the score that a branch must have to be dug at all; the rest of the budget is saved where no branch has it and no
            other may be opened.

    Raises:
        UsageError: nothing is bounded, an amount is no number from zero on, or the regimes are not in order.

    Example:
        >>> tracker = Tracker({"searches": 100, "pages": 50})
        >>> tracker.share({"searches": 80, "pages": 20}), tracker.regime({"searches": 80, "pages": 20}).name
        (0.4, 'medium')
        >>> tracker.report({"searches": 80, "pages": 20})
        'medium: searches 20 used, 80 left; pages 30 used, 20 left'
    """

    total: Mapping[str, float]
    regimes: tuple[Regime, ...] = REGIMES
    least: float = 0.0

    def __post_init__(self) -> None:
        if not self.total:
            raise UsageError("Tracker: total= names no unit: there is no budget to track. Open one: with hw.budget(calls=100)")
        settings.finite("Tracker", **dict(self.total))
        settings.number("Tracker", least=self.least)
        shares = [regime.above for regime in self.regimes]
        if not shares or shares[-1] != 0 or any(low >= high for high, low in pairwise(shares)):
            raise UsageError(f"Tracker: regimes= begin at {shares}: shares that fall, and the last one 0")
        for regime in self.regimes:
            settings.probability("Tracker", above=regime.above)
            settings.whole_number("Tracker", branches=regime.branches)
            settings.at_least_one("Tracker", patience=regime.patience)
            settings.number("Tracker", enough=regime.enough)

    def share(self, left: Mapping[str, float]) -> float:
        """The share that is left of the unit that is nearest to its end.

        Args:
            left: what is left of each unit.

        Returns:
            From 0 to 1.
        """
        return min(max(0.0, left.get(unit, 0.0)) / amount if amount else 0.0 for unit, amount in self.total.items())

    def regime(self, left: Mapping[str, float]) -> Regime:
        """How to act with so much left.

        Args:
            left: what is left of each unit.

        Returns:
            The first regime that holds.
        """
        share = self.share(left)
        return next(regime for regime in self.regimes if share >= regime.above)

    def report(self, left: Mapping[str, float]) -> str:
        """Say what is used and left, for a prompt.

        Args:
            left: what is left of each unit.

        Returns:
            A line, which begins with the regime.
        """
        units = (
            f"{unit} {amount - left.get(unit, 0.0):g} used, {left.get(unit, 0.0):g} left" for unit, amount in self.total.items()
        )
        return f"{self.regime(left).name}: {'; '.join(units)}"

    def steps(self, left: Mapping[str, float], made: int) -> float:
        """How many more steps it pays for, each at the mean cost of those that were made.

        Args:
            left: what is left of each unit.
            made: how many steps were made since the start.

        Returns:
            Steps; infinite before the first.
        """
        used = {unit: amount - left.get(unit, 0.0) for unit, amount in self.total.items()}
        return min((left.get(unit, 0.0) * made / spent for unit, spent in used.items() if spent > 0), default=math.inf)

    def decide(
        self,
        left: Mapping[str, float],
        scores: Sequence[float],
        needs: Sequence[float] = (),
        *,
        new: float = 0.0,
        steps: float = math.inf,
    ) -> Move | None:
        """Dig at the best open branch, or open others, or end.

        No branch is dug that can't be finished, and none is opened where that would leave too little to dig at all.

        Args:
            left: what is left of each unit.
            scores: how promising the open branches are.
            needs: how many steps each of them takes to its answer, as far as one knows; none for no more than one.
            new: how many steps a branch takes once it is open.
            steps: how many steps are left.

        Returns:
            The move; None where nothing that is worth it can be finished, and no more branches may be opened.

        Example:
            >>> tracker = Tracker({"searches": 10})
            >>> [tracker.decide({"searches": left}, [0.1, 0.3]) for left in (9, 2)]
            [Move(dig=None, branches=4), Move(dig=1, branches=0)]
            >>> [tracker.decide({"searches": 9}, [0.1, 0.3], [8, 8], new=8, steps=steps) for steps in (8.5, 7)]
            [Move(dig=1, branches=0), None]
        """
        regime = self.regime(left)
        needs = needs or [0.0] * len(scores)
        best = max((place for place, need in enumerate(needs) if need <= steps), key=lambda place: scores[place], default=None)
        spare = steps - (new if best is None else min(new, needs[best]))
        more = min(regime.branches, max(0, math.floor(spare)) if spare < math.inf else regime.branches)
        if best is not None and scores[best] >= self.least and (scores[best] >= regime.enough or not more):
            return Move(dig=best)
        return Move(branches=more) if more else None


def judge_labels(labels: Mapping[str, bool | None]) -> Verdict:
    """Judge an answer by the constraints of its question, as a verifier has labelled them.

    Args:
        labels: for each constraint: satisfied (True), contradicted (False), or None where it can't be verified.

    Returns:
        Right where all are satisfied, wrong where one is contradicted, else unknown. Its feedback names the others.

    Raises:
        UsageError: there are no labels.

    Example:
        >>> [judge_labels({"a city": True, "before 1900": label}).ok for label in (True, None, False)]
        [True, None, False]
    """
    if not labels:
        raise UsageError("judge_labels: labels={}: at least one constraint; an answer that nothing is asked of is no answer")
    wrong = [name for name, label in labels.items() if label is False]
    open_ = [name for name, label in labels.items() if label is None]
    said = [f"{what}: {', '.join(names)}" for what, names in (("contradicted", wrong), ("unverifiable", open_)) if names]
    return Verdict(False if wrong else None if open_ else True, feedback="; ".join(said))


def decide_after(verdict: Verdict, regime: Regime) -> Decision:
    """What follows from a verdict on an answer.

    Args:
        verdict: of the answer.
        regime: what is left allows.

    Returns:
        "success" where it is right, "pivot" where it is wrong. What is unknown is worth going on with ("continue") as long as there
        is a budget for it.

    Example:
        >>> [decide_after(Verdict(ok), REGIMES[0]) for ok in (True, None, False)], decide_after(Verdict(None), REGIMES[-1])
        (['success', 'continue', 'pivot'], 'pivot')
    """
    if verdict.ok is not None:
        return "success" if verdict.ok else "pivot"
    return "continue" if regime.branches else "pivot"


def unified_cost(spent: Mapping[str, float], prices: Mapping[str, float]) -> float:
    """What was spent, in one currency: tokens and calls of tools, each at its price.

    Args:
        spent: by unit, as `budget.spent` gives it. Tokens that were read from a cache are a unit of their own, if they are cheaper.
        prices: of one of each unit; 0 for what is free.

    Returns:
        The sum, in the currency of the prices.

    Raises:
        UsageError: a unit has no price, or a number is none from zero on.

    Example:
        >>> prices = {"tokens": 0.00001, "cached_tokens": 0.000001, "searches": 0.002}
        >>> round(unified_cost({"tokens": 4000, "cached_tokens": 10_000, "searches": 3}, prices), 6)
        0.056
    """
    settings.finite("unified_cost", **dict(spent))
    settings.finite("unified_cost", **dict(prices))
    if missing := sorted(spent.keys() - prices.keys()):
        raise UsageError(f"unified_cost: {missing[0]!r} has no price; prices= has: {', '.join(prices) or 'none'}")
    return sum(amount * prices[unit] for unit, amount in spent.items())
