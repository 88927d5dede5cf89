"""The signals sent to a run: who waits for them, who gets them, and what goes back to the queue.

A signal is handed to the first that waits for its name and still listens. It is recorded in the moment in which the program is
told, and it is used for good when the call that waited ends well (`journal/given` has the rules). What was handed out and is not
used goes back to its old place in the queue: nothing that somebody sent is ever lost, and nothing is used twice.

A wait with a time limit looks into the queue before it looks at the clock: what was sent in time counts, however late it is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headway import events
from headway.engine.call import Call, Frame, hear_stop
from headway.engine.decisions import Decisions
from headway.engine.replay.lookup import Replay
from headway.engine.run_context import RunContext
from headway.engine.scopes.bounds import REPLAY_S
from headway.engine.scopes.scopes import Scopes
from headway.engine.stopping.halt import Shield
from headway.engine.transitions import FINISHING
from headway.errors import DeadlineExceeded, HeadwayError
from headway.journal.clocks import left_s
from headway.journal.codec.codec import decode
from headway.journal.decisions import (
    Event,
    EventLimit,
    EventsGivenBack,
    Waits,
    WaitsOver,
    name_asked_again,
    name_given_back,
    name_waited_for,
)
from headway.journal.records import Signal


@dataclass(eq=False, slots=True)
class Waiter:
    """One wait, from when it began to when it is told."""

    call: Call
    attempt: int
    name: str
    until: float | None  # wall clock
    prefer: int  # the signal that this wait received before
    key: bytes = b""  # of the decision that it waits for
    note: bytes = b""  # of the decision that says so to other processes
    future: asyncio.Future[None] | None = None
    signal: Signal | None = None  # what it was handed and has not taken yet
    shield: Shield | None = None  # in whose block it waits
    late: bool = False  # its time is up: only what was sent in time counts

    @property
    def listens(self) -> bool:
        """Whether the attempt that waits goes on. A thread that was left behind may wait for ever."""
        call = self.call
        if call.attempt != self.attempt or call.state >= FINISHING:
            return False
        return call.x is None or call.x.stop is None or (self.shield is not None and self.shield.covers(call))

    def may_have(self, signal: Signal) -> bool:
        return not self.late or self.until is None or signal.at <= self.until


class Signals:
    def __init__(self, run: RunContext, decisions: Decisions, scopes: Scopes, replay: Replay) -> None:
        self._run = run
        self._decisions = decisions
        self._scopes = scopes
        self._replay = replay
        self.given = run.known.given
        self.heard = max(self.given.signals, default=0)  # the newest that this driver knows of
        self.queue: dict[str, list[Signal]] = {}  # what is free, by name, in the order in which it was sent
        for signal in self.given.free():
            self.queue.setdefault(signal.name, []).append(signal)
        self.look: Callable[[Callable[[], None]], None] | None = None  # has the store looked at, and calls back
        self.looking = 0  # waits for the store
        self._waiters: dict[str, list[Waiter]] = {}
        self._unasked = self.given.keepers()  # calls that are owed signals and that the program has not made again in this life
        self._handed: set[int] = set()  # to waiters that have not taken them yet
        self._lent: dict[
            tuple[bytes, bytes], list[bytes]
        ] = {}  # by call and coroutine: waits that received again what they had given back
        self._branch: dict[bytes, bytes] = {}  # wait: the coroutine that it stands in, of those that its call has joined

    # --- coming in ---------------------------------------------------------------------------------------------------

    def arrive(self, signals: Iterable[Signal]) -> None:
        """Word from the store."""
        names = dict.fromkeys(signal.name for signal in signals if signal.number > self.heard)
        for signal in signals:
            if signal.number > self.heard:
                self.heard = signal.number
                self.given.signals[signal.number] = signal
                self.queue.setdefault(signal.name, []).append(signal)
        for name in names:
            self._serve(name)

    def _free(self, numbers: Iterable[int]) -> None:
        """These go back to their old places."""
        names: dict[str, None] = {}
        for number in numbers:
            signal = self.given.signals[number]
            line = self.queue.setdefault(signal.name, [])
            line.append(signal)
            line.sort(key=lambda each: each.number)
            names[signal.name] = None
        for name in names:
            self._serve(name)

    # --- handing out -------------------------------------------------------------------------------------------------

    def _serve(self, name: str) -> None:
        """Hand out what there is, first come first served."""
        for waiter in self._waiters.get(name, ()):
            if waiter.signal is None and waiter.listens and (signal := self._for(waiter)) is not None:
                waiter.signal = signal
                self._handed.add(signal.number)
                if waiter.future is not None and not waiter.future.done():
                    waiter.future.set_result(None)

    def _for(self, waiter: Waiter) -> Signal | None:
        """What an earlier attempt around the wait was told, or else what is free; the one that it had before where that is left."""
        given = self.given
        found: list[Signal] = []
        if given.kept:
            above: Call | None = waiter.call
            while above is not None and not found:
                owed = [given.signals[number] for number, keeper in sorted(given.kept.items()) if keeper == above.key]
                found = [signal for signal in owed if signal.name == waiter.name and signal.number not in self._handed]
                above = above.parent
        if not found:
            line = self.queue.get(waiter.name, ())
            found = [signal for signal in line if signal.number not in self._handed and waiter.may_have(signal)]
        return next((signal for signal in found if signal.number == waiter.prefer), found[0] if found else None)

    async def wait(self, frame: Frame, name: str, timeout_s: float | None) -> Any:
        """The value of the next signal of this name. Raises TimeoutError; HeadwayError where the attempt that asks is over."""
        run, call = self._run, frame.call
        if call.state >= FINISHING or (frame.attempt and frame.attempt != call.attempt):
            raise HeadwayError(f"{call.describe()} no longer waits for {name!r}: the attempt that asks has ended")
        decisions, prefer = self._decisions, 0
        limit = b"" if timeout_s is None else decisions.name_decision(frame, "event-until", name.encode())
        wait = decisions.name_decision(frame, "event", name.encode())
        while (told := decisions.recall(call, wait, Event)) is not None:
            if told.signal is None:
                if self.given.told_at.get(wait, 0) > call.floor:
                    raise self._too_late(call, name, timeout_s)
            elif self.given.holds(wait):
                self._branch[wait] = frame.branch
                return decode(told.signal.value)
            elif wait in self.given.back and self.given.told_at[wait] > call.floor:
                self._lent.setdefault((call.key, frame.branch), []).append(wait)
                return decode(told.signal.value)
            else:
                prefer = told.signal.number
            wait, limit = name_asked_again(wait), name_asked_again(limit)
        hear_stop(call)
        until: float | None = None
        if timeout_s is not None:
            lasts = decisions.recall(call, limit, EventLimit)
            if lasts is None:
                lasts = EventLimit(run.wall() + timeout_s)
                decisions.record_decision(call, limit, lasts)
            until = lasts.until
        waiter = Waiter(call, call.attempt, name, until, prefer, wait, shield=frame.scope.shield)
        signal = await self._next(frame, waiter, timeout_s)
        if signal is None:
            self.given.told_at[wait] = decisions.record_decision(call, wait, Event(None))
            raise self._too_late(call, name, timeout_s)
        self._take(frame, wait, signal)
        return decode(signal.value)

    def _take(self, frame: Frame, wait: bytes, signal: Signal) -> None:
        """Record that the program received the signal."""
        call = frame.call
        line = self.queue.get(signal.name, [])
        if signal in line:
            line.remove(signal)
            if not line:
                del self.queue[signal.name]
        self._handed.discard(signal.number)
        seq = self._decisions.record_decision(call, wait, Event(signal))
        self.given.tell(wait, call.key, signal, seq)
        self._branch[wait] = frame.branch

    async def _next(self, frame: Frame, waiter: Waiter, timeout_s: float | None) -> Signal | None:
        """What the wait is handed; None where nothing was sent in time."""
        run = self._run
        loop, until = run.loop, waiter.until
        # the wait lasts no longer where the wall clock was set back since it was recorded
        ends = None if until is None else loop.time() + left_s(until, timeout_s or 0.0, run.wall())
        self._waiters.setdefault(waiter.name, []).append(waiter)
        looked = False
        if self._unasked:
            loop.call_later(REPLAY_S, self._give_up_unasked)
        try:
            while True:
                left = None if until is None or ends is None else min(until - run.wall(), ends - loop.time())
                if left is not None and left <= 0 and until is not None and self._scopes.is_broken_off(frame, until):
                    left = REPLAY_S
                waiter.late = left is not None and left <= 0
                self._serve(waiter.name)
                if (signal := waiter.signal) is not None:
                    waiter.signal = None
                    return signal
                if not waiter.late:
                    self._note(waiter)
                    waiter.future = loop.create_future()
                    await self._scopes.rest(frame, waiter.future, left)
                elif looked:
                    return None
                else:
                    looked = True
                    await self._look(frame)
        except (asyncio.CancelledError, DeadlineExceeded):
            self._take_note_back(waiter)
            raise
        finally:
            self._tell_wait(waiter, over=True)
            line = self._waiters[waiter.name]
            line.remove(waiter)
            if not line:  # a run may wait for ever new names
                del self._waiters[waiter.name]
            if waiter.signal is not None:  # the wait was stopped in the moment in which it was handed a signal
                self._handed.discard(waiter.signal.number)
                self._serve(waiter.name)

    def _note(self, waiter: Waiter) -> None:
        """Record, once, that somebody is waited for, so that other processes can show it."""
        if waiter.future is not None:
            return
        self._tell_wait(waiter)
        decisions, call, note = self._decisions, waiter.call, name_waited_for(waiter.key)
        while decisions.recall(call, name_given_back(note), WaitsOver) is not None:
            note = name_asked_again(note)
        waiter.note = note
        if decisions.recall(call, note, Waits) is None:
            decisions.record_decision(call, note, Waits(waiter.key, waiter.name, waiter.until, call.describe()))

    def _take_note_back(self, waiter: Waiter) -> None:
        """Record that the program has stopped waiting and goes on."""
        if waiter.note and waiter.listens and not self._run.closing:
            self._decisions.record_decision(waiter.call, name_given_back(waiter.note), WaitsOver(waiter.key))

    def _tell_wait(self, waiter: Waiter, *, over: bool = False) -> None:
        run, call = self._run, waiter.call
        if run.emit and not (over and waiter.future is None):
            run.emit(
                events.CallWaits(at=run.wall(), key=call.key.hex(), task=call.task, name=waiter.name, until=waiter.until, over=over)
            )

    async def _look(self, frame: Frame) -> None:
        """Have the store looked at once more: what was sent in time may not have been seen yet."""
        if self.look is None:
            return
        looked = False

        def over() -> None:
            nonlocal looked
            looked = True
            self.looking -= 1
            if not future.done():
                future.set_result(None)

        future = self._run.loop.create_future()
        self.looking += 1
        self.look(over)
        while not looked:
            if future.done():
                future = self._run.loop.create_future()
            await self._scopes.rest(frame, future, None)

    def _too_late(self, call: Call, name: str, timeout_s: float | None) -> TimeoutError:
        return TimeoutError(f"{call.describe()}: no signal {name!r} came within {timeout_s:g} s")

    # --- going back --------------------------------------------------------------------------------------------------

    def fail_attempt(self, call: Call, *, afresh: bool) -> None:
        """Keep the signals that a failed attempt received for the next one."""
        if call.key in self.given.touched:
            self.given.fail_attempt(call.key, afresh=afresh)

    def end_call(self, call: Call, *, ok: bool, afresh: bool) -> None:
        """Free the signals that a call received and did not use, when its end is recorded."""
        if call.key in self.given.touched or (call.parent is None and self.given.kept):
            freed = self.given.end(call.key, call.parent_key, ok=ok, afresh=afresh)
            self.place(call)
            self._free(freed)

    def note_asked(self, call: Call) -> None:
        """Note that the program has made a call again that signals may be kept for."""
        self._unasked.discard(call.key)

    def _give_up_unasked(self) -> None:
        """Free the signals that are kept for calls which an edited program no longer makes: others may wait for them."""
        again = self._replay.last_answer() + REPLAY_S
        if again > self._run.loop.time():
            self._run.loop.call_at(again, self._give_up_unasked)
        elif self._unasked and not self._run.closing:
            self._free(self.given.keep_no_longer(self._unasked))
            self._unasked.clear()

    def place(self, call: Call) -> None:
        """What was told inside of a call that has ended now stands where the call was made."""
        if call.parent is not None and call.key in self.given.touched:
            for wait in self.given.of(call.parent.key):
                if self.given.through(wait)[-1:] == [call.key]:
                    self._branch[wait] = call.branch

    def inside(self, call: Call, branch: bytes) -> list[bytes]:
        """Waits of a coroutine that the call has joined, and of calls that it made."""
        return [wait for wait in self.given.of(call.key) if self._branch.get(wait, b"") == branch]

    def under(self, call: Call, child: Call) -> list[bytes]:
        """Waits of a child that has ended, and of those below it."""
        return [wait for wait in self.given.of(call.key) if child.key in self.given.through(wait)]

    def hand_on(self, waits: Iterable[bytes], branch: bytes) -> None:
        """A join passes the signals of these waits on to the coroutine around it."""
        for wait in waits:
            self._branch[wait] = branch

    def give_back(self, call: Call, waits: list[bytes]) -> None:
        """Return to the queue the signals of these waits, of the call or below it, that nobody used."""
        if waits and not self._run.closing:
            self._decisions.record_decision(call, name_given_back(waits[0]), EventsGivenBack(tuple(waits)))
            self._free(self.given.let_go(waits))
            self.given.back.update(waits)

    def is_lent(self, call: Call, branch: bytes) -> bool:
        return (call.key, branch) in self._lent

    def reclaim(self, frame: Frame, branch: bytes) -> None:
        """A coroutine that had lost before a crash, and was told the same again, is of use this time: it has its signal again, if
        nobody else has it."""
        call = frame.call
        for wait in self._lent.pop((call.key, branch), ()):
            signal = self.given.signals[self.given.number(wait)]
            if signal in self.queue.get(signal.name, ()) and signal.number not in self._handed:
                wait = name_asked_again(wait)
                self._take(frame, wait, signal)
            else:
                self._lent.setdefault((call.key, frame.branch), []).append(wait)
