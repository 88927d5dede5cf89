"""The store of many machines, in a Postgres database.

A commit is one statement (`commit`). Whatever else writes is one short transaction that gives the same when it is done twice, so it
is done again where the connection broke. Locks are taken in one order: gates, queues, runs by number, jobs by
number, all else.

Time comes from whoever asks, as everywhere, and is taken to the server's clock: leases of all machines are counted by one.
"""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from headway.errors import RunMismatch, StoreError
from headway.journal.owner import check_takeover, make_lease_lost, unknown_run
from headway.journal.postgres import blobs as blob_rows
from headway.journal.postgres import commit as commits
from headway.journal.postgres.address import Address, parse_address
from headway.journal.postgres.blobs import TABLE_BYTES, LargeBlobs
from headway.journal.postgres.database import PATIENCE_S, again
from headway.journal.postgres.queues import PostgresQueues
from headway.journal.postgres.troubles import AGAIN, ConnectionLost
from headway.journal.postgres.word import SHARED, Listener, Teller
from headway.journal.records import After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.claims import Reply, Waits, Wish
from headway.journal.shared.items import Item
from headway.journal.shared.limits import Ask, Grant, Want
from headway.journal.shared.queues import QUEUES
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.claims import SharedClaims, end_claims
from headway.journal.sql.database import Connection
from headway.journal.sql.items import SharedCollections
from headway.journal.sql.limits import SharedLimits
from headway.journal.store import Buffer, keep_row

DELETED_ROWS = 20_000  # in one statement
_NOW = "extract(epoch FROM clock_timestamp())::double precision"
_CLOCK = f"SELECT {_NOW}"
LOCK_TIMEOUT_MS = 2000  # how long a run's row may be locked by who had it before


