"""The choice by difficulty (compute-optimal) against the strongest single method, on both workloads with their real models.

It is the comparison that `headway bench search` prints: the choice was fitted on questions of "choose", all methods tried the same
questions of "test". A seed is a fifth of those. The strongest single method for as many tokens is chosen on the other four fifths,
and both are measured on this one, at every budget of the workload; a figure is the mean over budgets. Nothing was chosen by hand.
"""

from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Any

import headway as hw
from benchmarks.methods.keeping import FOLDER, make_once
from benchmarks.methods.row import Pair, Row
from headway.bench.search.methods import METHODS, OPTIMAL
from headway.bench.search.program import Comparison, compare
from headway.bench.search.savings import Outcomes, solved_for
from headway.bench.search.workloads import WORKLOADS

QUESTIONS, PARTS = 150, 5


@cache
def outcomes_of(workload: str) -> Outcomes:
    """All attempts at a workload, as the page's."""
    of = WORKLOADS[workload]

    def make() -> Comparison:
        methods, run = (*METHODS, OPTIMAL), f"search-{workload}-{QUESTIONS}"
        return hw.run(compare, workload, "", methods, of.budgets, QUESTIONS, store=str(FOLDER / "runs"), run_id=run)

    made = make_once(("search", of.open("").name, QUESTIONS, of.budgets), Comparison, make)
    return Outcomes(made.attempts)


def measure(workload: str, seed: int) -> Pair:
    """The share solved by the choice, and by the strongest single method with as many tokens, over budgets."""
    table = outcomes_of(workload)
    here = [number for number in range(QUESTIONS) if number % PARTS == seed]
    others = [number for number in range(QUESTIONS) if number % PARTS != seed]
    pairs = []
    for budget in table.methods[OPTIMAL]:
        tokens, _ = table.mean(OPTIMAL, budget, others)
        strongest = max(METHODS, key=lambda name: solved_with(table, name, others, tokens))
        tokens, solved = table.mean(OPTIMAL, budget, here)
        pairs.append((solved, solved_with(table, strongest, here, tokens)))
    ours, theirs = zip(*pairs, strict=True)
    return Pair(fmean(ours), fmean(theirs))


def solved_with(table: Outcomes, method: str, sample: list[int], tokens: float) -> float:
    """The share of questions that a method solves with so many tokens a question. With fewer than its cheapest budget takes, it
    answers as many questions as they pay for, and leaves the others."""
    return solved_for([(0.0, 0.0), *table.curve(method, sample)], tokens) or 0.0


ABOUT: dict[str, Any] = {
    "method": "Compute-optimal scaling",
    "function": "headway.methods.search.compute_optimal",
    "item": "search",
    "claim": "choosing by difficulty beats every single strategy",
    "baseline": "the strongest single method for as many tokens, chosen on other questions",
    "unit": "share of questions solved, mean over budgets",
    "compare": "difference",
    "reached": lambda low, high: low > 0,
    "test": "tests/methods/search/test_bench_search.py::test_a_saving_is_against_the_strongest_other_method",
    "seeds": PARTS,
    "slow": True,
}
ROWS = [
    Row(
        **ABOUT,
        shows="solves more on Countdown for as many tokens",
        measure=lambda seed: measure("countdown", seed),
        reason="an answer that parses is right there, and a method that stops at the first one leaves nothing to save",
    ),
    Row(
        **ABOUT,
        shows="solves more on arithmetic for as many tokens",
        measure=lambda seed: measure("arithmetic", seed),
        reason="it keeps up with the strongest at each budget; probes tell which questions are hard, not what suits them",
    ),
]
