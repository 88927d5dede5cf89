"""The comparison as a program: every attempt at a question is a call, so a killed comparison goes on, and a larger one adds to it.

Each attempt runs under its own `hw.budget(tokens=…)`, and its cost is read from that budget: cancelled work counts, unused tokens
don't. Reasoning-gym's scorer decides whether it solved its question. Questions are held out from the model's training. The table of
the compute-optimal choice is fitted on other held-out questions than it is measured on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.bench.search.methods import ACCEPT, METHODS, OPTIMAL, always, compute_optimal, probed, strategies
from headway.bench.search.solver import Solver, judge
from headway.bench.search.workloads import WORKLOADS, Use
from headway.methods.search import StrategyTable, Trial, fit
from headway.methods.search.select.compute_optimal import difficulty

_AT_A_TIME = 96


@dataclass(frozen=True)
class Asked:
    """A method for question `number` of the `count` of a use, with at most `budget` tokens. Where the budget is a mean over
    questions, it may take `most` for one."""

    workload: str
    weights: str
    method: str
    budget: int
    number: int
    count: int
    use: Use = "test"
    table: StrategyTable | None = None
    most: int | None = None

    @property
    def question(self) -> str:
        return WORKLOADS[self.workload].questions(self.use, self.count)[self.number]

    def solver(self) -> Solver:
        return Solver(WORKLOADS[self.workload].open(self.weights), seed=self.number)


@dataclass(frozen=True)
class Attempt:
    """A method on a question: whether it was solved, the tokens that it cost in all and one after another, and why it ended."""

    method: str
    budget: int
    question: int
    solved: bool
    tokens: float
    sequential: int
    stopped: str


@dataclass(frozen=True)
class Comparison:
    """All attempts of a workload, by method, budget and question, and the table of the compute-optimal choice."""

    workload: str
    model: str
    questions: int
    attempts: list[Attempt]
    table: StrategyTable | None = None


@hw.task
async def compare(workload: str, weights: str, methods: Sequence[str], budgets: Sequence[int], questions: int) -> Comparison:
    """Methods × budgets × questions. `weights`: a file, or empty for the model that is shipped. Budgets are tokens per question."""
    table = None
    if OPTIMAL in methods:
        table = await fit_table(workload, weights, budgets, questions)
    asked = [
        Asked(workload, weights, method, budget, number, questions, "test", *((table, max(budgets)) if method == OPTIMAL else ()))
        for number in range(questions)
        for budget in budgets
        for method in methods
    ]
    done: list[Attempt] = []
    async for attempt in hw.map(run_attempt, asked, window=_AT_A_TIME):
        done.append(attempt)
        hw.progress(len(done), len(asked))
    order = {name: place for place, name in enumerate(methods)}
    done.sort(key=lambda each: (order[each.method], each.budget, each.question))
    return Comparison(workload, WORKLOADS[workload].open(weights).name, questions, done, table)


@hw.task
async def run_attempt(asked: Asked) -> Attempt:
    """Run one method on one question under one budget."""
    question = asked.question
    run = METHODS[asked.method] if asked.table is None else compute_optimal(asked.table)
    with hw.budget(tokens=asked.most or asked.budget) as book:
        found = await run(asked.solver(), question, asked.budget)
    solved = found.best is not None and await judge(question + found.best.value, asked.workload)
    spent = book.spent["tokens"]
    return Attempt(asked.method, asked.budget, asked.number, solved, spent, found.sequential_tokens, found.stopped)


@hw.task
async def fit_table(workload: str, weights: str, budgets: Sequence[int], questions: int) -> StrategyTable:
    """Fit what to do with a question of each difficulty, for each mean number of tokens per question."""
    accepting = probed(WORKLOADS[workload], WORKLOADS[workload].questions("choose", questions))
    asked = [
        Asked(workload, weights, name, most, number, questions, "choose", always(name))
        for number in range(questions)
        for name, most in strategies(budgets, accepting).items()
    ]
    accepted = [each for each in asked if each.method == ACCEPT]
    hard = await hw.gather(*(estimate_difficulty(each) for each in accepted))
    tried = [attempt async for attempt in hw.map(run_attempt, asked, window=_AT_A_TIME)]
    trials = [Trial(f"{each.question}", hard[each.question], each.method, float(each.solved), each.tokens) for each in tried]
    return fit(trials, budgets)


@hw.task
async def estimate_difficulty(asked: Asked) -> float:
    """Estimate from a few probes how hard a question is."""
    with hw.budget(tokens=asked.budget):
        found = await compute_optimal(always(ACCEPT))(asked.solver(), asked.question, asked.budget)
    return difficulty(found.candidates)


@dataclass(frozen=True)
class Mean:
    """A method under a budget over all questions: means of tokens, and the share solved with its 95 % interval (Wilson)."""

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
