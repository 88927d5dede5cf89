"""The methods over steps that came first, on synthetic trees, each against the strongest simple baseline.

Settings are those of the tests in `tests/methods/search`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_first import GAINS, POLICY, Method, above, below, share
from benchmarks.methods.solvers import Mixed, Trap, Tree
from headway.methods import search
from headway.methods.search import StrategyTable
from headway.methods.search.select.selectors import weighted_vote

STEPS = f"{GAINS}::test_searching_over_steps_beats_whole_answers_at_equal_budget_with_a_noisy_heuristic"


def _over_steps(seed: int, tree: Tree, ours: Callable[[Tree], Method], baseline: Callable[[Tree], Method]) -> Pair:
    return Pair(share(seed, ours(tree), 80), share(seed, baseline(tree), 80))


def weighted(tree: Tree) -> Method:
    """The strongest simple way to spend sixteen solutions: sample them, and weigh their votes by scores."""
    return lambda q: search.best_of_n(q, tree.generate, tree.score, n=16, select=weighted_vote)


def beam(tree: Tree) -> Method:
    return lambda q: search.beam_search(q, tree.step, tree.score, n=16)


def dvts(tree: Tree) -> Method:
    return lambda q: search.dvts(q, tree.step, tree.score, n=16)


def rebase(tree: Tree) -> Method:
    return lambda q: search.rebase(q, tree.step, tree.score, n=16)


def measure_beam(seed: int) -> Pair:
    return _over_steps(seed, Tree(right=0.6, noise=0.15, seed=seed), beam, weighted)


def measure_dvts(seed: int) -> Pair:
    return _over_steps(seed, Trap(depth=5, right=0.7, noise=0.05, seed=seed), dvts, beam)


def measure_rebase(seed: int) -> Pair:
    return _over_steps(seed, Tree(right=0.6, noise=0.15, seed=seed), rebase, weighted)


def measure_rebase_over_beam(seed: int) -> Pair:
    return _over_steps(seed, Tree(depth=8, right=0.6, noise=0.3, seed=seed), rebase, beam)


def measure_a_star(seed: int) -> Pair:
    """Steps of A*, and of a beam of the least width that is right as often."""
    tree = Tree(right=0.6, noise=0.15, seed=seed)
    right = share(seed, lambda q: search.a_star(q, tree.step, tree.score, n=24, width=4))
    for n in range(4, 64, 2):
        other = Tree(right=0.6, noise=0.15, seed=seed)
        if share(seed, lambda q, n=n, other=other: search.beam_search(q, other.step, other.score, n=n, width=2)) >= right:
            return Pair(tree.steps, other.steps)
    return Pair(tree.steps, other.steps)


def measure_compute_optimal(seed: int) -> Pair:
    """Steps of the choice by difficulty, and of the better single strategy that is right as often: REBASE on every question."""
    table = StrategyTable((0.5,), (16.0,), (("vote",), ("search",)))
    tree, single = Mixed(right=0.5, noise=0.1, seed=seed), Mixed(right=0.5, noise=0.1, seed=seed)
    strategies: dict[str, Any] = {
        "vote": lambda q, given: search.majority(q, tree.generate, n=8, given=given),
        "search": lambda q, given: search.rebase(q, tree.step, tree.score, n=12),
    }
    ours = share(seed, lambda q: search.compute_optimal(q, tree.generate, tree.score, table, strategies, budget=16))
    for n in range(2, 33):
        single.steps = 0
        if share(seed, lambda q, n=n: search.rebase(q, single.step, single.score, n=n)) >= ours:
            break
    return Pair(tree.steps, single.steps)


def measure_a_star_right(seed: int) -> Pair:
    """A*, and a weighted vote of 24 solutions, which takes about three times as many steps."""
    tree = Tree(right=0.6, noise=0.15, seed=seed)
    return Pair(
        share(seed, lambda q: search.a_star(q, tree.step, tree.score, n=24, width=4)),
        share(seed, lambda q: search.best_of_n(q, tree.generate, tree.score, n=24, select=weighted_vote)),
    )


def measure_compute_optimal_over_best_of_n(seed: int) -> Pair:
    """The share right by the choice, and by the best of 32, which takes more than twice as many steps."""
    table = StrategyTable((0.5,), (16.0,), (("vote",), ("search",)))
    tree = Mixed(right=0.5, noise=0.1, seed=seed)
    strategies: dict[str, Any] = {
        "vote": lambda q, given: search.majority(q, tree.generate, n=8, given=given),
        "search": lambda q, given: search.rebase(q, tree.step, tree.score, n=12),
    }
    return Pair(
        share(seed, lambda q: search.compute_optimal(q, tree.generate, tree.score, table, strategies, budget=16)),
        share(seed, lambda q: search.best_of_n(q, tree.generate, tree.score, n=32)),
    )


ROWS = [
    Row(
        method="Beam search",
        function="headway.methods.search.beam_search",
        item="search",
        claim="verifiers of steps beat best-of-n at small budgets",
        shows="16 paths are right more often",
        baseline="a weighted vote of 16 whole answers: as many steps",
        unit="share right",
        compare="difference",
        measure=measure_beam,
        reached=above(0),
        test=STEPS,
    ),
    Row(
        method="DVTS",
        function="headway.methods.search.dvts",
        item="search",
        claim="independent subtrees beat one beam where budgets are large",
        shows="16 paths are right more often where most go one wrong way",
        baseline="beam search, as many steps",
        unit="share right",
        compare="difference",
        measure=measure_dvts,
        reached=above(0),
        test=f"{GAINS}::test_directions_beat_scores_where_most_go_wrong_the_same_way",
    ),
    Row(
        method="REBASE",
        function="headway.methods.search.rebase",
        item="search",
        claim="more accurate than sampling and MCTS at every budget",
        shows="16 paths are right more often",
        baseline="a weighted vote of 16 whole answers: as many steps",
        unit="share right",
        compare="difference",
        measure=measure_rebase,
        reached=above(0),
        test=STEPS,
    ),
    Row(
        method="REBASE",
        function="headway.methods.search.rebase",
        item="search",
        claim="a softmax over scores keeps what a beam drops",
        shows="16 paths are right more often with scores that are mostly noise",
        baseline="beam search, as many steps",
        unit="share right",
        compare="difference",
        measure=measure_rebase_over_beam,
        reached=above(0),
        test=STEPS,
        reason="it is even: where scores are mostly noise, neither keeps the right path for long",
    ),
    Row(
        method="A*",
        function="headway.methods.search.a_star",
        item="search",
        claim="finds a solution in fewer steps than sampling",
        shows="right more often than a weighted vote that takes three times its steps",
        baseline="a weighted vote of 24 whole answers",
        unit="share right",
        compare="difference",
        measure=measure_a_star_right,
        reached=above(0),
        test=f"{GAINS}::test_a_star_needs_a_third_of_the_steps_of_best_of_n_for_equal_accuracy",
    ),
    Row(
        method="A*",
        function="headway.methods.search.a_star",
        item="search",
        claim="finds a solution in fewer steps than sampling",
        shows="fewer steps than the narrowest beam that is right as often",
        baseline="the narrowest beam that is right as often, known afterwards",
        unit="steps",
        measure=measure_a_star,
        reached=below(1),
        test=f"{GAINS}::test_a_star_needs_a_third_of_the_steps_of_best_of_n_for_equal_accuracy",
        reason="the beam is as large as each seed needs, which nobody knows before; on some seeds it needs fewer steps",
    ),
    Row(
        method="Compute-optimal scaling",
        function="headway.methods.search.compute_optimal",
        item="search",
        claim="four times less compute than best-of-n",
        shows="right more often than the best of 32, which takes twice its steps",
        baseline="the best of 32",
        unit="share right",
        compare="difference",
        measure=measure_compute_optimal_over_best_of_n,
        reached=above(0),
        test=f"{POLICY}::test_choosing_by_difficulty_costs_half_of_best_of_n_at_equal_accuracy",
    ),
    Row(
        method="Compute-optimal scaling",
        function="headway.methods.search.compute_optimal",
        item="search",
        claim="choosing by difficulty beats every single strategy",
        shows="fewer steps than the smallest REBASE that is right as often",
        baseline="the smallest REBASE that is right as often, known afterwards",
        unit="steps",
        measure=measure_compute_optimal,
        reached=below(1),
        test=f"{POLICY}::test_choosing_by_difficulty_costs_half_of_best_of_n_at_equal_accuracy",
        reason="on this tree REBASE suits easy and hard questions alike, so nothing is there to choose; probes cost extra",
    ),
]
