"""Runs of a store in Postgres, and who drives them.

All that writes here is one short transaction. Where its answer is lost it is done again, and must give the same: so what makes or
takes a run leaves a token of its own there, by which a second try knows the first one. Locks are taken in one order: gates,
queues, runs by number, jobs by number, all else.

A driver that vanished in the middle of a statement may leave a session that holds its run's row for as long as the server believes
in it. Each session that writes to a run is named there, and whoever may take the run over ends it. This file must never end a
session before it is sure of that.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from headway.errors import RunMismatch, RunOwned, StoreError
from headway.journal.owner import check_takeover, make_lease_lost, unknown_run
from headway.journal.postgres import commit as commits
from headway.journal.postgres.database import PATIENCE_S, PostgresDatabase, again
from headway.journal.postgres.troubles import is_locked
from headway.journal.records import Lease, Row, RunInfo, RunSpec, RunStatus
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.claims import end_claims
from headway.journal.sql.database import Connection
from headway.journal.sql.runs import PagedRuns
from headway.journal.store import keep_row

DELETED_ROWS = 20_000  # in one statement
WAITED_S = 1.0  # what takes less is no wait
ROW_LOCK_S = 2.0  # how long a run's row may be locked by who had it before
OFF_S = 1.0  # a lease that ends so far from where it should is renewed again
_NOW = "extract(epoch FROM clock_timestamp())::double precision"
_EVICT = """SELECT pg_terminate_backend(activity.pid, 5000) FROM run JOIN pg_stat_activity AS activity
    ON (activity.pid, activity.backend_start)=(run.backend, run.backend_start)
    WHERE run.uid=? AND run.fence=? AND activity.pid<>pg_backend_pid()"""


class Runs(PostgresDatabase, PagedRuns):
    """The part of the store that keeps runs."""

    _locks = jobs.Locks(wait="FOR UPDATE", skip="FOR UPDATE SKIP LOCKED")

    def create_run(self, spec: RunSpec) -> RunInfo:
        def once() -> RunInfo:
            with self.talking() as statements:
                return self._insert_run(statements, spec)[0]

        return self.insist(once, PATIENCE_S)

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        token, at = secrets.token_bytes(16), now + self._ahead_s
        owned = {"fence": 1, "owner": owner, "owned_since": at, "lease_until": at + ttl_s, "token": token}

        def once() -> tuple[RunInfo, bool]:
            with self.talking() as statements:
                session = statements.session
                named = {"backend": session.pid, "backend_start": session.started}
                run, is_new = self._insert_run(statements, spec, **owned, **named)
                return run, is_new or (run.fence == 1 and self._token(statements, run.uid) == token)

        run, mine = self.insist(once, PATIENCE_S)
        if not mine:
            return run, None
        lease = Lease(uid=run.uid, run_id=spec.run_id, owner=owner, fence=1, ttl_s=ttl_s)
        self._told.note_lease(lease)
        return run, lease

    def run(self, run_id: str) -> RunInfo:
        return self.reading(lambda connection: self._get_run(connection, run_id))

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        token = secrets.token_bytes(16)

        def once() -> RunInfo:
            with self.writing() as connection:
                run, is_new = self._insert_run(connection, spec, token=token)
                if not is_new:
                    if self._token(connection, run.uid) == token:  # by a first try whose answer was lost
                        return run
                    raise RunMismatch(f"the run id {spec.run_id!r} is taken in {self.url}: choose another id for the fork")
                source = self._by_uid(connection, source_uid, "FOR KEY SHARE")  # it is not deleted meanwhile
                word = self._column(connection, source_uid, "word")  # the fork's signals are numbered after those that it read
                connection.execute("UPDATE run SET word=? WHERE uid=?", (word, run.uid))
                seq = 0
                for part in checked_rows.read_parts(lambda after: checked_rows.read_rows(connection, source_uid, after), source, 0):
                    copied = [taken for at, row in part for taken in keep_row(keep, at, row)]
                    nobody = Lease(uid=run.uid, run_id="", owner="", fence=0, ttl_s=0)
                    group = commits.Group(nobody, seq + 1, copied, (), None, 0.0)
                    commits.append(connection, group, group.columns())
                    seq += len(copied)
                return self._by_uid(connection, run.uid)

        return self.insist(once, PATIENCE_S)

    def delete_run(self, run_id: str, now: float) -> int:
        at, found = now + self._ahead_s, list[RunInfo]()

        def once() -> RunInfo:
            with self.writing() as connection:
                run = self._find(connection, "uid=?", found[0].uid, "FOR UPDATE") if found else None
                if found and run is None:  # by a first try whose answer was lost
                    return found[0]
                run = run or self._get_run(connection, run_id, "FOR UPDATE")
                check_takeover(run, at)
                found[:] = [run]
                jobs.end_job(connection, self._locks, run.uid, at)
                for table in ("rejected", "signal", "claim"):
                    connection.execute(f"DELETE FROM {table} WHERE run=?", (run.uid,))
                connection.execute("DELETE FROM run WHERE uid=?", (run.uid,))
            return run

        run = self.insist(once, PATIENCE_S)
        self.delete_rows(run.uid)
        return run.nrows

    @again
    def delete_rows(self, uid: int) -> int:
        """Delete the rows of a run that is gone; how many there were. In parts: one large deletion would hold up the server's
        cleaning. A part that is left has no run, and `gc` finds it."""
        count = 0
        query = "DELETE FROM record WHERE run=? AND seq IN (SELECT seq FROM record WHERE run=? ORDER BY seq LIMIT ?)"
        with self.talking() as statements:
            while deleted := statements.execute(query, (uid, uid, DELETED_ROWS)).rowcount:
                count += deleted
        return count

    # --- finding one -------------------------------------------------------------------------------------------------

    def _insert_run(self, connection: Connection, spec: RunSpec, **columns: Any) -> tuple[RunInfo, bool]:
        """Create a run, unless its id is taken. Return the run of this id, and whether it is new."""
        names = ["run_id", "spec", "crc", "status", *columns]
        values = (*checked_rows.encode_run(spec), RunStatus.RUNNING.value, *columns.values())
        # A run that is there is not even tried: its row may be locked by a driver that is gone, who is to be taken over from.
        query = (
            f"INSERT INTO run ({', '.join(names)}) SELECT {', '.join('?' * len(values))} "
            "WHERE NOT EXISTS (SELECT FROM run WHERE run_id=?) "
            f"ON CONFLICT (run_id) DO NOTHING RETURNING {checked_rows.RUN_COLUMNS}"
        )
        while True:
            if (made := connection.execute(query, (*values, spec.run_id)).fetchone()) is not None:
                return checked_rows.decode_run(made, self.url), True
            if (run := self._find(connection, "run_id=?", spec.run_id)) is not None:  # unless it was deleted in between
                return run, False

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

    def _token(self, connection: Connection, uid: int) -> bytes:
        """What was left by who made or took the run last."""
        return bytes(self._column(connection, uid, "token"))

    def _column(self, connection: Connection, uid: int, name: str) -> Any:
        found = connection.execute(f"SELECT {name} FROM run WHERE uid=?", (uid,)).fetchone()
        if found is None:
            raise unknown_run(f"number {uid}", [], self.url)
        return found[0]

    # --- leases ------------------------------------------------------------------------------------------------------

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        token, evicts = secrets.token_bytes(16), [True]

        def once() -> Lease:
            began, asked = time.monotonic(), now + self._ahead_s

            def at() -> float:
                waited_s = time.monotonic() - began
                return asked + waited_s if waited_s > WAITED_S else asked

            try:
                return self._acquire(run_id, owner, ttl_s, at, token, take_over=take_over)
            except StoreError as error:
                if is_locked(error) and evicts:
                    evicts.clear()
                    self._evict(run_id, at(), take_over=take_over)
                raise

        lease = self.insist(once, PATIENCE_S)
        self._told.note_lease(lease)
        return lease

    def _acquire(self, run_id: str, owner: str, ttl_s: float, now: Callable[[], float], token: bytes, *, take_over: bool) -> Lease:
        with self.writing(lock_timeout_s=ROW_LOCK_S) as connection:
            run = self._get_run(connection, run_id, "FOR UPDATE")
            at = now()  # when the run is locked: whoever waited for that judges no lease by the time before
            if run.owner == owner and self._token(connection, run.uid) == token:  # by a first try whose answer was lost
                return Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence, ttl_s=ttl_s)
            if run.lease_until > at + ttl_s and not take_over:
                run = msgspec.structs.replace(run, lease_until=at + ttl_s)
                connection.execute("UPDATE run SET lease_until=? WHERE uid=?", (run.lease_until, run.uid))
            refusal = None if take_over else _refuse(run, at)
            lease = Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence + 1, ttl_s=ttl_s)
            if refusal is None:
                connection.execute(
                    "UPDATE run SET fence=?, owner=?, owned_since=?, lease_until=?, status=?, ended=0, token=?, backend=?, "
                    "backend_start=? WHERE uid=?",
                    (lease.fence, owner, at, at + ttl_s, RunStatus.RUNNING.value, token, *connection.session, run.uid),
                )
                jobs.note_taken(connection, run.uid, owner, at + ttl_s)
                end_claims(connection, lease)
        if refusal is not None:
            raise refusal
        return lease

    def _evict(self, run_id: str, at: float, *, take_over: bool) -> None:
        """End the session of a driver that is gone and still holds its run's row. Raises RunOwned where it may be there."""
        run = self.run(run_id)
        if not take_over:
            check_takeover(run, at)
        with self.talking() as statements:
            statements.execute(_EVICT, (run.uid, run.fence)).fetchall()

    @again
    def shorten_leases(self, until: float, run_id: str | None = None) -> None:
        """Let no lease, or none of this run, last longer than `until` if it is not renewed."""
        where, named = ("AND run_id=?", (run_id,)) if run_id is not None else ("", ())
        with self.talking() as statements:
            statements.execute(f"UPDATE run SET lease_until=? WHERE lease_until>? {where}", (until, until, *named))

    def renew(self, lease: Lease, now: float) -> None:
        while True:
            ahead_s = self._ahead_s
            word = self.insist(lambda ahead_s=ahead_s: self._renew(lease, now + ahead_s + lease.ttl_s), PATIENCE_S)  # type: ignore[misc]
            self._hear_word(lease.uid, word)
            if abs(self._ahead_s - ahead_s) < OFF_S:
                return

    def _renew(self, lease: Lease, until: float) -> int:
        query = (
            f"UPDATE run SET lease_until=?, backend=?, backend_start=? WHERE uid=? AND fence=? AND owner=? RETURNING word, {_NOW}"
        )
        began = time.monotonic()
        with self.talking() as statements:
            found = statements.execute(query, (until, *statements.session, lease.uid, lease.fence, lease.owner)).fetchone()
            if found is None:
                raise make_lease_lost(self._by_uid(statements, lease.uid), lease.fence)
        self._clock.note(found[1], began, time.monotonic())
        word: int = found[0]
        return word

    def _hear_word(self, uid: int, word: int) -> None:
        """A run has had this much word from outside."""


def _refuse(run: RunInfo, at: float) -> RunOwned | None:
    try:
        check_takeover(run, at)
    except RunOwned as refusal:
        return refusal
    return None
