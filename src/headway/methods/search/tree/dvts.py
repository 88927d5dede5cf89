"""Diverse verifier tree search."""

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


async def dvts(
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
    """Grow `n / width` subtrees that never compete: in each, the best state is continued.

    A beam can end with all its states in one wrong branch; subtrees cannot. It departs in that all subtrees go round by round, and
    those that are left share alike what finished answers leave of `n`.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        n: states of a round.
        width: states of a subtree.
        depth: rounds at most.
        select: takes one of the candidates; by default of the answer with the largest sum of scores.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(dvts("17+25=", next_digit, value, n=16, width=4)).answer
        '42'

    Source:
        Beeching et al., 2024, "Scaling test-time compute with open models"; after the idea of.
    """
    check_steps("dvts", step, score, select, start, n=n, depth=depth)
    settings.at_least_one("dvts", width=width)

    async def allocate(states: Sequence[State[S]], scores: Sequence[float], total: int) -> list[int]:
        return allocators.dvts(scores, total, [state.branch // width for state in states])

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, start=start, errors=errors)
