"""Which run computes a shared result, and what the others do meanwhile: the rule that all stores go by.

A call of a `cache="forever"` task that is about to run claims its shared name in the store. While the claim stands, no equal call
of another run starts; when it is gone, there is a result or the next one claims. A claim has no time of its own: it stands as long
as its run's lease does, under the same fence. So it is renewed with the lease, and void at once when the run is given back or taken
over, when its process is seen to be dead, and when the lease is over. A result and the end of its claim are one transaction, so
nobody finds neither.

Two runs could wait for each other: one computes x and needs y, the other one computes y and needs x. So a run also says which of
its claims can't end before which names that it waits for. Whoever would close a circle is told so in the same transaction, and
computes the name itself, without a claim. A circle is closed by its last wait, and transactions come one after another: so somebody
sees it, and nobody hangs. A stricter rule, never to wait while others wait for one's own claims, needs no such word, but would do
work twice wherever shared tasks call shared tasks.

This file must never let a claim outlive its run's lease, and never let two runs claim one name.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from headway.errors import HeadwayError
from headway.journal.owner import is_alive, make_lease_lost, unknown_run
from headway.journal.records import Lease, Row
from headway.journal.sqlite import checked_rows

T = TypeVar("T")
NAME_BYTES = 16
PART = 500  # names in one statement
Waits = Mapping[bytes, Sequence[bytes]]


class Wish(NamedTuple):
    """A call that is about to run."""

    name: bytes
    seen: Row | None = None  # a result that is known not to hold for the call


class Reply(NamedTuple):
    """What became of a wish. Where there is a result, nothing was claimed."""

    row: Row | None = None  # the newest result, if it is another one than was seen
    mine: bool = False  # the name is this run's: the call runs
    alone: bool = False  # waiting would close a circle: the call runs, without a claim
    left: bool = False  # an earlier claim ended with its process: what was computed under it may have happened
    by: str = ""  # who computes it


class Claim(NamedTuple):
    """A name that a run computes."""

    run: int
    fence: int
    since: float
    waits: tuple[bytes, ...] = ()  # names that others compute and that this can't end without


class Holder(NamedTuple):
    """What a store knows of a claim's run."""

    fence: int
    owner: str
    lease_until: float


class Board(NamedTuple):
    """What a store knows of the names in question."""

    rows: Mapping[bytes, Row]
    claims: dict[bytes, Claim]
    holders: Mapping[int, Holder]


class Settled(NamedTuple):
    """The answers, and what there is to write."""

    replies: list[Reply]
    put: dict[bytes, Claim]
    drop: list[bytes]
    shorten: set[int]  # runs whose lease ends too late to be true: the clock was set back


def stands(claim: Claim, holders: Mapping[int, Holder], now: float, lives: Callable[[str], bool | None]) -> bool:
    """Whether a claim counts: its run is still driven by the same driver, who lives and has been heard of in time."""
    holder = holders.get(claim.run)
    if holder is None or not holder.owner or holder.fence != claim.fence:
        return False
    return holder.lease_until > now and lives(holder.owner) is not False


def settle(
    board: Board,
    lease: Lease,
    wishes: Sequence[Wish],
    waits: Waits,
    done: Sequence[bytes],
    now: float,
    lives: Callable[[str], bool | None] = is_alive,
) -> Settled:
    """Answer the wishes of one run, and say what changes.

    Args:
        board: what is known of every name here, and of every name that the claims on these wait for.
        lease: of the run that asks.
        wishes: calls that are about to run, and those that still wait.
        waits: claims of this run, with all the names for which each waits from now on.
        done: claims of this run that ended without a result.
        now: wall clock seconds.
        lives: whether the process of an owner still runs; None where that is unknown.
    """
    claims, put, drop, shorten = dict(board.claims), dict[bytes, Claim](), list[bytes](), set[int]()
    wished = {wish.name for wish in wishes}

    def mine(name: bytes) -> bool:
        claim = claims.get(name)
        return claim is not None and (claim.run, claim.fence) == (lease.uid, lease.fence)

    for name in done:
        if mine(name) and name not in wished:
            del claims[name]
            drop.append(name)
    for name, others in waits.items():
        if mine(name) and claims[name].waits != tuple(others):
            put[name] = claims[name] = claims[name]._replace(waits=tuple(others))
    replies = []
    for name, seen in wishes:
        row, claim = board.rows.get(name), claims.get(name)
        if row is not None and row != seen:
            replies.append(Reply(row=row))
        elif claim is None or mine(name) or not stands(claim, board.holders, now, lives):
            if not mine(name):
                put[name] = claims[name] = Claim(lease.uid, lease.fence, now)
            replies.append(Reply(mine=True, left=claim is not None and (claim.run, claim.fence) != (lease.uid, lease.fence)))
        elif _closes_circle(name, claims, {above for above, others in waits.items() if name in others}, board.holders, now, lives):
            replies.append(Reply(alone=True))
        else:
            if board.holders[claim.run].lease_until > now + lease.ttl_s:
                shorten.add(claim.run)
            replies.append(Reply(by=board.holders[claim.run].owner))
    return Settled(replies, put, drop, shorten)


def _closes_circle(
    name: bytes,
    claims: Mapping[bytes, Claim],
    above: set[bytes],
    holders: Mapping[int, Holder],
    now: float,
    lives: Callable[[str], bool | None],
) -> bool:
    """Whether who computes `name` waits, directly or through others, for one of the names `above`, which wait for it."""
    seen, stack = {name}, [name]
    while above and stack:
        claim = claims.get(stack.pop())
        if claim is None or not stands(claim, holders, now, lives):
            continue
        for other in claim.waits:
            if other in above:
                return True
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return False


