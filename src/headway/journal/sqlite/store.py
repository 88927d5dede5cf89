"""The store of one machine: a folder with an SQLite database and a folder of blobs.

A commit is four statements however many rows it has: begin, move the run's row count under its fence, insert, commit. `database`
has the connections and the transactions.

What a commit checks, it checks inside its own transaction. This file must never write a row of a run without the
fence, and never return one without its checksum.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from headway.errors import RunMismatch, StoreDamaged
from headway.journal.off_loop import check_thread
from headway.journal.owner import check_takeover, is_alive, make_gap_error, make_lease_lost, unknown_run
from headway.journal.records import ENDED, After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.arrivals import Arrivals
from headway.journal.sql.claims import SharedClaims, end_claims
from headway.journal.sql.database import Connection
from headway.journal.sql.items import SharedCollections
from headway.journal.sql.limits import SharedLimits
from headway.journal.sql.queue_views import QueueViews
from headway.journal.sql.runs import PagedRuns
from headway.journal.sql.schedules import Schedules
from headway.journal.sqlite import schema
from headway.journal.sqlite.database import Database
from headway.journal.sqlite.inserting import insert_rows
from headway.journal.sqlite.wal import frames_in_use, inspect_wal
from headway.journal.store import Buffer, keep_row
from headway.storage.blobs import BlobFolder

BLOBS = "blobs"


class SqliteStore(Database, PagedRuns, Arrivals, SharedLimits, SharedCollections, SharedClaims, Schedules, QueueViews):
    """A store in a folder. Opening makes the folder and an empty database where there is none.

    Args:
        folder: the folder.
        readonly: make nothing and need no permission to write: a disk that is mounted read-only, an archive and another user's
            store can be read. What would write raises StoreError.

    Raises:
        StoreVersion: the database has another schema; nothing of it is changed.
        StoreDamaged: the database is not one, or is cut short.
        StoreError: the folder cannot be used.
    """

    def __init__(self, folder: str | Path, *, readonly: bool = False) -> None:
        super().__init__(folder, readonly=readonly)
        self.blobs = BlobFolder(self.folder / BLOBS)

    @property
    def blob_place(self) -> str:
        return str(self.folder.absolute())

    def checkpoint_root(self, run_id: str) -> str:
        return str((self.folder / "checkpoints" / quote(run_id, safe="")).absolute())

    # runs

    def create_run(self, spec: RunSpec) -> RunInfo:
        with self.writing() as connection:
            found = self._find(connection, "run_id=?", spec.run_id)
            return found or self._insert_run(connection, spec)

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        with self.writing() as connection:
            if (found := self._find(connection, "run_id=?", spec.run_id)) is not None:
                return found, None
            run = self._insert_run(connection, spec, fence=1, owner=owner, owned_since=now, lease_until=now + ttl_s)
        return run, Lease(uid=run.uid, run_id=spec.run_id, owner=owner, fence=1, ttl_s=ttl_s)

    def run(self, run_id: str) -> RunInfo:
        return self.reading(lambda connection: self._get_run(connection, run_id))

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        with self.writing() as connection:
            if self._find(connection, "run_id=?", spec.run_id) is not None:
                raise RunMismatch(f"the run id {spec.run_id!r} is taken in {self.url}: choose another id for the fork")
            uid, seq = self._insert_run(connection, spec).uid, 0
            for part in self._parts(lambda after: checked_rows.read_rows(connection, source_uid, after), source_uid, 0):
                copied = [taken for at, row in part for taken in keep_row(keep, at, row)]
                insert_rows(connection, uid, seq + 1, copied)
                seq += len(copied)
            connection.execute("UPDATE run SET nrows=? WHERE uid=?", (seq, uid))
            return self._by_uid(connection, uid)

    def delete_run(self, run_id: str, now: float) -> int:
        """Forget a run and its rows. Returns how many rows it had. Raises RunOwned while a live owner drives it."""
        with self.writing() as connection:
            run = self._get_run(connection, run_id)
            check_takeover(run, now)
            for table in ("record", "rejected", "signal", "claim"):
                connection.execute(f"DELETE FROM {table} WHERE run=?", (run.uid,))
            jobs.end_job(connection, self._locks, run.uid, now)
            connection.execute("DELETE FROM run WHERE uid=?", (run.uid,))
            return run.nrows

    def _insert_run(self, connection: sqlite3.Connection, spec: RunSpec, **columns: object) -> RunInfo:
        names = ", ".join(["run_id", "spec", "crc", "status", *columns])
        values = (*checked_rows.encode_run(spec), RunStatus.RUNNING.value, *columns.values())
        query = f"INSERT INTO run ({names}) VALUES ({', '.join('?' * len(values))})"
        return self._by_uid(connection, connection.execute(query, values).lastrowid or 0)

    def _make_run(self, connection: Connection, spec: RunSpec) -> tuple[RunInfo, bool]:
        assert isinstance(connection, sqlite3.Connection)
        return self._insert_run(connection, spec), True

    def _find_run(self, connection: Connection, run_id: str) -> RunInfo:
        assert isinstance(connection, sqlite3.Connection)
        return self._get_run(connection, run_id)

    def _find(self, connection: sqlite3.Connection, where: str, value: object) -> RunInfo | None:
        stored = connection.execute(f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE {where}", (value,)).fetchone()
        return None if stored is None else checked_rows.decode_run(stored, self.url)

    def _get_run(self, connection: sqlite3.Connection, run_id: str) -> RunInfo:
        found = self._find(connection, "run_id=?", run_id)
        if found is None:
            ids = [str(one) for (one,) in connection.execute("SELECT run_id FROM run")]
            raise unknown_run(run_id, ids, self.url)
        return found

    def _by_uid(self, connection: sqlite3.Connection, uid: int) -> RunInfo:
        found = self._find(connection, "uid=?", uid)
        if found is None:
            raise unknown_run(f"number {uid}", [], self.url)
        return found

    # leases

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        if not take_over:
            self.shorten_leases(now + ttl_s, run_id)
        with self.writing() as connection:
            run = self._get_run(connection, run_id)
            if not take_over:
                check_takeover(run, now)
            if run.owner and is_alive(run.owner) is False:
                self._check_wal()
            connection.execute(
                "UPDATE run SET fence=?, owner=?, owned_since=?, lease_until=?, status=?, ended=0 WHERE uid=?",
                (run.fence + 1, owner, now, now + ttl_s, RunStatus.RUNNING.value, run.uid),
            )
            lease = Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence + 1, ttl_s=ttl_s)
            end_claims(connection, lease)
            jobs.note_taken(connection, run.uid, owner, now + ttl_s)
        return lease

    def free_run(self, run_id: str, now: float) -> RunInfo:
        run = self.run(run_id)
        check_takeover(run, now)
        return run

    def shorten_leases(self, until: float, run_id: str | None = None) -> None:
        """Let no lease, or none of this run, last longer than `until` if it is not renewed."""
        with self.writing() as connection:
            query = "UPDATE run SET lease_until=? WHERE lease_until>? AND run_id=COALESCE(?, run_id)"
            connection.execute(query, (until, until, run_id))

    def _check_wal(self) -> None:
        """After a crash, in a transaction: refuse to write over commits that were durable and that damage hides. SQLite would not
        say a word."""
        in_use = frames_in_use(Path(f"{self.path}-shm"))
        lost_commits = inspect_wal(Path(f"{self.path}-wal"), in_use).lost_commits
        if lost_commits > 1:  # one may have been under way when the power failed, and never was durable
            raise StoreDamaged(
                f"the write-ahead log of {self.path} is damaged before its last {lost_commits} transactions, "
                "whose results would be done again: run `headway doctor` to see what is whole, "
                "`headway doctor --repair` to go on without them"
            )

    def renew(self, lease: Lease, now: float) -> None:
        query = "UPDATE run SET lease_until=? WHERE uid=? AND fence=? AND owner=?"
        with self.writing() as connection:
            if not connection.execute(query, (now + lease.ttl_s, lease.uid, lease.fence, lease.owner)).rowcount:
                raise make_lease_lost(self._by_uid(connection, lease.uid), lease.fence)

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        with self.writing() as connection:
            self._give_back(connection, lease, Ending(status, error_floor, after), now)

    def _give_back(self, connection: sqlite3.Connection, lease: Lease, ending: Ending, now: float) -> None:
        over = ending.status in ENDED
        given_back = connection.execute(
            "UPDATE run SET owner='', lease_until=0, status=?, ended=?, cancel=CASE WHEN ? THEN 0 ELSE cancel END, "
            "error_floor=COALESCE(?, error_floor) WHERE uid=? AND fence=? AND owner=?",
            (ending.status.value, now if over else 0, over, ending.error_floor, lease.uid, lease.fence, lease.owner),
        )
        if given_back.rowcount:
            end_claims(connection, lease)
            jobs.note_ending(connection, self._locks, lease.uid, ending, now)

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
        move = "UPDATE run SET nrows=? WHERE uid=? AND fence=? AND owner=? AND nrows=?"
        where = (lease.uid, lease.fence, lease.owner, first_seq - 1)
        with self.writing() as connection:
            if connection.execute(move, (first_seq - 1 + len(rows), *where)).rowcount:
                insert_rows(connection, lease.uid, first_seq, rows)
                if cache:
                    checked_rows.insert_cache(connection, cache)
                    end_claims(connection, lease, [key for key, _ in cache])
                if ending is not None:
                    self._give_back(connection, lease, ending, now)
                return
            run = self._by_uid(connection, lease.uid)
        if (run.fence, run.owner) == (lease.fence, lease.owner):
            raise make_gap_error(run, first_seq)
        with self.writing() as connection:
            checked_rows.insert_rejected(connection, lease, first_seq, rows, now)
        raise make_lease_lost(run, lease.fence)

    def rows(self, uid: int, *, after: int = 0, skip_damaged: bool = False) -> Iterator[tuple[int, Row]]:
        """`(seq, row)` in order, verified; with `skip_damaged` the whole rows only, whatever is wrong with others."""

        def read(after: int) -> list[checked_rows.Stored]:
            return self.reading(lambda connection: checked_rows.read_rows(connection, uid, after))

        for part in self._parts(read, uid, after, skip_damaged=skip_damaged):
            yield from part

    def _parts(
        self, read: Callable[[int], list[checked_rows.Stored]], uid: int, after: int, *, skip_damaged: bool = False
    ) -> Iterator[list[tuple[int, Row]]]:
        run = self.reading(lambda connection: self._by_uid(connection, uid))
        return checked_rows.read_parts(read, run, after, skip_damaged=skip_damaged, check=self.check_unchanged)

    def cached(self, key: bytes) -> Row | None:
        return self.reading(lambda connection: checked_rows.read_cache(connection, key))

    # blobs

    def put_blob(self, digest: bytes, data: Buffer) -> None:
        check_thread(self)
        self.blobs.put(digest, data)

    def get_blob(self, digest: bytes) -> memoryview:
        check_thread(self)
        return self.blobs.get(digest)

    # control from outside

    def request_cancel(self, run_id: str, now: float) -> None:
        with self.writing() as connection:
            self._cancel(connection, self._get_run(connection, run_id), now)

    def _cancel(self, connection: Connection, run: RunInfo, now: float) -> None:
        live = "(status IN ('running', 'interrupted') OR owner<>'')"
        if connection.execute(f"UPDATE run SET cancel=1 WHERE uid=? AND {live}", (run.uid,)).rowcount:
            jobs.cancel_job(connection, self._locks, run, now)

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        with self.writing() as connection:
            run = self._get_run(connection, run_id)
            query = "INSERT INTO signal (run, number, name, value, at, crc) VALUES (?, 0, ?, ?, ?, ?)"
            crc = checked_rows.signal_crc(run.uid, name, value, float(now))
            jobs.wake_job(connection, run, now)
            number = connection.execute(query, (run.uid, name, value, float(now), crc)).lastrowid or 0
            connection.execute("UPDATE signal SET number=id WHERE id=?", (number,))
            return number

    def put_signals(self, connection: Connection, uid: int, signals: Sequence[Signal], heard: int) -> None:
        query = "INSERT INTO signal (run, number, name, value, at, crc) VALUES (?, ?, ?, ?, ?, ?)"
        for number, name, value, at in map(msgspec.structs.astuple, signals):
            connection.execute(query, (uid, number, name, value, at, checked_rows.signal_crc(uid, name, value, at)))
        schema.number_signals_behind(connection, heard)

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        return self.reading(lambda connection: checked_rows.read_signals(connection, uid, after))

    def data_version(self, uid: int) -> int:
        return int(self.reading(lambda connection: connection.execute("PRAGMA data_version").fetchone()[0]))
