"""Waiting for several things at once: the one building block of every join.

`Until` waits until one of them is what the join looks for, or all have ended; `CompletionQueue` hands them out as they end. They
wait for calls, and for whatever else looks like one (`Awaited`): the join adapts coroutines to it.

A call that waits for calls is parked, and a wait in a circle is refused. A cancelled wait asks those calls to stop that are
children of the call that waited; its end waits for them anyway. Stopping anything else is up to the join.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar

from headway.engine.call import MISSING, Call, Frame, check_stop, current, is_told_again
from headway.engine.handle import Handle
from headway.engine.transitions import CANCELLED, OK
from headway.engine.waiting.waits import note_untold
from headway.errors import CycleError, NotInRun

T_co = TypeVar("T_co", covariant=True)


class Awaited(Protocol[T_co]):
    """What a join waits for: a call of the run, or a coroutine that was begun beside others."""

    def done(self) -> bool:
        """Whether it has ended, in any way."""
        ...

    def result(self) -> T_co:
        """What it ended with; raises its error."""
        ...

    def exception(self) -> BaseException | None:
        """The error that it ended with, CallCancelled if it was cancelled."""
        ...

    def describe(self) -> str:
        """What it is, for messages."""
        ...

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back with it when it has ended."""
        ...


class JoinFuture(asyncio.Future[None]):
    """What code waits for that joins coroutines: they are tasks of their own."""


class Until:
    """Waits until one satisfies `stop_at` (or has failed, with `stop_at_failure`), or all have ended. Its result is that one."""

    def __init__(
        self,
        parts: Sequence[Awaited[Any]],
        stop_at: Callable[[Any], bool] | None = None,
        *,
        stop_at_failure: bool = False,
    ) -> None:
        self.parts: Sequence[Any] = parts
        self.stop_at = stop_at
        self.stop_at_failure = stop_at_failure
        self.found: Any = None
        self.left = 0
        self.of_calls = False  # all parts are: then their attributes are read without a call
        self.future: asyncio.Future[None] | None = None
        self.error: BaseException | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        calls: Sequence[Call] = [part for part in self.parts if isinstance(part, Call)]
        self.of_calls = 0 < len(calls) == len(self.parts)
        if self.of_calls:
            calls = self.parts  # and no list of its own for each join that waits
        if calls:
            yield from self._wait_for_calls(calls)
        elif self._begin():
            self.future = JoinFuture()
            try:
                yield from self.future
            finally:
                self.future = None
        if self.error is not None:
            raise self.error
        return self.found

    def _wait_for_calls(self, calls: Sequence[Call]) -> Generator[Any, Any, None]:
        frame = _frame()
        call = frame.call
        waits = call.engine.waits
        foreign: Sequence[Call] = ()
        for each in calls:
            each.awaited = True
            if each.parent is not call and not foreign:
                foreign = [each for each in calls if each.parent is not call]
        if foreign:
            waits.check(call, foreign)
        if call.x is not None and call.x.halt is not None and call.x.halt.replays:
            if not all(is_told_again(call, each) for each in calls):
                check_stop(call)
        if self._begin():
            future = self.future = call.engine.loop.create_future()
            try:
                yield from waits.suspend(call, future, foreign)
            except asyncio.CancelledError:
                note_untold(call, calls)
                self.future = None
                cancel_children(calls, call)
                yield from waits.drain(call, calls)
                raise
        if self.found is not None and self.stop_at_failure:
            yield from waits.for_stopped(frame, self.found)

    def _begin(self) -> bool:
        """Look at what has ended and listen to the rest. Returns whether there is anything to wait for."""
        waiting = []
        for part in self.parts:
            if self.of_calls and part.state == OK and not part.blobs:
                if self.found is None and self.stop_at is not None and self._stops(part):
                    self.found = part
            elif not part.done() or is_unread(part):
                waiting.append(part)
            elif self.found is None and self._stops(part):
                self.found = part
        if self.found is not None or self.error is not None or not waiting:
            return False
        self.left = len(waiting)
        listen = self._ended  # one bound method for all: each attribute access would make a new one
        for part in waiting:
            part.add_callback(listen)
        return True

    def _ended(self, part: Any) -> None:
        if self.of_calls and part.value is MISSING and is_unread(part):  # what is joined is at hand where the join ends
            part.engine.run.reader.when_read(part, self._ended)
            return
        self.left -= 1
        future = self.future
        if future is None or future.done():
            return
        if self.found is None and not (self.of_calls and self.stop_at is None and part.state == OK) and self._stops(part):
            self.found = part
        if self.found is not None or not self.left:
            future.set_result(None)

    def _stops(self, part: Awaited[Any]) -> bool:
        if self.stop_at is None:
            return self.stop_at_failure and part.exception() is not None
        try:
            return self.stop_at(part)
        except BaseException as error:  # the user's accept() failed: that is the join's error
            self.error = error
            return True


