"""One commit of a run's rows: one statement, and what to find out where its answer was lost.

The statement moves the run's row count under its fence and appends the rows to what it moved. So it does all or nothing, and never
twice: it finds the count where it is to be, or it changes nothing.

With an ending it is a transaction of that statement and of what becomes of the run's job.

Where the connection breaks inside, nobody knows which it was. Then the run's row lock is taken, which waits for a first try that
still lives on the server, and after that, as a statement of its own, the checksums of the rows are read. In one statement with
the lock it would not do: that waits for the lock, and then sees the new run beside the rows of before.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from headway.journal.owner import make_gap_error
from headway.journal.postgres.link import Statements
from headway.journal.postgres.told import went_back
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

    def columns(self) -> Columns:
        """The rows as they are sent. Raises TypeError or struct.error for a value of a wrong type."""
        place, crc32, join, uid = checked_rows.pack_place, zlib.crc32, b"".join, self.lease.uid
        kinds, keys, parents, bodies = _columns(self.rows)
        crcs = [
            crc32(join((place(uid, seq, kind), key, parent, body)))
            for seq, (kind, key, parent, body) in enumerate(zip(kinds, keys, parents, bodies, strict=True), self.first_seq)
        ]
        return Columns(list(kinds), list(keys), list(parents), list(bodies), crcs)


class Columns(NamedTuple):
    """The rows of a group as they are sent, each column an array, and their checksums."""

    kinds: list[int]
    keys: list[bytes]
    parents: list[bytes]
    bodies: list[bytes]
    crcs: list[int]


def _columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [(), (), (), ()]


class Standing(enum.Enum):
    """What there is of a group."""

    DURABLE = "durable"
    ABSENT = "absent"  # and the run is as it was: it may be sent
    LOST = "lost"  # and the run is another driver's, or nobody's


_BY = "backend=%s, backend_start=%s"
_MOVE = f"""UPDATE run SET nrows=%s, {_BY} WHERE uid=%s AND fence=%s AND owner=%s AND nrows=%s RETURNING uid, word"""
_END = """owner='', lease_until=0, status=%s, ended=%s, cancel=CASE WHEN %s THEN 0 ELSE cancel END,
    error_floor=COALESCE(%s, error_floor)"""
_MOVE_AND_END = f"""UPDATE run SET nrows=%s, {_BY}, {_END}
    WHERE uid=%s AND fence=%s AND owner=%s AND nrows=%s RETURNING uid, word"""
_GIVE_BACK = f"""UPDATE run SET {_END} WHERE uid=%s AND fence=%s AND owner=%s RETURNING uid"""
_PUT = """put AS (INSERT INTO record (run, seq, kind, key, parent, body, crc)
    SELECT moved.uid, %s::bigint + at, kind, key, parent, body, crc FROM moved,
    unnest(%b::smallint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[])
    WITH ORDINALITY AS fresh (kind, key, parent, body, crc, at))"""
_KEEP = """kept AS (INSERT INTO cache (key, kind, call, parent, body, crc) SELECT fresh.* FROM moved,
    unnest(%b::bytea[], %b::smallint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[]) AS fresh
    ON CONFLICT (key) DO UPDATE SET kind=excluded.kind, call=excluded.call, parent=excluded.parent, body=excluded.body,
    crc=excluded.crc)"""
_DROP = "dropped AS (DELETE FROM claim USING moved WHERE claim.run=moved.uid AND claim.fence=%s AND claim.name=ANY(%b::bytea[]))"
_DROP_ALL = "dropped AS (DELETE FROM claim USING moved WHERE claim.run=moved.uid)"


def append(statements: Statements, group: Group, columns: Columns) -> int | None:
    """Send the group. Return how much word the run has had from outside; None where nothing was changed, because it could not
    follow."""
    lease, ending = group.lease, group.ending
    by, where = statements.session, (lease.uid, lease.fence, lease.owner, group.first_seq - 1)
    parts = [f"moved AS ({_MOVE if ending is None else _MOVE_AND_END})"]
    values = [group.last_seq, *by, *(_ends(group, ending) if ending is not None else ()), *where]
    if group.rows:
        parts.append(_PUT)
        values += [group.first_seq - 1, *columns]
    if group.cache:
        newest = sorted(dict(group.cache).items())  # a statement changes a row once, and all of them go by one order
        keys = [key for key, _ in newest]
        parts.append(_KEEP)
        values += [keys, *map(list, _columns([row for _, row in newest])), [checked_rows.cache_crc(*one) for one in newest]]
        if ending is None:
            parts.append(_DROP)
            values += [lease.fence, keys]
    if ending is not None:
        parts.append(_DROP_ALL)
    found = statements.execute(f"WITH {', '.join(parts)} SELECT word FROM moved", values).fetchone()
    return None if found is None else found[0]


def append_and_end(statements: Statements, group: Group, columns: Columns, locks: Locks) -> int | None:
    """Send a group that has an ending, inside the caller's transaction: the job of its run goes or goes on, and who waits for it is
    woken, by statements that come after the lock of the run. Return what `append` does."""
    assert group.ending is not None
    lock_awaited(statements, locks, group.lease.uid, group.ending.after)
    word = append(statements, group, columns)
    if word is not None:
        note_ending(statements, locks, group.lease.uid, group.ending, group.now)
    return word


def give_back(statements: Statements, group: Group, locks: Locks) -> None:
    """Give the run back as the ending of a group says, whatever rows it has, inside the caller's transaction; nothing where it is
    not held any more."""
    assert group.ending is not None
    lock_awaited(statements, locks, group.lease.uid, group.ending.after)
    values = (*_ends(group, group.ending), group.lease.uid, group.lease.fence, group.lease.owner)
    query = f"WITH moved AS ({_GIVE_BACK}), {_DROP_ALL} SELECT 1 FROM moved"
    if statements.execute(query, values).fetchone() is not None:
        note_ending(statements, locks, group.lease.uid, group.ending, group.now)


def _ends(group: Group, ending: Ending) -> tuple[Any, ...]:
    """The values of `_END`."""
    over = ending.status in ENDED
    return ending.status.value, group.now if over else 0.0, over, ending.error_floor


def look(
    group: Group, crcs: Sequence[int], run: RunInfo | None, stored: Sequence[tuple[int, int]] | None, reported: int, where: str
) -> Standing:
    """What there is of a group.

    Args:
        group: what was sent.
        crcs: the checksums of its rows.
        run: the run as it is now; None where it is gone.
        stored: the checksums `(seq, crc)` of the rows at the places of the group, read when the run was locked; None where no try
            can have come there.
        reported: how many rows were reported as durable.
        where: the store, for messages.

    Raises:
        StoreDamaged: the store lacks rows that were reported.
        StoreError: the group can never follow what is there.
    """
    lease = group.lease
    if run is None:
        return Standing.LOST
    held = (run.fence, run.owner) == (lease.fence, lease.owner)
    if stored is not None and group.rows:
        if list(stored) == list(enumerate(crcs, group.first_seq)):
            return Standing.DURABLE
    elif stored is not None and group.ending is not None and run.fence == lease.fence and not run.owner:
        return Standing.DURABLE  # it was given back by the ending that was sent
    if reported and ((held and run.nrows < reported) or run.fence < lease.fence):
        raise went_back(f"run {lease.run_id!r}", f"{run.nrows} rows", f"{reported} rows", where)
    if not held:
        return Standing.LOST
    if run.nrows != group.first_seq - 1:
        raise make_gap_error(run, group.first_seq)
    return Standing.ABSENT
