"""Queues of runs in SQL: enqueue, take, sweep. `shared.queues` has the rules, `jobs` the rows.

Taking is a few statements for a batch: those jobs in the line that nobody else has locked, their runs likewise, and then both are
changed. Where the queue has a limit its row is locked first, and what is taken is counted by a statement of its own after that: one
that waits for a lock in the middle would count what was there before it waited.

Jobs begin to wait in a transaction before that, some hundred at once, under the queue's row; so nobody who enqueues waits for a row
that others need, not even inside a long transaction of the user's own.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from headway.journal.owner import is_alive
from headway.journal.records import ENDED, Lease, RunInfo, RunSpec, RunStatus
from headway.journal.shared.queues import (
    PROMOTED,
    Job,
    JobState,
    Newcomer,
    QueueSettings,
    Room,
    Swept,
    Taken,
    bury,
    check_job,
    decode_settings,
    encode_settings,
    pick,
    queue_full,
    room,
    stamp,
)
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.database import Connection, Tables
from headway.journal.sql.jobs import Locks, marks

_OWNERS = """WITH RECURSIVE who(owner) AS (
    SELECT MIN(owner) FROM job WHERE state='taken' UNION ALL
    SELECT (SELECT MIN(job.owner) FROM job WHERE state='taken' AND job.owner>who.owner) FROM who WHERE who.owner IS NOT NULL)
    SELECT owner FROM who WHERE owner IS NOT NULL"""


class Taker(NamedTuple):
    """Who takes jobs of a queue."""

    owner: str
    most: int
    ttl_s: float
    now: float
    token: bytes  # of this try


FAILED = [status.value for status in ENDED if status is not RunStatus.DONE]
ASKED_AT_ONCE = 500


class SharedQueues(Tables):
    """The part of a store that keeps queues and their jobs."""

    _locks = Locks()

    @abstractmethod
    def _make_run(self, connection: Connection, spec: RunSpec) -> tuple[RunInfo, bool]:
        """The run of this id, and whether it was made now."""

    # enqueue

    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        check_job(job)
        with self.writing() as connection:
            return self._enqueue(connection, spec, job, now)[0]

    def _enqueue(self, connection: Connection, spec: RunSpec, job: Job, now: float) -> tuple[RunInfo, bool]:
        stored = connection.execute(f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE run_id=?", (spec.run_id,)).fetchone()
        if stored is not None:
            return checked_rows.decode_run(stored, self.url), False
        check_depth(connection, job.queue, spec.run_id)
        run, is_new = self._make_run(connection, spec)
        if is_new:
            jobs.insert_job(connection, run, job, JobState.DELAYED, max(now, job.at))
        return run, is_new

    # take

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
        taken: list[Taken] = []
        where, wanted = _wanted(tasks, versions)
        for name in dict.fromkeys(queues):
            if len(taken) >= most:
                break
            settings, paused, is_due, is_waiting = self.reading(lambda connection: _look(connection, name, now))  # noqa: B023 - at once
            if paused or not (is_due or is_waiting):
                continue
            if is_due:
                self._promote(name, now, patient=not is_waiting)
            token = secrets.token_bytes(8)  # tells what a first try took, whose answer was lost
            taken += self._take(name, settings, where, wanted, Taker(owner, most - len(taken), ttl_s, now, token))
        return taken

    def _promote(self, name: str, now: float, *, patient: bool) -> None:
        """Let jobs wait whose time has come. Unless `patient`: nothing, where somebody else is about to do that."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO queue (name, settings) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, default_settings(name))
            )
            query = f"SELECT vtime FROM queue WHERE name=? {self._locks.wait if patient else self._locks.skip}"
            if (found := connection.execute(query, (name,)).fetchone()) is None:
                return
            (vtime,) = found
            due: list[tuple[float, int, str, float, float]] = []
            for state in ("delayed", "parked"):
                query = (
                    f"SELECT at, run, key, weight, vtime FROM job WHERE queue=? AND state='{state}' AND at<=? "
                    f"ORDER BY at, run LIMIT ? {self._locks.skip}"
                )
                due += connection.execute(query, (name, now, PROMOTED)).fetchall()
            newcomers = [Newcomer(*one[1:]) for one in sorted(due)[:PROMOTED]]
            places, moved = stamp(newcomers, vtime, _read_keys(connection, name, {one.key for one in newcomers}))
            self._put_places(connection, places)
            jobs.forget_waits(connection, places)
            self._put_keys(connection, name, moved)
            connection.execute("DELETE FROM queue_key WHERE queue=? AND vtime<=?", (name, vtime))

    def _put_places(self, connection: Connection, places: Mapping[int, float]) -> None:
        changed = [(vtime, run) for run, vtime in places.items()]
        connection.executemany("UPDATE job SET state='waiting', vtime=? WHERE run=?", changed)

    def _put_keys(self, connection: Connection, name: str, moved: Mapping[str, float]) -> None:
        query = (
            "INSERT INTO queue_key (queue, key, vtime) VALUES (?, ?, ?) ON CONFLICT (queue, key) DO UPDATE SET vtime=excluded.vtime"
        )
        connection.executemany(query, [(name, key, vtime) for key, vtime in moved.items()])

    def _take(self, name: str, settings: QueueSettings, where: str, wanted: Sequence[str], taker: Taker) -> list[Taken]:
        if settings.limit is None and settings.key_limit is None:
            return self._take_freely(name, where, wanted, taker)
        with self.writing() as connection:
            query = f"SELECT settings, paused FROM queue WHERE name=? {self._locks.wait}"
            stored, paused = connection.execute(query, (name,)).fetchone()
            if paused:
                return []
            left = _count(connection, name, decode_settings(name, (stored,)), taker.most)
            return self._take_next(connection, name, where, wanted, left, taker)

    def _take_freely(self, name: str, where: str, wanted: Sequence[str], taker: Taker) -> list[Taken]:
        """From a queue without limits."""
        with self.writing() as connection:
            return self._take_next(connection, name, where, wanted, Room(taker.most, None, {}), taker)

    def _take_next(
        self, connection: Connection, name: str, where: str, wanted: Sequence[str], left: Room, taker: Taker
    ) -> list[Taken]:
        return self._own(connection, name, self._pick(connection, name, where, wanted, left), taker)

    def _pick(
        self, connection: Connection, name: str, where: str, wanted: Sequence[str], left: Room
    ) -> dict[int, tuple[Job, float]]:
        """The next jobs of the line that the room lets in and nobody else has locked: by run, with their virtual times."""
        picked: dict[int, tuple[Job, float]] = {}
        by_key = dict(left.by_key)
        while len(picked) < left.most:
            now_left = Room(left.most - len(picked), left.key_limit, by_key)
            full = now_left.full_keys()
            others = f"AND key NOT IN ({marks(full)})" if full else ""
            others += f" AND run NOT IN ({marks(list(picked))})" if picked else ""
            query = (
                "SELECT run, key, vtime, priority, not_before, weight, version FROM job "
                f"WHERE queue=? AND state='waiting' {where} {others} ORDER BY priority DESC, vtime, run LIMIT ? {self._locks.skip}"
            )
            found = connection.execute(query, (name, *wanted, *full, *picked, now_left.most)).fetchall()
            chosen = set(pick([(run, key) for run, key, *_ in found], now_left))
            for run, key, vtime, priority, not_before, weight, version in found:
                if run in chosen:
                    job = Job(queue=name, key=key, priority=priority, at=not_before, weight=weight, version=version)
                    picked[run] = (job, vtime)
                    by_key[key] = by_key.get(key, 0) + 1
            if len(chosen) == len(found):  # no limit of a key stood in the way
                break
        return picked

    def _own(self, connection: Connection, name: str, picked: Mapping[int, tuple[Job, float]], taker: Taker) -> list[Taken]:
        """Take the runs of these jobs, but for those that somebody has locked."""
        if not picked:
            return []
        owner, _, ttl_s, now, token = taker
        query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE uid IN ({marks(list(picked))}) AND owner='' {self._locks.skip}"
        runs = {stored[0]: stored for stored in connection.execute(query, list(picked)).fetchall()}
        mine = [run for run in picked if run in runs]
        if not mine:
            return []
        until = now + ttl_s
        query = f"UPDATE job SET state='taken', at=?, owner=?, token=? WHERE run IN ({marks(mine)})"
        connection.execute(query, (until, owner, token, *mine))
        query = (
            f"UPDATE run SET fence=fence+1, owner=?, owned_since=?, lease_until=?, status=?, ended=0 WHERE uid IN ({marks(mine)})"
        )
        connection.execute(query, (owner, now, until, RunStatus.RUNNING.value, *mine))
        connection.execute(f"DELETE FROM claim WHERE run IN ({marks(mine)})", mine)
        last = max(picked[run][1] for run in mine)
        query = f"UPDATE queue SET vtime=? WHERE vtime<? AND name IN (SELECT name FROM queue WHERE name=? {self._locks.skip})"
        connection.execute(query, (last, last, name))
        taken = []
        for uid in mine:
            before = checked_rows.decode_run(runs[uid], self.url)
            changes = {"owner": owner, "owned_since": now, "lease_until": until, "status": RunStatus.RUNNING, "ended": 0.0}
            run = msgspec.structs.replace(before, fence=before.fence + 1, **changes)
            lease = Lease(uid=uid, run_id=run.spec.run_id, owner=owner, fence=run.fence, ttl_s=ttl_s)
            taken.append(Taken(run, lease, picked[uid][0]))
        return taken

    # sweep

    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        found = self.reading(lambda connection: _find_silent(connection, now, most))
        if not found:
            return []
        with self.writing() as connection:
            swept = self._sweep(connection, found, now)
        if len(swept) < len(found):
            self._free(self.reading(lambda connection: _find_held(connection, found, now)), now)
        return swept

    def _free(self, run_ids: Sequence[str], now: float) -> None:
        """Do something about runs that could not be swept, since somebody has locked them."""

    def _sweep(self, connection: Connection, found: Sequence[int], now: float) -> list[Swept]:
        query = (
            f"SELECT run, run_id, queue, deaths, at FROM job WHERE run IN ({marks(found)}) AND state='taken' "
            f"ORDER BY run {self._locks.skip}"
        )
        there = connection.execute(query, found).fetchall()
        if not there:
            return []
        numbers = [one[0] for one in there]
        query = f"SELECT uid, owner, lease_until FROM run WHERE uid IN ({marks(numbers)}) {self._locks.skip}"
        runs = {uid: (owner, until) for uid, owner, until in connection.execute(query, numbers).fetchall()}
        swept: list[Swept] = []
        for uid, run_id, queue, deaths, at in there:
            if uid not in runs:
                continue
            owner, until = runs[uid]
            if until > now and is_alive(owner) is not False:
                if until != at:  # it was renewed: it is looked at again when that is over
                    connection.execute("UPDATE job SET at=? WHERE run=?", (until, uid))
                continue
            state, again_at = bury(read_settings(connection, queue), deaths + 1, now)
            query = "UPDATE job SET state=?, at=?, owner='', deaths=?, token=? WHERE run=?"
            connection.execute(query, (state.value, again_at, deaths + 1, b"", uid))
            query = "UPDATE run SET owner='', lease_until=0, status=? WHERE uid=?"
            connection.execute(query, (RunStatus.INTERRUPTED.value, uid))
            connection.execute("DELETE FROM claim WHERE run=?", (uid,))
            if state is JobState.STUCK:  # nobody takes it any more: who waits for it is to hear of that
                jobs.wake_waiters(connection, self._locks, uid, now)
            swept.append(Swept(run_id, owner, deaths + 1, again_at, state is JobState.STUCK))
        return swept

    def enqueue_again(self, run_id: str, job: Job, fence: int, now: float) -> bool:
        check_job(job)
        with self.writing() as connection:
            run = self._find_run(connection, run_id)
            query = f"UPDATE run SET status=?, ended=0 WHERE uid=? AND fence=? AND owner='' AND status IN ({marks(FAILED)})"
            values = (RunStatus.INTERRUPTED.value, run.uid, fence, *FAILED)
            if not connection.execute(query, values).rowcount:
                return False
            jobs.insert_job(connection, run, job, JobState.DELAYED, max(now, job.at))
            return True

    def find_ended(self, run_ids: Sequence[str]) -> set[str]:
        there: dict[str, tuple[str, str | None]] = {}
        query = "SELECT run.run_id, run.status, job.state FROM run LEFT JOIN job ON job.run=run.uid WHERE run.run_id IN"
        for at in range(0, len(run_ids), ASKED_AT_ONCE):
            part = run_ids[at : at + ASKED_AT_ONCE]
            found = self.reading(lambda connection: connection.execute(f"{query} ({marks(part)})", part).fetchall())  # noqa: B023 - at once
            there.update((run_id, (status, state)) for run_id, status, state in found)
        over = {status.value for status in ENDED}
        return {one for one in run_ids if one not in there or there[one][0] in over or there[one][1] == JobState.STUCK}

    def retry_job(self, run_id: str, now: float) -> bool:
        with self.writing() as connection:
            run = self._find_run(connection, run_id)
            query = "UPDATE job SET state='delayed', at=?, deaths=0 WHERE run=? AND state='stuck'"
            return bool(connection.execute(query, (now, run.uid)).rowcount)

    @abstractmethod
    def _find_run(self, connection: Connection, run_id: str) -> RunInfo:
        """The run of this id, locked. Raises UnknownRun."""


