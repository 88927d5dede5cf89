"""All results, or how each ended: gather, gather_affordable and settle."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar, overload

from headway.engine.waiting.until import Awaited
from headway.errors import BudgetExceeded
from headway.joins.base import Join, Settled, check_awaitables, make_settled
from headway.joins.bound import bound_of
from headway.joins.joined import Joined
from headway.joins.recorded import name_bounds
from headway.journal.decisions import Afforded
from headway.relay.client import asking

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], /) -> Join[tuple[T1, T2]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> Join[tuple[T1, T2, T3]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /) -> Join[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(*awaitables: Awaitable[T]) -> Join[list[T]]: ...
def gather(*awaitables: Awaitable[Any]) -> Any:
    """Wait for all results. On the first failure the rest is cancelled and drained; what finished stays recorded.

    Args:
        *awaitables: calls of tasks, coroutines, or anything else to await.

    Returns:
        Await it for the results, in the order of the arguments.

    Raises:
        Exception: on await, the first error among them, when the rest has ended.
        UsageError: one of the arguments is not a call.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> @hw.task
        ... async def program() -> list[int]:
        ...     return await hw.gather(*(double(n) for n in range(4)))
        >>> hw.run(program, store=None)
        [0, 2, 4, 6]
    """
    given = check_awaitables("gather", awaitables)
    return Join(lambda: _gather(given))


async def _gather(given: Sequence[Awaitable[T]]) -> list[T]:
    if (client := asking()) is not None:
        return await client.join("gather", given)  # type: ignore[no-any-return]  # the driver's answer
    async with Joined("gather", given) as joined:
        failed = await joined.until_failure()
        if failed is not None:
            await joined.stop(f"{failed.describe()} failed beside it")
            failed.result()
        joined.use(lambda _: True)
        return [part.result() for part in joined.parts]


def gather_affordable(*awaitables: Awaitable[T]) -> Join[list[T]]:
    """Wait for the results of all that the budget did not refuse.

    Which ones it refused is recorded: a resumed program gets the same results, and calls that the budget could afford by now are
    stopped. The record holds until somebody changes the amounts of the budgets.

    Args:
        *awaitables: calls of tasks, coroutines, or anything else to await.

    Returns:
        Await it for the results, in the order of the arguments.

    Raises:
        BudgetExceeded: the budget refused everything.
        DeadlineExceeded: a deadline stopped something; raised when all have ended.
        Exception: any other error; raised at once, and the rest is cancelled and drained, as `gather` does.

    Example:
        >>> @hw.task(cost={"tokens": 400})
        ... async def sample(n: int) -> int:
        ...     return n
        >>> @hw.task
        ... async def program() -> int:
        ...     with hw.budget(tokens=1000):
        ...         return len(await hw.gather_affordable(*(sample(n) for n in range(64))))
        >>> hw.run(program, store=None)
        2
    """
    given = check_awaitables("gather_affordable", awaitables)
    return Join(lambda: _gather_affordable(given))


async def _gather_affordable(given: Sequence[Awaitable[T]]) -> list[T]:
    if (client := asking()) is not None:
        return await client.join("gather_affordable", given)  # type: ignore[no-any-return]  # the driver's answer
    async with Joined("gather", given) as joined:
        parts = joined.parts
        name = joined.name("afforded", b"" if joined.frame is None else name_bounds(joined.frame))
        told, name = joined.recall(name, Afforded)
        before = () if told is None else told.refused
        left_out = {id(parts[place]) for place in before}
        if before:
            await joined.stop("the budget did not afford it before", [parts[place] for place in before])
        failed = await joined.until(lambda part: id(part) not in left_out and _fails_by_itself(part))
        if failed is not None:
            await joined.stop(f"{failed.describe()} failed beside it")
            failed.result()
        errors = [None if place in before else part.exception() for place, part in enumerate(parts)]
        for part, error in zip(parts, errors, strict=True):
            if error is not None and bound_of(error) == "deadline":
                await joined.raise_error_of(part)
        refused = tuple(place for place, error in enumerate(errors) if place in before or error is not None)
        if parts and len(refused) == len(parts):
            raise next((error for error in errors if error is not None), BudgetExceeded("the budget afforded nothing"))
        if refused != before:
            joined.record(name, Afforded(refused))
        left_out = {id(parts[place]) for place in refused}
        joined.use(lambda part: id(part) not in left_out)
        return [part.result() for part in parts if id(part) not in left_out]


def _fails_by_itself(part: Awaited[Any]) -> bool:
    error = part.exception()
    return error is not None and bound_of(error) is None


def settle(*awaitables: Awaitable[T]) -> Join[list[Settled[T]]]:
    """Wait until all have ended, and say how each did. Keeps what finished, and never raises for a call.

    Args:
        *awaitables: calls of tasks, coroutines, or anything else to await.

    Returns:
        Await it for a `Settled` each, in the order of the arguments.

    Raises:
        UsageError: one of the arguments is not a call.

    Example:
        >>> @hw.task
        ... async def invert(x: int) -> float:
        ...     return 1 / x
        >>> @hw.task
        ... async def program() -> list[float]:
        ...     return [end.value for end in await hw.settle(invert(4), invert(0), invert(2)) if end.ok]
        >>> hw.run(program, store=None)
        [0.25, 0.5]
    """
    given = check_awaitables("settle", awaitables)
    return Join(lambda: _settle(given))


async def _settle(given: Sequence[Awaitable[T]]) -> list[Settled[T]]:
    if (client := asking()) is not None:
        return await client.join("settle", given)  # type: ignore[no-any-return]  # the driver's answer
    async with Joined("settle", given) as joined:
        await joined.until()
        joined.use(lambda part: part.exception() is None)
        return [make_settled(part) for part in joined.parts]
