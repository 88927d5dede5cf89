"""Streams: calls of async generators, whose items are recorded one by one and handed out while the code runs.

An item is recorded before anybody sees it, and who reads gets what was recorded, decoded for this reader. So no item that was
handed out is ever lost or handed out differently. A call that was stopped in the middle first hands out what it had recorded; its
code runs only when somebody wants more, from its beginning, and must yield the recorded items again (`ItemChanged`). The calls that
it makes are answered from the journal meanwhile. A call that had ended and is asked again begins a new generation of items.

The code runs ahead of whoever reads most by `window` items, and then waits. What waits for readers must never wait for ever: a wait
for the call's end opens the window, and so does the end of the parent's code, after which nobody comes who would read.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing
from typing import Any

from headway.engine.call import Call, Frame, check_stop, current, is_told_again
from headway.engine.decisions import Decisions
from headway.engine.ports import Stopper
from headway.engine.replay.lookup import Replay
from headway.engine.run_context import RunContext
from headway.engine.streaming.feed import Feed
from headway.engine.transitions import OK
from headway.engine.waiting.waits import Waits
from headway.errors import ItemChanged, StoreDamaged, StoreError, UsageError
from headway.journal.codec.codec import decode, digest, encode
from headway.journal.decisions import Item, StreamEnd, decision_key
from headway.journal.log import Blob
from headway.journal.records import INLINE_BYTES

WINDOW = 16
"""How many items a stream may be ahead of whoever reads it, where its task does not say."""


def has_handed_out(call: Call) -> bool:
    """Whether the call has handed out items. They can't be taken back: its next attempt must find what they were made from."""
    return call.x is not None and call.x.feed is not None and bool(call.x.feed.items)


