"""The stream: what a program holds of a call whose task is an async generator.

It is a handle, whose result is the number of items, and it can be looped over, by several readers, each of which gets all items.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headway.engine.call import Call, Frame, current
from headway.engine.handle import Handle
from headway.engine.transitions import CANCELLED, OK
from headway.engine.waiting.until import cancel_and_drain
from headway.errors import UsageError

T_co = TypeVar("T_co", covariant=True)


class Stream(Handle[int], Generic[T_co]):
    """The handle of a call whose task is an async generator. Made by calling such a task.

    Loop over it to get its items as they come. Every loop gets all of them, in order, from the first on. Await it to get their
    number, when the call has ended. When the last open loop is left early, the call is cancelled.

    Raises:
        Exception: in the loop, after the last item, what the call's function raised; or what awaiting a `Handle` raises.
        ItemChanged: the function ran again and yielded something else than it had handed out.
        UsageError: it is an argument of a call or of a join.

    Example:
        >>> @hw.task
        ... async def count(to: int) -> AsyncIterator[int]:
        ...     for n in range(to):
        ...         yield n
        >>> @hw.task
        ... async def program() -> list[int]:
        ...     return [n async for n in count(3)]
        >>> hw.run(program, store=None)
        [0, 1, 2]
    """

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _Reader(self._call)

    async def aclose(self) -> None:
        """Stop the call and wait until it has stopped, as an async generator's `aclose` does: for `contextlib.aclosing`."""
        if self._call.state < OK:
            await cancel_and_drain([self._call], "its stream was closed")

    def __await__(self) -> Generator[Any, Any, int]:
        if self._call.state < OK:
            self._call.engine.streams.await_end(self._call)
        return super().__await__()


class _Reader(Generic[T_co]):
    """One loop over a stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._number = 0
        self._reads: object | None = None  # what the stream knows the loop by, while it is open

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self

    async def __anext__(self) -> T_co:
        frame, call = self._frame(), self._call
        streams = call.engine.streams
        if self._reads is None:
            self._reads = object()
            streams.open(call, self._reads, frame.call)
        try:
            item = await streams.next_item(frame, call, self._number)
        except asyncio.CancelledError:
            self._leave()
            if call.parent is frame.call:
                await _Drained(call, frame.call)
            raise
        if item is None:
            self._leave()
            if call.state != OK and frame.scope.deadline is not None:
                await _ForStopped(frame, call)
            call.result()  # raises where it failed
            raise StopAsyncIteration
        self._number += 1
        value: T_co = await streams.decoded(frame, call, item)
        return value

    def _frame(self) -> Frame:
        frame, call = current.get(), self._call
        if frame is None or frame.call.engine is not call.engine:
            raise call.foreign()
        if threading.get_ident() != call.engine.thread:
            raise UsageError(
                f"the stream {call.describe()} is read on the event loop: in a plain def task put the loop into an async function "
                "and give that to hw.wait"
            )
        frame.must_go_on()
        return frame

    def _leave(self) -> None:
        if self._reads is not None:
            self._call.engine.streams.leave(self._call, self._reads)

    def __del__(self) -> None:
        """The loop was left, by `break` or by an error."""
        engine = self._call.engine
        if self._reads is None or engine.loop.is_closed():
            return
        if threading.get_ident() == engine.thread:
            self._leave()
        else:
            engine.loop.call_soon_threadsafe(engine.streams.leave, self._call, self._reads)


@dataclass(frozen=True, slots=True)
class StreamItem(Generic[T_co]):
    """An item of a stream that a group reads, as the group hands it out.

    Attributes:
        stream: which stream handed it out.
        number: its place in the stream, from 0.
        value: the item.
    """

    stream: object
    number: int
    value: T_co

    def result(self) -> T_co:
        """The item, as a handle gives its result."""
        return self.value

    def exception(self) -> None:
        """None: a stream that fails is handed out itself, after its last item."""
        return


class Reading:
    """A place in a stream that moves on: what a group waits for when it reads one beside calls. It can be asked what a queue of
    completions asks."""

    def __init__(self, stream: Stream[Any]) -> None:
        self.stream = stream
        self.number = 0
        self._call = stream._call

    def open(self, owner: Call) -> None:
        """Begin to read, for the code of this call."""
        self._call.engine.streams.open(self._call, self, owner)

    @property
    def _key(self) -> bytes:
        """What a turn is recorded under: the stream's call. Its items come in their own order."""
        return self._call.key

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        self._call.engine.streams.listen(self._call, self.number, lambda: callback(self))

    async def take(self, frame: Frame | None) -> StreamItem[Any] | None:
        """Hand out the item that has come, and move on; None where the stream has ended."""
        assert frame is not None  # a stream is read in a run
        streams = self._call.engine.streams
        item = streams.take(self._call, self.number)
        if item is None:
            self.leave()
            return None
        self.number += 1
        return StreamItem(self.stream, item.number, await streams.decoded(frame, self._call, item))

    def leave(self) -> None:
        """Read no more."""
        self._call.engine.streams.leave(self._call, self)


class _Drained:
    """Wait until a stream that was left has stopped."""

    def __init__(self, call: Call, me: Call) -> None:
        self._call, self._me = call, me

    def __await__(self) -> Generator[Any, Any, None]:
        engine = self._call.engine
        if not engine.streams.feed(self._call).readers and self._call.state != CANCELLED:
            engine.cancel(self._call, "the loop that read its items stopped waiting")
            yield from engine.waits.drain(self._me, (self._call,))


class _ForStopped:
    """Wait for what a deadline stops besides this call, as awaiting a handle does."""

    def __init__(self, frame: Frame, failed: Call) -> None:
        self._frame, self._failed = frame, failed

    def __await__(self) -> Generator[Any, Any, None]:
        yield from self._failed.engine.waits.for_stopped(self._frame, self._failed)
