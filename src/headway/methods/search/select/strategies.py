"""Which strategy suits which difficulty: fitted from trials, used as a table. Pure.

A trial is one question answered by one strategy; a strategy is a method with its settings, so a larger one is another strategy.
Questions are put in bins of equal size by their estimated difficulty, and a budget (the mean cost per question) is spent where it
pays. Every bin begins with its cheapest strategy. Then, as long as the budget covers it, the next step to a dearer strategy is the
one that gains the most right answers for its cost, in whichever bin it is. Snell et al. (arXiv 2408.03314) give every question of a
budget the same amount and choose how to use it; here the amount for each bin is chosen as well.

How good a table is can be said only on questions that it was not fitted on: `cross_validate`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.records import Trial


@dataclass(frozen=True, slots=True)
class StrategyTable:
    """A strategy for each bin of difficulty and each budget.

    Attributes:
        edges: part the bins of difficulty, from low to high.
        budgets: what a question may cost, from low to high.
        choices: the name of a strategy by bin and place of the budget: `choices[bin][place]`.

    Raises:
        UsageError: edges or budgets do not go up, or there are not as many choices as bins and budgets.
    """

    edges: tuple[float, ...]
    budgets: tuple[float, ...]
    choices: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for name, values in (("edges", self.edges), ("budgets", self.budgets)):
            if any(not one < other for one, other in pairwise(values)) or any(map(math.isnan, values)):
                raise UsageError(f"StrategyTable: {name}={values!r:.80}: numbers that go up")
        sizes = {len(row) for row in self.choices}
        if len(self.choices) != len(self.edges) + 1 or sizes != {len(self.budgets)} or not self.budgets:
            wanted = (
                f"{len(self.edges) + 1} rows, one more than edges, each with a strategy for each of {len(self.budgets)} budgets"
            )
            raise UsageError(f"StrategyTable: choices={self.choices!r:.80}: {wanted}")

    def choose(self, difficulty: float, budget: float) -> str:
        """Choose the strategy for a question.

        Args:
            difficulty: of the question.
            budget: what it may cost. The largest fitted budget that it covers counts, or else the least.

        Returns:
            The name of the strategy.
        """
        settings.number("StrategyTable.choose", difficulty=difficulty, budget=budget)
        place = max(0, bisect_right(self.budgets, budget * (1 + 1e-9)) - 1)
        return self.choices[bisect_right(self.edges, difficulty)][place]


@dataclass(frozen=True, slots=True)
class Mean:
    """A strategy over some questions: the share that it got right, and what it cost per question."""

    right: float
    cost: float


def fit(trials: Collection[Trial], budgets: Collection[float], bins: int = 5) -> StrategyTable:
    """Find the strategies that are right most often for each mean cost per question.

    Args:
        trials: how strategies did on questions.
        budgets: mean costs per question, in the unit of the trials. Where one does not even cover the cheapest strategy of every
            bin, those are chosen.
        bins: how many bins of difficulty.

    Returns:
        The table.

    Raises:
        UsageError: there is nothing to fit.

    Example:
        >>> trials = [Trial("q", 0.2, "sample", right=0.9, cost=10.0), Trial("q", 0.2, "beam", right=0.8, cost=5.0)]
        >>> table = fit(trials, budgets=[20.0], bins=1)
        >>> table.choose(difficulty=0.3, budget=20.0)
        'sample'
    """
    settings.at_least_one("fit", bins=bins)
    for budget in budgets:
        settings.number("fit", budgets=budget)
    if not trials or not budgets:
        raise UsageError("fit: no trials to fit a table from" if not trials else "fit: no budgets to fit a table for")
    difficulties = sorted({trial.question: trial.difficulty for trial in trials}.values())
    edges = tuple(sorted({difficulties[len(difficulties) * place // bins] for place in range(1, bins)} - {difficulties[0]}))
    inside: list[list[Trial]] = [[] for _ in range(len(edges) + 1)]
    for trial in trials:
        inside[bisect_right(edges, trial.difficulty)].append(trial)
    shares = [len({trial.question for trial in some}) / len(difficulties) for some in inside]
    ladders = [_ladder(means_of(some)) for some in inside]
    ordered = tuple(sorted(set(budgets)))
    chosen = [_allocate(ladders, shares, budget) for budget in ordered]
    return StrategyTable(edges, ordered, tuple(tuple(row[place] for row in chosen) for place in range(len(ladders))))


@dataclass(frozen=True, slots=True)
class Comparison:
    """On questions that nothing was fitted on: what the table's choice was under each budget, and what each strategy was alone."""

    chosen: dict[float, Mean]
    strategies: dict[str, Mean]


