"""Joins of awaitables that are not all calls: plain coroutines inside of a run, and everything outside of one.

Nothing of it can be found again but the winner of a race in a run, which is recorded by its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from headway.engine.handle import MISSING, current
from headway.engine.until import until
from headway.errors import CallCancelled, NoWinner, UsageError

T = TypeVar("T")


class _Done(Generic[T]):
    """What a plain function returned, to be awaited beside coroutines."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, T]:
        yield from ()
        return self._value


def checked(join: str, given: Sequence[Any]) -> Sequence[Awaitable[Any]]:
    """What a join was given, as awaitables. Outside of a run a task that is a plain `def` has given its result already.

    Raises UsageError for what is no call.
    """
    if all(isinstance(each, Awaitable) for each in given):
        return given
    if current.get() is not None or any(_holds_calls(each) for each in given):
        _refuse(join, given)
    return [each if isinstance(each, Awaitable) else _Done(each) for each in given]


def _refuse(join: str, given: Sequence[object]) -> NoReturn:
    wrong = next(each for each in given if not isinstance(each, Awaitable))
    way = f": write hw.{join}(*calls)" if isinstance(wrong, list | tuple) or hasattr(wrong, "__next__") else ""
    raise UsageError(f"hw.{join} takes calls, got {type(wrong).__name__}{way}")


def _holds_calls(given: object) -> bool:
    """Whether it is a collection of calls, of which somebody forgot to take the elements."""
    return hasattr(given, "__next__") or (isinstance(given, list | tuple) and any(isinstance(each, Awaitable) for each in given))


async def gather_loose(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((task for task in tasks if task.done() and (task.cancelled() or task.exception())), None)
    finally:
        await _drain(tasks)
    return [task.result() for task in tasks] if failed is None else failed.result()


async def race_loose(awaitables: Sequence[Awaitable[Any]], accept: Callable[[Any], bool] | None) -> tuple[int, Any] | BaseException:
    """The winner's place and value, or why there is none."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    left = set(tasks)
    frame = current.get()
    key = b""
    try:
        if frame is not None:
            outcomes = frame.call._engine.outcomes
            key = outcomes.name_decision(frame.call, "race", b"coroutines" + len(tasks).to_bytes(4, "big"))
            index = outcomes.recall(frame.call, key)
            if index is not MISSING:
                await asyncio.wait([tasks[index]])
                if _wins_loose(tasks[index], accept):
                    return index, tasks[index].result()
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for index, task in enumerate(tasks):
                if task in done and _wins_loose(task, accept):
                    if frame is not None:
                        frame.call._engine.outcomes.record_decision(frame.call, key, "race", index)
                    return index, task.result()
    finally:
        await _drain(tasks)
    return no_winner([cancelled() if task.cancelled() else task.exception() for task in tasks])


def _wins_loose(task: asyncio.Future[Any], accept: Callable[[Any], bool] | None) -> bool:
    return not task.cancelled() and task.exception() is None and (accept is None or bool(accept(task.result())))


def no_winner(errors: Sequence[BaseException | None]) -> BaseException:
    """Why a race has no winner, from the errors of those that ran; None for those that ended well."""
    failures = [error for error in errors if isinstance(error, Exception)]
    if failures and len(failures) == len(errors):
        return ExceptionGroup("every contestant of a race failed", failures)
    winner = NoWinner(f"race: {len(errors) - len(failures)} of {len(errors)} contestants succeeded, none was accepted")
    if failures:
        winner.__cause__ = ExceptionGroup("the others failed", failures)
    return winner


def cancelled() -> CallCancelled:
    """What a coroutine that was cancelled failed with, as a call would."""
    return CallCancelled("a coroutine among those that a join waited for was cancelled")


async def _drain(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what still runs, and wait until it has ended, and so have the calls that it waited for."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
        if (frame := current.get()) is not None:
            await until([child for child in frame.call._children or () if child._x is not None and child._x.stop is not None])
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asked for, or asyncio would complain of those that failed beside the first
