"""Diverse verifier tree search."""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods import settings
from headway.methods.search import allocators
from headway.methods.search.base import Found, Scorer, Selector, State, Stepper
from headway.methods.search.failures import SAMPLE_ERRORS, Errors
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import check_steps, tree_search


async def dvts(
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
    """`n / width` subtrees that never compete: in each, the best state is continued (Beeching et al., 2024, "Scaling test-time
    compute with open models", after the idea of). A beam can end with all its states in one wrong branch; subtrees cannot.

    It departs in that all subtrees go round by round, and those that are left share alike what finished answers leave of `n`.

    n: states of a round. width: states of a subtree. depth: rounds at most.

    Returns the candidates that were completed, and the one that `select` takes.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `step` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     return await dvts(question, next_line, value, n=16, width=4)
    """
    check_steps("dvts", step, score, select, n=n, depth=depth)
    settings.at_least_one("dvts", width=width)

    async def allocate(states: Sequence[State], scores: Sequence[float], total: int) -> list[int]:
        return allocators.dvts(scores, total, [state.branch // width for state in states])

    return await tree_search(question, step, score, allocate, n=n, depth=depth, select=select, errors=errors)
