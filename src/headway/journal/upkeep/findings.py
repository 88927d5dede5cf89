"""What the doctor says: findings, and what a damaged record means for its run.

A finding names the place so that a person can look there, and the consequence so that nobody has to. This file must
never say that a resume needs nothing unless a whole record above says so.
"""

from __future__ import annotations

import msgspec

from headway.journal.decisions import Decision
from headway.journal.records import (
    COSTED,
    KEY_BYTES,
    Attempt,
    Charge,
    Kind,
    Outcome,
    Row,
    RunInfo,
    Start,
    Status,
)
from headway.journal.upkeep.salvage import Found

BODIES: dict[Kind, msgspec.msgpack.Decoder[Start | Attempt | Outcome | Decision | Charge]] = {
    kind: msgspec.msgpack.Decoder(body)
    for kind, body in (
        (Kind.START, Start),
        (Kind.ATTEMPT, Attempt),
        (Kind.OUTCOME, Outcome),
        (Kind.DECISION, Decision),
        (Kind.CHARGE, Charge),
    )
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that the doctor found."""

    severity: str  # "error", "warning" or "info"; "unread" for what could not be looked at; "risk" for what may be lost later
    what: str  # what is wrong and where, in words
    means: str = ""  # what follows for its run
    run: str = ""
    seq: int = 0
    call: str = ""  # the call's key in hex
    path: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.means}" if self.means else self.what


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor found in a store."""

    store: str
    findings: tuple[Finding, ...]
    runs: int
    records: int
    blobs: int
    blob_bytes: int

    @property
    def whole(self) -> bool:
        """Whether everything that was committed can be read as it was written."""
        return all(finding.severity in ("info", "risk") for finding in self.findings)

    @property
    def verdict(self) -> str:
        """ "whole", "damaged", "not read" where a permission, a lock or another version kept the doctor from looking, or "at risk"
        where all is whole on a server that does not keep it safe."""
        if self.whole:
            return "at risk" if any(finding.severity == "risk" for finding in self.findings) else "whole"
        return "damaged" if any(finding.severity in ("error", "warning") for finding in self.findings) else "not read"


class Book:
    """What the whole records of a run say about its calls."""

    def __init__(self, info: RunInfo) -> None:
        self.run_id = info.spec.run_id
        self.root = info.spec.root
        self._parents: dict[bytes, bytes] = {}
        self._done: dict[bytes, str] = {}

    def add(self, seq: int, row: Row) -> str | None:
        """Add a whole record. Returns what is wrong with it if it cannot be understood."""
        kind = row.kind & ~COSTED
        decoder = BODIES.get(Kind(kind)) if kind in Kind._value2member_map_ else None
        if decoder is None:
            return f"a kind that this Headway does not know ({row.kind})"
        if len(row.key) != KEY_BYTES or len(row.parent) != KEY_BYTES:
            return "a key of a wrong length"
        try:
            body = decoder.decode(row.body)
        except (msgspec.MsgspecError, ValueError) as error:
            return f"a body that cannot be read ({error})"
        if kind != Kind.DECISION:
            self._parents[row.key] = row.parent
        if isinstance(body, Outcome):
            if body.status == Status.OK:
                self._done[row.key] = f"{body.task}({body.label})"
            else:
                self._done.pop(row.key, None)
        return None

    def finished_above(self, parent: bytes) -> str | None:
        """The finished call that makes a record under `parent` unneeded, as text."""
        seen: set[bytes] = set()
        while parent not in seen:
            if parent in self._done:
                return self._done[parent]
            seen.add(parent)
            parent = self._parents.get(parent, parent)
        return self._done.get(self.root)

    def need(self, row: Row) -> str:
        """What follows where the result in this record is lost."""
        above = self.finished_above(row.parent)
        if above is not None:
            return f"it belongs under {above}, which is finished: a resume does not need it"
        if row.key == self.root:
            return "the run's result is lost: a resume runs its last step again"
        return "its result is lost: a resume runs that call again"


def call_text(row: Row) -> str:
    """A call as people write it, from a record that may be damaged."""
    kind = row.kind & ~COSTED if isinstance(row.kind, int) else 0
    if kind in Kind._value2member_map_:
        try:
            body = BODIES[Kind(kind)].decode(row.body)
        except (msgspec.MsgspecError, ValueError, TypeError):
            pass
        else:
            if isinstance(body, Decision):
                return f"decision {body.told.kind!r}"
            return f"{body.task}({getattr(body, 'label', '')})"
    return f"call {row.key.hex()}" if isinstance(row.key, bytes) else "an unknown call"


def describe_damage(book: Book, found: Found) -> Finding:
    """The finding about a record that is damaged, missing or not understood."""
    where = f"run {book.run_id}: record {found.seq}"
    if found.stored is None:
        done = book.finished_above(b"")
        means = (
            f"{done} is finished: a resume does not need it"
            if done is not None
            else "whatever it held is lost: a resume runs calls again whose results are missing"
        )
        return Finding("error", f"{where} is missing or unreadable", means, run=book.run_id, seq=found.seq)
    row = Row(*found.stored[1:5])
    wrong = book.add(found.seq, found.row) if found.row is not None else None
    state = f"has {wrong}" if wrong else "is damaged" if found.row is None else "is behind the end of the run"
    means = book.need(row) if isinstance(row.parent, bytes) else "a resume runs that call again"
    call = row.key.hex() if isinstance(row.key, bytes) else ""
    return Finding("error", f"{where} ({call_text(row)}) {state}", means, book.run_id, found.seq, call)
