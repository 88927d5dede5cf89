"""Things in the order in which they end, as recorded: `as_completed`, and `Completions`, which grow while they are read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import Any, Generic, TypeVar

from headway.engine.call import Frame, current
from headway.engine.handle import Handle
from headway.engine.streaming.stream import Reading, StreamItem
from headway.engine.waiting.until import CompletionQueue, as_awaited, cancel_and_drain, until
from headway.errors import UsageError
from headway.joins.base import check_awaitables, check_calls
from headway.joins.branches import Branch, Branches
from headway.joins.recorded import name_decision, recall, record
from headway.journal.codec.codec import digest
from headway.journal.decisions import Arrival, NextCall, name_asked_again
from headway.relay.client import asking
from headway.relay.series import Series

T = TypeVar("T")


async def as_completed(*handles: Handle[T]) -> AsyncIterator[Handle[T]]:
    """Take handles in the order in which they end. The order is recorded: a resumed program gets the same one.

    Leaving the loop early leaves the rest running; they end with their parent. Outside of a run, where there are coroutines instead
    of handles, each is handed out as something that has a handle's `result()` and `exception()`, and leaving the loop cancels the
    rest.

    Args:
        *handles: calls of tasks.

    Yields:
        The handles, each when its call has ended.

    Raises:
        CycleError: a call waits for the one that reads.
        UsageError: one of the arguments is not a call of a task.

    Example:
        >>> @hw.task
        ... async def rest(seconds: float) -> float:
        ...     await hw.sleep(seconds)
        ...     return seconds
        >>> @hw.task
        ... async def program() -> list[float]:
        ...     return [handle.result() async for handle in hw.as_completed(rest(3), rest(1), rest(2))]
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        [1, 2, 3]
    """
    check_calls("as_completed", given := check_awaitables("as_completed", handles))
    if (client := asking()) is not None:
        series = Series(client, "as_completed", given)
        while len(series):
            yield await series.next()
        return
    frame, queue = current.get(), CompletionQueue()
    if frame is None:
        async for branch in _as_completed_outside(queue, given):
            yield branch
        return
    for place, handle in enumerate(handles):
        queue.add(place, handle)
    base = digest(b"".join(handle._key for handle in handles))
    for turn in range(len(handles)):
        name = name_decision(frame, "order", base + turn.to_bytes(4, "big"))
        told = recall(frame, name, Arrival)
        if told is None:
            place = await queue.next()
            record(frame, name, Arrival(place))
        else:
            place = told.place
            await until((as_awaited(handles[place]),))
        yield queue.hand_out(place)


async def _as_completed_outside(queue: CompletionQueue, given: Sequence[Awaitable[Any]]) -> AsyncGenerator[Any, None]:
    branches = Branches("as_completed")
    for place, awaitable in enumerate(given):
        queue.add(place, branches.begin(awaitable, place))
    try:
        while queue.left:
            yield queue.hand_out(await queue.next())
    finally:
        await branches.drain(list(queue.left.values()))


class Completions(Generic[T]):
    """Calls that are added one by one and handed out as they end, in recorded order: what a group and an unordered map share.

    A call is recorded by its key, so that it is found again whatever else is added. Where the call that is recorded for a turn is
    not there any more, because the program has changed, the next to end takes its turn.
    """

    def __init__(self, what: str) -> None:
        client = asking()
        self._series = None if client is None else Series(client, what)
        self.frame: Frame | None = current.get()
        self._name = b"" if self.frame is None else name_decision(self.frame, what)
        self._queue = CompletionQueue()
        self._branches: Branches | None = None
        self._added = 0

    def __len__(self) -> int:
        return len(self._queue.left) if self._series is None else len(self._series)

    def add(self, call: Awaitable[T]) -> Any:
        """Add a call; outside of a run anything to await. What will be handed out for it."""
        part: Any = call
        if self._series is not None:
            self._series.add(part)
            return part
        if self.frame is None:
            self._branches = self._branches or Branches("group")
            part = self._branches.begin(call, self._added)
        self._queue.add(self._added, part)
        self._added += 1
        return part

    def read(self, stream: Any) -> Any:
        """Add a stream: its items are handed out as they come, and then what this returns, the stream itself. Outside of a run the
        stream is an async generator, and something that can be asked how it ended is handed out last."""
        if self._series is not None:
            raise UsageError("a stream can't be read in a worker process: read it in an async task on the driver")
        reading: Reading | OutsideReading
        if self.frame is None:
            reading = OutsideReading(stream)
            self._add_reading(reading)
        else:
            reading = Reading(stream)
            self._add_reading(reading)
            reading.open(self.frame.call)
        return reading.stream

    def _add_reading(self, reading: Reading | OutsideReading) -> None:
        if isinstance(reading, OutsideReading):
            self._branches = self._branches or Branches("group")
            self._queue.add(self._added, self._branches.begin(reading.move_on(), self._added))
        else:
            self._queue.add(self._added, reading)
        self._added += 1

    async def next(self) -> Any:
        """The next call that ends, or item that comes. It counts as remaining until it is handed out."""
        if self._series is not None:
            return await self._series.next()
        part = self._queue.hand_out(await self._next_number())
        reading = part if isinstance(part, Reading) else part.result() if _is_reading(part) else None
        if reading is None:
            return part
        item = await reading.take(self.frame)
        if item is None:
            return reading.stream
        self._add_reading(reading)
        return item

    async def _next_number(self) -> int:
        left = self._queue.left
        if self.frame is None:
            return await self._queue.next()
        name = name_decision(self.frame, "order", self._name)
        number = None
        while number is None and (told := recall(self.frame, name, NextCall)) is not None:
            number = next((number for number, handle in left.items() if handle._key == told.call), None)
            name = name if number is not None else name_asked_again(name)
        if number is None:
            number = await self._queue.next()
            record(self.frame, name, NextCall(left[number]._key))
        elif isinstance(left[number], Reading):
            await self._queue.until(number)
        else:
            await until((as_awaited(left[number]),))
        return number

    async def stop(self, reason: str) -> None:
        """Cancel and drain what was not handed out."""
        if self._series is not None:
            await self._series.stop(reason)
            return
        left = list(self._queue.left.values())
        if self._branches is not None:
            await self._branches.drain([part for part in left if isinstance(part, Branch)])
        elif left:
            for part in left:
                if isinstance(part, Reading):
                    part.leave()
            await cancel_and_drain([part._call for part in left], reason)
        self._queue.left.clear()


async def stop_calls(calls: Sequence[Handle[Any]], reason: str) -> None:
    """Cancel and drain calls, also those that code in a worker has made."""
    if (client := asking()) is not None:
        await client.stop_calls(calls, reason)
    else:
        await cancel_and_drain([each._call for each in calls], reason)


class OutsideReading:
    """A place in an async generator that moves on, outside of a run. It is handed out itself when the generator has ended."""

    def __init__(self, generator: AsyncIterator[Any]) -> None:
        self.stream = self
        self._generator = generator
        self._number = 0
        self._item: StreamItem[Any] | None = None
        self._error: Exception | None = None

    async def move_on(self) -> OutsideReading:
        try:
            self._item = StreamItem(self, self._number, await anext(self._generator))
        except StopAsyncIteration:
            self._item = None
        except Exception as error:
            self._item, self._error = None, error
        return self

    async def take(self, frame: Frame | None) -> StreamItem[Any] | None:
        self._number += self._item is not None
        return self._item

    def result(self) -> int:
        """How many items there were. Raises what the generator failed with."""
        if self._error is not None:
            raise self._error
        return self._number

    def exception(self) -> Exception | None:
        return self._error


def _is_reading(part: Any) -> bool:
    """Whether a branch has moved on in a generator."""
    return isinstance(part, Branch) and part.exception() is None and isinstance(part.result(), OutsideReading)
