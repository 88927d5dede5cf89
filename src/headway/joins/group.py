"""A group: calls that are added and streams that are read while their completions and items are handed out, in recorded order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from types import TracebackType
from typing import Any, Generic, TypeVar

from headway.engine.handle import Handle
from headway.engine.streaming.stream import Stream
from headway.errors import UsageError
from headway.joins.base import check_awaitables, check_calls, close_coroutines, in_run
from headway.joins.completed import Completions

T = TypeVar("T")


class Group(Generic[T]):
    """Calls that are added, and streams that are read, while what comes of them is handed out; made by `hw.group`."""

    def __init__(self) -> None:
        self._calls: Completions[T] | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._tags: dict[Handle[T], str] = {}
        self._out: Handle[T] | None = None  # what was handed out last

    async def __aenter__(self) -> Group[T]:
        if self._calls is not None:
            raise UsageError("this hw.group() is open, or has been: open another one")
        self._calls = Completions("group")
        self._reader = asyncio.current_task()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._calls is not None and kind is not GeneratorExit:
            await self._calls.stop("the group that it was in was left")

    def __len__(self) -> int:
        """How many calls have not been handed out yet."""
        return 0 if self._calls is None else len(self._calls)

    def add(self, call: Handle[T], tag: str = "") -> Handle[T]:
        """Add a call; it is handed out when it has ended. The code that reads the group adds to it, before or while it reads.

        Args:
            call: A call of a task, from anywhere in the run.
            tag: A word of your own, which `tag` gives back.

        Returns:
            What will be handed out for it: the call itself. (Outside of a run, something that has its `result()`.)

        Raises:
            CycleError: The call can't end before the one that reads the group.
            ForeignHandle: It is a call of another run.
            UsageError: It is no call of a task; or it is added by other code than reads the group.
        """
        calls = self._check(call)
        handle: Handle[T] = calls.add(check_awaitables("group", (call,))[0])
        if tag:
            self._tags[handle] = tag
        return handle

    def read(self, stream: Stream[T]) -> Stream[T]:
        """Read a stream beside the calls.

        Each of its items is handed out as it comes, as a `StreamItem`, and after the last one the stream itself, as a call that has
        ended.

        Args:
            stream: A call of a task that is an async generator. (Outside of a run, an async generator.)

        Returns:
            What will be handed out last: the stream. (Outside of a run, something that has its `result()`.)

        Raises:
            CycleError: The stream can't go on before the call that reads the group ends.
            ForeignHandle: It is a stream of another run.
            UsageError: It is no stream; or it is added by other code than reads the group.

        Example:
            >>> @hw.task
            ... async def plan(steps: int) -> AsyncIterator[str]:
            ...     for step in range(steps):
            ...         yield f"step {step}"
            >>> @hw.task
            ... async def work(step: str) -> str:
            ...     return f"{step} done"
            >>> @hw.task
            ... async def program() -> list[str]:
            ...     seen = []
            ...     async with hw.group() as group:
            ...         planned = group.read(plan(2))
            ...         async for part in group:
            ...             if isinstance(part, hw.StreamItem):
            ...                 group.add(work(part.value))          # while the plan still grows
            ...             elif part is not planned:
            ...                 seen.append(part.result())
            ...     return seen
            >>> hw.run(program, store=None)
            ['step 0 done', 'step 1 done']
        """
        calls = self._open(stream)
        if not isinstance(stream, Stream if in_run() else AsyncIterator):
            close_coroutines((stream,))
            raise UsageError(f"hw.group().read takes a stream, a call of an async generator task, got {type(stream).__name__}")
        read: Stream[T] = calls.read(stream)
        return read

    def tag(self, handle: Handle[T]) -> str:
        """The tag of a call that is in the group or was handed out last.

        Args:
            handle: the call, as `add` returned it.

        Returns:
            The tag; empty where it has none.
        """
        return self._tags.get(handle, "")

    def _check(self, *given: object) -> Completions[T]:
        calls = self._open(*given)
        for call in given:
            if in_run() and not isinstance(call, Awaitable):
                raise UsageError(f"hw.group().add takes one call, got {type(call).__name__}")
            check_calls("group().add", (call,))
        return calls

    def _open(self, *given: object) -> Completions[T]:
        """What the group holds, for the code that opened it. Raises UsageError, and closes the coroutines that it was given."""
        wrong = ""
        if self._calls is None:
            wrong = "hw.group() is opened with: async with hw.group() as group"
        elif asyncio.current_task() is not self._reader:
            wrong = (
                "a group is read and added to by the code that opened it; the turn of another coroutine would depend on timing: "
                "let the loop that reads the group add the calls"
            )
        if self._calls is None or wrong:
            close_coroutines(given)
            raise UsageError(wrong)
        return self._calls

    def __aiter__(self) -> AsyncIterator[Handle[T]]:
        return self

    async def __anext__(self) -> Handle[T]:
        calls = self._check()
        if self._out is not None:
            self._tags.pop(self._out, None)
            self._out = None
        if not len(calls):
            raise StopAsyncIteration
        self._out = await calls.next()
        return self._out


def group() -> Group[Any]:
    """Open a group: an `as_completed` that grows, as a search or a scheduler does that plans by what it has seen.

    Reading ends when everything that was added has been handed out and the loop's body adds no more; it may be read again after
    more was added. The order is recorded, and a resumed program gets the same one. Leaving the block early, by `break` or by an
    error, cancels and drains the calls that were not handed out. A failed call is handed out like any other: ask its `result()`.

    A group yields handles, as `as_completed` does, and keeps a tag for those that need one. In a plain `def` task read it in an
    async helper: `hw.wait(helper())`. For a typed group, annotate it: `group: hw.Group[float]`. A group can also `read` streams, so
    that a plan runs while it is still being made.

    Returns:
        The group, to be opened with `async with`.

    Raises:
        NotInRun: the call that opened it has ended.

    Example:
        >>> @hw.task
        ... async def halve(number: int) -> int:
        ...     return number // 2
        >>> @hw.task
        ... async def program() -> list[int]:
        ...     seen = []
        ...     async with hw.group() as group:
        ...         group.add(halve(20))
        ...         async for handle in group:
        ...             seen.append(handle.result())
        ...             if seen[-1] > 1:
        ...                 group.add(halve(seen[-1]))
        ...     return seen
        >>> hw.run(program, store=None)
        [10, 5, 2, 1]
    """
    return Group()
