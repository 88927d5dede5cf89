"""How parallel work comes together: gather, settle, race, as_completed, map, wait.

A join waits for handles of the run. What it decides from timing (who won, in which order they came) is recorded, so that a
resumed program is told the same again. Joins take any awaitable; only calls of tasks are recorded and can be found again.
Outside of a run they do the same with plain coroutines (`loose.py`), and take what a plain function returned as it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from headway.engine.call import MISSING, Call, Frame, current
from headway.engine.handle import Handle
from headway.engine.identity.callables import check_function, yes_or_no
from headway.engine.transitions import OK
from headway.engine.waiting.until import Arrivals, Until, cancel_and_drain, until
from headway.errors import CallCancelled, NotInRun, UsageError
from headway.journal.codec.codec import digest
from headway.journal.decisions import Arrival, NextCall, Winner
from headway.loose import cancelled, checked, close_coroutines, contained, gather_loose, no_winner, race_loose, settle_loose
from headway.task import Task

if TYPE_CHECKING:
    from headway.engine.engine import Engine

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
A = TypeVar("A")
R = TypeVar("R")
D = TypeVar("D")


class Join(Generic[T]):
    """Something to await: a join that has not begun. It begins when it is awaited (or given to `hw.wait`)."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begin().__await__()


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """How one call ended: `value`, or `error` (CallCancelled where it was cancelled)."""

    value: T | None = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def cancelled(self) -> bool:
        return isinstance(self.error, CallCancelled)


# --- gather and settle -----------------------------------------------------------------------------------------------


