"""Which wait has which signal, as the rows of a run tell it: the same rules for a journal that is read and for a run that goes on.

A signal is told to one wait. It is used for good when the call that waited has ended well. Until then it may go back:

- the call ends in any other way: its signals are free again, in their old place in the queue;
- an attempt of the call fails: they are kept for the next attempt, which is told them when it asks. Where the children are asked
  afresh, so are the signals that were told below, whose results nobody can find any more. What is kept for a call that nobody asks
  again is free when the run has ended;
- a join had no use for what a coroutine or a contestant gave: a row of its own says which waits gave theirs back.

Each telling has a name of its own, so nothing is recorded twice: a wait that is asked again asks under another name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headway.journal.decisions import Event, EventsGivenBack
from headway.journal.records import NO_PARENT, Attempt, Outcome, Signal, Status


class Given:
    """A wait is named by the key of the decision that told it."""

    def __init__(self) -> None:
        self.signals: dict[int, Signal] = {}  # by number
        self.has: dict[int, bytes] = {}  # signal: the wait that has it
        self.kept: dict[int, bytes] = {}  # signal: the call whose next attempt receives it
        self.told_at: dict[bytes, int] = {}  # wait: seq of the row that answered it
        self.back: set[bytes] = set()  # waits that gave theirs back because a join had no use for it
        self.touched: set[bytes] = set()  # calls of which anything is said here
        self._number: dict[bytes, int] = {}  # wait: the signal that it received
        self._own: dict[bytes, list[bytes]] = {}  # call: waits in its own code
        self._below: dict[bytes, list[bytes]] = {}  # call: waits of those below that have ended
        self._ended: set[bytes] = set()  # calls that have handed something on
        self._path: dict[bytes, list[bytes]] = {}  # wait: the calls that have ended around it, from the inside

    # --- what happens ------------------------------------------------------------------------------------------------

    def tell(self, wait: bytes, call: bytes, signal: Signal, seq: int) -> None:
        number = signal.number
        self.signals.setdefault(number, signal)
        self.kept.pop(number, None)
        self.has[number] = wait
        self.told_at[wait] = seq
        self.touched.add(call)
        self._number[wait] = number
        self._own.setdefault(call, []).append(wait)

    def let_go(self, waits: Iterable[bytes]) -> list[int]:
        """These waits give theirs back; the signals that are free now."""
        freed = [self._number[wait] for wait in waits if self.holds(wait)]
        for number in freed:
            del self.has[number]
        return freed

    def fail_attempt(self, call: bytes, *, afresh: bool) -> None:
        """An attempt of the call failed; `afresh`: its children are asked in a new epoch."""
        self._reopen(call)
        waits = self._own.pop(call, [])
        if afresh:
            waits += self._below.pop(call, [])
        for number in self.let_go(waits):
            self.kept[number] = call

    def end(self, call: bytes, parent: bytes, *, ok: bool, afresh: bool) -> list[int]:
        """The call has ended; the signals that are free now."""
        self._reopen(call)
        freed = [number for number, keeper in self.kept.items() if keeper == call or parent == NO_PARENT]
        for number in freed:
            del self.kept[number]
        own, below = self._own.pop(call, []), self._below.pop(call, [])
        if not ok:
            freed += self.let_go(own)
            if afresh:
                freed += self.let_go(below)
        passed = [wait for wait in (*own, *below) if self.holds(wait)]
        if passed:
            self._ended.add(call)
            self.touched.add(parent)
            self._below.setdefault(parent, []).extend(passed)
            for wait in passed:
                self._path.setdefault(wait, []).append(call)
        return freed

    def _reopen(self, call: bytes) -> None:
        """A call that had ended well was asked again, because the source of something changed: what it had is its own again."""
        if call not in self._ended:
            return
        self._ended.discard(call)
        for wait, path in self._path.items():
            if call in path:
                for waits in self._below.values():
                    if wait in waits:
                        waits.remove(wait)
                place = path.index(call)
                (self._below if place else self._own).setdefault(call, []).append(wait)
                del path[place:]

    # --- what is so --------------------------------------------------------------------------------------------------

    def number(self, wait: bytes) -> int:
        """The signal that a wait received."""
        return self._number[wait]

    def keepers(self) -> set[bytes]:
        """The calls of which another attempt is owed a signal."""
        return set(self.kept.values())

    def keep_no_longer(self, calls: Collection[bytes]) -> list[int]:
        """These calls are not asked again; the signals that are free now."""
        freed = [number for number, keeper in self.kept.items() if keeper in calls]
        for number in freed:
            del self.kept[number]
        return freed

    def holds(self, wait: bytes) -> bool:
        return self.has.get(self._number.get(wait, 0)) == wait

    def of(self, call: bytes) -> list[bytes]:
        """The waits of this call that have a signal, and those of calls below it that have ended."""
        return [wait for wait in (*self._own.get(call, ()), *self._below.get(call, ())) if self.holds(wait)]

    def through(self, wait: bytes) -> list[bytes]:
        """The calls that have ended around a wait, from the inside."""
        return self._path.get(wait, [])

    def free(self) -> list[Signal]:
        """What no wait has and no attempt is owed, in the order in which it was sent."""
        return [signal for number, signal in sorted(self.signals.items()) if number not in self.has and number not in self.kept]

    # --- from rows ---------------------------------------------------------------------------------------------------

    def read(self, seq: int, key: bytes, call: bytes, told: Event | EventsGivenBack) -> None:
        """`key`: of the decision, which names the wait; `call`: that was told."""
        if isinstance(told, EventsGivenBack):
            self.let_go(told.waits)
            self.back.update(told.waits)
        elif told.signal is None:
            self.told_at[key] = seq
        else:
            self.tell(key, call, told.signal, seq)

    def read_attempt(self, call: bytes, attempt: Attempt, epoch: int) -> None:
        """`epoch`: of the children that the failed attempt asked for."""
        if call in self.touched:
            self.fail_attempt(call, afresh=attempt.epoch > epoch)

    def read_outcome(self, call: bytes, parent: bytes, outcome: Outcome, epoch: int) -> None:
        self.end(call, parent, ok=outcome.status == Status.OK, afresh=outcome.status == Status.ERROR and outcome.epoch > epoch)
