"""The methods that are compared, each as large as a budget of tokens per puzzle allows.

A whole answer costs at most `ANSWER` tokens, read and written, and a solution step by step at most `PATH`. So each method gets the
largest size whose calls the budget can't refuse, whatever they turn out to cost. Spending is measured, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from headway.bench.search.solver import ANSWER_TOKENS, STEP_TOKENS, Solver
from headway.methods import search
from headway.methods.search import Candidate, Found, StrategyTable
from headway.methods.search.select.compute_optimal import Strategy
from headway.methods.search.select.selectors import weighted_vote

PROMPT = 6  # tokens of a puzzle of 4 numbers
STEPS = 3  # of its solution
ANSWER = PROMPT + ANSWER_TOKENS
PATH = STEPS * (PROMPT + STEP_TOKENS) + 4 * (STEPS - 1) * STEPS // 2  # a solution step by step: each step reads what is there
PROBES, SURE = 4, 0.5  # answers that difficulty is estimated from, at most; the value that is taken for right
PROBED = PROBES * ANSWER

Method = Callable[[Solver, str, int], Awaitable[Found[str]]]
"""From the parts, a question and a budget in tokens: a search."""


def answers(tokens: int) -> int:
    """How many whole answers a budget pays for, at least one."""
    return max(1, tokens // ANSWER)


def paths(tokens: int) -> int:
    """How many solutions step by step a budget pays for, at least one."""
    return max(1, tokens // PATH)


def width(n: int) -> int:
    """The continuations of each state that beams keep: the square root of n, as Snell et al. have it."""
    return max(1, round(math.sqrt(n)))


def best_of_n(solver: Solver, question: str, tokens: int, given: Sequence[Candidate[str]] = ()) -> Awaitable[Found[str]]:
    return search.best_of_n(question, solver.generate, solver.value, n=answers(tokens), given=given)


def weighted_best_of_n(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.best_of_n(question, solver.generate, solver.value, n=answers(tokens), select=weighted_vote)


def majority(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.majority(question, solver.generate, n=answers(tokens))


def first_finish(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.first_finish(question, solver.generate, n=answers(tokens))


def no_thinking(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Short attempts in parallel, until one is right as the judge decides."""
    return search.no_thinking(question, solver.generate, solver.check, n=answers(tokens))


def beam(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    n = paths(tokens)
    return search.beam_search(question, solver.step, solver.value, n=n, width=width(n), depth=STEPS)


def dvts(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    n = paths(tokens)
    return search.dvts(question, solver.step, solver.value, n=n, width=width(n), depth=STEPS)


def rebase(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.rebase(question, solver.step, solver.value, n=paths(tokens), depth=STEPS)


def dora(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    return search.dora(question, solver.step, solver.value, solver.embed, n=paths(tokens), depth=STEPS)


def a_star(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Expansions by 4: the budget is the bound."""
    return search.a_star(question, solver.step, solver.value, n=max(STEPS, tokens), width=4, depth=STEPS)


def solve_detect_verify(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
    """Attempt after attempt until the value head takes one; the model can't read feedback, so each attempt is a fresh one."""
    return search.solve_detect_verify(
        question,
        solver.attempt,
        solver.weigh,
        solver.weigh,
        k=1,
        rounds=answers(tokens),
        depth=1,
        revise=lambda question, candidate, feedback: question,
    )


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
STRATEGIES = ("best of n", "solve, detect, verify", "beam", "A*")


def compute_optimal(table: StrategyTable) -> Method:
    """The choice by difficulty; `tokens` is what a puzzle may cost on average. A puzzle is probed until the value head takes an
    answer, and what the table has for such a puzzle is run then: nothing more, or a method up to some tokens, probes included."""

    def method(solver: Solver, question: str, tokens: int) -> Awaitable[Found[str]]:
        chosen = table if tokens >= PROBED else always(ACCEPT)
        strategies = {name: _strategy(name, solver) for row in chosen.choices for name in row}
        probes = min(PROBES, answers(tokens))
        return search.compute_optimal(
            question, solver.generate, solver.value, chosen, strategies, budget=tokens, probes=probes, sure=SURE
        )

    return method


def strategies(budgets: Sequence[int]) -> dict[str, int]:
    """What the compute-optimal choice chooses from, with the tokens that each may take: every method at every budget."""
    return {ACCEPT: PROBED} | {f"{name} ≤ {most}": most for name in STRATEGIES for most in budgets if most > PROBED}


def always(strategy: str) -> StrategyTable:
    """The table without a choice: a strategy as it is run after the probes, to fit a table from."""
    return StrategyTable((), (0.0,), ((strategy,),))


def _strategy(strategy: str, solver: Solver) -> Strategy[str, str]:
    name, _, most = strategy.partition(" ≤ ")

    def run(question: str, given: tuple[Candidate[str], ...]) -> Awaitable[Found[str]]:
        is_sure = any((each.score or 0.0) >= SURE for each in given)
        if name == ACCEPT or (name == "solve, detect, verify" and is_sure):
            return search.best_of_n(question, solver.generate, solver.value, n=len(given), given=given)
        if name == "best of n":
            return best_of_n(solver, question, int(most), given)
        fresh = Solver(solver.model, seed=solver.seed + 1)  # don't draw the probes' samples again
        return METHODS[name](fresh, question, int(most) - len(given) * ANSWER)

    return run
