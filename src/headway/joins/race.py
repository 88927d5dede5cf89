"""The first good result wins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, overload

from headway.engine.call import MISSING
from headway.engine.tasks.callables import check_function, yes_or_no
from headway.engine.waiting.until import Awaited, until
from headway.errors import NoWinner, UsageError
from headway.joins.base import Join, check_awaitables, close_coroutines
from headway.joins.joined import Joined
from headway.journal.decisions import Winner
from headway.relay.client import Client, asking

T = TypeVar("T")
D = TypeVar("D")


@overload
def race(*awaitables: Awaitable[T], accept: Callable[[T], bool] | None = None, with_index: Literal[False] = False) -> Join[T]: ...
@overload
def race(
    *awaitables: Awaitable[T],
    accept: Callable[[T], bool] | None = None,
    with_index: Literal[False] = False,
    default: D,
) -> Join[T | D]: ...
@overload
def race(
    *awaitables: Awaitable[T], accept: Callable[[T], bool] | None = None, with_index: Literal[True]
) -> Join[tuple[int, T]]: ...
def race(
    *awaitables: Awaitable[Any],
    accept: Callable[[Any], bool] | None = None,
    with_index: bool = False,
    default: Any = MISSING,
) -> Join[Any]:
    """Take the first good result. The others are cancelled and drained.

    Good is the result of a call that succeeded and, where given, that `accept` takes. The winner is recorded: after a crash the
    same one wins.

    Args:
        *awaitables: calls of tasks, coroutines, or anything else to await.
        accept: whether a result is good: a plain function. What it raises, the race raises.
        with_index: give `(index, value)`, the index of the winner among the arguments.
        default: what the race gives when nobody wins.

    Returns:
        Await it for the result.

    Raises:
        ExceptionGroup: every contestant failed; all their errors.
        NoWinner: some succeeded, and `accept` took none.
        UsageError: nothing to race, or one of the arguments is not a call.

    Example:
        >>> @hw.task
        ... async def write(style: str, rest_s: float) -> str:
        ...     await hw.sleep(rest_s)
        ...     return style
        >>> @hw.task
        ... async def program() -> str:
        ...     return await hw.race(write("long", 1), write("terse", 2), write("plain", 3), accept=lambda text: len(text) > 4)
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        'terse'
    """
    if not awaitables:
        raise UsageError("hw.race() without contestants: give it at least one call")

    given = check_awaitables("race", awaitables)
    if accept is not None:
        check_function(accept, "hw.race(accept", "make the check a task that gives its result or raises, and race that")

    async def run() -> Any:
        if (client := asking()) is not None:
            return await _race_in_worker(client, given, accept, with_index, default)
        found = await _race(given, accept)
        if isinstance(found, tuple):
            return found if with_index else found[1]
        if default is not MISSING:
            return default
        raise found

    return Join(run)


async def _race_in_worker(
    client: Client, given: Sequence[Awaitable[Any]], accept: Callable[[Any], bool] | None, with_index: bool, default: Any
) -> Any:
    if accept is not None:
        close_coroutines(given)
        raise UsageError(
            "hw.race(accept=…) in a worker process: the driver runs the race, and can't look at results with a function that the "
            "worker has. Make the check a task that gives its result or raises, and race that"
        )
    found = await client.join("race", given, may_lose=default is not MISSING)
    if found is None:
        return default
    return found if with_index else found[1]


async def _race(given: Sequence[Awaitable[Any]], accept: Callable[[Any], bool] | None) -> tuple[int, Any] | BaseException:
    """The winner and its value, or why there is none."""
    async with Joined("race", given) as joined:
        parts, name = joined.parts, joined.name("race")
        told, name = joined.recall(name, Winner)
        try:
            winner = await _await_recorded_winner(parts, told, accept)
            if winner is None:
                winner = await joined.until(lambda part: _wins(part, accept))
                if winner is not None:
                    joined.record(name, Winner(parts.index(winner)))
        except Exception:  # of `accept`
            await joined.stop("the race that it was in failed")
            raise
        joined.use(lambda part: part is winner or (accept is not None and _is_refused(part, accept)), racing=True)
        await joined.stop(f"{winner.describe()} won" if winner is not None else "nobody won")
        if winner is None:
            return _no_winner([part.exception() for part in parts])
        return parts.index(winner), winner.result()


async def _await_recorded_winner(
    parts: Sequence[Awaited[Any]], told: Winner | None, accept: Callable[[Any], bool] | None
) -> Awaited[Any] | None:
    """Await the recorded winner and return it if it wins again."""
    if told is None:
        return None
    winner = parts[told.place]
    await until((winner,))  # where it runs again, its result may differ
    return winner if _wins(winner, accept) else None


def _wins(part: Awaited[Any], accept: Callable[[Any], bool] | None) -> bool:
    return part.exception() is None and (accept is None or yes_or_no(accept(part.result()), "hw.race(accept=…)"))


def _is_refused(part: Awaited[Any], accept: Callable[[Any], bool]) -> bool:
    """Whether it was examined and refused, so that the signals it received are used up."""
    return part.done() and part.exception() is None and not accept(part.result())


def _no_winner(errors: Sequence[BaseException | None]) -> BaseException:
    """Why a race has no winner, from the errors of those that ran; None for those that ended well."""
    failures = [error for error in errors if isinstance(error, Exception)]
    if failures and len(failures) == len(errors):
        return ExceptionGroup("every contestant of a race failed", failures)
    winner = NoWinner(f"race: {len(errors) - len(failures)} of {len(errors)} contestants succeeded, none was accepted")
    if failures:
        winner.__cause__ = ExceptionGroup("the others failed", failures)
    return winner
