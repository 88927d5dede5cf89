"""Makes samples side by side: as many as the budget allows, until there are enough or one is accepted.

    found: dict[int, Candidate] = {}
    rounds: list[int] = []
    with hw.anytime(found) as block:
        await attempts(attempt, n, rounds)      # attempt(number) keeps what it has, as soon as it has it
    return choose(found, select, block.stopped, sequential_tokens(found, rounds))

If the budget refuses some of the calls, the search goes on with fewer. If it refuses all of them, or the deadline comes, the search
ends (`hw.anytime`); that is never an error.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from headway.errors import NoWinner, UsageError
from headway.joins.gather import gather_affordable
from headway.joins.race import race
from headway.methods import settings
from headway.methods.records import Candidate

T = TypeVar("T")


async def attempts(attempt: Callable[[int], Awaitable[object]], count: int, rounds: list[int], start: int = 0) -> int:
    """Make several attempts at once, and as many again in place of those that the budget refused at first.

    What runs has often reserved more than it will need. So where the budget refuses some, as many as it let through are made in
    their place when those have ended, with numbers of their own.

    Args:
        attempt: makes one, from its number.
        count: how many; below 1 is none.
        rounds: gets the first number of each round, for `sequential_tokens`.
        start: the first number.

    Returns:
        The next number.

    Raises:
        BudgetExceeded: nothing fits any more.

    Example:
        >>> import asyncio
        >>> async def attempt(number: int) -> None:
        ...     print(number)
        >>> asyncio.run(attempts(attempt, 2, []))
        0
        1
        2
    """
    settings.whole_number("attempts", least=None, count=count, start=start)
    width = count
    while count > 0:
        width = min(width, count)
        rounds.append(start)
        made = await gather_affordable(*(attempt(number) for number in range(start, start + width)))
        start += width
        width = len(made)
        count -= width
    return start


def sequential_tokens(found: Mapping[int, Candidate[object]], rounds: Sequence[int]) -> int:
    """Add up the tokens of the longest candidate of each round: `Found.sequential_tokens`.

    Args:
        found: candidates by their numbers.
        rounds: the first number of each round.

    Returns:
        How many tokens had to be written one after another.

    Example:
        >>> found = {0: Candidate("a", "a", 5), 1: Candidate("b", "b", 9), 2: Candidate("c", "c", 3)}
        >>> sequential_tokens(found, [0, 2])
        12
    """
    return sum(
        max((candidate.tokens for number, candidate in found.items() if first <= number < end), default=0)
        for first, end in pairwise([*rounds, math.inf])
    )


async def first_accepted(attempt: Callable[[int], Awaitable[T]], count: int, accept: Callable[[T], bool]) -> T | None:
    """Make several attempts at once. The first result that is accepted ends them, as in `hw.race`.

    The rest is cancelled and drained.

    Args:
        attempt: makes one, from its number.
        count: how many.
        accept: whether a result wins.

    Returns:
        The result that won; None where all ended and none was accepted.

    Raises:
        Exception: the first failure, where nobody wins. A UsageError ends the race at once, because a part that was used wrong
            loses no race: it is a bug.

    Example:
        >>> import asyncio
        >>> async def attempt(number: int) -> int:
        ...     return number * number
        >>> asyncio.run(first_accepted(attempt, 5, lambda square: square > 5))
        9
    """
    settings.whole_number("first_accepted", least=None, count=count)
    if count < 1:
        return None
    try:
        value, error = await race(
            *(_try_attempt(attempt, number) for number in range(count)), accept=lambda end: end[1] is not None or accept(end[0])
        )
    except NoWinner as nobody:
        if nobody.__cause__ is not None:
            raise nobody.__cause__ from None
        return None
    if error is not None:
        raise error
    return value


async def _try_attempt(attempt: Callable[[int], Awaitable[T]], number: int) -> tuple[T, UsageError | None]:
    try:
        return await attempt(number), None
    except UsageError as error:
        return None, error  # type: ignore[return-value]  # no value where there is an error