def cross_validate(trials: Collection[Trial], budgets: Collection[float], bins: int = 5, folds: int = 2) -> Comparison:
    """Fit on all folds but one and look at that one, for each fold.

    Every question is in one fold, with all its trials. Questions are dealt to the folds in the order of their difficulty, so that
    all folds have easy and hard ones.

    Args:
        trials: how strategies did on questions.
        budgets: mean costs per question, in the unit of the trials.
        bins: how many bins of difficulty.
        folds: how many folds.

    Returns:
        How well the chosen strategies did under each budget, and how well each strategy did alone.

    Raises:
        UsageError: there are fewer than two questions.

    Example:
        >>> trials = [
        ...     Trial(question, 0.5, strategy, right=right, cost=cost)
        ...     for question in ("q1", "q2")
        ...     for strategy, right, cost in (("sample", 0.9, 10.0), ("beam", 0.5, 5.0))
        ... ]
        >>> cross_validate(trials, budgets=[20.0], bins=1).chosen
        {20.0: Mean(right=0.9, cost=10.0)}
    """
    settings.whole_number("cross_validate", least=2, folds=folds)
    settings.at_least_one("cross_validate", bins=bins)
    if len({trial.question for trial in trials}) < 2:
        raise UsageError("cross_validate: fewer than two questions: it fits on some of them and looks at the others")
    order = {question: place for place, (_, question) in enumerate(sorted({(t.difficulty, t.question) for t in trials}))}
    followed: defaultdict[float, list[Trial]] = defaultdict(list)
    for fold in range(folds):
        table = fit([trial for trial in trials if order[trial.question] % folds != fold], budgets, bins)
        for trial in trials:
            for budget in table.budgets if order[trial.question] % folds == fold else ():
                if trial.strategy == table.choose(trial.difficulty, budget):
                    followed[budget].append(trial)
    return Comparison({budget: _mean(some) for budget, some in followed.items()}, means_of(trials))


def means_of(trials: Collection[Trial]) -> dict[str, Mean]:
    """Each strategy over its trials."""
    of: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        of[trial.strategy].append(trial)
    return {name: _mean(some) for name, some in sorted(of.items())}


@dataclass(frozen=True, slots=True)
class _Rung:
    strategy: str
    mean: Mean
    gain: float  # of right answers for each unit of cost, over the rung below


def _ladder(means: dict[str, Mean]) -> list[_Rung]:
    """The strategies that are worth their cost: the cheapest one, then always the one that gains most for what it costs more."""
    name = min(means, key=lambda each: (means[each].cost, -means[each].right))
    rungs = [_Rung(name, means[name], float("inf"))]
    while True:
        at = rungs[-1].mean
        above = [
            _Rung(each, mean, (mean.right - at.right) / (mean.cost - at.cost))
            for each, mean in means.items()
            if mean.right > at.right and mean.cost > at.cost
        ]
        if not above:
            return rungs
        rungs.append(max(above, key=lambda rung: (rung.gain, rung.mean.cost)))


def _allocate(ladders: Sequence[Sequence[_Rung]], shares: Sequence[float], budget: float) -> list[str]:
    """Choose a strategy for each bin: go up the ladders, the step with the largest gain first, as far as the budget goes."""
    at = [0] * len(ladders)
    left = budget - sum(share * ladder[0].mean.cost for share, ladder in zip(shares, ladders, strict=True))
    climbing = {place for place, ladder in enumerate(ladders) if len(ladder) > 1}
    while climbing:
        place = max(sorted(climbing), key=lambda each: ladders[each][at[each] + 1].gain)
        here, above = ladders[place][at[place]], ladders[place][at[place] + 1]
        price = shares[place] * (above.mean.cost - here.mean.cost)
        if price > left:
            climbing.discard(place)
            continue
        left -= price
        at[place] += 1
        if at[place] + 1 == len(ladders[place]):
            climbing.discard(place)
    return [ladder[rung].strategy for ladder, rung in zip(ladders, at, strict=True)]


def _mean(trials: Sequence[Trial]) -> Mean:
    return Mean(sum(trial.right for trial in trials) / len(trials), sum(trial.cost for trial in trials) / len(trials))
