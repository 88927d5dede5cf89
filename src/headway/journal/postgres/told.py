"""What a store was told is durable, to be looked for when another server answers.

A standby that is promoted may lack the last commits. A run's own rows show that: their number must be the one that was reported.
What was put before a row that names it would not: a blob, or an item of a collection. So the newest of those are remembered too.
This file must never forget what a row that is still to be committed may rest on.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from headway.errors import StoreDamaged
from headway.journal.records import Lease
from headway.journal.sql.database import Connection

BLOBS_S = 600.0  # after which the row that names a blob is committed, or never will be


class Told:
    """What was reported as durable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[int, int], int] = {}  # by run and fence
        self._blobs: deque[tuple[float, bytes]] = deque()
        self._items: dict[str, int] = {}

    def note_rows(self, lease: Lease, last_seq: int) -> None:
        with self._lock:
            self._rows[lease.uid, lease.fence] = last_seq

    def forget_run(self, lease: Lease) -> None:
        """It was given back or lost: nothing more is written to it."""
        with self._lock:
            self._rows.pop((lease.uid, lease.fence), None)

    def rows(self, lease: Lease) -> int:
        """How many rows of a run were reported under this lease."""
        return self._rows.get((lease.uid, lease.fence), 0)

    def note_blob(self, digest: bytes) -> None:
        with self._lock:
            self._blobs.append((now := time.monotonic(), digest))
            while self._blobs[0][0] < now - BLOBS_S:
                self._blobs.popleft()

    def note_items(self, collection: str, size: int) -> None:
        with self._lock:
            self._items[collection] = max(size, self._items.get(collection, 0))

    def check(self, connection: Connection, where: str) -> None:
        """Raises StoreDamaged where something is not there any more."""
        with self._lock:
            rows, blobs, items = dict(self._rows), {digest for _, digest in self._blobs}, dict(self._items)
        for (uid, fence), reported in rows.items():
            found = connection.execute("SELECT fence, nrows FROM run WHERE uid=?", (uid,)).fetchone()
            if found is None or found[0] < fence or (found[0] == fence and found[1] < reported):
                raise went_back(f"run number {uid}", f"{found[1] if found else 0} rows", f"{reported} rows", where)
        there = connection.execute("SELECT count(*) FROM blob WHERE digest=ANY(?)", (list(blobs),)).fetchone()[0] if blobs else 0
        if there < len(blobs):
            raise went_back("the table of blobs", f"{there} of the newest blobs", f"{len(blobs)}", where)
        for name, size in items.items():
            query = "SELECT COALESCE(MAX(number)+1, 0) FROM item WHERE collection=?"
            if (there := connection.execute(query, (name,)).fetchone()[0]) < size:
                raise went_back(f"collection {name!r}", f"{there} items", f"{size} items", where)


def went_back(what: str, has: str, had: str, where: str) -> StoreDamaged:
    """The error for a server that lacks what was durable."""
    return StoreDamaged(
        f"{what} in {where} has {has} and had {had} that were durable before: the server went back to an earlier state, as after "
        "a failover to a standby that lacked the last commits. Nothing more is reported as durable; resume the run, and what is "
        "missing is done again"
    )
