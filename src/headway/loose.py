"""Joins of awaitables that are not all calls: plain coroutines inside of a run, and everything outside of one.

Nothing of it can be found again but the winner of a race in a run, which is recorded by its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.identity.callables import said, yes_or_no
from headway.engine.stopping.stops import GRACE_S
from headway.engine.waiting.until import until
from headway.errors import CallCancelled, CallExited, NoWinner, UsageError
from headway.journal.decisions import Winner

if TYPE_CHECKING:
    from headway.engine.engine import Engine

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
    key = _named("gather", awaitables)
    tasks = _begun(awaitables, key)
    failed: asyncio.Future[Any] | None = None
    whole = False
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((task for task in tasks if task.done() and (task.cancelled() or task.exception())), None)
        whole = failed is None
    finally:
        try:
            await _drain(tasks)
        finally:
            _sort_out(awaitables, key, lambda _: whole)
    return [task.result() for task in tasks] if failed is None else failed.result()


async def settle_loose(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """How each ended: its value or its error."""
    key = _named("settle", awaitables)
    ends: list[Any] | None = None
    try:
        ends = await asyncio.gather(*_begun(awaitables, key), return_exceptions=True)
    finally:
        _sort_out(awaitables, key, lambda place: ends is not None and not isinstance(ends[place], BaseException))
    return ends


async def race_loose(awaitables: Sequence[Awaitable[Any]], accept: Callable[[Any], bool] | None) -> tuple[int, Any] | BaseException:
    """The winner's place and value, or why there is none."""
    frame, key = current.get(), _named("race", awaitables)
    tasks = _begun(awaitables, key)
    left = set(tasks)
    winner: int | None = None

    def used(place: int) -> bool:
        """Whether somebody had a use for what this one gave: it won, or was looked at and refused."""
        if place == winner or accept is None:
            return place == winner
        task = tasks[place]
        return task.done() and not task.cancelled() and task.exception() is None and not accept(task.result())

    try:
        if frame is not None:
            told = frame.call.engine.decisions.recall(frame.call, key, Winner)
            if told is not None:
                index = told.place
                await asyncio.wait([tasks[index]])
                if _wins_loose(tasks[index], accept):
                    winner = index
                    return index, tasks[index].result()
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for index, task in enumerate(tasks):
                if task in done and _wins_loose(task, accept):
                    if frame is not None:
                        frame.call.engine.decisions.record_decision(frame.call, key, Winner(index))
                    winner = index
                    return index, task.result()
    finally:
        try:
            await _drain(tasks)
        finally:
            _sort_out(awaitables, key, used, calls_too=True)
    return no_winner([cancelled() if task.cancelled() else task.exception() for task in tasks])


def _named(join: str, awaitables: Sequence[object]) -> bytes:
    """What a join is found again by: its number among those of its kind and width in this branch of this call."""
    frame = current.get()
    if frame is None:
        return b""
    try:
        engine: Engine = frame.call.engine
        return engine.decisions.name_decision(frame, join, b"coroutines" + len(awaitables).to_bytes(4, "big"))
    except BaseException:  # the call is over, and its code that goes on can begin nothing more
        close_coroutines(awaitables)
        raise


def close_coroutines(given: Iterable[object]) -> None:
    """Close those that nobody will await, or Python would complain of them."""
    for each in given:
        if inspect.iscoroutine(each):
            each.close()


def _begun(awaitables: Sequence[Awaitable[Any]], join: bytes) -> list[asyncio.Future[Any]]:
    """The awaitables as tasks, each in a branch of its own: what is decided by order (races, `hw.now`, budgets, …) is named by the
    order in its branch, for between branches the order hangs on time; so are equal calls."""
    if (frame := current.get()) is not None:
        frame.call.engine.names.siblings_of(frame.call).begin_join(frame.branch, join)
    return [_begin(awaitable, join + place.to_bytes(4, "big")) for place, awaitable in enumerate(awaitables)]


def _begin(awaitable: Awaitable[Any], level: bytes) -> asyncio.Future[Any]:
    frame = current.get()
    if frame is None or isinstance(awaitable, Handle | asyncio.Future):
        return asyncio.ensure_future(awaitable)
    branch = frame.branch + level
    siblings = frame.call.engine.names.siblings_of(frame.call)
    siblings.open.add(branch)
    context = contextvars.copy_context()
    context.run(current.set, frame._replace(branch=branch))
    task = asyncio.get_running_loop().create_task(contained(awaitable), context=context)
    task.add_done_callback(lambda _: siblings.open.discard(branch))
    return task


def contained(awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
    """The same as a coroutine whose exit is an error: asyncio lets an exit end the loop, and with it everything else."""
    return _Contained(awaitable if inspect.iscoroutine(awaitable) else _awaiting(awaitable))


class _Contained(Coroutine[Any, Any, T]):
    """No coroutine around the coroutine: one that never began would leave the inner one behind, and Python complains of that."""

    def __init__(self, inner: Coroutine[Any, Any, T]) -> None:
        self._inner = inner
        self.__qualname__ = getattr(inner, "__qualname__", type(inner).__qualname__)

    def send(self, value: Any) -> Any:
        return self._exits_are_errors(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._exits_are_errors(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    def _exits_are_errors(self, step: Callable[..., Any], *given: Any) -> Any:
        try:
            return step(*given)
        except (KeyboardInterrupt, SystemExit) as error:
            raise CallExited(f"a coroutine raised {said(error)} (which is no Exception)") from error


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _wins_loose(task: asyncio.Future[Any], accept: Callable[[Any], bool] | None) -> bool:
    return (
        not task.cancelled()
        and task.exception() is None
        and (accept is None or yes_or_no(accept(task.result()), "hw.race(accept=…)"))
    )


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
    if isinstance(sys.exception(), GeneratorExit):  # the loop is gone, and with it all that could be waited for
        return
    running = [task for task in tasks if not task.done()]
    for task in tasks:
        task.add_done_callback(_hear)
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=GRACE_S / 2)  # a call that is stopped itself must end in time
        if (frame := current.get()) is not None:
            for task in running:
                if isinstance(task, asyncio.Task):
                    frame.call.engine.stops.leave_behind(task, f"a coroutine that {frame.call.describe()} joined")
            await until([child for child in frame.call.children or () if child.x is not None and child.x.stop is not None])


def _sort_out(awaitables: Sequence[Awaitable[Any]], join: bytes, used: Callable[[int], bool], *, calls_too: bool = False) -> None:
    """Signals that coroutines were told belong to whoever gets their results; those that nobody gets go back to the queue. The
    result of a call is recorded and can be found again, so it keeps its signals, unless it lost a race (`calls_too`)."""
    frame = current.get()
    if frame is None or not frame.call.engine.signals.given.touched:
        return
    call, signals = frame.call, frame.call.engine.signals
    lost: list[bytes] = []
    for place, awaitable in enumerate(awaitables):
        if isinstance(awaitable, Handle):
            told = signals.under(call, awaitable._call)
        else:
            branch = frame.branch + join + place.to_bytes(4, "big")
            if signals.is_lent(call, branch) and used(place):
                signals.reclaim(frame, branch)
            told = signals.inside(call, branch)
        if not told:
            continue
        if not used(place):
            gone = told if calls_too else [wait for wait in told if not signals.given.through(wait)]
            lost += gone
            told = [wait for wait in told if wait not in gone]
        signals.hand_on(told, frame.branch)
    signals.give_back(call, lost)


def _hear(task: asyncio.Future[Any]) -> None:
    """Ask for an error, or asyncio would complain of those that failed beside the first; however the join itself ends."""
    if not task.cancelled():
        task.exception()
