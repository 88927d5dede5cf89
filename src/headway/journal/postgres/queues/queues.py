"""Queues of runs in Postgres: what differs there from a folder.

Times are taken to the server's clock, what may be done twice is done again, and whoever waits for jobs is told. A batch whose
answer was lost is found again by its token: else its jobs would stand taken until their lease is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headway.errors import RunOwned, UnknownRun
from headway.journal.postgres.database import PATIENCE_S, again
from headway.journal.postgres.link import Statements
from headway.journal.postgres.queues.enqueue import aenqueue_in, enqueue_in
from headway.journal.postgres.runs import Runs
from headway.journal.postgres.word import QUEUES, SHARED, Teller
from headway.journal.records import Lease, RunInfo, RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobInfo, JobState, QueueInfo, QueueSettings, Room, Swept, Taken, WorkerInfo
from headway.journal.shared.schedules import Fired, Make, Schedule, ScheduleInfo
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.database import Connection
from headway.journal.sql.queue_views import QueueViews
from headway.journal.sql.queues import Taker
from headway.journal.sql.schedules import Schedules

if TYPE_CHECKING:
    import psycopg

_LINE = """SELECT run FROM job WHERE queue=? AND state='waiting' {where}
    ORDER BY priority DESC, vtime, run LIMIT {most} FOR UPDATE SKIP LOCKED"""
_TAKE = """WITH line AS MATERIALIZED ({line}),
    mine AS MATERIALIZED (
        SELECT uid AS number FROM run WHERE uid=ANY(ARRAY(SELECT run FROM line)) AND owner='' FOR UPDATE SKIP LOCKED),
    noted AS (UPDATE job SET state='taken', at=?, owner=?, token=? WHERE run=ANY(ARRAY(SELECT number FROM mine))
        RETURNING run, key, priority, not_before, weight, version, vtime),
    owned AS (UPDATE run SET fence=fence+1, owner=?, owned_since=?, lease_until=?, status=?, ended=0, backend=?, backend_start=?
        WHERE uid=ANY(ARRAY(SELECT number FROM mine)) RETURNING {columns}),
    dropped AS (DELETE FROM claim WHERE run=ANY(ARRAY(SELECT number FROM mine))),
    moved AS (UPDATE queue SET vtime=(SELECT MAX(vtime) FROM noted) WHERE name IN (
        SELECT name FROM queue WHERE name=? AND vtime<(SELECT MAX(vtime) FROM noted) FOR UPDATE SKIP LOCKED))
    SELECT {columns}, noted.key, noted.priority, noted.not_before, noted.weight, noted.version
    FROM owned JOIN noted ON noted.run=owned.uid ORDER BY noted.priority DESC, noted.vtime, noted.run"""


class PostgresQueues(Runs, Schedules, QueueViews):
    """The part of a store in Postgres that keeps queues."""

    _teller: Teller

    def _make_run(self, connection: Connection, spec: RunSpec) -> tuple[RunInfo, bool]:
        return self._insert_run(connection, spec)

    def _find_run(self, connection: Connection, run_id: str) -> RunInfo:
        return self._get_run(connection, run_id, "FOR UPDATE")

    def _cancel(self, connection: Connection, run: RunInfo, now: float) -> None:
        live = "(status IN ('running', 'interrupted') OR owner<>'')"
        if connection.execute(f"UPDATE run SET cancel=1, word=word+1 WHERE uid=? AND {live}", (run.uid,)).rowcount:
            jobs.cancel_job(connection, self._locks, run, now)

    @again
    def request_cancel(self, run_id: str, now: float) -> None:
        with self.writing() as connection:
            run = self._find_run(connection, run_id)
            self._cancel(connection, run, now + self._ahead_s)
        self._tell_of(run.uid)

    def _tell_of(self, uid: int) -> None:
        """A run has had word from outside, and its job may wait now."""
        self._teller.tell(str(uid))
        self._teller.tell(QUEUES)

    # jobs

    @again
    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        run = super().enqueue(spec, job, now + self._ahead_s)
        self._teller.tell(QUEUES)
        return run

    def enqueue_in(self, conn: psycopg.Connection[Any], spec: RunSpec, job: Job, now: float) -> RunInfo:
        """Enqueue in the transaction that a connection of the caller's is in (`enqueue.enqueue_in`). The time is the server's."""
        return enqueue_in(conn, self.address.schema, self.url, spec, job)

    async def aenqueue_in(self, conn: psycopg.AsyncConnection[Any], spec: RunSpec, job: Job, now: float) -> RunInfo:
        """`enqueue_in` on an asynchronous connection."""
        return await aenqueue_in(conn, self.address.schema, self.url, spec, job)

    def take_jobs(
        self,
        owner: str,
        queues: Sequence[str],
        tasks: Sequence[str] | None,
        most: int,
        ttl_s: float,
        now: float,
        *,
        versions: Sequence[str] = (),
    ) -> list[Taken]:
        taken = super().take_jobs(owner, queues, tasks, most, ttl_s, now + self._ahead_s, versions=versions)
        for one in taken:
            self._told.note_lease(one.lease)
        return taken

    @again
    def _promote(self, name: str, now: float, *, patient: bool) -> None:
        super()._promote(name, now, patient=patient)

    def _put_places(self, connection: Connection, places: Mapping[int, float]) -> None:
        connection.execute("SET LOCAL synchronous_commit = off")  # what is lost is done again
        query = (
            "UPDATE job SET state='waiting', vtime=fresh.vtime "
            "FROM unnest(?::bigint[], ?::double precision[]) AS fresh(run, vtime) WHERE job.run=fresh.run"
        )
        connection.execute(query, (list(places), list(places.values())))

    def _put_keys(self, connection: Connection, name: str, moved: Mapping[str, float]) -> None:
        query = (
            "INSERT INTO queue_key (queue, key, vtime) SELECT ?, fresh.* FROM unnest(?::text[], ?::double precision[]) AS fresh "
            "ON CONFLICT (queue, key) DO UPDATE SET vtime=excluded.vtime"
        )
        connection.execute(query, (name, list(moved), list(moved.values())))

    def _take(self, name: str, settings: QueueSettings, where: str, wanted: Sequence[str], taker: Taker) -> list[Taken]:
        tries = 0

        def once() -> list[Taken]:
            nonlocal tries
            tries += 1
            found = self._find_taken(name, taker) if tries > 1 else []
            return found or super(PostgresQueues, self)._take(name, settings, where, wanted, taker)

        return self.insist(once, PATIENCE_S)

    def _take_freely(self, name: str, where: str, wanted: Sequence[str], taker: Taker) -> list[Taken]:
        with self.talking() as statements:
            return self._take_next(statements, name, where, wanted, Room(taker.most, None, {}), taker)

    def _take_next(
        self, connection: Connection, name: str, where: str, wanted: Sequence[str], left: Room, taker: Taker
    ) -> list[Taken]:
        """The same as in a folder, in one statement. It waits for no lock, so that its snapshot is as good as one after it."""
        if left.key_limit is None:
            line, chosen = _LINE.format(where=where, most=left.most), list[Any]((name, *wanted))
        else:
            line, chosen = "SELECT run FROM unnest(?::bigint[]) AS run", [list(self._pick(connection, name, where, wanted, left))]
        owned = (taker.owner, taker.now, taker.now + taker.ttl_s, RunStatus.RUNNING.value)
        assert isinstance(connection, Statements)
        query = _TAKE.format(line=line, columns=checked_rows.RUN_COLUMNS)
        values = (*chosen, taker.now + taker.ttl_s, taker.owner, taker.token, *owned, *connection.session, name)
        taken = []
        for *columns, key, priority, not_before, weight, version in connection.execute(query, values).fetchall():
            run = checked_rows.decode_run(columns, self.url)
            lease = Lease(uid=run.uid, run_id=run.spec.run_id, owner=taker.owner, fence=run.fence, ttl_s=taker.ttl_s)
            taken.append(
                Taken(run, lease, Job(queue=name, key=key, priority=priority, at=not_before, weight=weight, version=version))
            )
        return taken

    def _find_taken(self, name: str, taker: Taker) -> list[Taken]:
        """What an earlier try has taken."""
        with self.writing() as connection:
            query = f"SELECT {jobs.COLUMNS} FROM job WHERE state='taken' AND queue=? AND owner=? AND token=? ORDER BY run"
            stored = connection.execute(query, (name, taker.owner, taker.token)).fetchall()
            found = []
            for one in (jobs.decode_job(one, taker.now) for one in stored):
                query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE uid=?"
                (columns,) = connection.execute(query, (one.uid,)).fetchall()
                run = checked_rows.decode_run(columns, self.url)
                lease = Lease(uid=run.uid, run_id=one.run_id, owner=taker.owner, fence=run.fence, ttl_s=taker.ttl_s)
                found.append(Taken(run, lease, one.job))
            return found

    @again
    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        swept = super().sweep_jobs(now + self._ahead_s, most)
        if swept:
            self._teller.tell(SHARED)
        return swept

    def _free(self, run_ids: Sequence[str], now: float) -> None:
        for run_id in run_ids:
            with contextlib.suppress(RunOwned, UnknownRun):
                self._evict(run_id, now, take_over=False)

    @again
    def enqueue_again(self, run_id: str, job: Job, fence: int, now: float) -> bool:
        is_done = super().enqueue_again(run_id, job, fence, now + self._ahead_s)
        self._teller.tell(str(QUEUES))
        return is_done

    @again
    def retry_job(self, run_id: str, now: float) -> bool:
        is_stuck = super().retry_job(run_id, now + self._ahead_s)
        self._teller.tell(QUEUES)
        return is_stuck

    # what is set and shown

    @again
    def put_queue(self, settings: QueueSettings) -> None:
        super().put_queue(settings)
        self._teller.tell(QUEUES)

    @again
    def pause_queue(self, name: str, paused: bool) -> None:
        super().pause_queue(name, paused)
        self._teller.tell(QUEUES)

    def queues(self, now: float) -> list[QueueInfo]:
        return super().queues(now + self._ahead_s)

    def jobs(
        self, now: float, *, queue: str | None = None, state: JobState | None = None, after: JobInfo | None = None, most: int = 100
    ) -> list[JobInfo]:
        return super().jobs(now + self._ahead_s, queue=queue, state=state, after=after, most=most)

    def find_jobs(self, uids: Sequence[int], now: float) -> dict[int, JobInfo]:
        return super().find_jobs(uids, now + self._ahead_s)

    @again
    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        super().see_worker(worker, now + self._ahead_s)

    @again
    def forget_worker(self, owner: str) -> None:
        super().forget_worker(owner)

    def workers(self, now: float) -> list[WorkerInfo]:
        return super().workers(now + self._ahead_s)

    # schedules

    @again
    def put_schedule(self, schedule: Schedule, now: float) -> ScheduleInfo:
        return super().put_schedule(schedule, now + self._ahead_s)

    @again
    def copy_schedule(self, info: ScheduleInfo) -> ScheduleInfo:
        return super().copy_schedule(info)

    @again
    def pause_schedule(self, name: str, paused: bool, now: float) -> None:
        super().pause_schedule(name, paused, now + self._ahead_s)

    @again
    def remove_schedule(self, name: str) -> None:
        super().remove_schedule(name)

    @again
    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        fired = super().fire_schedules(now + self._ahead_s, make)
        if fired:
            self._teller.tell(SHARED)
        return fired