class Streams:
    """The streams of one run."""

    def __init__(self, run: RunContext, decisions: Decisions, replay: Replay, stopper: Stopper, waits: Waits) -> None:
        self._run = run
        self._decisions = decisions
        self._replay = replay
        self._stopper = stopper
        self._waits = waits

    def feed(self, call: Call) -> Feed:
        """The call's items, and who reads them."""
        x = call.extra()
        if x.feed is None:
            x.feed = Feed()
            x.feed.unbounded = x.feed.counted = call.parent is None  # nobody can read the root
            call.add_callback(lambda _: _wake(self.feed(call).listeners))
        return x.feed

    # --- the code ----------------------------------------------------------------------------------------------------

    async def hand_out(self, call: Call, items: AsyncGenerator[Any, None]) -> int:
        """Run the call's code to its end; how many items there were. Code that has to stop is closed at its last `yield`, so that
        its `finally` runs."""
        frame, feed, number = current.get(), self.feed(call), 0
        assert frame is not None
        async with aclosing(items):
            self._take_up(call, feed)
            if not _is_to_hear(call):
                feed.rests = bool(feed.items)
                await self._until_read(frame, feed, 0)
                feed.rests = False
            async for value in items:
                self._refuse_late(frame)
                seq = self._add(call, feed, number, value)
                number += 1
                if seq:
                    await self._until_room(frame, feed, seq)
        if number < len(feed.items):
            raise _make_item_changed(call, number, "ended before it")
        return number

    def _take_up(self, call: Call, feed: Feed) -> None:
        """Find what the call had handed out in an earlier life, or before its parent was tried again."""
        if feed.runs:  # a further attempt
            return
        feed.runs = True
        feed.generation, _ = self._generation(call)
        if self._replay.policy(call.spec) != "rerun":
            while (item := self._recorded(call, feed, len(feed.items))) is not None:
                feed.items.append(item)
            _wake(feed.listeners)

    def _add(self, call: Call, feed: Feed, number: int, value: Any) -> int:
        """Record an item and hand it out; the seq of its row, 0 where it was handed out before."""
        head, buffers = encode(value, where=f"item {number} of {call.spec.name}", pickle=call.spec.pickled)
        blobs = tuple(Blob(digest(buffer), buffer) for buffer in buffers)
        if len(head) > INLINE_BYTES:
            blobs, head = (Blob(digest(head), head), *blobs), b""
        item = Item(number, head, tuple(blob.digest for blob in blobs))
        if number < len(feed.items):
            if item != feed.items[number]:
                raise _make_item_changed(call, number, "yielded another one")
            return 0
        seq, known = 0, self._recorded(call, feed, number)
        if known not in (None, item):
            self._begin_generation(call, feed)
        if known != item:
            seq = self._decisions.record_decision(call, _name(call, feed.generation, number), item, blobs)
        if blobs:
            feed.kept[number] = tuple(memoryview(blob.data) for blob in blobs)
            if self._run.store is not None:
                self._run.journal.when_durable(seq, functools.partial(_forget, feed, number))
        feed.items.append(item)
        _wake(feed.listeners)
        return seq or self._run.journal.durable

    def _begin_generation(self, call: Call, feed: Feed) -> None:
        """Begin a new generation: the code was edited, and its items differ from here on."""
        self._record_end(call, feed)
        feed.generation += 1
        for item in feed.items:
            self._decisions.record_decision(call, _name(call, feed.generation, item.number), item)

    def _refuse_late(self, frame: Frame) -> None:
        """Raises CancelledError in code that was left behind, and where nothing is recorded any more."""
        frame.must_go_on()
        if self._run.closing:
            raise asyncio.CancelledError("the run stops here")

    async def _until_room(self, frame: Frame, feed: Feed, seq: int) -> None:
        """Wait until readers, and the journal, are not too far behind."""
        while not self._run.journal.has_room():
            durable = self._run.loop.create_future()
            self._run.journal.when_durable(seq, functools.partial(_wake, [durable]))
            await _Parked(self._waits, frame.call, durable)
        if feed.unbounded and not len(feed.items) % frame.call.spec.window:
            await asyncio.sleep(0)  # others have their turn
        await self._until_read(frame, feed, frame.call.spec.window - 1)

    async def _until_read(self, frame: Frame, feed: Feed, most: int) -> None:
        """Wait until at most so many items were read by nobody."""
        while len(feed.items) - feed.read > most and not feed.unbounded:
            feed.room = self._run.loop.create_future()
            try:
                await _Parked(self._waits, frame.call, feed.room)
            finally:
                feed.room = None

    # --- the call ----------------------------------------------------------------------------------------------------

    def reuse(self, call: Call, *, by_hand: bool) -> None:
        """The call is answered from the journal: so are its items."""
        feed = self.feed(call)
        feed.by_hand = by_hand
        generation, feed.recorded = self._generation(call)
        feed.generation = generation - 1

    def close(self, call: Call, error: BaseException | None) -> None:
        """The call ends: record how many items it has handed out, unless it was stopped and may go on another time. The row is
        committed with the outcome that follows or not at all: without that, the call goes on where it was."""
        if self._run.closing or issubclass(type(error), asyncio.CancelledError):
            return
        feed = self.feed(call)
        if not feed.runs:
            feed.generation, _ = self._generation(call)
        if feed.runs or feed.generation:  # else nothing ever was
            self._run.journal.hold()
            self._run.loop.call_soon(self._run.journal.release)
            self._record_end(call, feed)

    def _generation(self, call: Call) -> tuple[int, int]:
        """The first generation of items that has not ended, and how many the one before it had."""
        generation = count = 0
        while (end := self._decisions.recall(call, _name(call, generation), StreamEnd)) is not None:
            generation, count = generation + 1, end.count
        return generation, count

    def _record_end(self, call: Call, feed: Feed) -> None:
        self._decisions.record_decision(call, _name(call, feed.generation), StreamEnd(len(feed.items)))

    def await_end(self, call: Call) -> None:
        """Let a stream run to its end, for which somebody waits, whether anybody reads it or not."""
        feed = self.feed(call)
        feed.counted = True
        self._unbind(feed)

    def leave_unread(self, parent: Call) -> None:
        """Stop the streams of a call whose own code has ended, where only that code has read them.

        A stream that nobody has read goes on to its end, as any call does; so does one that other calls read, for they may be
        waiting for this call."""
        for call in list(parent.children or ()):
            if call.spec.streams:
                feed = self.feed(call)
                if not feed.was_read or any(owner is not parent for owner in feed.readers.values()):
                    self._unbind(feed)
                elif not feed.counted:
                    self._stopper.cancel(call, "the call that read its items has ended")

    def let_begin(self, call: Call) -> bool:
        """Let code run that rests until somebody wants more than an earlier life handed out; whether it rested."""
        feed = call.x.feed if call.x is not None else None
        if feed is None or not feed.rests:
            return False
        self._unbind(feed)
        return True

    def _unbind(self, feed: Feed) -> None:
        feed.unbounded = True
        if feed.room is not None:
            _wake([feed.room])

    # --- who reads ---------------------------------------------------------------------------------------------------

    def open(self, call: Call, reader: object, owner: Call) -> None:
        """Begin a loop over the call's items."""
        feed = self.feed(call)
        feed.readers[reader] = owner
        feed.was_read = True

    def leave(self, call: Call, reader: object) -> None:
        """End a loop over the call's items. After the last one the call is stopped; not at once, for another may be about to begin.
        Nobody need look at how it ends."""
        if self.feed(call).readers.pop(reader, None) is not None:
            call.awaited = True
            self._run.loop.call_soon(self._stop_unread, call)

    def _stop_unread(self, call: Call) -> None:
        feed = self.feed(call)
        if call.state < OK and not feed.readers and not feed.counted:
            self._stopper.cancel(call, "the loop that read its items was left")

    async def next_item(self, frame: Frame, call: Call, number: int) -> Item | None:
        """The item of this number, as soon as there is one; None where the call has ended without."""
        me, feed = frame.call, self.feed(call)
        if me.x is not None and me.x.stop is not None and not is_told_again(me, call):
            check_stop(me)
        foreign = () if call.parent is me else (call,)
        while self._find(call, feed, number) is None and call.state < OK:
            self._waits.check(me, foreign)
            future = self._run.loop.create_future()
            feed.listeners.append(future)
            await _Parked(self._waits, me, future, foreign)
        return self.take(call, number)

    def is_there(self, call: Call, number: int) -> bool:
        """Whether the item of this number can be had, or the call has ended without it."""
        feed = self.feed(call)
        return number < max(len(feed.items), feed.recorded) or call.state >= OK

    def listen(self, call: Call, number: int, callback: Callable[[], None]) -> None:
        """Call back when the item of this number is there, or the call has ended without it."""
        if self.is_there(call, number):
            callback()
            return
        future = self._run.loop.create_future()
        self.feed(call).listeners.append(future)
        future.add_done_callback(lambda _: self.listen(call, number, callback))

    def take(self, call: Call, number: int) -> Item | None:
        """The item of this number, which is there, for the reader that has come to it; None where the call has ended without it."""
        feed = self.feed(call)
        item = self._find(call, feed, number)
        if item is not None and number >= feed.read:
            feed.read = number + 1
            if feed.room is not None:
                _wake([feed.room])
        return item

    async def decoded(self, frame: Frame, call: Call, item: Item) -> Any:
        """The value of an item, of which large parts are read from the store."""
        head, buffers = item.value, self.feed(call).kept.get(item.number, ())
        if item.blobs and not buffers:
            buffers = await self._read(frame, item.blobs)
        if not head:
            head, buffers = bytes(buffers[0]), buffers[1:]
        return decode(head, buffers, pickle=call.spec.pickled)

    async def _read(self, frame: Frame, names: Sequence[bytes]) -> tuple[memoryview, ...]:
        store, found = self._run.store, self._run.loop.create_future()
        assert store is not None
        answers: list[tuple[memoryview, ...] | StoreError] = []

        def read(answer: tuple[memoryview, ...] | StoreError) -> None:
            answers.append(answer)
            _wake([found])

        self._run.reader.ask(lambda: tuple(store.get_blob(name) for name in names), read)
        await _Parked(self._waits, frame.call, found, reads=True)
        if isinstance(answer := answers[0], StoreError):
            raise answer
        return answer

    def _find(self, call: Call, feed: Feed, number: int) -> Item | None:
        """The item, or None if there is none yet."""
        if number < len(feed.items):
            return feed.items[number]
        if feed.by_hand:
            raise UsageError(
                f"{call.describe()} was given its result by hand, and a stream is read for its items: fork the run at the call, or "
                "give the result to the call that reads it"
            )
        if number >= feed.recorded:
            return None
        item = self._recorded(call, feed, number)
        if item is None:
            raise StoreDamaged(
                f"item {number} of {call.describe()} is not in the journal any more: run `headway doctor`, or fork the run at "
                "the call"
            )
        return item

    def _recorded(self, call: Call, feed: Feed, number: int) -> Item | None:
        return self._decisions.recall(call, _name(call, feed.generation, number), Item)


