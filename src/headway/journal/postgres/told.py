"""What a store was told is durable, to be looked for when another server answers.

A standby that is promoted may lack the last commits. A run's own rows show that: their number must be the one that was reported.
What is beside them would not, so the newest of that is remembered too: a blob, or an item of a collection, that was put before the
row that names it; and the newest signal that a driver has read, whose number the next one would be given again, and which a driver
that follows numbers would then pass over.

All of it matters to whoever drives a run, for as long as he does. This file must never forget what a row that is still to be
committed may rest on, and never keep a store from going on that drives nothing any more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from headway.journal.records import Lease, Signal
from headway.journal.shared.outcome import went_back
from headway.journal.sql.checked_rows import signal_crc
from headway.journal.sql.database import Connection

BLOBS_S = 600.0  # after which the row that names a blob is committed, or never will be


class Told:
    """What was reported as durable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[int, int], int] = {}  # by run and fence, of the leases that are held
        self._signals: dict[int, tuple[int, int]] = {}  # by run: the number and the checksum of the newest that was read
        self._blobs: deque[tuple[float, bytes]] = deque()
        self._items: dict[str, int] = {}

    def note_lease(self, lease: Lease) -> None:
        """It was given: rows may be written under it."""
        with self._lock:
            self._rows.setdefault((lease.uid, lease.fence), 0)

    def note_rows(self, lease: Lease, last_seq: int) -> None:
        with self._lock:
            self._rows[lease.uid, lease.fence] = last_seq

    def forget_run(self, lease: Lease, *, given_up: bool = False) -> None:
        """It was given back, given up or lost: nothing more is written to it. When the last one was given up, whoever might have
        named what was put has been told that it may be gone."""
        with self._lock:
            self._rows.pop((lease.uid, lease.fence), None)
            if not any(uid == lease.uid for uid, _ in self._rows):
                self._signals.pop(lease.uid, None)
            if given_up and not self._rows:
                self._blobs.clear()
                self._items.clear()

    def rows(self, lease: Lease) -> int:
        """How many rows of a run were reported under this lease."""
        return self._rows.get((lease.uid, lease.fence), 0)

    def leases(self) -> list[tuple[int, int]]:
        """The leases that are held, each as run and fence."""
        with self._lock:
            return list(self._rows)

    def note_signals(self, uid: int, signals: Sequence[Signal]) -> None:
        """They were read. Who does not drive the run follows no numbers."""
        if not signals:
            return
        last = max(signals, key=lambda signal: signal.number)
        with self._lock:
            known = self._signals.get(uid, (0, 0))
            if last.number > known[0] and any(run == uid for run, _ in self._rows):
                self._signals[uid] = last.number, signal_crc(uid, last.name, last.value, last.at)

    def note_blob(self, digest: bytes) -> None:
        with self._lock:
            self._blobs.append((time.monotonic(), digest))
            self._drop_old()

    def note_items(self, collection: str, size: int) -> None:
        with self._lock:
            self._items[collection] = max(size, self._items.get(collection, 0))

    def _drop_old(self) -> None:
        while self._blobs and self._blobs[0][0] < time.monotonic() - BLOBS_S:
            self._blobs.popleft()

    def check(self, connection: Connection, where: str) -> None:
        """Raises StoreDamaged where something is not there any more."""
        with self._lock:
            self._drop_old()
            rows, signals, items = dict(self._rows), dict(self._signals), dict(self._items)
            blobs = {digest for _, digest in self._blobs}
        for (uid, fence), reported in rows.items():
            found = connection.execute("SELECT fence, nrows FROM run WHERE uid=?", (uid,)).fetchone()
            if found is None or found[0] < fence:
                raise went_back(f"run number {uid}", f"{found[0] if found else 0} drivers", f"{fence} drivers", where)
            if found[0] == fence and found[1] < reported:
                raise went_back(f"run number {uid}", f"{found[1]} rows", f"{reported} rows", where)
        for uid, (number, crc) in signals.items():
            found = connection.execute("SELECT crc FROM signal WHERE run=? AND number=?", (uid, number)).fetchone()
            if found is None or found[0] != crc:
                has = f"another signal {number}" if found else f"no signal {number}"
                raise went_back(f"run number {uid}", has, f"{number} signals", where)
        there = connection.execute("SELECT count(*) FROM blob WHERE digest=ANY(?)", (list(blobs),)).fetchone()[0] if blobs else 0
        if there < len(blobs):
            raise went_back("the table of blobs", f"{there} of the newest blobs", f"{len(blobs)}", where)
        for name, size in items.items():
            query = "SELECT COALESCE(MAX(number)+1, 0) FROM item WHERE collection=?"
            if (there := connection.execute(query, (name,)).fetchone()[0]) < size:
                raise went_back(f"collection {name!r}", f"{there} items", f"{size} items", where)
