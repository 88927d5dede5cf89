"""What a run's journal already says when a driver takes the run up.

`Known` is read once, in order, before the engine starts. Outcomes and decisions stay undecoded until a program asks for them,
so taking up a run with 100,000 finished calls costs a scan. It must never be written to by a running program except to forget
what was handed out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from headway.journal.given import BACK, EVENT, Given
from headway.journal.ledger import Ledger
from headway.journal.records import COSTED, NO_PARENT, Amounts, Attempt, Charge, Decision, Kind, Outcome, Start, Status
from headway.journal.store import Store

_KIND = COSTED - 1
_OUTCOME = int(Kind.OUTCOME)

decode_start = msgspec.msgpack.Decoder(Start).decode
decode_attempt = msgspec.msgpack.Decoder(Attempt).decode
decode_charge = msgspec.msgpack.Decoder(Charge).decode
decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
decode_decision = msgspec.msgpack.Decoder(Decision).decode
encode_body = msgspec.msgpack.Encoder().encode


class Recorded(NamedTuple):
    """An outcome that can be answered with. `buffers` where its blobs may not be in the store yet."""

    seq: int
    body: bytes
    outcome: Outcome
    buffers: tuple[memoryview, ...] = ()


class Known:
    """The journal of one run, by key. The last row about a key wins."""

    def __init__(self) -> None:
        self.outcomes: dict[bytes, tuple[int, bytes]] = {}  # (seq, body)
        self.decisions: dict[bytes, bytes] = {}
        self.given = Given()
        self.attempts: dict[bytes, tuple[int, Attempt]] = {}
        self.starts: dict[bytes, Start] = {}  # of attempts that have not ended
        self.parents: set[bytes] = set()  # calls that made calls which have ended
        self.effects: set[bytes] = set()  # calls of effects that ever started: they may have happened, however they ended
        self.effect_names: dict[bytes, bytes] = {}  # the shared name under which an effect began, by its key
        self.shared: dict[bytes, tuple[int, bytes]] = {}  # results by the name that equal calls share: (seq, body)
        self.epochs: dict[bytes, int] = {}  # by shared name: the epoch in which what is below is asked next
        self.stale: set[bytes] = set()  # shared names whose results were forgotten, here and in the cross-run cache
        self.ledger = Ledger()
        self.last_seq = 0

    def __bool__(self) -> bool:
        return self.last_seq > 0

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

    def note_shared(self, name: bytes, epoch: int, result: tuple[int, bytes] | None = None) -> None:
        """A row says how a call ended, or one of its attempts, that has equals under this name."""
        if result is not None:
            self.shared[name] = result
        if epoch > self.epochs.get(name, 0):
            self.epochs[name] = epoch


def load(store: Store, uid: int) -> Known:
    """Read all rows of a run. Raises StoreDamaged at the first row that is not whole."""
    known = Known()
    outcomes, ledger = known.outcomes, known.ledger
    given, touched = known.given, known.given.touched
    seq, above = 0, known.parents.add
    for seq, (kind, key, parent, body) in store.rows(uid):
        if kind == _OUTCOME:  # most rows, and nothing about them is looked at before a program asks
            above(parent)
            if key in touched or (given.kept and parent == NO_PARENT):
                given.read_outcome(key, parent, decode_outcome(body), known.epoch(key))
            outcomes[key] = (seq, body)
            continue
        what = kind & _KIND
        if what == Kind.OUTCOME:
            above(parent)
            if key in touched or (given.kept and parent == NO_PARENT):
                given.read_outcome(key, parent, decode_outcome(body), known.epoch(key))
            outcomes[key] = (seq, body)
            if kind & COSTED:
                outcome = decode_outcome(body)
                ledger.note(key, outcome.scope, outcome.cost)
                known.starts.pop(key, None)
                if outcome.shared:
                    known.note_shared(outcome.shared, outcome.shared_epoch, (seq, body) if outcome.status == Status.OK else None)
        elif what == Kind.DECISION:
            known.decisions[key] = body
            if kind & COSTED:
                _open_account(ledger, key, body)
            elif body.startswith((EVENT, BACK)):
                given.read(seq, key, parent, decode_decision(body))
        elif what == Kind.CHARGE:
            charge = decode_charge(body)
            ledger.note(key, charge.scope, charge.cost, _still_reserved(known.starts.get(key), charge))
        elif what == Kind.ATTEMPT:
            attempt = decode_attempt(body)
            given.read_attempt(key, attempt, known.epoch(key))
            known.attempts[key] = (seq, attempt)
            known.starts.pop(key, None)
            ledger.note(key, attempt.scope, attempt.cost)
            if attempt.shared:
                known.note_shared(attempt.shared, attempt.shared_epoch)
        elif what == Kind.START:
            start = decode_start(body)
            known.starts[key] = start
            if start.effect:
                known.effects.add(key)
                if start.shared:
                    known.effects.add(start.shared)
                    known.effect_names.setdefault(key, start.shared)
            ledger.note(key, start.scope, start.cost, start.reserved)
    known.last_seq = seq
    return known


def _still_reserved(start: Start | None, charge: Charge) -> Amounts:
    """What is left of a started call's reservation after its charges."""
    if start is None or charge.settled or start.scope != charge.scope:
        return {}
    return {
        unit: max(0.0, start.cost.get(unit, 0.0) + amount - charge.cost.get(unit, 0.0)) for unit, amount in start.reserved.items()
    }


def _open_account(ledger: Ledger, key: bytes, body: bytes) -> None:
    from headway.journal.codec import decode

    parent, _ = decode(decode_decision(body).value)
    ledger.opened(key, parent)
