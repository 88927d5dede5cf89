"""Decisions of a run: names them, recalls recorded ones and records new ones.

Every answer that depends on timing goes through here: a race's winner, an order, the time, what is left of a budget. The answer is
looked up under its name (`name_decision`). A recorded answer is returned again; a new one is recorded before the program gets it.
Records and keys are in `journal/decisions`. A recorded value must never be computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from headway.engine.call import Call, Frame, hear_stop
from headway.engine.identity.keys import sibling_key
from headway.engine.run_context import RunContext
from headway.errors import HeadwayError
from headway.journal.clocks import left_s
from headway.journal.decisions import BudgetOpened, DeadlineOpened, Decision, Told, decision_key, decode_decision, encode_decision
from headway.journal.log import Blob
from headway.journal.records import COSTED, Kind, Row

if TYPE_CHECKING:
    from headway.engine.replay.lookup import Replay

T = TypeVar("T", bound=Told)


class Decisions:
    def __init__(self, run: RunContext, replay: Replay) -> None:
        self._run = run
        self._replay = replay

    def name_decision(self, frame: Frame, what: str, detail: bytes = b"") -> bytes:
        """The key of the next decision of this kind in this call, or in this one of the coroutines that it joined and the
        blocks that it opened. Raises HeadwayError in code that its call has left behind."""
        call = frame.call
        if frame.over:
            raise HeadwayError(f"{call.describe()} has ended; the code that still works for it can't go on")
        # equal calls draw alike, so that they make the same calls; all other answers belong to one call each
        owner = call.share if what == "random" and call.share is not None else call
        key = decision_key(owner.key, owner.epoch, what, detail + b" in " + frame.path if frame.path else detail)
        if owner.ordinals is None:
            owner.ordinals = {}
        ordinal = owner.ordinals.get(key, 0)
        owner.ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal)

    def recall(self, call: Call, key: bytes, kind: type[T]) -> T | None:
        """The decision recorded under this key, or None."""
        found = self._find(call, key)
        return found.told if found is not None and isinstance(found.told, kind) else None

    def record_decision(self, call: Call, key: bytes, told: Told, blobs: tuple[Blob, ...] = ()) -> int:
        """Record an answer to the program, with the blobs it names. Returns the seq of the row."""
        decision = Decision(told, self._run.wall())
        if call.memo is not None:
            call.memo[key] = decision
        kind = Kind.DECISION | COSTED if isinstance(told, BudgetOpened) else Kind.DECISION
        return self._run.append(Row(kind, key, call.key, encode_decision(decision)), blobs)

    def decide(self, frame: Frame, what: str, kind: type[T], make: Callable[[], T], detail: bytes = b"") -> T:
        """Return the answer recorded at this place. Without one, record what `make` returns and return that."""
        key = self.name_decision(frame, what, detail)
        told = self.recall(frame.call, key, kind)
        if told is None:
            hear_stop(frame.call)
            told = make()
            self.record_decision(frame.call, key, told)
        return told

    def decide_deadline(self, frame: Frame, key: bytes, wanted: float) -> tuple[float, float]:
        """A deadline's time by the wall clock, as it was when it was first opened, and how many seconds are left of it."""
        now = self._run.wall()
        found = self._find(frame.call, key)
        if found is None or not isinstance(found.told, DeadlineOpened):
            hear_stop(frame.call)
            self.record_decision(frame.call, key, DeadlineOpened(wanted))
            return wanted, wanted - now
        until = found.told.until
        return until, left_s(until, until - found.at, now)

    def _find(self, call: Call, key: bytes) -> Decision | None:
        found: Decision | None = call.memo.get(key) if call.memo is not None else None
        if found is None and (body := self._run.known.decisions.get(key)) is not None:
            self._replay.note_answer()
            found = decode_decision(body)
        return found
