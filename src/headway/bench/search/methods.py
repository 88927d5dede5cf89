"""The methods that are compared, each as large as a budget of tokens per question allows.

The sizes of a question say what a whole answer costs at most, read and written, and what a solution step by step does. So each
method gets the largest size whose calls the budget can't refuse, whatever they turn out to cost. Spending is measured, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from headway.bench.search.solver import Solver
from headway.bench.search.workloads import Sizes, Workload
from headway.methods import search
from headway.methods.search import Candidate, Found, StrategyTable
from headway.methods.search.select.compute_optimal import Strategy
from headway.methods.search.select.selectors import weighted_vote

PROBES, SURE = 4, 0.5  # answers that difficulty is estimated from, at most; the value that is taken for right

Method = Callable[[Solver, str, int], Awaitable[Found[str]]]
"""From the parts, a question and a budget in tokens: a search."""
Given = Sequence[Candidate[str]]
"""Answers that are there already."""


def answers(sizes: Sizes, tokens: int) -> int:
    """How many whole answers a budget pays for, at least one."""
    return max(1, tokens // sizes.answer)


def paths(sizes: Sizes, tokens: int) -> int:
    """How many solutions step by step a budget pays for, at least one."""
    return max(1, tokens // sizes.path)


def width(n: int) -> int:
    """The continuations of each state that beams keep: the square root of n, as Snell et al. have it."""
    return max(1, round(math.sqrt(n)))


def best_of_n(solver: Solver, question: str, tokens: int, given: Given = ()) -> Awaitable[Found[str]]:
    n = _answers(solver, question, tokens)
    return search.best_of_n(question, solver.generate, solver.value, n=n, given=given)


def weighted_best_of_n(solver: Solver, question: str, tokens: int, given: Given = ()) -> Awaitable[Found[str]]:
    n = _answers(solver, question, tokens)
    return search.best_of_n(question, solver.generate, solver.value, n=n, select=weighted_vote, given=given)


def majority(solver: Solver, question: str, tokens: int, given: Given = ()) -> Awaitable[Found[str]]:
    return search.majority(question, solver.generate, n=_answers(solver, question, tokens), given=given)


def first_finish(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.first_finish(question, solver.generate, n=_answers(solver, question, tokens))


def no_thinking(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Short attempts in parallel, until one is right as the value head decides, which can be wrong."""
    return search.no_thinking(question, solver.generate, solver.weigh, n=_answers(solver, question, tokens))


def beam(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    sizes = solver.workload.sizes(question)
    n = paths(sizes, tokens)
    return search.beam_search(question, solver.step, solver.value, n=n, width=width(n), depth=sizes.steps)


def dvts(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    sizes = solver.workload.sizes(question)
    n = paths(sizes, tokens)
    return search.dvts(question, solver.step, solver.value, n=n, width=width(n), depth=sizes.steps)


def rebase(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    sizes = solver.workload.sizes(question)
    return search.rebase(question, solver.step, solver.value, n=paths(sizes, tokens), depth=sizes.steps)


def dora(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    sizes = solver.workload.sizes(question)
    return search.dora(question, solver.step, solver.value, solver.embed, n=paths(sizes, tokens), depth=sizes.steps)


def a_star(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Expansions by 4: the budget is the bound."""
    steps = solver.workload.sizes(question).steps
    return search.a_star(question, solver.step, solver.value, n=max(steps, tokens), width=4, depth=steps)


def solve_detect_verify(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Attempt after attempt until the value head takes one; the model can't read feedback, so each attempt is a fresh one."""
    return search.solve_detect_verify(
        question,
        solver.attempt,
        solver.weigh,
        solver.weigh,
        k=1,
        rounds=_answers(solver, question, tokens),
        depth=1,
        revise=lambda question, candidate, feedback: question,
    )


def _answers(solver: Solver, question: str, tokens: int) -> int:
    return answers(solver.workload.sizes(question), tokens)


METHODS: dict[str, Method] = {
    "best of n": best_of_n,
    "weighted best of n": weighted_best_of_n,
    "majority": majority,
    "first finish": first_finish,
    "short attempts": no_thinking,
    "beam": beam,
    "DVTS": dvts,
    "REBASE": rebase,
    "DORA": dora,
    "A*": a_star,
    "solve, detect, verify": solve_detect_verify,
}
OPTIMAL = "compute-optimal"
ACCEPT = "accept"
GIVEN = {"best of n": best_of_n, "weighted best of n": weighted_best_of_n, "majority": majority}
"""Methods that go on from the probes' answers."""
STRATEGIES = (*GIVEN, "solve, detect, verify")


def compute_optimal(table: StrategyTable) -> Method:
    """The choice by difficulty; `tokens` is what a question may cost on average. A question is probed until the value head takes an
    answer, and what the table has for such a question is run then: nothing more, or a method up to some tokens, probes included."""

    def method(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
        sizes = solver.workload.sizes(question)
        chosen = table if tokens >= PROBES * sizes.answer else always(ACCEPT)
        strategies = {name: _strategy(name, solver) for row in chosen.choices for name in row}
        probes = min(PROBES, answers(sizes, tokens))
        return search.compute_optimal(
            question, solver.generate, solver.value, chosen, strategies, budget=tokens, probes=probes, sure=SURE
        )

    return method


def probed(workload: Workload, questions: Sequence[str]) -> int:
    """What the probes of any of these questions cost at most, in tokens."""
    return PROBES * max(workload.sizes(question).answer for question in questions)


def strategies(budgets: Sequence[int], accepting: int) -> dict[str, int]:
    """What the compute-optimal choice chooses from, with the tokens that each may take: to accept the best probe, and every method
    at every budget that is larger than what the probes cost, `accepting`."""
    return {ACCEPT: accepting} | {f"{name} ≤ {most}": most for name in STRATEGIES for most in budgets if most > accepting}


def always(strategy: str) -> StrategyTable:
    """The table without a choice: a strategy as it is run after the probes, to fit a table from."""
    return StrategyTable((), (0.0,), ((strategy,),))


def _strategy(strategy: str, solver: Solver) -> Strategy[str, str]:
    name, _, most = strategy.partition(" ≤ ")

    def run(question: str, given: tuple[Candidate[str], ...]) -> Awaitable[Found[str]]:
        is_sure = any((each.score or 0.0) >= SURE for each in given)
        if name == ACCEPT or (name == "solve, detect, verify" and is_sure):
            return search.best_of_n(question, solver.generate, solver.value, n=len(given), given=given)
        if name in GIVEN:
            return GIVEN[name](solver, question, int(most), given)
        fresh = Solver(solver.model, seed=solver.seed + 1)  # don't draw the probes' samples again
        return METHODS[name](fresh, question, int(most) - len(given) * solver.workload.sizes(question).answer)

    return run
