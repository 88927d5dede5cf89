"""Reward balanced search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Scorer, Selector, Stepper
from headway.methods.records import State
from headway.methods.search import allocators
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.found import Found
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import NOTHING_SAID, check_steps, tree_search

Q = TypeVar("Q")
S = TypeVar("S")


async def rebase(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    *,
    n: int = 16,
    temperature: float = 0.1,
    depth: int = 40,
    select: Selector[S] = weighted_vote,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Continue states in proportion to exp(score / temperature).

    It departs in rounding by largest remainder, so that no continuation is lost or made up.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        n: states of a round, less the answers that are finished.
        temperature: above 0; small continues the best alone, large all alike.
        depth: rounds at most.
        select: takes one of the candidates; by default of the answer with the largest sum of scores.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(rebase("17+25=", next_digit, value, n=16)).answer
        '42'

    Source:
        REBASE: Wu et al., arXiv 2408.00724; after the idea of.
    """
    check_steps("rebase", step, score, select, start, n=n, depth=depth)
    settings.temperature("rebase", temperature=temperature)

    async def allocate(states: Sequence[State[S]], scores: Sequence[float], total: int) -> list[int]:
        return allocators.rebase(scores, total, temperature)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, start=start, errors=errors)
