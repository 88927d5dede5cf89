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
from types import TracebackType
from typing import TypeVar

from headway.errors import NoWinner, UsageError
from headway.join import gather, race
from headway.methods import settings
from headway.methods.search.base import Candidate, Stopped
from headway.methods.search.bounds import bound
from headway.scope import DeadlineScope, deadline, until_deadline

T = TypeVar("T")

EARLY = 0.02  # of the time left
EARLY_S = 1.0  # at most


class Ending:
    """A block that ends with what it has when its bounds are used up; made by `ending`. `stopped` says why it ended."""

    def __init__(self, seconds: float | None) -> None:
        self.stopped: Stopped = "done"
        self._seconds = seconds
        self._deadline: DeadlineScope | None = None

    def __enter__(self) -> Ending:
        left = until_deadline()
        seconds = min(left - min(max(left, 0.0) * EARLY, EARLY_S), math.inf if self._seconds is None else self._seconds)
        if seconds < math.inf:
            self._deadline = deadline(seconds=max(0.0, seconds), raises=False)
            self._deadline.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._deadline is not None and self._deadline.__exit__(kind, error, trace):
            self.stopped = "deadline"
            return True
        if error is None or (why := bound(error)) is None:
            return False
        self.stopped = why
        return True


def ending(seconds: float | None = None) -> Ending:
    """Open a block that ends with what it has when the budget or the deadline around it is used up, or after `seconds`."""
    if seconds is not None:
        settings.number("ending", 0, seconds=seconds)
    return Ending(seconds)


async def each(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order, of all that the budget did not refuse; its error where it refused everything. What a deadline stops
    raises its error when all have ended. Any other error cancels and drains the rest, as `hw.gather` does."""
    begun = list(work)
    try:
        ends = await gather(*[_end_of(awaitable) for awaitable in begun])
    finally:
        _close_unbegun(begun)
    errors = [error for _, error in ends if error is not None]
    for error in errors:
        if bound(error) == "deadline" or len(errors) == len(ends):
            raise error
    return [value for value, error in ends if error is None]  # type: ignore[misc]


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


async def _end_of(awaitable: Awaitable[T]) -> tuple[T | None, Exception | None]:
    try:
        return await awaitable, None
    except Exception as error:
        if bound(error) is None:
            raise
        return None, error


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
