"""Searches over trees of steps, on the Countdown model: what ETS holds in memory next to REBASE.

Settings were chosen on the puzzles of seed 11; the rows are measured on the held-out puzzles of seeds 100 and up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import headway as hw
from benchmarks.methods.row import Pair, Row
from headway.bench.search.solver import Solver, judge
from headway.methods import search
from headway.methods.records import State
from headway.methods.search.tree.keep import nodes_of
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

PUZZLES, WIDTH, STEPS = 60, 16, 3
COST = 2.0
"""ETS' price of nodes: of 1 and 2, what kept fewer per solved puzzle on seed 11."""
REBASE = 0.05
"""REBASE's temperature: of 0.05, 0.1 and 0.2, what kept the fewest nodes per solved puzzle on seed 11."""


class Searched(NamedTuple):
    """A search on a puzzle: the nodes that it held, summed over its rounds, and whether it solved the puzzle."""

    nodes: int
    solved: bool


@hw.task
async def search_one(method: str, seed: int, number: int, settings: Mapping[str, Any]) -> Searched:
    """Search a puzzle, and count what the search holds: in each round the nodes on the paths of the continued states."""
    question = make_held_out_puzzles(seed, PUZZLES)[number].prompt
    solver = Solver(CountdownModel.shipped(), seed=number)
    continued: defaultdict[int, set[tuple[int, ...]]] = defaultdict(set)

    async def step(question: str, state: State[str], index: int) -> State[str]:
        continued[state.depth].add(state.path)
        return await solver.step(question, state, index)

    if method == "ETS":
        searched = search.ets(question, step, solver.value, solver.embed, n=WIDTH, depth=STEPS, **settings)
    else:
        searched = search.rebase(question, step, solver.value, n=WIDTH, depth=STEPS, **settings)
    found = await searched
    nodes = sum(len(nodes_of(list(paths))) for depth, paths in continued.items() if depth)
    return Searched(nodes, found.best is not None and await judge(question + found.best.value))


@hw.task
async def search_all(method: str, seed: int, settings: Mapping[str, Any]) -> list[Searched]:
    """Search all puzzles of a seed."""
    asked = range(PUZZLES)
    return [each async for each in hw.map(lambda number: search_one(method, seed, number, settings), asked, window=PUZZLES)]


@cache
def searched(method: str, seed: int, **settings: float) -> Sequence[Searched]:
    return hw.run(search_all, method, 100 + seed, settings, store=None, progress=False)


def nodes_per_solved(found: Sequence[Searched]) -> float:
    return sum(each.nodes for each in found) / max(1, sum(each.solved for each in found))


def share_solved(found: Sequence[Searched]) -> float:
    return sum(each.solved for each in found) / len(found)


def measure_nodes(seed: int) -> Pair:
    """Nodes held per solved puzzle."""
    ours, plain = searched("ETS", seed, node_cost=COST), searched("REBASE", seed, temperature=REBASE)
    return Pair(nodes_per_solved(ours), nodes_per_solved(plain))


def measure_solved(seed: int) -> Pair:
    """The share of puzzles solved, next to REBASE at its most accurate temperature."""
    return Pair(share_solved(searched("ETS", seed, node_cost=COST)), share_solved(searched("REBASE", seed, temperature=0.2)))


def measure_cost(seed: int) -> Pair:
    """Nodes held per puzzle, with the price of nodes and without."""
    dear, free = searched("ETS", seed, node_cost=COST), searched("ETS", seed, node_cost=0.0)
    return Pair(sum(each.nodes for each in dear) / PUZZLES, sum(each.nodes for each in free) / PUZZLES)


ROWS = [
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="1.8x smaller KV cache and 1.4x throughput than REBASE at equal accuracy",
        shows="nodes held per solved puzzle are below REBASE's, on the Countdown model",
        baseline="REBASE of the same width, at the temperature at which it holds the fewest",
        unit="nodes per solved puzzle, summed over rounds",
        measure=measure_nodes,
        reached=lambda low, high: high < 1,
        test="tests/methods/search/test_ets.py::"
        "test_a_search_holds_fewer_nodes_than_rebase_of_the_same_width_for_each_question_it_answers",
    ),
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="the same accuracy as REBASE",
        shows="as many puzzles are solved with dear nodes as by REBASE, within 3 points",
        baseline="REBASE of the same width, at its most accurate temperature",
        unit="share of puzzles solved",
        measure=measure_solved,
        compare="difference",
        reached=lambda low, high: low > -0.03,
        test="tests/methods/search/test_ets.py::test_a_search_holds_fewer_nodes_the_dearer_they_are_at_equal_accuracy",
    ),
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="the price of a node sets what is held",
        shows="held nodes fall with lambda_c, on the Countdown model",
        baseline="the same search with nodes that cost nothing",
        unit="nodes per puzzle, summed over rounds",
        measure=measure_cost,
        reached=lambda low, high: high < 1,
        test="tests/methods/search/test_ets.py::test_kept_nodes_never_rise_with_the_cost_of_a_node",
    ),
]
