"""What a run needs besides its rows: the blobs, shared results and collections that they name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from headway.journal.decisions import Event, decode_decision, is_told
from headway.journal.records import COSTED, Kind, Row, RunInfo, Signal
from headway.journal.recovery.recovered import decode_outcome, decode_start
from headway.journal.store import Store
from headway.journal.upkeep.named import blobs_of

PART = 1000
COLLECTING = ("hw.append", "hw.snapshot")
"""The tasks whose calls use a collection; their labels name it."""


@dataclasses.dataclass
class Contents:
    """What the rows of a run name."""

    rows: int = 0
    blobs: dict[bytes, None] = dataclasses.field(default_factory=dict)
    shared: dict[bytes, None] = dataclasses.field(default_factory=dict)  # names of results that runs share
    collections: dict[str, None] = dataclasses.field(default_factory=dict)  # labels: names, or their beginnings
    heard: int = 0  # the largest number of a signal

    def uses(self, name: str) -> bool:
        """Whether the run may have used a collection."""
        return any(name == label or (label.endswith("…") and name.startswith(label[:-1])) for label in self.collections)

    def add(self, row: Row) -> None:
        """Take in what a row names. Raises StoreDamaged for one that can't be understood."""
        self.rows += 1
        self.blobs.update(dict.fromkeys(blobs_of(row)))
        kind = row.kind & ~COSTED
        if kind in (Kind.OUTCOME, Kind.START):
            body = decode_outcome(row.body) if kind == Kind.OUTCOME else decode_start(row.body)
            if body.shared:
                self.shared[body.shared] = None
            if body.task in COLLECTING:
                self.collections[body.label] = None
        elif kind == Kind.DECISION and is_told(row.body, Event):
            told = decode_decision(row.body).told
            if isinstance(told, Event) and told.signal is not None:
                self.heard = max(self.heard, told.signal.number)


def read_contents(store: Store, info: RunInfo, signals: Sequence[Signal], count: Callable[[int], object]) -> Contents:
    """Read a run through once. Raises StoreDamaged."""
    found = Contents(blobs=dict.fromkeys(info.spec.blobs), heard=max((one.number for one in signals), default=0))
    for part in read_parts(store, info):
        for row in part:
            found.add(row)
        count(len(part))
    return found


def read_parts(store: Store, info: RunInfo) -> Iterator[list[Row]]:
    """The rows of a run as they are now, in parts."""
    part: list[Row] = []
    for seq, row in store.rows(info.uid):
        if seq > info.nrows:  # a driver has gone on: the end of the copy finds that out
            break
        part.append(row)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part
