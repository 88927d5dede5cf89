"""Reading what is left of a damaged database, row by row, past what cannot be read.

The rows of a run are numbered, so behind an unreadable page the next number can be asked for by itself: a damaged
page costs the rows on it and no others. This file must never raise for what the database holds, and never call a row
whole without its checksum.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from headway.journal.records import Row
from headway.journal.sql import checked_rows

MOST_MISSING = 1_000_000  # seqs asked for one by one behind the last readable row


class Found(NamedTuple):
    """One place in a run: the row where it is whole, and what is stored there (None where nothing can be read)."""

    seq: int
    row: Row | None
    stored: checked_rows.Stored | None


def read_run(connection: sqlite3.Connection, uid: int, nrows: int) -> Iterator[Found]:
    """Every place of a run from 1 to its last row, whole or not."""
    last = 0
    for stored in _readable(connection, uid, nrows):
        for seq in range(last + 1, stored[0]):
            yield Found(seq, None, None)
        last = stored[0]
        yield Found(last, checked_rows.check_row(uid, stored), stored)
    for seq in range(last + 1, min(nrows, last + MOST_MISSING) + 1):
        yield Found(seq, None, None)


def _readable(connection: sqlite3.Connection, uid: int, nrows: int) -> Iterator[checked_rows.Stored]:
    after, highest = 0, max(nrows, _highest(connection, uid))
    while True:
        part, broken = _read_on(connection, uid, after, highest)
        yield from part
        after = part[-1][0] if part else after
        if broken:
            found = _next_alone(connection, uid, after, min(highest, after + MOST_MISSING))
            if found is None:
                return
            yield found
            after = found[0]
        elif not part:
            return


def _read_on(connection: sqlite3.Connection, uid: int, after: int, highest: int) -> tuple[list[checked_rows.Stored], bool]:
    """Rows behind `after` up to the first that cannot be read, and whether there is such a one."""
    part: list[checked_rows.Stored] = []
    query = "SELECT seq, kind, key, parent, body, crc FROM record WHERE run=? AND seq>? ORDER BY seq LIMIT ?"
    try:
        for stored in connection.execute(query, (uid, after, checked_rows.READ_ROWS)):
            if not isinstance(stored[0], int) or not after < stored[0] <= highest:
                return part, True
            part.append(stored)
            after = stored[0]
    except sqlite3.Error:
        return part, True
    return part, False


def _next_alone(connection: sqlite3.Connection, uid: int, after: int, highest: int) -> checked_rows.Stored | None:
    query = "SELECT seq, kind, key, parent, body, crc FROM record WHERE run=? AND seq=?"
    for seq in range(after + 1, highest + 1):
        try:
            stored: checked_rows.Stored | None = connection.execute(query, (uid, seq)).fetchone()
        except sqlite3.Error:
            continue
        if stored is not None and stored[0] == seq:
            return stored
    return None


def _highest(connection: sqlite3.Connection, uid: int) -> int:
    try:
        found = connection.execute("SELECT MAX(seq) FROM record WHERE run=?", (uid,)).fetchone()[0]
    except sqlite3.Error:
        return 0
    return found if isinstance(found, int) and 0 < found < 1 << 40 else 0


def read_table(connection: sqlite3.Connection, query: str) -> tuple[list[tuple[object, ...]], sqlite3.Error | None]:
    """The rows of a small table up to the first that cannot be read, and the error that ended it."""
    found: list[tuple[object, ...]] = []
    try:
        for stored in connection.execute(query):
            found.append(stored)  # noqa: PERF402 - what was read before an error counts
    except sqlite3.Error as error:
        return found, error
    return found, None