class CompletionQueue:
    """Hands out what was added in the order in which it ends. Each is listened to once, and forgotten when it is handed out.

    Everything in it is a call of this run or a stream of one, or, outside of a run, nothing is.
    """

    def __init__(self) -> None:
        frame = current.get()
        self._call = None if frame is None else _frame().call
        self.left: dict[int, Any] = {}  # by the numbers under which they were added
        self._foreign: dict[int, Call] = {}  # those of them that other calls made
        self._ended: deque[int] = deque()
        self._future: asyncio.Future[None] | None = None

    def add(self, number: int, part: Any) -> None:
        """Listen to `part`, a handle, a place in a stream or a branch, known by its number from now on.

        Raises:
            CycleError: It is a call that waits for this one.
            ForeignHandle: It is a call of another run.
        """
        if self._call is not None:
            call: Call = part._call
            if call.parent is not self._call:
                self._call.engine.waits.check(self._call, (call,))
                self._foreign[number] = call
            call.awaited = True
        self.left[number] = part
        as_awaited(part).add_callback(functools.partial(self._note_arrival, number))

    def _note_arrival(self, number: int, part: Awaited[Any]) -> None:
        if is_unread(part):
            part.engine.run.reader.when_read(part, functools.partial(self._note_arrival, number))
            return
        self._ended.append(number)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def hand_out(self, number: int) -> Any:
        """Take one out that has ended."""
        self._foreign.pop(number, None)
        return self.left.pop(number)

    async def next(self) -> int:
        """The number of the next to have ended. It stays in the queue until it is handed out."""
        while True:
            while self._ended:
                number = self._ended.popleft()
                if number in self.left:
                    return number
            self._future = asyncio.get_running_loop().create_future()
            await self

    async def until(self, number: int) -> None:
        """Wait until this stream has an item, or has ended. It stays in the queue until it is handed out."""
        me, stream = self._call, self.left[number]._call
        if me is not None and me.x is not None and me.x.stop is not None and not is_told_again(me, stream):
            check_stop(me)
        while number not in self._ended:
            self._future = asyncio.get_running_loop().create_future()
            await self
        self._ended.remove(number)

    def __await__(self) -> Generator[Any, Any, None]:
        assert self._future is not None
        if self._call is None:
            yield from self._future
            return
        call, waits = self._call, self._call.engine.waits
        if foreign := list(self._foreign.values()):
            waits.check(call, foreign)  # one may have begun to wait for this call since it was added
        try:
            yield from waits.suspend(call, self._future, foreign)
        except asyncio.CancelledError:
            left = [handle._call for handle in self.left.values()]
            note_untold(call, left)
            cancel_children(left, call)
            yield from waits.drain(call, left)
            raise


def is_unread(part: object) -> TypeGuard[Call]:
    """Whether this is a call with a large result that was recorded and has to be read from the store."""
    return isinstance(part, Call) and part.unread


def as_awaited(part: Any) -> Any:
    """What to wait for, given this: a handle's call, or the object itself."""
    return part._call if isinstance(part, Handle) else part


def cancel_children(calls: Sequence[Call], me: Call) -> None:
    """A join was cancelled: ask those of its calls to stop that are children of the call that waited."""
    for call in calls:
        if call.parent is me:
            me.engine.cancel(call, "the join that waited for it was cancelled")


async def until(parts: Sequence[Awaited[Any]], stop_at: Callable[[Any], bool] | None = None) -> Any:
    return await Until(parts, stop_at)


async def cancel_and_drain(calls: Sequence[Call], reason: str) -> None:
    """Ask what still runs to stop, and wait until it has. Nobody need look at how it ended."""
    me = _frame().call
    running = []
    for call in calls:
        call.awaited = True
        if call.state < OK and call.state != CANCELLED:
            running.append(call)
            me.engine.cancel(call, reason)
    if any(call.state < OK for call in running):
        try:
            await until(running)
        except CycleError:  # somebody else's call waits for this one: it was told, and ends when it can
            await until([call for call in running if call.parent is me])


def find_stopped_children(me: Call) -> list[Call]:
    """Find the children of a call that were asked to stop."""
    return [child for child in me.children or () if child.x is not None and child.x.stop is not None]


def _frame() -> Frame:
    frame = current.get()
    if frame is None:
        raise NotInRun("handles can be awaited inside their run only: start the program with hw.run")
    frame.must_go_on()
    return frame
