"""Beam search over steps."""

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


async def beam_search(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    *,
    n: int = 16,
    width: int = 4,
    depth: int = 40,
    select: Selector[S] = weighted_vote,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Continue the best `n / width` states of each round `width` times each.

    It departs from the paper in that a finished answer takes its share of `n` with it.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        n: states of a round.
        width: continuations of each state that is kept.
        depth: rounds at most.
        select: takes one of the candidates; by default of the answer with the largest sum of scores.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(beam_search("17+25=", next_digit, value, n=16, width=4)).answer
        '42'

    Source:
        Snell et al., arXiv 2408.03314; after the idea of, from the abstract.
    """
    check_steps("beam_search", step, score, select, start, n=n, depth=depth)
    settings.at_least_one("beam_search", width=width)

    async def allocate(states: Sequence[State[S]], scores: Sequence[float], total: int) -> list[int]:
        return allocators.beam(scores, total, width)

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, start=start, errors=errors)
