"""One commit of a run's rows: one statement, and what to find out where its answer was lost.

An ending is a transaction of that statement and of what becomes of the run's job.

The statement moves the run's row count under its fence and appends the rows to what it moved. So it does all or nothing, and never
twice: it finds the count where it is to be, or it changes nothing.

Where the connection breaks inside, nobody knows which it was. Then the run's row lock is taken, which waits for a first try that
still lives on the server, and after that, as a statement of its own, the checksums of the rows are read. In one statement with
the lock it would not do: that waits for the lock, and then sees the new run beside the rows of before.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from headway.errors import StoreDamaged
from headway.journal.owner import make_gap_error
from headway.journal.postgres.database import Statements
from headway.journal.records import ENDED, Ending, Lease, Row, RunInfo
from headway.journal.sql import checked_rows
from headway.journal.sql.jobs import Locks, lock_awaited, note_ending


class Group(NamedTuple):
    """What is committed together."""

    lease: Lease
    first_seq: int
    rows: Sequence[Row]
    cache: Sequence[tuple[bytes, Row]]
    ending: Ending | None
    now: float

    @property
    def last_seq(self) -> int:
        return self.first_seq - 1 + len(self.rows)

    def columns(self) -> list[list[Any]]:
        """seq, kind, key, parent, body, crc: each a list."""
        place, crc32, join, uid = checked_rows.pack_place, zlib.crc32, b"".join, self.lease.uid
        seqs = list(range(self.first_seq, self.last_seq + 1))
        kinds, keys, parents, bodies = map(list, _columns(self.rows))
        crcs = [
            crc32(join((place(uid, seq, kind), key, parent, body)))
            for seq, kind, key, parent, body in zip(seqs, kinds, keys, parents, bodies, strict=True)
        ]
        return [seqs, kinds, keys, parents, bodies, crcs]


def _columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [(), (), (), ()]


class Standing(enum.Enum):
    """What there is of a group."""

    DURABLE = "durable"
    ABSENT = "absent"  # and the run is as it was: it may be sent
    LOST = "lost"  # and another driver has the run


_MOVE = """UPDATE run SET nrows=%s WHERE uid=%s AND fence=%s AND owner=%s AND nrows=%s RETURNING uid, word"""
_MOVE_AND_END = """UPDATE run SET nrows=%s, owner='', lease_until=0, status=%s, ended=%s,
    cancel=CASE WHEN %s THEN 0 ELSE cancel END, error_floor=COALESCE(%s, error_floor)
    WHERE uid=%s AND fence=%s AND owner=%s AND nrows=%s RETURNING uid, word"""
_END = """UPDATE run SET owner='', lease_until=0, status=%s, ended=%s, cancel=CASE WHEN %s THEN 0 ELSE cancel END,
    error_floor=COALESCE(%s, error_floor) WHERE uid=%s AND fence=%s AND owner=%s RETURNING uid"""
_PUT = """put AS (INSERT INTO record (run, seq, kind, key, parent, body, crc) SELECT moved.uid, fresh.* FROM moved,
    unnest(%b::bigint[], %b::smallint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[]) AS fresh)"""
_KEEP = """kept AS (INSERT INTO cache (key, kind, call, parent, body, crc) SELECT fresh.* FROM moved,
    unnest(%b::bytea[], %b::smallint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[]) AS fresh
    ON CONFLICT (key) DO UPDATE SET kind=excluded.kind, call=excluded.call, parent=excluded.parent, body=excluded.body,
    crc=excluded.crc)"""
_DROP = "dropped AS (DELETE FROM claim USING moved WHERE claim.run=moved.uid AND claim.fence=%s AND claim.name=ANY(%b::bytea[]))"
_DROP_ALL = "dropped AS (DELETE FROM claim USING moved WHERE claim.run=moved.uid)"


def append(statements: Statements, group: Group, columns: list[list[Any]]) -> bool:
    """Send the group. Return whether it was committed: if not, nothing was changed."""
    lease, ending = group.lease, group.ending
    where = (lease.uid, lease.fence, lease.owner, group.first_seq - 1)
    if ending is None:
        parts, values = [f"moved AS ({_MOVE})"], [group.last_seq, *where]
    else:
        over = ending.status in ENDED
        ends = (ending.status.value, group.now if over else 0.0, over, ending.error_floor)
        parts, values = [f"moved AS ({_MOVE_AND_END})"], [group.last_seq, *ends, *where]
    if group.rows:
        parts.append(_PUT)
        values += columns
    if group.cache:
        newest = dict(group.cache)  # a statement changes a row once
        kinds, calls, parents, bodies = map(list, _columns(list(newest.values())))
        sums = [checked_rows.cache_crc(key, row) for key, row in newest.items()]
        parts.append(_KEEP)
        values += [list(newest), kinds, calls, parents, bodies, sums]
    if ending is not None:
        parts.append(_DROP_ALL)
    elif group.cache:
        parts.append(_DROP)
        values += [lease.fence, [key for key, _ in group.cache]]
    return statements.execute(f"WITH {', '.join(parts)} SELECT word FROM moved", values).fetchone() is not None


def append_and_end(statements: Statements, group: Group, columns: list[list[Any]], locks: Locks) -> bool:
    """Send a group that has an ending, inside the caller's transaction: the job of its run goes or goes on, and who waits for it is
    woken, by statements that come after the lock of the run. Return whether it was committed."""
    assert group.ending is not None
    lock_awaited(statements, locks, group.lease.uid, group.ending.after)
    if not append(statements, group, columns):
        return False
    note_ending(statements, locks, group.lease.uid, group.ending, group.now)
    return True


def give_back(statements: Statements, group: Group, locks: Locks) -> None:
    """Give the run back as the ending of a group says, whatever rows it has; nothing where it is not held any more."""
    lease, ending = group.lease, group.ending
    assert ending is not None
    over = ending.status in ENDED
    values = (ending.status.value, group.now if over else 0.0, over, ending.error_floor, lease.uid, lease.fence, lease.owner)
    lock_awaited(statements, locks, lease.uid, ending.after)
    query = f"WITH moved AS ({_END}), {_DROP_ALL} SELECT 1 FROM moved"
    if statements.execute(query, values).fetchone() is not None:
        note_ending(statements, locks, lease.uid, ending, group.now)


def look(
    group: Group, columns: list[list[Any]], run: RunInfo | None, stored: list[tuple[int, int]] | None, reported: int
) -> Standing:
    """What there is of a group, by the run and the checksums `(seq, crc)` of its rows as they are now; None where no try of it can
    have come there. Raises StoreDamaged where the store has gone back behind the `reported` rows that were durable, and StoreError
    where the group can never follow."""
    lease = group.lease
    if run is None:
        return Standing.LOST
    held = (run.fence, run.owner) == (lease.fence, lease.owner)
    if stored is not None and group.rows:
        if stored == list(zip(columns[0], columns[5], strict=True)):
            return Standing.DURABLE
    elif stored is not None and run.fence == lease.fence and not run.owner:
        return Standing.DURABLE  # it was given back by the ending that was sent
    if not held:
        return Standing.LOST
    if run.nrows < reported:
        raise StoreDamaged(
            f"run {lease.run_id!r} has {run.nrows} rows and had {reported} durable ones before: the server went back to "
            "an earlier state, as after a failover to a standby that lacked the last commits. Nothing more is reported as durable; "
            "resume the run, and what is missing is done again"
        )
    if run.nrows != group.first_seq - 1:
        raise make_gap_error(run, group.first_seq)
    return Standing.ABSENT