# --- what is read ------------------------------------------------------------------------------------------------------


def default_settings(name: str) -> bytes:
    """The settings of a queue that nobody has set any for, as they are stored."""
    return encode_settings(QueueSettings(name=name))


def read_settings(connection: Connection, name: str) -> QueueSettings:
    """What a queue allows."""
    return decode_settings(name, connection.execute("SELECT settings FROM queue WHERE name=?", (name,)).fetchone())


def check_depth(connection: Connection, name: str, run_id: str) -> None:
    """Raises QueueFull where no more jobs may wait in a queue."""
    settings = read_settings(connection, name)
    if settings.depth is None:
        return
    query = "SELECT COUNT(*) FROM (SELECT 1 FROM job WHERE queue=? AND state IN ('waiting', 'delayed') LIMIT ?) AS found"
    (depth,) = connection.execute(query, (name, settings.depth)).fetchone()
    if depth >= settings.depth:
        raise queue_full(settings, run_id)


def _look(connection: Connection, name: str, now: float) -> tuple[QueueSettings, bool, bool, bool]:
    """What a queue allows; whether it is paused, whether jobs of it are to begin to wait, and whether some do."""
    due = "EXISTS (SELECT 1 FROM job WHERE queue=? AND state='{}' AND at<=?)"
    query = (
        "SELECT (SELECT settings FROM queue WHERE name=?), (SELECT paused FROM queue WHERE name=?), "
        f"{due.format('delayed')}, {due.format('parked')}, EXISTS (SELECT 1 FROM job WHERE queue=? AND state='waiting')"
    )
    stored, paused, *some, waiting = connection.execute(query, (name, name, name, now, name, now, name)).fetchone()
    return decode_settings(name, (stored,)), bool(paused), any(some), bool(waiting)