@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], /) -> Join[tuple[T1, T2]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> Join[tuple[T1, T2, T3]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /) -> Join[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(*awaitables: Awaitable[T]) -> Join[list[T]]: ...
def gather(*awaitables: Awaitable[Any]) -> Any:
    """All results, in the order of the arguments.

    On the first failure the rest is cancelled and drained, then the failure is raised; what finished stays recorded.

    Example:
        >>> async def program(queries):
        ...     return await gather(*(search(q) for q in queries))
    """
    given = checked("gather", awaitables)
    return Join(lambda: _gather(given))


async def _gather(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    handles = _calls(awaitables)
    if handles is None:
        return await gather_loose(awaitables)
    failed = await Until(handles, None, stop_at_failure=True)
    if failed is not None:
        await cancel_and_drain(handles, f"{failed.describe()} failed beside it")
    return [handle.result() for handle in handles] if failed is None else failed.result()


def settle(*awaitables: Awaitable[T]) -> Join[list[Settled[T]]]:
    """How each ended, in the order of the arguments. Never raises for a call: keeps what finished."""
    given = checked("settle", awaitables)
    return Join(lambda: _settle(given))


async def _settle(awaitables: Sequence[Awaitable[T]]) -> list[Settled[T]]:
    handles = _calls(awaitables)
    if handles is None:
        ends = await settle_loose(awaitables)
        ends = [cancelled() if isinstance(end, asyncio.CancelledError) else end for end in ends]
        return [Settled(error=end) if isinstance(end, BaseException) else Settled(end) for end in ends]
    await until(handles)
    return [_settled(handle) for handle in handles]


def _settled(handle: Call) -> Settled[Any]:
    error = handle.exception()
    return Settled(handle.result()) if error is None else Settled(error=error)


# --- race ------------------------------------------------------------------------------------------------------------


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
    """The first good result: of a call that succeeded and, where given, that `accept` takes. The others are cancelled and
    drained. The winner is recorded: after a crash the same one wins.

    `with_index=True` gives `(index, value)`, the index of the winner among the arguments.

    When nobody wins, the race gives `default` where there is one; else it raises an ExceptionGroup of all errors if every call
    failed, NoWinner if some succeeded and `accept` took none. `accept` is a plain function; what it raises, the race raises.
    """
    if not awaitables:
        raise UsageError("hw.race() without contestants: give it at least one call")

    given = checked("race", awaitables)
    if accept is not None:
        check_function(accept, "hw.race(accept", "make the check a task that gives its result or raises, and race that")

    async def run() -> Any:
        found = await _race(given, accept)
        if isinstance(found, tuple):
            return found if with_index else found[1]
        if default is not MISSING:
            return default
        raise found

    return Join(run)


async def _race(awaitables: Sequence[Awaitable[Any]], accept: Callable[[Any], bool] | None) -> tuple[int, Any] | BaseException:
    """The winner and its value, or why there is none."""
    handles = _calls(awaitables)
    if handles is None:
        return await race_loose(awaitables, accept)
    frame = _frame()
    call, decisions = frame.call, frame.call.engine.decisions
    key = decisions.name_decision(frame, "race", b"".join(handle.key for handle in handles))
    recalled = decisions.recall(call, key, Winner)
    try:
        winner = await _recalled_winner(handles, recalled, accept)
        if winner is None:
            winner = await until(handles, stop_at=lambda handle: _wins(handle, accept))
            if winner is not None:
                decisions.record_decision(call, key, Winner(handles.index(winner)))
    except Exception:  # of `accept`
        await cancel_and_drain(handles, "the race that it was in failed")
        raise
    finally:
        for handle in handles:
            handle.awaited = True
    await cancel_and_drain(handles, f"{winner.describe()} won" if winner is not None else "nobody won")
    _give_back_of_losers(call, handles, winner, accept)
    if winner is None:
        return no_winner([handle.exception() for handle in handles])
    return handles.index(winner), winner.result()


def _give_back_of_losers(call: Call, handles: Sequence[Call], winner: Call | None, accept: Callable[[Any], bool] | None) -> None:
    """Signals that a loser was told go back to the queue, also where it ended in the same moment as the winner; but not those of
    one that was looked at and refused."""
    signals = call.engine.signals
    if not signals.given.touched:
        return
    lost: list[bytes] = []
    for handle in handles:
        if handle is not winner and handle.state == OK and handle.parent is call and (told := signals.under(call, handle)):
            if accept is None or _wins(handle, accept):
                lost += told
    signals.give_back(call, lost)


async def _recalled_winner(handles: Sequence[Call], told: Winner | None, accept: Callable[[Any], bool] | None) -> Call | None:
    """The winner that was recorded, if it wins again now."""
    if told is None:
        return None
    winner = handles[told.place]
    if winner.state < OK or winner.unread:  # it runs again, its result may differ
        await until((winner,))
    return winner if _wins(winner, accept) else None


def _wins(handle: Call, accept: Callable[[Any], bool] | None) -> bool:
    return handle.state == OK and (accept is None or yes_or_no(accept(handle.result()), "hw.race(accept=…)"))


# --- one after the other ---------------------------------------------------------------------------------------------


async def as_completed(*handles: Handle[T]) -> AsyncIterator[Handle[T]]:
    """The handles in the order in which they end. The order is recorded: a resumed program gets the same one.

    Leaving the loop early leaves the rest running; they end with their parent.

    Example:
        >>> async def program(items):
        ...     async for handle in as_completed(*(score(item) for item in items)):
        ...         print(handle.result())
    """
    _check_calls("as_completed", checked("as_completed", handles))
    frame = _frame()
    call, decisions = frame.call, frame.call.engine.decisions
    calls = [handle._call for handle in handles]
    call.engine.waits.check(call, calls)
    detail = b"".join(each.key for each in calls)
    arrivals = Arrivals()
    for index, handle in enumerate(handles):
        arrivals.add(index, handle)
    base = digest(detail)
    for place in range(len(handles)):
        key = decisions.name_decision(frame, "order", base + place.to_bytes(4, "big"))
        told = decisions.recall(call, key, Arrival)
        if told is None:
            index = await arrivals.next()
            decisions.record_decision(call, key, Arrival(index))
        else:
            index = told.place
            await until((calls[index],))
        yield arrivals.hand_out(index)


class Map(Generic[R]):
    """Results of `hw.map`: `async for` takes them one by one, `await` takes them all as a list."""

    def __init__(self, results: Callable[[], AsyncGenerator[R, None]]) -> None:
        self._results = results

    def __aiter__(self) -> AsyncIterator[R]:
        return self._results()

    def __await__(self) -> Generator[Any, Any, list[R]]:
        return self._all().__await__()

    async def _all(self) -> list[R]:
        return [value async for value in self._results()]


def map(  # noqa: A001 - the field's word
    task: Task[[A], R], items: Iterable[A] | AsyncIterable[A], *, window: int = 64, ordered: bool = True
) -> Map[R]:
    """Call `task` on each item; results in the order of the items, or with `ordered=False` in that in which they come.

    Items are taken lazily: at most `window` calls are begun and not yet handed out, so a million items need the memory of a
    window. A slow call in order holds back what is done behind it, and when the window is full, what comes next; without order it
    does not. The order in which results came is recorded: a resumed program gets the same one. On the first failure among those
    handed out the calls already begun are cancelled and drained.

    Example:
        >>> async def program(pages):
        ...     async for vector in hw.map(embed, pages, window=100):
        ...         ...
        ...     async for score in hw.map(judge, pages, ordered=False):
        ...         ...
    """
    if not callable(task):
        raise UsageError(f"hw.map(task={task!r:.100}): expected a task")
    if not isinstance(window, int) or window < 1:
        raise UsageError(f"hw.map(window={window!r}): expected a whole number, at least 1 call at a time")
    return Map(lambda: _map(task, items, window, ordered))


async def _map(task: Task[[A], R], items: Iterable[A] | AsyncIterable[A], window: int, ordered: bool) -> AsyncGenerator[R, None]:
    source = aiter(items) if isinstance(items, AsyncIterable) else _as_async(items)
    if current.get() is None:
        async for item in source:
            result: Any = task(item)
            yield await result if asyncio.iscoroutine(result) else result
        return
    begun: _InOrder[R] | _AsTheyCome[R] = _InOrder() if ordered else _AsTheyCome()
    exhausted = False
    try:
        while True:
            while not exhausted and len(begun) < window:
                try:
                    begun.add(task(await anext(source)))
                except StopAsyncIteration:
                    exhausted = True
            if not len(begun):
                return
            yield await begun.next()
    finally:
        left = list(begun)
        close_coroutines(left)
        calls = [handle._call for handle in left if isinstance(handle, Handle)]
        for call in calls:
            call.awaited = True
        if calls:
            await cancel_and_drain(calls, "hw.map ended early")


class _InOrder(deque[Handle[R]]):
    """Calls that a map has begun; their results in the order in which they were begun."""

    def add(self, handle: Handle[R]) -> None:
        self.append(checked("map", (handle,))[0])  # type: ignore[arg-type]

    async def next(self) -> R:
        value = await self[0]
        self.popleft()
        return value


class _AsTheyCome(Generic[R]):
    """Calls that a map has begun; their results in the order in which they come, as recorded."""

    def __init__(self) -> None:
        self._frame = _frame()
        self._name = self._frame.call.engine.decisions.name_decision(self._frame, "map")
        self._arrivals = Arrivals()
        self._made = 0

    def __len__(self) -> int:
        return len(self._arrivals.left)

    def __iter__(self) -> Iterator[Handle[R]]:
        return iter(self._arrivals.left.values())

    def add(self, handle: Handle[R]) -> None:
        _check_calls("map(…, ordered=False)", (handle,))
        self._arrivals.add(self._made, handle)
        self._made += 1

    async def next(self) -> R:
        call, decisions = self._frame.call, self._frame.call.engine.decisions
        key = decisions.name_decision(self._frame, "order", self._name)
        told = decisions.recall(call, key, NextCall)
        left = self._arrivals.left
        index = None if told is None else next((index for index, handle in left.items() if handle._call.key == told.call), None)
        if index is None:
            index = await self._arrivals.next()
            decisions.record_decision(call, key, NextCall(left[index]._call.key))
        value: R = await left[index]
        self._arrivals.hand_out(index)
        return value


async def _as_async(items: Iterable[A]) -> AsyncGenerator[A, None]:
    for item in items:
        yield item


# --- from a thread ---------------------------------------------------------------------------------------------------


def wait(awaitable: Awaitable[T]) -> T:
    """Inside a plain `def` task that runs in a thread: the result of a call or join, waiting for it.

    While the thread waits, its slot in the pool is lent to others, so nested waits can't starve.

    Example:
        >>> @hw.task
        ... def pipeline(path: str) -> int:
        ...     return hw.wait(hw.gather(count(path), size(path)))[0]

    Raises what awaiting would raise; UsageError on the event loop's thread, where `await` is the way.
    """
    frame = current.get()
    if frame is None:
        return asyncio.run(_await(awaitable)) if inspect.isawaitable(awaitable) else awaitable
    engine: Engine = frame.call.engine
    if threading.get_ident() == engine.thread:
        raise UsageError(f"{frame.call.describe()} runs on the event loop: await it there; hw.wait is for plain def tasks")
    waiting: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(contained(awaitable), engine.loop)
    return engine.world.wait(waiting)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


# --- what they share -------------------------------------------------------------------------------------------------


def _frame() -> Frame:
    frame = current.get()
    if frame is None:
        raise NotInRun("as_completed works on calls of a run: start the program with hw.run, or use asyncio.as_completed")
    return frame


def _check_calls(join: str, given: Sequence[object]) -> None:
    """Raises UsageError for what is no call of a task, inside of a run: the order in which others end can't be recorded."""
    wrong = next((each for each in given if not isinstance(each, Handle)), None)
    if wrong is None or current.get() is None:
        return
    close_coroutines(given)
    name = getattr(wrong, "__qualname__", "")
    raise UsageError(
        f"hw.{join} takes calls of tasks, got {type(wrong).__name__}{f' {name}' if name else ''}: "
        "only the order of calls is recorded, so decorate the function with @hw.task"
    )


def _calls(awaitables: Sequence[Awaitable[Any]]) -> Sequence[Call] | None:
    """The calls of the handles, or None where something else is among the awaitables."""
    if current.get() is None:
        return None
    calls = [awaitable._call for awaitable in awaitables if isinstance(awaitable, Handle)]
    return calls if len(calls) == len(awaitables) else None