class _Parked:
    """Wait in a call for a future of the engine; `targets` are the calls that have to go on for it."""

    def __init__(
        self, waits: Waits, me: Call, future: asyncio.Future[None], targets: Sequence[Call] = (), *, reads: bool = False
    ) -> None:
        self._wait: Callable[[], Generator[Any, Any, None]] = lambda: waits.suspend(me, future, targets, reads=reads)

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait()


def _is_to_hear(call: Call) -> bool:
    """Whether the code of a call runs only to be told of its stop."""
    return call.x is not None and call.x.halt is not None and call.x.halt.replays


def _name(call: Call, generation: int, number: int | None = None) -> bytes:
    """The name of an item; without a number, of the end of its generation."""
    detail = generation.to_bytes(8, "big") + (b"" if number is None else number.to_bytes(8, "big"))
    return decision_key(call.key, 0, "stream", detail)


def _make_item_changed(call: Call, number: int, what: str) -> ItemChanged:
    return ItemChanged(
        f"{call.describe()} had handed out item {number}, and {what} when it ran again; what was handed out can't be taken back. "
        "Make what may differ (an answer of a model, a time, a random number) a call of a task, or take it from hw.now() and "
        'hw.random(); where the code was edited, on_change="rerun" hands out the new items'
    )


def _forget(feed: Feed, number: int) -> None:
    """The blobs of an item are in the store."""
    feed.kept.pop(number, None)


def _wake(futures: list[asyncio.Future[None]]) -> None:
    waiting, futures[:] = list(futures), []
    for future in waiting:
        if not future.done():
            future.set_result(None)
