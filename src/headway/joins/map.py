"""A task on each item, a window of calls at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Generator, Iterable, Sized
from typing import Any, Generic, Literal, TypeVar, overload

from headway.engine.handle import Handle
from headway.engine.tasks.options import is_number
from headway.engine.waiting.until import until
from headway.errors import ForeignHandle, UsageError
from headway.joins.base import Settled, check_awaitables, check_calls, in_run, make_settled
from headway.joins.branches import Branch, Branches, sort_signals
from headway.joins.completed import Completions, stop_calls
from headway.task import Task

A = TypeVar("A")
R = TypeVar("R")

Policy = Literal["raise", "keep"] | int | float
"""What a map does about calls that fail."""


class Map(Generic[R]):
    """Results of `hw.map`: `async for` takes them one by one, `await` takes them all as a list."""

    def __init__(self, begin: Any) -> None:
        self._begin = begin

    def __aiter__(self) -> AsyncIterator[R]:
        results: AsyncIterator[R] = self._begin()
        return results

    def __await__(self) -> Generator[Any, Any, list[R]]:
        return self._all().__await__()

    async def _all(self) -> list[R]:
        return [value async for value in self]


@overload
def map(  # noqa: A001 - the field's word
    task: Task[[A], R],
    items: Iterable[A] | AsyncIterable[A],
    *,
    window: int = 64,
    ordered: bool = True,
    failed: Literal["raise"] = "raise",
) -> Map[R]: ...
@overload
def map(  # noqa: A001 - the field's word
    task: Task[[A], R],
    items: Iterable[A] | AsyncIterable[A],
    *,
    window: int = 64,
    ordered: bool = True,
    failed: Literal["keep"] | int | float,
) -> Map[Settled[R]]: ...
def map(  # noqa: A001 - the field's word
    task: Task[[A], R],
    items: Iterable[A] | AsyncIterable[A],
    *,
    window: int = 64,
    ordered: bool = True,
    failed: Policy = "raise",
) -> Map[R] | Map[Settled[R]]:
    """Call a task on each item.

    Items are taken lazily: at most `window` calls are begun and not yet handed out, so a million items need the memory of a window.
    A slow call in order holds back what is done behind it, and when the window is full, what comes next; without order it does not.
    The order in which results came is recorded: a resumed program gets the same one. Where the map ends early, the calls already
    begun are cancelled and drained.

    Args:
        task: the task to call, with one item each time.
        items: a collection, an iterator or an async iterator.
        window: calls that are begun and not yet handed out, at most.
        ordered: whether results come in the order of the items. If not, they come as their calls end.
        failed: what to do about calls that fail. "raise": raise the first failure among those handed out. "keep": hand out a
            `Settled` for each item, with its value or its error. A whole number: the same, and raise when more have failed than
            that. A share between 0 and 1: the same, of all items; where their number is known, the map raises as soon as there are
            too many, else when it has seen them all.

    Returns:
        The results: `async for` takes them one by one, `await` takes them all as a list.

    Raises:
        Exception: what a call failed with (`failed="raise"`).
        ExceptionGroup: more calls failed than `failed` tolerates; all their errors.
        UsageError: an argument is not what it should be.

    Example:
        >>> @hw.task
        ... async def invert(x: int) -> float:
        ...     return 1 / x
        >>> @hw.task
        ... async def program() -> list[float]:
        ...     ends = await hw.map(invert, range(5), failed=0.2)  # at most a fifth of them may fail
        ...     return [end.value for end in ends if end.ok and end.value > 0.3]
        >>> hw.run(program, store=None)
        [1.0, 0.5, 0.3333333333333333]
    """
    if not callable(task):
        raise UsageError(f"hw.map(task={task!r:.100}): expected a task")
    if not isinstance(items, Iterable | AsyncIterable):
        raise UsageError(f"hw.map(items={items!r:.100}): expected a collection, an iterator or an async iterator")
    if not isinstance(window, int) or window < 1:
        raise UsageError(f"hw.map(window={window!r}): expected a whole number, at least 1 call at a time")
    if failed not in ("raise", "keep") and not (is_number(failed) and _is_limit(failed)):
        raise UsageError(
            f'hw.map(failed={failed!r:.100}): expected "raise", "keep", how many calls may fail (0, 1, 2, …), or the share of them '
            "that may (between 0 and 1)"
        )
    return Map(lambda: _map(task, items, window, ordered, _Failures(failed, len(items) if isinstance(items, Sized) else None)))


def _is_limit(failed: Any) -> bool:
    return failed >= 0 if isinstance(failed, int) else 0 < failed < 1


async def _map(
    task: Task[[A], R], items: Iterable[A] | AsyncIterable[A], window: int, ordered: bool, failures: _Failures
) -> AsyncGenerator[Any, None]:
    source = aiter(items) if isinstance(items, AsyncIterable) else _as_async(items)
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
                failures.check_share()
                return
            yield failures.hand_out(await begun.next())
    finally:
        await begun.stop("hw.map ended early")


class _Failures:
    """What a map does about calls that fail."""

    def __init__(self, policy: Policy, items: int | None) -> None:
        self._policy = policy
        self._items = items
        self._handed_out = 0
        self._errors: list[BaseException] = []

    def hand_out(self, part: Any) -> Any:
        """The value of a call that has ended, or how it ended. Raises if the policy says so."""
        if self._policy == "raise":
            return part.result()
        self._handed_out += 1
        end = make_settled(part)
        if end.error is not None and self._policy != "keep":
            self._errors.append(end.error)
            if not isinstance(self._policy, float):
                self._check(self._policy)
            elif self._items is not None:
                self._check(self._policy * self._items)
        return end

    def check_share(self) -> None:
        """All have been handed out, so their number is known now."""
        if isinstance(self._policy, float):
            self._check(self._policy * self._handed_out)

    def _check(self, most: Any) -> None:
        if len(self._errors) > most:
            raise BaseExceptionGroup(
                f"hw.map(failed={self._policy}): {len(self._errors)} of the {self._handed_out} calls handed out have failed",
                self._errors,
            )


class _InOrder(Generic[R]):
    """Calls that a map has begun, handed out in the order in which they were begun."""

    def __init__(self) -> None:
        self._line: deque[Any] = deque()
        self._branches: Branches | None = None
        self._added = 0

    def __len__(self) -> int:
        return len(self._line)

    def add(self, call: Awaitable[R]) -> None:
        part: Any = check_awaitables("map", (call,))[0]
        if not in_run() or not isinstance(part, Handle):
            self._branches = self._branches or Branches("map", given=(part,))
            part = self._branches.begin(part, self._added)
        self._line.append(part)
        self._added += 1

    async def next(self) -> Any:
        """The first in line, when it has ended. Whoever gets it looks at its error."""
        part = self._line[0]
        if isinstance(part, Handle):
            try:
                await part
            except Exception as error:
                if not part.done() or isinstance(error, ForeignHandle):
                    raise
        else:
            await until((part,))
            sort_signals((part,), lambda ended: ended.exception() is None)
        self._line.popleft()
        return part

    async def stop(self, reason: str) -> None:
        """Cancel and drain what was not handed out."""
        left = list(self._line)
        if calls := [part for part in left if isinstance(part, Handle)]:
            await stop_calls(calls, reason)
        if self._branches is not None:
            branches = [part for part in left if isinstance(part, Branch)]
            try:
                await self._branches.drain(branches)
            finally:
                sort_signals(branches, lambda _: False)


class _AsTheyCome(Completions[R]):
    """Calls that a map has begun, handed out as they end, in recorded order."""

    def __init__(self) -> None:
        super().__init__("map")

    def add(self, call: Awaitable[R]) -> Any:
        check_calls("map(…, ordered=False)", (call,))
        return super().add(check_awaitables("map", (call,))[0])


async def _as_async(items: Iterable[A]) -> AsyncGenerator[A, None]:
    for item in items:
        yield item
