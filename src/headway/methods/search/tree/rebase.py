"""Reward balanced search."""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods import settings
from headway.methods.search import allocators
from headway.methods.search.base import Found, Scorer, Selector, State, Stepper
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import check_steps, tree_search


async def rebase(
    question: str,
    step: Stepper,
    score: Scorer,
    *,
    n: int = 16,
    temperature: float = 0.1,
    depth: int = 40,
    select: Selector = weighted_vote,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """States are continued in proportion to exp(score / temperature) (REBASE: Wu et al., arXiv 2408.00724, after the idea of).
    It departs in rounding by largest remainder, so that no continuation is lost or made up.

    n: states of a round, less the answers that are finished. temperature: above 0; small continues the best alone, large all alike.
    depth: rounds at most.

    Returns the candidates that were completed, and the one that `select` takes.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `step` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     return await rebase(question, next_line, value, n=16)
    """

    check_steps("rebase", step, score, select, n=n, depth=depth)
    settings.temperature("rebase", temperature=temperature)

    async def allocate(states: Sequence[State], scores: Sequence[float], total: int) -> list[int]:
        return allocators.rebase(scores, total, temperature)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, errors=errors)
