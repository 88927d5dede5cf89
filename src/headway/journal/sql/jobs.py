"""Jobs as rows: their tables, and what becomes of a job in the transaction in which something becomes of its run.

Locks are taken in one order, which is that of the whole store: gates, queue, runs by number, jobs by number, all else. Two kinds of
transaction go against it and never wait: who takes jobs and who sweeps them skips whatever somebody else has locked.

The functions here run inside the caller's transaction, after it has locked the run. This file must never change the job of a run
that the caller's transaction does not hold, but for one: the end of a run wakes jobs that are parked, by their own rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.journal.records import ENDED, After, Ending, RunInfo, RunStatus
from headway.journal.shared.queues import Job, JobInfo, JobState, go_on, park, show_state
from headway.journal.sql.database import Connection

TABLES = """
CREATE TABLE queue (
    name TEXT PRIMARY KEY, settings BLOB NOT NULL, paused INTEGER NOT NULL DEFAULT 0, vtime REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE queue_key (
    queue TEXT NOT NULL, key TEXT NOT NULL, vtime REAL NOT NULL, PRIMARY KEY (queue, key)) WITHOUT ROWID;
CREATE TABLE job (
    run INTEGER PRIMARY KEY, run_id TEXT NOT NULL, task TEXT NOT NULL, queue TEXT NOT NULL, key TEXT NOT NULL,
    priority INTEGER NOT NULL, not_before REAL NOT NULL, weight REAL NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    at REAL NOT NULL, vtime REAL NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', deaths INTEGER NOT NULL DEFAULT 0,
    token BLOB NOT NULL DEFAULT x'');
CREATE TABLE awaits (run INTEGER NOT NULL, waiter INTEGER NOT NULL, PRIMARY KEY (run, waiter)) WITHOUT ROWID;
CREATE TABLE worker (owner TEXT PRIMARY KEY, body BLOB NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE schedule (
    name TEXT PRIMARY KEY, body BLOB NOT NULL, paused INTEGER NOT NULL, due REAL NOT NULL) WITHOUT ROWID;
"""
INDEXES = (
    ("queue_key_by_vtime", "ON queue_key (queue, vtime)"),
    ("job_by_state", "ON job (queue, state, at, run)"),
    ("job_line", "ON job (queue, priority DESC, vtime, run) WHERE state='waiting'"),
    ("job_lease", "ON job (owner, at) WHERE state='taken'"),
    ("awaits_by_waiter", "ON awaits (waiter)"),
)
COLUMNS = "run_id, run, task, queue, key, priority, not_before, weight, version, state, at, owner, deaths"
OVER = ", ".join(f"'{status.value}'" for status in ENDED)
PART = 500  # numbers in one statement
LAST_SIGNAL = (1 << 63) - 1


class Locks(NamedTuple):
    """How a database locks rows that are read. SQLite has one writer, and locks none."""

    wait: str = ""
    skip: str = ""


def marks(values: Sequence[object]) -> str:
    """The parameters of an IN."""
    return ", ".join("?" * len(values))


def parts(values: Iterable[int]) -> Iterable[list[int]]:
    """The numbers in order, some at a time."""
    left = sorted(values)
    return (left[at : at + PART] for at in range(0, len(left), PART))


def insert_job(connection: Connection, run: RunInfo, job: Job, state: JobState, at: float) -> None:
    """Give a new run its job."""
    spec = run.spec
    values = (run.uid, spec.run_id, spec.task, job.queue, job.key, job.priority, float(job.at), float(job.weight), job.version)
    names = "run, run_id, task, queue, key, priority, not_before, weight, version, state, at"
    connection.execute(f"INSERT INTO job ({names}) VALUES ({marks(names.split())})", (*values, state.value, float(at)))


def decode_job(stored: Sequence[Any], now: float) -> JobInfo:
    """A row of `COLUMNS` for people."""
    run_id, uid, task, queue, key, priority, not_before, weight, version, state, at, owner, deaths = stored
    return JobInfo(
        run_id=run_id,
        uid=uid,
        task=task,
        job=Job(queue=queue, key=key, priority=priority, at=not_before, weight=weight, version=version),
        state=show_state(state, at, now),
        at=at,
        owner=owner,
        deaths=deaths,
        place=(queue, state, at, uid),
    )


def arrive_job(connection: Connection, run: RunInfo, job: JobInfo, now: float) -> bool:
    """Give a run, whose row the caller has locked, the job that it had in another store; whether it was so."""
    if run.owner or run.status in ENDED or connection.execute("SELECT 1 FROM job WHERE run=?", (run.uid,)).fetchone() is not None:
        return False
    if job.state is JobState.PARKED:
        insert_job(connection, run, job.job, JobState.DELAYED, now)
        _give_back(connection, run.uid, park(until=job.at, seen=LAST_SIGNAL, runs=job.awaits), now)
    else:
        kept = job.state in (JobState.DELAYED, JobState.STUCK)
        at = now if job.state is JobState.TAKEN else job.at
        insert_job(connection, run, job.job, job.state if kept else JobState.DELAYED, at)
    connection.execute("UPDATE job SET deaths=? WHERE run=?", (job.deaths, run.uid))
    return True


def read_jobs(connection: Connection, runs: Sequence[int], now: float) -> list[JobInfo]:
    """The jobs of these runs, each with what it awaits: by one statement, between whose parts nothing can be woken."""
    columns = ", ".join(f"job.{name}" for name in COLUMNS.split(", "))
    query = (
        f"SELECT {columns}, awaited.run_id FROM job LEFT JOIN awaits ON awaits.waiter=job.run LEFT JOIN run AS awaited "
        f"ON awaited.uid=awaits.run WHERE job.run IN ({marks(runs)}) ORDER BY job.run, awaits.run"
    )
    found: dict[int, tuple[Sequence[Any], list[str]]] = {}
    for *stored, awaited in connection.execute(query, runs).fetchall():
        awaits = found.setdefault(stored[1], (stored, []))[1]
        if awaited is not None:
            awaits.append(awaited)
    return [msgspec.structs.replace(decode_job(one, now), awaits=tuple(sorted(awaits))) for one, awaits in found.values()]


def note_taken(connection: Connection, uid: int, owner: str, until: float) -> None:
    """Of a run that somebody has taken by name: its job is taken, if it has one."""
    query = "UPDATE job SET state='taken', at=?, owner=?, token=? WHERE run=?"
    if connection.execute(query, (until, owner, b"", uid)).rowcount:
        _forget_waits(connection, [uid])


def lock_awaited(connection: Connection, locks: Locks, uid: int, after: After | None) -> None:
    """Before a run is given back: lock it together with the runs that it waits for, by number."""
    if locks.wait and after is not None and after.runs:
        query = f"SELECT uid FROM run WHERE uid=? OR run_id IN ({marks(after.runs)}) ORDER BY uid {locks.wait}"
        connection.execute(query, (uid, *after.runs)).fetchall()


def note_ending(connection: Connection, locks: Locks, uid: int, ending: Ending, now: float) -> None:
    """Of a run that was given back: its job goes, or goes on."""
    if ending.status in ENDED:
        end_job(connection, locks, uid, now)
    elif connection.execute("SELECT 1 FROM job WHERE run=?", (uid,)).fetchone() is not None:
        _give_back(connection, uid, ending.after, now)


def _give_back(connection: Connection, uid: int, after: After | None, now: float) -> None:
    (cancel,) = connection.execute("SELECT cancel FROM run WHERE uid=?", (uid,)).fetchone()
    newest, live = 0, dict[str, int]()
    if after is not None and after.parked:
        query = "SELECT COALESCE(MAX(number), 0) FROM signal WHERE run=?"  # a signal's sender locks the run first
        (newest,) = connection.execute(query, (uid,)).fetchone()
        if after.runs:
            query = (
                f"SELECT run.run_id, run.uid FROM run LEFT JOIN job ON job.run=run.uid AND job.state='stuck' "
                f"WHERE run.run_id IN ({marks(after.runs)}) AND run.status NOT IN ({OVER}) AND job.run IS NULL"
            )
            live = dict(connection.execute(query, after.runs).fetchall())
    ended = after is not None and len(live) < len(set(after.runs))
    state, at = go_on(after, now, cancelled=bool(cancel), newest_signal=newest, ended=ended)
    query = "UPDATE job SET state=?, at=?, owner='', deaths=0, token=? WHERE run=?"
    connection.execute(query, (state.value, float(at), b"", uid))
    if state is JobState.PARKED and live:
        connection.executemany("INSERT INTO awaits (run, waiter) VALUES (?, ?)", [(run, uid) for run in sorted(live.values())])


def park_behind(connection: Connection, uid: int, before: int) -> None:
    """Have a new run begin when another one has ended, whose row the caller has locked."""
    connection.execute("UPDATE job SET state='parked', at=? WHERE run=?", (float("inf"), uid))
    connection.execute("INSERT INTO awaits (run, waiter) VALUES (?, ?)", (before, uid))


def end_job(connection: Connection, locks: Locks, uid: int, now: float) -> None:
    """Of a run that has ended or is forgotten: its job goes, and who waits for it goes on."""
    connection.execute("DELETE FROM job WHERE run=?", (uid,))
    wake_waiters(connection, locks, uid, now)


def wake_waiters(connection: Connection, locks: Locks, uid: int, now: float) -> None:
    """Let those go on who wait for a run."""
    if connection.execute("SELECT 1 FROM awaits WHERE run=? LIMIT 1", (uid,)).fetchone() is not None:
        query = (
            f"SELECT run FROM job WHERE state='parked' AND run IN (SELECT waiter FROM awaits WHERE run=?) ORDER BY run {locks.wait}"
        )
        for part in parts(run for (run,) in connection.execute(query, (uid,)).fetchall()):
            connection.execute(f"UPDATE job SET state='delayed', at=? WHERE run IN ({marks(part)})", (now, *part))
            _forget_waits(connection, part)
    _forget_waits(connection, [uid])


def wake_job(connection: Connection, run: RunInfo, now: float) -> None:
    """Of a run that was sent a signal. One that never began waits for something else."""
    query = "UPDATE job SET state='delayed', at=? WHERE run=? AND state='parked'"
    if run.fence and connection.execute(query, (now, run.uid)).rowcount:
        _forget_waits(connection, [run.uid])


def cancel_job(connection: Connection, locks: Locks, run: RunInfo, now: float) -> None:
    """Of a run whose cancel was asked for."""
    found = connection.execute("SELECT state FROM job WHERE run=?", (run.uid,)).fetchone()
    if found is None:
        return
    if found[0] == JobState.STUCK or not run.fence:
        ended = (RunStatus.CANCELLED.value, now, run.uid)
        connection.execute("UPDATE run SET status=?, ended=?, cancel=0 WHERE uid=?", ended)
        end_job(connection, locks, run.uid, now)
    elif found[0] in (JobState.PARKED, JobState.DELAYED):
        query = "UPDATE job SET state='delayed', at=? WHERE run=? AND (state='parked' OR state='delayed' AND at>?)"
        connection.execute(query, (now, run.uid, now))
        _forget_waits(connection, [run.uid])


def _forget_waits(connection: Connection, runs: Sequence[int]) -> None:
    connection.execute(f"DELETE FROM awaits WHERE waiter IN ({marks(runs)})", runs)


def forget_waits(connection: Connection, runs: Iterable[int]) -> None:
    """Of runs that wait for nothing any more."""
    for part in parts(runs):
        _forget_waits(connection, part)
