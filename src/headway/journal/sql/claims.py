"""Claims on shared results, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headway.errors import HeadwayError
from headway.journal.owner import is_alive, make_lease_lost, unknown_run
from headway.journal.records import Lease
from headway.journal.shared.claims import (
    NAME_BYTES,
    PART,
    Board,
    Claim,
    Holder,
    Reply,
    Waits,
    Wish,
    gather_claims,
    settle,
    stands,
)
from headway.journal.sql import checked_rows
from headway.journal.sql.database import Connection, Tables

TABLES = """
CREATE TABLE claim (
    name BLOB PRIMARY KEY, run INTEGER NOT NULL, fence INTEGER NOT NULL, since REAL NOT NULL, waits BLOB NOT NULL) WITHOUT ROWID;
"""


class SharedClaims(Tables):
    """The part of a store that keeps claims."""

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        return self.settle_claims(lease, wishes, now, waits or {}, done, set())

    def settle_claims(
        self, lease: Lease, wishes: Sequence[Wish], now: float, waits: Waits, done: Sequence[bytes], left: set[bytes]
    ) -> list[Reply]:
        """`claim`, which may be a second try: `left` has the names that the first one has taken from a driver that is gone."""
        names = [wish.name for wish in wishes] + [*waits, *done]
        settled = settle(self.reading(lambda connection: _read(connection, lease, names)), lease, wishes, waits, done, now)
        if settled.put or settled.drop or settled.shorten:
            with self.writing("claims") as connection:
                settled = settle(_read(connection, lease, names), lease, wishes, waits, done, now)
                late = [(now + lease.ttl_s, run) for run in sorted(settled.shorten)]  # runs before claims, as a commit does
                connection.executemany("UPDATE run SET lease_until=? WHERE uid=?", late)
                put = [(name, one.run, one.fence, one.since, b"".join(one.waits)) for name, one in sorted(settled.put.items())]
                connection.executemany(_PUT, put)
                connection.executemany("DELETE FROM claim WHERE name=?", [(name,) for name in sorted(settled.drop)])
                left.update(wish.name for wish, reply in zip(wishes, settled.replies, strict=True) if reply.left)
        return [
            reply._replace(left=True) if reply.mine and wish.name in left else reply
            for wish, reply in zip(wishes, settled.replies, strict=True)
        ]

    def claims(self) -> dict[bytes, Claim]:
        return self.reading(lambda connection: {one[0]: _decode(one) for one in connection.execute(f"{_SELECT} ORDER BY name")})

    def drop_void_claims(self, now: float) -> int:
        """Forget claims that do not count any more, as drivers leave them that were killed; how many there were."""
        with self.writing("claims") as connection:
            claims = {one[0]: _decode(one) for one in connection.execute(_SELECT)}
            holders = _holders(connection, claims.values())
            void = [(name,) for name, claim in claims.items() if not stands(claim, holders, now, is_alive)]
            connection.executemany("DELETE FROM claim WHERE name=?", void)
        return len(void)


_PUT = (
    "INSERT INTO claim (name, run, fence, since, waits) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) "
    "DO UPDATE SET run=excluded.run, fence=excluded.fence, since=excluded.since, waits=excluded.waits"
)
_SELECT = "SELECT name, run, fence, since, waits FROM claim"


def _decode(stored: tuple[bytes, int, int, float, bytes]) -> Claim:
    _, run, fence, since, waits = stored
    return Claim(run, fence, since, tuple(waits[at : at + NAME_BYTES] for at in range(0, len(waits), NAME_BYTES)))


def _read(connection: Connection, lease: Lease, names: Sequence[bytes]) -> Board:
    """Read all that a decision about the names needs. Raises LeaseLost if another driver or nobody holds the run."""
    held = connection.execute("SELECT fence, owner FROM run WHERE uid=?", (lease.uid,)).fetchone()
    if held != (lease.fence, lease.owner):
        raise _make_lease_lost(connection, lease)

    def find(names: set[bytes]) -> dict[bytes, Claim]:
        return {one[0]: _decode(one) for one in _select(connection, f"{_SELECT} WHERE name", names)}

    claims = gather_claims(names, find)  # before the results: a claim that has ended since left a result, or another claim
    query = "SELECT key, kind, call, parent, body, crc FROM cache WHERE key"
    rows = {key: checked_rows.check_cached(key, stored) for key, *stored in _select(connection, query, names)}
    return Board(rows, claims, _holders(connection, claims.values()))


def _holders(connection: Connection, claims: Iterable[Claim]) -> dict[int, Holder]:
    """The drivers of the runs that have these claims, by run."""
    query = "SELECT uid, fence, owner, lease_until FROM run WHERE uid"
    return {uid: Holder(*holder) for uid, *holder in _select(connection, query, {claim.run for claim in claims})}


def _select(connection: Connection, query: str, names: Iterable[object]) -> Iterator[Any]:
    """The rows for which the last column of the query is one of the names."""
    left = list(names)
    for part in (left[at : at + PART] for at in range(0, len(left), PART)):
        yield from connection.execute(f"{query} IN ({', '.join('?' * len(part))})", part).fetchall()


def _make_lease_lost(connection: Connection, lease: Lease) -> HeadwayError:
    stored = connection.execute(f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE uid=?", (lease.uid,)).fetchone()
    if stored is None:
        return unknown_run(lease.run_id, (), "the store")
    return make_lease_lost(checked_rows.decode_run(stored, ""), lease.fence)


def end_claims(connection: Connection, lease: Lease, names: Sequence[bytes] | None = None) -> None:
    """Drop claims of a run, in the caller's transaction: those on `names`, or all."""
    if names is None:
        connection.execute("DELETE FROM claim WHERE run=?", (lease.uid,))
    else:
        query = "DELETE FROM claim WHERE name=? AND run=? AND fence=?"
        connection.executemany(query, [(name, lease.uid, lease.fence) for name in names])