class PostgresStore(PostgresQueues, SharedLimits, SharedCollections, SharedClaims):
    """A store in Postgres. Opening makes its tables where there are none.

    Args:
        url: `postgresql://user@host/database`, with what libpq takes, and `blobs`, `schema` and `listen` (see `address`).
        blobs: a folder that all machines share, or an object store, for values above 1 MiB and for checkpoints; where the URL does
            not name one.
        readonly: make nothing and write nothing.

    Raises:
        StoreVersion: the tables are those of a newer Headway.
        StoreError: the server can't be reached, or refuses.
    """

    def __init__(self, url: str | Address, *, blobs: str = "", readonly: bool = False) -> None:
        address = parse_address(url, blobs=blobs) if isinstance(url, str) else url
        self._url = address.url
        self._ahead_s = 0.0  # the server's clock is ahead of this machine's
        self._large = LargeBlobs(address.blobs)
        self._reported: dict[tuple[int, int], int] = {}  # by run and fence: rows that were reported as durable
        super().__init__(address, readonly=readonly)
        self._listener = Listener.join(address)
        self._teller = Teller(address)
        self.insist(self._compare_clocks, PATIENCE_S)

    @property
    def url(self) -> str:
        return self._url

    def checkpoint_root(self, run_id: str) -> str | None:
        return f"{self._large.place.rstrip('/')}/checkpoints/{quote(run_id, safe='')}" if self._large.place else None

    def close(self) -> None:
        if not self._closed.is_set():
            super().close()
            if hasattr(self, "_teller"):
                self._teller.close()
                self._listener.leave()

    def _compare_clocks(self) -> None:
        began = time.time()
        (server,) = self.reading(lambda connection: connection.execute(_CLOCK).fetchone())
        self._note_clock(server, began, time.time())

    def _note_clock(self, server: float, began: float, ended: float) -> None:
        """Note how far the server's clock is ahead, which said `server` in an answer to what was asked at `began`."""
        ahead_s = server - (began + ended) / 2
        # What lies within the time that the answer took is no difference.
        self._ahead_s = ahead_s if abs(ahead_s) > max(ended - began, 0.05) else 0.0

    # runs

    @again
    def create_run(self, spec: RunSpec) -> RunInfo:
        with self.talking() as statements:
            return self._find(statements, "run_id=?", spec.run_id) or self._insert_run(statements, spec)[0]

    @again
    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        at = now + self._ahead_s
        with self.talking() as statements:
            owned = {"fence": 1, "owner": owner, "owned_since": at, "lease_until": at + ttl_s}
            run, is_new = self._insert_run(statements, spec, **owned)
            mine = is_new or (run.fence, run.owner, run.nrows) == (1, owner, 0)  # made by a first try whose answer was lost
        return run, Lease(uid=run.uid, run_id=spec.run_id, owner=owner, fence=1, ttl_s=ttl_s) if mine else None

    def run(self, run_id: str) -> RunInfo:
        return self.reading(lambda connection: self._get_run(connection, run_id))

    def runs(self) -> list[RunInfo]:
        query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run ORDER BY uid"
        return [checked_rows.decode_run(one, self.url) for one in self.reading(lambda found: found.execute(query).fetchall())]

    @again
    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        with self.writing() as connection:
            source = self._by_uid(connection, source_uid)
            run, is_new = self._insert_run(connection, spec, word=self._word(connection, source_uid))
            if not is_new:
                raise RunMismatch(f"the run id {spec.run_id!r} is taken in {self.url}: choose another id for the fork")
            seq = 0
            for part in checked_rows.read_parts(lambda after: checked_rows.read_rows(connection, source_uid, after), source, 0):
                copied = [taken for at, row in part for taken in keep_row(keep, at, row)]
                group = commits.Group(Lease(uid=run.uid, run_id="", owner="", fence=0, ttl_s=0), seq + 1, copied, (), None, 0.0)
                commits.append(connection, group, group.columns())
                seq += len(copied)
            return self._by_uid(connection, run.uid)

    @again
    def delete_run(self, run_id: str, now: float) -> int:
        with self.writing() as connection:
            run = self._get_run(connection, run_id, "FOR UPDATE")
            check_takeover(run, now + self._ahead_s)
            jobs.end_job(connection, self._locks, run.uid, now + self._ahead_s)
            for table in ("rejected", "signal", "claim"):
                connection.execute(f"DELETE FROM {table} WHERE run=?", (run.uid,))
            connection.execute("DELETE FROM run WHERE uid=?", (run.uid,))
        self._delete_rows(run.uid)
        return run.nrows

    def _delete_rows(self, uid: int) -> None:
        """In parts: one large deletion would hold up the server's cleaning. A part that is left has no run, and `gc` finds it."""
        with self.talking() as statements:
            query = "DELETE FROM record WHERE run=? AND seq IN (SELECT seq FROM record WHERE run=? ORDER BY seq LIMIT ?)"
            while statements.execute(query, (uid, uid, DELETED_ROWS)).rowcount:
                pass

    def _insert_run(self, connection: Connection, spec: RunSpec, **columns: object) -> tuple[RunInfo, bool]:
        """Create a run, unless its id is taken. Return the run of this id, and whether it is new."""
        names = ["run_id", "spec", "crc", "status", *columns]
        values = (*checked_rows.encode_run(spec), RunStatus.RUNNING.value, *columns.values())
        query = f"INSERT INTO run ({', '.join(names)}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT (run_id) DO NOTHING"
        is_new = bool(connection.execute(query, values).rowcount)
        return self._get_run(connection, spec.run_id), is_new

    def _find(self, connection: Connection, where: str, value: object, lock: str = "") -> RunInfo | None:
        query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE {where} {lock}"
        stored = connection.execute(query, (value,)).fetchone()
        return None if stored is None else checked_rows.decode_run(stored, self.url)

    def _get_run(self, connection: Connection, run_id: str, lock: str = "") -> RunInfo:
        found = self._find(connection, "run_id=?", run_id, lock)
        if found is None:
            query = "SELECT run_id FROM run ORDER BY uid DESC LIMIT 1000"  # near misses are looked for among the newest
            raise unknown_run(run_id, [one for (one,) in connection.execute(query).fetchall()], self.url)
        return found

    def _by_uid(self, connection: Connection, uid: int, lock: str = "") -> RunInfo:
        found = self._find(connection, "uid=?", uid, lock)
        if found is None:
            raise unknown_run(f"number {uid}", [], self.url)
        return found

    def _word(self, connection: Connection, uid: int) -> int:
        """How much word a run has had from outside: the number of its newest signal is at most this."""
        found: tuple[int] | None = connection.execute("SELECT word FROM run WHERE uid=?", (uid,)).fetchone()
        return found[0] if found is not None else 0

    # leases

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        at = now + self._ahead_s
        if not take_over:
            self.shorten_leases(at + ttl_s, run_id)
        try:
            return self._acquire(run_id, owner, ttl_s, at, take_over=take_over)
        except StoreError as error:
            if getattr(error.__cause__, "sqlstate", None) != "55P03" or not self._evict(run_id, at, take_over=take_over):
                raise
        return self._acquire(run_id, owner, ttl_s, at, take_over=take_over)

    def _acquire(self, run_id: str, owner: str, ttl_s: float, at: float, *, take_over: bool) -> Lease:
        def once() -> Lease:
            with self.writing() as connection:
                connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                run = self._get_run(connection, run_id, "FOR UPDATE")
                if (run.owner, run.owned_since) == (owner, at):  # by a first try whose answer was lost
                    return Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence, ttl_s=ttl_s)
                if not take_over:
                    check_takeover(run, at)
                connection.execute(
                    "UPDATE run SET fence=?, owner=?, owned_since=?, lease_until=?, status=?, ended=0, "
                    f"{self._backend()} WHERE uid=?",
                    (run.fence + 1, owner, at, at + ttl_s, RunStatus.RUNNING.value, run.uid),
                )
                lease = Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence + 1, ttl_s=ttl_s)
                jobs.note_taken(connection, run.uid, owner, at + ttl_s)
                end_claims(connection, lease)
            return lease

        return self.insist(once, LOCK_TIMEOUT_MS / 1000)

    def _backend(self) -> str:
        """What a run is to say of the session that writes it, so that it can be ended where its driver is gone and it is not."""
        pid = self._writer.pid
        return f"backend={pid}, backend_start=(SELECT backend_start FROM pg_stat_get_activity({pid}))" if pid else "backend=0"

    def _evict(self, run_id: str, at: float, *, take_over: bool) -> bool:
        """End the session of a driver that is gone and still holds its run's row. Return whether there was one."""
        run = self.run(run_id)
        if not take_over:
            check_takeover(run, at)
        with self.talking() as statements:
            ended = statements.execute(
                "SELECT pg_terminate_backend(activity.pid, 5000) FROM run "
                "JOIN pg_stat_activity AS activity ON (activity.pid, activity.backend_start)=(run.backend, run.backend_start) "
                "WHERE run.uid=? AND activity.pid<>pg_backend_pid()",
                (run.uid,),
            ).fetchone()
        return ended is not None

    @again
    def shorten_leases(self, until: float, run_id: str | None = None) -> None:
        """Let no lease, or none of this run, last longer than `until` if it is not renewed."""
        where, named = ("AND run_id=?", (run_id,)) if run_id is not None else ("", ())
        with self.talking() as statements:
            statements.execute(f"UPDATE run SET lease_until=? WHERE lease_until>? {where}", (until, until, *named))

    @again
    def renew(self, lease: Lease, now: float) -> None:
        began = time.time()
        query = f"UPDATE run SET lease_until=?, {self._backend()} WHERE uid=? AND fence=? AND owner=? RETURNING {_NOW}"
        with self.talking() as statements:
            until = now + self._ahead_s + lease.ttl_s
            found = statements.execute(query, (until, lease.uid, lease.fence, lease.owner)).fetchone()
            if found is None:
                raise make_lease_lost(self._by_uid(statements, lease.uid), lease.fence)
        self._note_clock(found[0], began, time.time())

    @again
    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        group = commits.Group(lease, 0, (), (), Ending(status, error_floor, after), now + self._ahead_s)
        with self.writing() as statements:
            commits.give_back(statements, group, self._locks)
        self._teller.tell(SHARED)

    # rows

    def commit(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        now: float,
        *,
        cache: Sequence[tuple[bytes, Row]] = (),
        ending: Ending | None = None,
    ) -> None:
        group = commits.Group(lease, first_seq, rows, cache, ending, now + self._ahead_s)
        columns, until, is_unknown = group.columns(), time.monotonic() + lease.ttl_s, False
        standing = commits.Standing.ABSENT
        while standing is commits.Standing.ABSENT:
            try:
                if self._append(group, columns):
                    break
            except ConnectionLost:
                is_unknown = True
            except StoreError as error:
                if getattr(error.__cause__, "sqlstate", None) not in AGAIN or time.monotonic() >= until:
                    raise
            look = functools.partial(self._look, group, columns, is_unknown)
            standing = self.insist(look, max(0.0, until - time.monotonic()))
        if standing is commits.Standing.LOST:
            self._reject(group)
        self._reported[lease.uid, lease.fence] = group.last_seq
        if cache or ending is not None:
            self._teller.tell(SHARED)

    def _append(self, group: commits.Group, columns: list[list[Any]]) -> bool:
        if group.ending is None:
            with self.talking() as statements:
                return commits.append(statements, group, columns)
        with self.writing() as statements:
            return commits.append_and_end(statements, group, columns, self._locks)

    def _look(self, group: commits.Group, columns: list[list[Any]], is_unknown: bool) -> commits.Standing:
        with self.writing() as connection:
            run = self._find(connection, "uid=?", group.lease.uid, "FOR UPDATE")
            query = "SELECT seq, crc FROM record WHERE run=? AND seq BETWEEN ? AND ? ORDER BY seq"  # after the lock, never with it
            there = connection.execute(query, (group.lease.uid, group.first_seq, group.last_seq)).fetchall()
        stored = there if is_unknown else None
        return commits.look(group, columns, run, stored, self._reported.get((group.lease.uid, group.lease.fence), 0))

    def _reject(self, group: commits.Group) -> None:
        """Keep aside what came too late. Raises LeaseLost."""
        lease = group.lease
        with self.writing() as connection:
            run = self._by_uid(connection, lease.uid)
            checked_rows.insert_rejected(connection, lease, group.first_seq, group.rows, group.now)
        raise make_lease_lost(run, lease.fence)

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        def read(after: int) -> list[checked_rows.Stored]:
            return self.reading(lambda connection: checked_rows.read_rows(connection, uid, after))

        run = self.reading(lambda connection: self._by_uid(connection, uid))
        for part in checked_rows.read_parts(read, run, after):
            yield from part

    def cached(self, key: bytes) -> Row | None:
        return self.reading(lambda connection: checked_rows.read_cache(connection, key))

    # blobs

    @again
    def put_blob(self, digest: bytes, data: Buffer) -> None:
        with memoryview(data) as view:
            nbytes = view.nbytes
            small = bytes(view) if nbytes <= TABLE_BYTES else None
        if small is None:
            self._large.put(digest, data, self.url)
        with self.talking() as statements:
            blob_rows.put_row(statements, digest, nbytes, small)

    def get_blob(self, digest: bytes) -> memoryview:
        found = self.reading(lambda connection: blob_rows.read_row(connection, digest))
        if found is None:
            raise blob_rows.missing(digest, self.url)
        if found[1] is None:
            return blob_rows.check(digest, self._large.get(digest), self._large.place)
        return blob_rows.check(digest, memoryview(bytearray(found[1])), self.url)

    # control from outside

    @again
    def request_cancel(self, run_id: str, now: float) -> None:
        with self.writing() as connection:
            run = self._get_run(connection, run_id, "FOR UPDATE")
            self._cancel(connection, run, now + self._ahead_s)
        self._teller.tell(f"{run.uid} {QUEUES}")

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        token = secrets.token_bytes(16)  # tells a second try from a second signal
        return self.insist(lambda: self._send(run_id, name, value, float(now), token), PATIENCE_S)

    def _send(self, run_id: str, name: str, value: bytes, at: float, token: bytes) -> int:
        with self.writing() as connection:
            run = self._get_run(connection, run_id, "FOR UPDATE")  # numbers are given in the order of commits
            found = connection.execute("SELECT number FROM signal WHERE run=? AND token=?", (run.uid, token)).fetchall()
            if not found:
                found = connection.execute("UPDATE run SET word=word+1 WHERE uid=? RETURNING word", (run.uid,)).fetchall()
                crc = checked_rows.signal_crc(run.uid, name, value, at)
                query = "INSERT INTO signal (run, number, name, value, at, crc, token) VALUES (?, ?, ?, ?, ?, ?, ?)"
                connection.execute(query, (run.uid, found[0][0], name, value, at, crc, token))
                jobs.wake_job(connection, run, at + self._ahead_s)
        self._teller.tell(f"{run.uid} {QUEUES}")
        number: int = found[0][0]
        return number

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        return self.reading(lambda connection: checked_rows.read_signals(connection, uid, after))

    def data_version(self, uid: int) -> int:
        return self._listener.version(uid)

    # what runs share: each of these gives the same when it is done twice

    @again
    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        return super().append_items(name, items)

    @again
    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        super().erase_items(name, until, after=after)

    @again
    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        grants = super().share(holder, asks, wants, now + self._ahead_s, ttl_s)
        if any(grant.contended for grant in grants.values()):
            self._teller.tell(SHARED)
        return grants

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        return super().is_wanted(holder, names, now + self._ahead_s)

    @again
    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        replies = super().claim(lease, wishes, now + self._ahead_s, waits=waits, done=done)
        if done:
            self._teller.tell(SHARED)
        return replies
