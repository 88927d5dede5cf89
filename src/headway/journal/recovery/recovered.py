"""What a run's journal already says when a driver takes the run up.

`RecoveredState` is read once, in order, before the engine starts. Outcomes and decisions stay encoded until a program asks for
them, so resuming a run with 100,000 finished calls costs one scan. A running program must never write to it, except to forget what
was handed out.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator

import msgspec

from headway.journal.decisions import BudgetOpened, Event, EventsGivenBack, Item, Moved, Stopped, decode_decision, is_told
from headway.journal.records import (
    COSTED,
    NO_PARENT,
    Attempt,
    Charge,
    Kind,
    Outcome,
    Place,
    PlacedOutcome,
    Start,
    Status,
)
from headway.journal.recovery.given import Given
from headway.journal.recovery.ledger import Ledger
from headway.journal.store import Store

_KIND = COSTED - 1
_OUTCOME = int(Kind.OUTCOME)

decode_start = msgspec.msgpack.Decoder(Start).decode
decode_attempt = msgspec.msgpack.Decoder(Attempt).decode
decode_charge = msgspec.msgpack.Decoder(Charge).decode
decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
encode_body = msgspec.msgpack.Encoder().encode

JOIN, LEVEL = 16, 20
"""The bytes of a branch's name for each join that it is in: the join's name, and with it the place in the join."""

decode_placed = msgspec.msgpack.Decoder(PlacedOutcome).decode
_UNPLACED = encode_body(Outcome("", "", 0, 0.0, 0.0))[2:3]  # how many fields follow
NOTED = (Moved, Event, EventsGivenBack, Item, Stopped)  # decisions that matter to more than the program's answer


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An outcome that can be answered with. `buffers` where its blobs may not be in the store yet."""

    outcome: Outcome
    buffers: tuple[memoryview, ...] = ()


class Places:
    """Which branch made which of equal calls, and which calls each branch made. Branches are known by name, and the calls of one by
    their order in it. What is noted later counts: where a branch made another call than before, what it and the branches in it did
    after that is forgotten."""

    def __init__(self) -> None:
        self.ordinals: dict[bytes, dict[tuple[bytes, int], int]] = {}  # by base; of (branch, turn)
        self._steps: dict[
            tuple[bytes, int], tuple[bytes, int]
        ] = {}  # by (branch, step): the call's base or the join, and when it was noted
        self._strayed: dict[
            bytes, tuple[int, int]
        ] = {}  # by branch: at which step it last made another call, and when that was noted
        self._noted = 0

    def note(self, place: Place) -> None:
        ordinals = self.ordinals.setdefault(place.base, {})
        ordinals.pop((place.branch, place.turn), None)  # the last to have got a number holds it, and comes last
        ordinals[place.branch, place.turn] = place.ordinal
        if place.branch:
            self._noted += 1
            for level, step in enumerate(place.joined, 1):
                inner = place.branch[level * LEVEL :]
                self._note_step(place.branch[: level * LEVEL], step, inner[:JOIN])
            self._note_step(place.branch, place.step, place.base)

    def _note_step(self, branch: bytes, step: int, made: bytes) -> None:
        if self.made(branch, step) not in (None, made):
            self._strayed[branch] = step, self._noted
        self._steps[branch, step] = made, self._noted

    def made(self, branch: bytes, step: int) -> bytes | None:
        """The base of the call, or the name of the join, that a branch made at a step, where that is known."""
        base, noted = self._steps.get((branch, step), (None, 0))
        if base is None or not self._strayed:
            return base
        since, strayed = self._strayed.get(branch, (0, 0))
        if step >= since and noted < strayed:
            return None
        outer = range(LEVEL, len(branch), LEVEL)
        return None if any(noted < self._strayed.get(branch[:end], (0, 0))[1] for end in outer) else base