def gather_claims(names: Iterable[bytes], find: Callable[[set[bytes]], Mapping[bytes, Claim]]) -> dict[bytes, Claim]:
    """The claims on these names and on all that they wait for."""
    found: dict[bytes, Claim] = {}
    new = set(names)
    seen = set(new)
    while new:
        more = find(new)
        found.update(more)
        new = {name for claim in more.values() for name in claim.waits} - seen
        seen |= new
    return found


# --- in SQLite -------------------------------------------------------------------------------------------------------

TABLES = """
CREATE TABLE claim (
    name BLOB PRIMARY KEY, run INTEGER NOT NULL, fence INTEGER NOT NULL, since REAL NOT NULL, waits BLOB NOT NULL) WITHOUT ROWID;
"""


class SharedClaims:
    """The part of SqliteStore that keeps claims."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One write transaction."""

    @abstractmethod
    def reading(self, read: Callable[[sqlite3.Connection], T]) -> T: ...

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        names = [wish.name for wish in wishes] + [*(waits or ()), *done]
        settled = settle(self.reading(lambda connection: _read(connection, lease, names)), lease, wishes, waits or {}, done, now)
        if not (settled.put or settled.drop or settled.shorten):
            return settled.replies
        with self.writing() as connection:
            settled = settle(_read(connection, lease, names), lease, wishes, waits or {}, done, now)
            put = [(name, one.run, one.fence, one.since, b"".join(one.waits)) for name, one in settled.put.items()]
            connection.executemany("INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?, ?)", put)
            connection.executemany("DELETE FROM claim WHERE name=?", [(name,) for name in settled.drop])
            late = [(now + lease.ttl_s, run) for run in settled.shorten]
            connection.executemany("UPDATE run SET lease_until=? WHERE uid=?", late)
        return settled.replies

    def claims(self) -> dict[bytes, Claim]:
        return self.reading(lambda connection: {one[0]: _decode(one) for one in connection.execute(f"{_SELECT} ORDER BY name")})

    def drop_void_claims(self, now: float) -> int:
        """Forget claims that do not count any more, as drivers leave them that were killed; how many there were."""
        with self.writing() as connection:
            claims = {one[0]: _decode(one) for one in connection.execute(_SELECT)}
            holders = _holders(connection, claims.values())
            void = [(name,) for name, claim in claims.items() if not stands(claim, holders, now, is_alive)]
            connection.executemany("DELETE FROM claim WHERE name=?", void)
        return len(void)


_SELECT = "SELECT name, run, fence, since, waits FROM claim"


def _decode(stored: tuple[bytes, int, int, float, bytes]) -> Claim:
    _, run, fence, since, waits = stored
    return Claim(run, fence, since, tuple(waits[at : at + NAME_BYTES] for at in range(0, len(waits), NAME_BYTES)))


def _read(connection: sqlite3.Connection, lease: Lease, names: Sequence[bytes]) -> Board:
    """Read all that a decision about the names needs. Raises LeaseLost if another driver or nobody holds the run."""
    held = connection.execute("SELECT fence, owner FROM run WHERE uid=?", (lease.uid,)).fetchone()
    if held != (lease.fence, lease.owner):
        raise _make_lease_lost(connection, lease)

    def find(names: set[bytes]) -> dict[bytes, Claim]:
        return {one[0]: _decode(one) for one in _select(connection, f"{_SELECT} WHERE name", names)}

    claims = gather_claims(names, find)  # before the results: a claim that has ended since left a result, or another claim
    cached = [key for (key,) in _select(connection, "SELECT key FROM cache WHERE key", names)]
    rows = {key: row for key in cached if (row := checked_rows.read_cache(connection, key)) is not None}
    return Board(rows, claims, _holders(connection, claims.values()))


def _holders(connection: sqlite3.Connection, claims: Iterable[Claim]) -> dict[int, Holder]:
    """The drivers of the runs that have these claims, by run."""
    holders = {}
    for uid in {claim.run for claim in claims}:
        stored = connection.execute("SELECT fence, owner, lease_until FROM run WHERE uid=?", (uid,)).fetchone()
        if stored is not None:
            holders[uid] = Holder(*stored)
    return holders


def _select(connection: sqlite3.Connection, query: str, names: Iterable[bytes]) -> Iterator[Any]:
    """The rows for which the last column of the query is one of the names."""
    left = list(names)
    for part in (left[at : at + PART] for at in range(0, len(left), PART)):
        yield from connection.execute(f"{query} IN ({', '.join('?' * len(part))})", part).fetchall()


def _make_lease_lost(connection: sqlite3.Connection, lease: Lease) -> HeadwayError:
    stored = connection.execute(f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE uid=?", (lease.uid,)).fetchone()
    if stored is None:
        return unknown_run(lease.run_id, (), "the store")
    return make_lease_lost(checked_rows.decode_run(stored, ""), lease.fence)


def end_claims(connection: sqlite3.Connection, lease: Lease, names: Sequence[bytes] | None = None) -> None:
    """Drop claims of a run, in the caller's transaction: those on `names`, or all."""
    if names is None:
        connection.execute("DELETE FROM claim WHERE run=?", (lease.uid,))
    else:
        query = "DELETE FROM claim WHERE name=? AND run=? AND fence=?"
        connection.executemany(query, [(name, lease.uid, lease.fence) for name in names])
