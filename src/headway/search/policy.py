"""Which strategy suits which difficulty under which budget: fitted from trials, used as a table. Pure.

A trial is one question answered by one strategy under one budget. Questions are put in bins of equal size by their estimated
difficulty; for each bin and budget the strategy that was right most often is chosen. How good such a policy is can be said only on
questions that it was not fitted on: `cross_validate`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headway.errors import UsageError


@dataclass(frozen=True, slots=True)
class Trial:
    """How a strategy did on a question. `difficulty`: from 0 (easy) to 1, as estimated before. `budget`: what it was allowed.
    `right`: the share of tries that were right, 0 to 1. `cost`: what it took of its budget."""

    question: str
    difficulty: float
    strategy: str
    budget: float
    right: float
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """A strategy for each bin of difficulty and each budget. `edges` part the bins; `choices[bin][place of the budget]`."""

    edges: tuple[float, ...]
    budgets: tuple[float, ...]
    choices: tuple[tuple[str, ...], ...]

    def choose(self, difficulty: float, budget: float) -> str:
        """The strategy for a question of this difficulty, of the largest fitted budget that `budget` covers, or of the least."""
        place = max(0, bisect_right(self.budgets, budget * (1 + 1e-9)) - 1)
        return self.choices[bisect_right(self.edges, difficulty)][place]


def fit(trials: Collection[Trial], bins: int = 5) -> Policy:
    """The policy that is right most often on these trials. In a bin without trials of a budget, the strategy that is best over
    all bins. What is less than a standard error behind the best is as good as it (Breiman et al., 1984): of those the one that cost
    least, then the one that is right more often, then the first by name.

    Raises UsageError where there is nothing to fit.
    """
    if not trials:
        raise UsageError("fit: no trials to fit a policy from")
    difficulties = sorted({trial.question: trial.difficulty for trial in trials}.values())
    edges = tuple(sorted({difficulties[len(difficulties) * place // bins] for place in range(1, bins)} - {difficulties[0]}))
    budgets = tuple(sorted({trial.budget for trial in trials}))
    choices = []
    for place in range(len(edges) + 1):
        inside = [trial for trial in trials if bisect_right(edges, trial.difficulty) == place]
        choices.append(
            tuple(_strongest([t for t in inside if t.budget == b] or [t for t in trials if t.budget == b]) for b in budgets)
        )
    return Policy(edges, budgets, tuple(choices))


@dataclass(frozen=True, slots=True)
class Comparison:
    """On questions that nothing was fitted on: how often the policy was right under each budget, and how often each strategy
    alone was."""

    policy: dict[float, float]
    strategies: dict[str, dict[float, float]]


def cross_validate(trials: Collection[Trial], bins: int = 5, folds: int = 2) -> Comparison:
    """Fit on all folds but one and look at that one, for each; every question is in one fold, with all its trials.

    Questions are dealt to the folds in the order of their difficulty, so that all folds have easy and hard ones.
    """
    order = {question: place for place, (_, question) in enumerate(sorted({(t.difficulty, t.question) for t in trials}))}
    followed: list[Trial] = []
    for fold in range(folds):
        policy = fit([trial for trial in trials if order[trial.question] % folds != fold], bins)
        held_out = [trial for trial in trials if order[trial.question] % folds == fold]
        followed += [trial for trial in held_out if trial.strategy == policy.choose(trial.difficulty, trial.budget)]
    strategies = sorted({trial.strategy for trial in trials})
    return Comparison(
        _by_budget(followed), {name: _by_budget([trial for trial in trials if trial.strategy == name]) for name in strategies}
    )


def _strongest(trials: Sequence[Trial]) -> str:
    of = {name: [trial for trial in trials if trial.strategy == name] for name in sorted({trial.strategy for trial in trials})}
    right = {name: _mean([trial.right for trial in some]) for name, some in of.items()}
    best = max(of, key=lambda name: right[name])
    error = math.sqrt(right[best] * (1 - right[best]) / len(of[best]))
    good = [name for name in of if right[name] >= right[best] - error]
    return min(good, key=lambda name: (_mean([trial.cost for trial in of[name]]), -right[name]))


def _by_budget(trials: Sequence[Trial]) -> dict[float, float]:
    return {budget: _mean([t.right for t in trials if t.budget == budget]) for budget in sorted({t.budget for t in trials})}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