class RecoveredState:
    """The journal of one run, by key. The last row about a key wins."""

    def __init__(self) -> None:
        self.outcomes: dict[bytes, tuple[int, bytes]] = {}  # (seq, body)
        self.decisions: dict[bytes, bytes] = {}
        self.given = Given()
        self.attempts: dict[bytes, tuple[int, Attempt]] = {}
        self.starts: dict[bytes, Start] = {}  # of attempts that have not ended
        self.parents: dict[bytes, int] = {}  # calls that made calls which have ended, or handed items out: the last row of those
        self.acted: dict[bytes, int] = {}  # calls that made calls of effects which began, likewise
        self.charged: dict[bytes, int] = {}  # calls that made calls which charged something, likewise
        self.unfinished: set[bytes] = set()  # those of both that have not ended since and that the program has not made again yet
        self.effects: set[bytes] = set()  # calls of effects that ever started: they may have happened, however they ended
        self.effect_names: dict[bytes, bytes] = {}  # the shared name under which an effect began, by its key
        self.shared: dict[bytes, bytes] = {}  # results by the name that equal calls share
        self.epochs: dict[bytes, int] = {}  # by shared name: the epoch of the next calls below it
        self.stale: set[bytes] = set()  # shared names whose results were forgotten, here and in the cross-run cache
        self.places = Places()
        self.ledger = Ledger()
        self.last_seq = 0

    def __bool__(self) -> bool:
        return self.last_seq > 0

    def note_place(self, body: bytes) -> None:
        """Note which of equal calls an outcome is of, where it says so."""
        if (place := decode_placed(body).place) is not None:
            self.places.note(place)

    def forget(self, keys: Iterable[bytes]) -> None:
        """Have these calls asked again. What they have spent still counts."""
        for key in keys:
            found = self.outcomes.pop(key, None)
            if found is not None and (name := decode_outcome(found[1]).shared):
                self.shared.pop(name, None)
                self.stale.add(name)

    def epoch(self, key: bytes) -> int:
        """That in which the code of a call asks for its children, as far as rows have said."""
        tried, ended = self.attempts.get(key), self.outcomes.get(key)
        return max(tried[1].epoch if tried is not None else 0, decode_outcome(ended[1]).epoch if ended is not None else 0)

    def note_shared(self, name: bytes, epoch: int, result: bytes | None = None) -> None:
        """A row says how a call ended, or one of its attempts, that has equals under this name."""
        if result is not None:
            self.shared[name] = result
        if epoch > self.epochs.get(name, 0):
            self.epochs[name] = epoch


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Let Python look for no cycles meanwhile: a hundred thousand rows make none, and the search takes a quarter of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@_no_collections()
def load(store: Store, uid: int) -> RecoveredState:
    """Read all rows of a run. Raises StoreDamaged at the first row that is not whole."""
    known = RecoveredState()
    outcomes, ledger = known.outcomes, known.ledger
    given, touched = known.given, known.given.touched
    seq, above = 0, known.parents
    for seq, (kind, key, parent, body) in store.rows(uid):
        if kind == _OUTCOME:  # most rows, and nothing about them is looked at before a program asks
            above[parent] = seq
            if key in touched or (given.kept and parent == NO_PARENT):
                given.read_outcome(key, parent, decode_outcome(body), known.epoch(key))
            outcomes[key] = (seq, body)
            if body[2:3] != _UNPLACED:
                known.note_place(body)
            continue
        what = kind & _KIND
        if what == Kind.OUTCOME:
            above[parent] = seq
            if key in touched or (given.kept and parent == NO_PARENT):
                given.read_outcome(key, parent, decode_outcome(body), known.epoch(key))
            outcomes[key] = (seq, body)
            if body[2:3] != _UNPLACED:
                known.note_place(body)
            if kind & COSTED:
                outcome = decode_outcome(body)
                ledger.note_end(key, outcome.scope, outcome.cost)
                known.starts.pop(key, None)
                if outcome.shared:
                    known.note_shared(outcome.shared, outcome.shared_epoch, body if outcome.status == Status.OK else None)
        elif what == Kind.DECISION:
            known.decisions[key] = body
            if kind & COSTED or is_told(body, *NOTED):
                _note_decision(known, seq, key, parent, body)
        elif what == Kind.CHARGE:
            known.charged[parent] = seq
            ledger.note_charge(key, decode_charge(body))
        elif what == Kind.ATTEMPT:
            attempt = decode_attempt(body)
            given.read_attempt(key, attempt, known.epoch(key))
            known.attempts[key] = (seq, attempt)
            known.starts.pop(key, None)
            ledger.note_end(key, attempt.scope, attempt.cost)
        elif what == Kind.START:
            start = decode_start(body)
            known.starts[key] = start
            if start.effect:
                known.effects.add(key)
                known.acted[parent] = seq
                if start.shared:
                    known.effects.add(start.shared)
                    known.effect_names.setdefault(key, start.shared)
            ledger.note_start(key, start)
    known.unfinished = _find_unfinished(known)
    known.last_seq = seq
    return known


def _find_unfinished(known: RecoveredState) -> set[bytes]:
    """Find the calls that did something after their last recorded end, if they have one."""
    found: set[bytes] = set()
    for acts in (known.parents, known.acted):
        found.update(key for key, seq in acts.items() if key not in known.outcomes or known.outcomes[key][0] < seq)
    found.discard(NO_PARENT)
    return found


def _note_decision(known: RecoveredState, seq: int, key: bytes, call: bytes, body: bytes) -> None:
    """Note what a run must know of a decision before a program asks for it."""
    told = decode_decision(body).told
    if isinstance(told, Moved):
        known.places.note(told.place)
    elif isinstance(told, Item | Stopped):
        known.parents[call] = seq
    elif isinstance(told, BudgetOpened):
        known.ledger.note_budget(key, told.outer)
    elif isinstance(told, Event | EventsGivenBack):
        known.given.read(seq, key, call, told)
