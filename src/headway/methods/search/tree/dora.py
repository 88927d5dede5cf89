"""Direction-oriented resource allocation."""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods import settings
from headway.methods.search import allocators
from headway.methods.search.base import Embedder, Found, Scorer, Selector, State, Stepper, vectors_of
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import check_steps, tree_search


async def dora(
    question: str,
    step: Stepper,
    score: Scorer,
    embed: Embedder,
    *,
    n: int = 16,
    temperature: float = 0.1,
    similarity_temperature: float = 0.01,
    depth: int = 40,
    select: Selector = weighted_vote,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """As REBASE, but states that go in the same direction share the weight of one, so that a direction is not continued for the
    number of states that went there (DORA, "Every rollout counts"). Follows the paper's equations: its public code names variables
    that it never sets. It departs in rounding by largest remainder.

    embed: vectors of the states' texts; states of equal directions have a cosine near 1. Called once a round.
    n: states of a round, less the answers that are finished. temperature, similarity_temperature: of the two softmaxes.
    depth: rounds at most.

    Returns the candidates that were completed, and the one that `select` takes.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `step`, `score` and `embed` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     return await dora(question, next_line, value, embed, n=16)
    """

    check_steps("dora", step, score, select, n=n, depth=depth)
    settings.temperature("dora", temperature=temperature, similarity_temperature=similarity_temperature)
    settings.function("dora", embed=embed)

    async def allocate(states: Sequence[State], scores: Sequence[float], total: int) -> list[int]:
        similarity = allocators.cosine(await vectors_of(embed, [state.text for state in states]))
        return allocators.dora(scores, total, similarity, temperature, similarity_temperature)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, errors=errors)
