"""Direction-oriented resource allocation."""

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
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import NOTHING_SAID, check_steps, tree_search

Q = TypeVar("Q")
S = TypeVar("S")


async def dora(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    embed: Embedder[Q, S],
    *,
    n: int = 16,
    temperature: float = 0.1,
    similarity_temperature: float = 0.01,
    depth: int = 40,
    select: Selector[S] = weighted_vote,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Continue states as `rebase` does, but let states that go in the same direction share the weight of one.

    So a direction is not continued for the number of states that went there. It follows the paper's equations, because its public
    code names variables that it never sets. It departs in rounding by largest remainder.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        embed: vectors of states; those of equal directions have a cosine near 1. Called once a round.
        n: states of a round, less the answers that are finished.
        temperature: of the softmax over scores.
        similarity_temperature: of the softmax over similarities.
        depth: rounds at most.
        select: takes one of the candidates; by default of the answer with the largest sum of scores.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(dora("17+25=", next_digit, value, embed, n=16)).answer
        '42'

    Source:
        DORA, "Every rollout counts".
    """
    check_steps("dora", step, score, select, start, n=n, depth=depth)
    settings.temperature("dora", temperature=temperature, similarity_temperature=similarity_temperature)
    settings.function("dora", embed=embed)

    async def allocate(states: Sequence[State[S]], scores: Sequence[float], total: int) -> list[int]:
        similarity = allocators.cosine(await vectors_of(embed, question, [state.value for state in states]))
        return allocators.dora(scores, total, similarity, temperature, similarity_temperature)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, start=start, errors=errors)
