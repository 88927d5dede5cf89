"""Efficient tree search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Embedder, Scorer, Selector, Stepper
from headway.methods.records import State
from headway.methods.search import allocators
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.found import Found
from headway.methods.search.parts import vectors_of
from headway.methods.search.select.groups import group_by_angle
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.keep import Path, Tree, keep_best, nodes_of
from headway.methods.search.tree.loop import NOTHING_SAID, check_steps, tree_search

Q = TypeVar("Q")
S = TypeVar("S")


async def ets(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    embed: Embedder[Q, S],
    *,
    n: int = 16,
    temperature: float = 0.2,
    node_cost: float = 1.0,
    coverage: float = 1.5,
    within: float = 0.05,
    depth: int = 25,
    select: Selector[S] = weighted_vote,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """As `rebase`, but keep few nodes: states that share their steps, and one at least of those that mean something else.

    Every node on the path of a continued state must stay in memory (the keys and values of its tokens), so what a search holds is
    the tree of the continued states. An integer program chooses which to continue; those share the width by their scores.

    It departs in rounding by largest remainder, both for what a state earns and for its continuations. It departs in that the
    embedder sees whole partial solutions and not only their last steps, and in that ties of the program are broken by place.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        embed: a vector for each state, asked once a round where `coverage` is above 0.
        n: states of a round, less the answers that are finished.
        temperature: above 0; small continues the best alone, large all alike.
        node_cost: the paper's lambda_c: what all nodes of the tree together cost, where all states together earn 1.
        coverage: the paper's lambda_s: what it earns to cover all clusters.
        within: the mean cosine distance up to which states are one cluster, from 0 to 2.
        depth: rounds at most.
        select: takes one of the candidates; by default of the answer with the largest sum of scores.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        UsageError: the tree is too large to be solved without HiGHS (hundreds of states in clusters that cross all branches), and
            that is not installed.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(ets("17+25=", next_digit, value, embed, n=16)).answer
        '42'

    Source:
        ETS: Hooper et al., arXiv 2502.13575; the program, its weights and defaults as in the authors' code.
    """
    check_steps("ets", step, score, select, start, n=n, depth=depth)
    settings.temperature("ets", temperature=temperature)
    settings.finite("ets", node_cost=node_cost, coverage=coverage)
    settings.number("ets", 0, 2, within=within)
    settings.function("ets", embed=embed)

    async def allocate(states: Sequence[State[S]], scores: Sequence[float], total: int) -> list[int]:
        clusters = [0] * len(states)
        if coverage and len(states) > 1:
            clusters = group_by_angle(await vectors_of(embed, question, [state.value for state in states]), within)
        paths = [state.path for state in states]
        return allocate_kept(scores, total, paths, clusters, temperature, node_cost=node_cost, coverage=coverage)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, start=start, errors=errors)


def allocate_kept(
    scores: Sequence[float],
    total: int,
    paths: Sequence[Path],
    clusters: Sequence[int],
    temperature: float = 0.2,
    *,
    node_cost: float = 1.0,
    coverage: float = 1.5,
) -> list[int]:
    """How often each state is continued: in proportion to exp(score / temperature), of those that the program keeps. Pure.

    Args:
        scores: one per state.
        total: continuations in all.
        paths: the places of each state's steps, `State.path`.
        clusters: the number of each state's cluster, from 0.
        temperature: above 0.
        node_cost: what all nodes of the tree together cost, where all states together earn 1.
        coverage: what it earns to cover all clusters.

    Returns:
        A count for each state; they add up to `total`.

    Raises:
        UsageError: the lists differ in length, or a number makes no sense.

    Example:
        >>> allocate_kept([0.9, 0.8, 0.8], 8, [(0, 0), (0, 1), (1, 2)], [0, 0, 0], coverage=0)
        [5, 3, 0]
        >>> allocate_kept([0.9, 0.8, 0.8], 8, [(0, 0), (0, 1), (1, 2)], [0, 0, 1])
        [4, 2, 2]
    """
    settings.finite("allocate_kept", node_cost=node_cost, coverage=coverage)
    shares = allocators.rebase(scores, total, temperature)
    if not total or not shares:
        return shares
    gains = tuple(share / total for share in shares)
    prices = node_cost / len(nodes_of(paths)), coverage / max(1, len(set(clusters)))
    kept = keep_best(Tree(gains, tuple(paths), tuple(clusters), *prices))
    counts = [0] * len(scores)
    for place, count in zip(kept, allocators.rebase([scores[place] for place in kept], total, temperature), strict=True):
        counts[place] = count
    return counts
