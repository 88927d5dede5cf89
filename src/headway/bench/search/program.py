"""The comparison as a program: every attempt at a puzzle is a call, so a killed comparison goes on, and a larger one adds to it.

Each attempt runs under its own `hw.budget(tokens=…)`, and its cost is read from that budget: cancelled work counts, unused tokens
don't. Reasoning-gym's scorer decides whether it solved its puzzle. Puzzles are held out from the model's training. The table of the
compute-optimal choice is fitted on other held-out puzzles than it is measured on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.bench.search.methods import ACCEPT, METHODS, OPTIMAL, PROBED, always, compute_optimal, strategies
from headway.bench.search.solver import Solver, judge
from headway.methods.search import StrategyTable, Trial, fit
from headway.methods.search.select.compute_optimal import difficulty
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

MEASURED, FITTED = 2, 1  # seeds of puzzles: to measure on, to fit the table on
BUDGETS = (22, 44, 88, 176, 352, 704, 1408)
_AT_A_TIME = 96


@dataclass(frozen=True)
class Asked:
    """A method for puzzle `number` of the `puzzles` of a seed, with at most `budget` tokens. Where the budget is a mean over
    puzzles, it may take `most` for one."""

    weights: str
    method: str
    budget: int
    number: int
    puzzles: int
    seed: int
    table: StrategyTable | None = None
    most: int | None = None


@dataclass(frozen=True)
class Attempt:
    """A method on a puzzle: whether it was solved, the tokens that it cost in all and one after another, and why it ended."""

    method: str
    budget: int
    puzzle: int
    solved: bool
    tokens: float
    sequential: int
    stopped: str


@dataclass(frozen=True)
class Comparison:
    """All attempts, by method, budget and puzzle, and the table of the compute-optimal choice."""

    model: str
    puzzles: int
    attempts: list[Attempt]
    table: StrategyTable | None = None


@hw.task
async def compare(weights: str, methods: Sequence[str], budgets: Sequence[int], puzzles: int) -> Comparison:
    """Methods × budgets × puzzles. `weights`: a file, or empty for the model that is shipped. Budgets are tokens per puzzle."""
    table = None
    if OPTIMAL in methods:
        table = await fit_table(weights, budgets, puzzles)
    asked = [
        Asked(weights, method, budget, number, puzzles, MEASURED, *((table, max(budgets)) if method == OPTIMAL else ()))
        for number in range(puzzles)
        for budget in budgets
        for method in methods
    ]
    done: list[Attempt] = []
    async for attempt in hw.map(run_attempt, asked, window=_AT_A_TIME):
        done.append(attempt)
        hw.progress(len(done), len(asked))
    order = {name: place for place, name in enumerate(methods)}
    done.sort(key=lambda each: (order[each.method], each.budget, each.puzzle))
    return Comparison(model_of(weights).name, puzzles, done, table)


@hw.task
async def run_attempt(asked: Asked) -> Attempt:
    """Run one method on one puzzle under one budget."""
    question = make_held_out_puzzles(asked.seed, asked.puzzles)[asked.number].prompt
    run = METHODS[asked.method] if asked.table is None else compute_optimal(asked.table)
    with hw.budget(tokens=asked.most or asked.budget) as book:
        found = await run(Solver(model_of(asked.weights), seed=asked.number), question, asked.budget)
    solved = found.best is not None and await judge(question + found.best.value)
    spent = book.spent["tokens"]
    return Attempt(asked.method, asked.budget, asked.number, solved, spent, found.sequential_tokens, found.stopped)


@hw.task
async def fit_table(weights: str, budgets: Sequence[int], puzzles: int) -> StrategyTable:
    """Fit what to do with a puzzle of each difficulty, for each mean number of tokens per puzzle."""
    hard = await hw.gather(*(estimate_difficulty(weights, number, puzzles) for number in range(puzzles)))
    asked = [
        Asked(weights, name, most, number, puzzles, FITTED, always(name))
        for number in range(puzzles)
        for name, most in strategies(budgets).items()
    ]
    tried = [attempt async for attempt in hw.map(run_attempt, asked, window=_AT_A_TIME)]
    trials = [Trial(f"{each.puzzle}", hard[each.puzzle], each.method, float(each.solved), each.tokens) for each in tried]
    return fit(trials, budgets)


@hw.task
async def estimate_difficulty(weights: str, number: int, puzzles: int) -> float:
    """Estimate from a few probes how hard a puzzle is."""
    question = make_held_out_puzzles(FITTED, puzzles)[number].prompt
    with hw.budget(tokens=PROBED):
        found = await compute_optimal(always(ACCEPT))(Solver(model_of(weights), seed=number), question, PROBED)
    return difficulty(found.candidates)


def model_of(weights: str) -> CountdownModel:
    return CountdownModel.load(weights) if weights else CountdownModel.shipped()


@dataclass(frozen=True)
class Mean:
    """A method under a budget over all puzzles: means of tokens, and the share solved with its 95 % interval (Wilson)."""

    method: str
    budget: int
    tokens: float
    sequential: float
    solved: float
    low: float
    high: float


def means(attempts: Sequence[Attempt]) -> list[Mean]:
    """Attempts by method and budget, in the order in which they come."""
    groups: defaultdict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.method, attempt.budget].append(attempt)
    return [_mean(method, budget, group) for (method, budget), group in groups.items()]


def _mean(method: str, budget: int, group: Sequence[Attempt]) -> Mean:
    n = len(group)
    right = sum(each.solved for each in group)
    low, high = wilson(right, n)
    tokens, sequential = sum(each.tokens for each in group) / n, sum(each.sequential for each in group) / n
    return Mean(method, budget, tokens, sequential, right / n, low, high)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927).

    >>> [round(bound, 3) for bound in wilson(90, 100)]
    [0.826, 0.945]
    """
    share, square = right / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * (share * (1 - share) / n + square / (4 * n * n)) ** 0.5
    return middle - half, middle + half


def tokens_for(means_of_one: Sequence[Mean], solved: float) -> float | None:
    """The tokens at which a method reaches a share, on the line between its points; None where it doesn't.

    >>> curve = [Mean("m", 1, 10, 0, 0.2, 0, 1), Mean("m", 2, 30, 0, 0.6, 0, 1)]
    >>> tokens_for(curve, 0.4), tokens_for(curve, 0.9)
    (20.0, None)
    """
    ordered = sorted(means_of_one, key=lambda each: each.tokens)
    for before, after in zip([None, *ordered], ordered, strict=False):
        if after.solved >= solved:
            if before is None or after.solved == before.solved:
                return after.tokens
            share = (solved - before.solved) / (after.solved - before.solved)
            return before.tokens + max(0.0, share) * (after.tokens - before.tokens)
    return None
