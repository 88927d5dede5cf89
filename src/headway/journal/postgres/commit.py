"""One commit of a run's rows: one statement.

The statement moves the run's row count under its fence and appends the rows to what it moved. So it does all or nothing, and never
twice: it finds the count where it is to be, or it changes nothing.

Where the connection breaks inside, nobody knows which it was, and the store looks (`shared.outcome`): it takes the run's row lock,
which waits for a first try that still lives on the server, and after that, as a statement of its own, reads the checksums of the
rows. In one statement with the lock it would not do: that waits for the lock, and then sees the new run beside the rows of before.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from headway.journal.postgres.link import Statements
from headway.journal.records import ENDED, Ending, Lease, Row
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
    woken, by statements that come after the lock of the run. Returns what `append` does."""
    assert group.ending is not None
    lock_awaited(statements, locks, group.lease.uid, group.ending.after)
    if (word := append(statements, group, columns)) is not None:
        note_ending(statements, locks, group.lease.uid, group.ending, group.now)
    return word


def give_back(statements: Statements, group: Group, locks: Locks) -> None:
    """Give the run back as the ending of a group says, whatever rows it has, inside the caller's transaction; nothing where it is
    not held any more."""
    assert group.ending is not None
    values = (*_ends(group, group.ending), group.lease.uid, group.lease.fence, group.lease.owner)
    lock_awaited(statements, locks, group.lease.uid, group.ending.after)
    if statements.execute(f"WITH moved AS ({_GIVE_BACK}), {_DROP_ALL} SELECT 1 FROM moved", values).fetchone() is not None:
        note_ending(statements, locks, group.lease.uid, group.ending, group.now)


def _ends(group: Group, ending: Ending) -> tuple[Any, ...]:
    """The values of `_END`."""
    over = ending.status in ENDED
    return ending.status.value, group.now if over else 0.0, over, ending.error_floor
