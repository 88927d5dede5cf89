"""How a search ends: done, or at a budget, or at a deadline; and how its parallel parts come together in each case.

    found: dict[int, Candidate] = {}
    rounds: list[int] = []
    with ending() as end:
        await attempts(attempt, n, rounds)      # attempt(number) puts what it has into `found`, as soon as it has it
    return chosen(found, select, end.stopped, in_a_row(found, rounds))

A block under `ending` may end at any `await`, so what is found is put aside as it is found, and what is decided at the end needs
no calls. Where the budget refuses some of what a search asks for, it goes on narrower; where it refuses everything, and where the
deadline stops it, that is the end of the search, never an error of it. Every other error is.

A deadline stops whatever runs under it, the search too. So a search stops itself a moment before (a fiftieth of the time left, at
most a second), while it can still say what it has. Outside of a run there are no bounds and the same lines do nothing.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from headway.anytime import Anytime, anytime
from headway.errors import NoWinner, UsageError
from headway.joins.gather import gather_affordable
from headway.joins.race import race
from headway.methods.search import settings
from headway.methods.search.base import Candidate

T = TypeVar("T")


async def each(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order, of all that the budget did not refuse (`hw.gather_affordable`)."""
    return await gather_affordable(*work)


def ending(seconds: float | None = None) -> Anytime[int | str, object]:
    """Open a block that ends with what it has when the budget or the deadline around it is used up, or after `seconds`."""
    return anytime(within_s=seconds)


async def attempts(attempt: Callable[[int], Awaitable[object]], count: int, rounds: list[int], start: int = 0) -> int:
    """Make `count` attempts at once, numbered from `start`. What runs has often reserved more than it will need; so where the
    budget refuses some, as many as it let through are made in their place when those have ended, with numbers of their own.

    rounds: is told the first number of each round, for `in_a_row`.

    Returns the next number. Raises BudgetExceeded when nothing fits any more. A count below 1 is none.
    """
    settings.whole_number("attempts", least=None, count=count, start=start)
    width = count
    while count > 0:
        width = min(width, count)
        rounds.append(start)
        made = await each(attempt(number) for number in range(start, start + width))
        start += width
        width = len(made)
        count -= width
    return start


def in_a_row(found: Mapping[int, Candidate], rounds: Sequence[int]) -> int:
    """The tokens of the longest candidate of each round, summed: `Found.sequential_tokens`."""
    return sum(
        max((candidate.tokens for number, candidate in found.items() if first <= number < end), default=0)
        for first, end in pairwise([*rounds, math.inf])
    )


async def first_accepted(work: Iterable[Awaitable[T]], accept: Callable[[T], bool]) -> T | None:
    """The first result that is accepted; the rest is cancelled and drained, as in `hw.race`. None where all ended and none was
    accepted, or nothing was there. Where nobody wins and some failed, that is raised. A UsageError ends the race and is raised."""
    if not (begun := list(work)):
        return None
    try:
        ended = await race(*[_raced(awaitable) for awaitable in begun], accept=lambda end: end[1] is not None or accept(end[0]))
    except NoWinner as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        return None
    finally:
        _close_unbegun(begun)
    if ended[1] is not None:
        raise ended[1]
    return ended[0]


def _close_unbegun(work: Iterable[Awaitable[object]]) -> None:
    """Close what a search that was stopped had no time to begin."""
    for awaitable in work:
        if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
            awaitable.close()


async def _raced(awaitable: Awaitable[T]) -> tuple[T, UsageError | None]:
    try:
        return await awaitable, None
    except UsageError as error:
        return None, error  # type: ignore[return-value]
