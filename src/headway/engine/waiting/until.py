"""Waiting for several handles at once: the one building block of every join.

`Until` parks the current call until one of the handles is what the join looks for, or all have ended. A cancelled wait asks those
handles to stop that are children of the call; its end waits for them anyway.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from headway.engine.call import Call, Frame, current
from headway.engine.handle import Handle
from headway.engine.transitions import CANCELLED, OK
from headway.errors import NotInRun


class Until:
    """Waits until one of the handles satisfies `stop_at`, or all have ended."""

    def __init__(
        self,
        handles: Sequence[Call],
        stop_at: Callable[[Call], bool] | None,
        *,
        stop_at_failure: bool = False,
    ) -> None:
        self.handles = handles
        self.stop_at = stop_at
        self.stop_at_failure = stop_at_failure
        self.found: Call | None = None
        self.left = 0
        self.future: asyncio.Future[None] | None = None
        self.error: BaseException | None = None

    def __await__(self) -> Generator[Any, Any, Call | None]:
        frame = _frame()
        call = frame.call
        waits = call.engine.waits
        foreign: list[Call] = []
        for handle in self.handles:
            handle.awaited = True
            if handle.parent is not call:
                foreign.append(handle)
        if foreign:
            waits.check(call, foreign)
        if self._begin():
            future = self.future = call.engine.loop.create_future()
            try:
                yield from waits.suspend(call, future, foreign)
            except asyncio.CancelledError:
                self.future = None
                cancel_children(self.handles, call)
                yield from waits.drain(call, self.handles)
                raise
        if self.found is not None and self.stop_at_failure:
            yield from waits.for_stopped(frame, self.found)
        if self.error is not None:
            raise self.error
        return self.found

    def _begin(self) -> bool:
        """Look at what has ended and listen to the rest; whether there is something to wait for."""
        waiting = []
        for handle in self.handles:
            if handle.state < OK or handle.unread:
                waiting.append(handle)
            elif (handle.state != OK or self.stop_at is not None) and self.found is None and self._stops(handle):
                self.found = handle
        if self.found is not None or self.error is not None or not waiting:
            return False
        self.left = len(waiting)
        for handle in waiting:
            handle.add_callback(self._ended)
        return True

    def _ended(self, handle: Call) -> None:
        if handle.unread:  # what is joined is at hand where the join ends
            handle.engine.run.reader.when_read(handle, self._ended)
            return
        self.left -= 1
        if (handle.state != OK or self.stop_at is not None) and self.found is None:
            if self.future is not None and self._stops(handle):
                self.found = handle
        if (self.found is not None or not self.left) and self.future is not None and not self.future.done():
            self.future.set_result(None)

    def _stops(self, handle: Call) -> bool:
        if self.stop_at is None:
            return self.stop_at_failure and handle.state != OK
        try:
            return self.stop_at(handle)
        except BaseException as error:  # the user's accept() failed: that is the join's error
            self.error = error
            return True


class Arrivals:
    """Handles in the order in which they end, each listened to once. Those that have been handed out are forgotten."""

    def __init__(self) -> None:
        self._call = _call()
        self.left: dict[int, Handle[Any]] = {}  # by the numbers under which they were added
        self._foreign: dict[int, Call] = {}  # those of them that other calls made
        self._ended: deque[int] = deque()
        self._future: asyncio.Future[None] | None = None

    def add(self, index: int, handle: Handle[Any]) -> None:
        self.left[index], call = handle, handle._call
        if call.parent is not self._call:
            self._foreign[index] = call
        call.awaited = True
        call.add_callback(functools.partial(self._arrived, index))

    def _arrived(self, index: int, call: Call) -> None:
        if call.unread:
            call.engine.run.reader.when_read(call, functools.partial(self._arrived, index))
            return
        self._ended.append(index)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def hand_out(self, index: int) -> Handle[Any]:
        self._foreign.pop(index, None)
        return self.left.pop(index)

    async def next(self) -> int:
        """The number of the next to have ended."""
        while True:
            while self._ended:
                index = self._ended.popleft()
                if index in self.left:
                    return index
            self._future = self._call.engine.loop.create_future()
            await self

    def __await__(self) -> Generator[Any, Any, None]:
        assert self._future is not None
        try:
            yield from self._call.engine.waits.suspend(self._call, self._future, list(self._foreign.values()))
        except asyncio.CancelledError:
            left = [handle._call for handle in self.left.values()]
            cancel_children(left, self._call)
            yield from self._call.engine.waits.drain(self._call, left)
            raise


def cancel_children(handles: Sequence[Call], call: Call) -> None:
    """A join was cancelled: ask those of its handles to stop that are children of the call that waited."""
    for handle in handles:
        if handle.parent is call:
            call.engine.cancel(handle, "the join that waited for it was cancelled")


async def until(handles: Sequence[Call], stop_at: Callable[[Call], bool] | None = None) -> Call | None:
    return await Until(handles, stop_at)


async def cancel_and_drain(handles: Sequence[Call], reason: str) -> None:
    """Ask what still runs to stop, and wait until it has."""
    call = _call()
    running = [handle for handle in handles if handle.state < OK and handle.state != CANCELLED]
    for handle in running:
        call.engine.cancel(handle, reason)
    if any(handle.state < OK for handle in running):
        await until(running)


def _call() -> Call:
    return _frame().call


def _frame() -> Frame:
    frame = current.get()
    if frame is None:
        raise NotInRun("handles can be awaited inside their run only: start the program with hw.run")
    frame.must_go_on()
    return frame
