"""Beam search over steps."""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods import settings
from headway.methods.search.allocators import beam
from headway.methods.search.base import Found, Scorer, Selector, State, Stepper
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import check_steps, tree_search


async def beam_search(
    question: str,
    step: Stepper,
    score: Scorer,
    *,
    n: int = 16,
    width: int = 4,
    depth: int = 40,
    select: Selector = weighted_vote,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """In each round the best `n / width` states are continued `width` times each (Snell et al., arXiv 2408.03314, after the idea
    of: from the abstract). It departs in that a finished answer takes its share of `n` with it.

    n: states of a round. width: continuations of each state that is kept. depth: rounds at most.

    Returns the candidates that were completed, and the one that `select` takes; by default of the answer with the largest sum of
    scores.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `step` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.budget(tokens=20_000), hw.deadline(seconds=60):
        ...         return await beam_search(question, next_line, value, n=16, width=4)
    """
    check_steps("beam_search", step, score, select, n=n, depth=depth)
    settings.at_least_one("beam_search", width=width)

    async def allocate(states: Sequence[State], scores: Sequence[float], total: int) -> list[int]:
        return beam(scores, total, width)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, errors=errors)