def _read_keys(connection: Connection, name: str, keys: set[str]) -> dict[str, float]:
    """The virtual times of keys."""
    found: dict[str, float] = {}
    left = sorted(keys)
    for part in (left[at : at + jobs.PART] for at in range(0, len(left), jobs.PART)):
        query = f"SELECT key, vtime FROM queue_key WHERE queue=? AND key IN ({marks(part)})"
        found.update(connection.execute(query, (name, *part)).fetchall())
    return found


def _count(connection: Connection, name: str, settings: QueueSettings, most: int) -> Room:
    """The room that the limits leave. The queue's row is locked."""
    query = "SELECT key, COUNT(*) FROM job WHERE queue=? AND state='taken' GROUP BY key"
    by_key = dict(connection.execute(query, (name,)).fetchall())
    return room(settings, most, sum(by_key.values()), by_key)


def _find_silent(connection: Connection, now: float, most: int) -> list[int]:
    """Runs whose driver may be dead: its process is, or the lease is over unless it was renewed."""
    found: dict[int, None] = {}
    owners = [owner for (owner,) in connection.execute(_OWNERS).fetchall()]
    for owner in (owner for owner in owners if is_alive(owner) is False):
        query = "SELECT run FROM job WHERE state='taken' AND owner=? ORDER BY run LIMIT ?"
        found.update((run, None) for (run,) in connection.execute(query, (owner, most)).fetchall())
    for part in (owners[at : at + jobs.PART] for at in range(0, len(owners), jobs.PART)):
        query = f"SELECT run FROM job WHERE state='taken' AND owner IN ({marks(part)}) AND at<=? ORDER BY at, run LIMIT ?"
        found.update((run, None) for (run,) in connection.execute(query, (*part, now, most)).fetchall())
    return list(found)[:most]


def _find_held(connection: Connection, runs: Sequence[int], now: float) -> list[str]:
    """Those of the runs that are taken still and whose lease is over, by name."""
    query = (
        "SELECT job.run_id FROM job JOIN run ON run.uid=job.run "
        f"WHERE job.run IN ({marks(runs)}) AND job.state='taken' AND run.lease_until<=? ORDER BY job.run"
    )
    return [run_id for (run_id,) in connection.execute(query, (*runs, now)).fetchall()]


def _wanted(tasks: Sequence[str] | None, versions: Sequence[str]) -> tuple[str, list[str]]:
    """The condition for jobs that a worker can run, and its parameters."""
    pinned = f"AND (version='' OR version IN ({marks(versions)}))" if versions else "AND version=''"
    if tasks is None:
        return pinned, list(versions)
    return f"AND task IN ({marks(tasks) or 'NULL'}) {pinned}", [*tasks, *versions]
