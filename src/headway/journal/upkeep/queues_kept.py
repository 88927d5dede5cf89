"""What a repair keeps of queues: settings, jobs, who waits for whom, schedules.

A job that was taken waits again, for nobody drives a run while a store is repaired. One that waits for a run that is lost waits for
nothing any more. This file must never leave a job without its run, nor a job parked for what can't come.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable

import msgspec

from headway.journal.shared.queues import Job, JobState, QueueSettings, check_job
from headway.journal.shared.schedules import ScheduleInfo
from headway.journal.sql import jobs
from headway.journal.upkeep.salvage import read_table

STORED_JOB = "run, run_id, task, queue, key, priority, not_before, weight, version, state, at, vtime, deaths"
_decode_settings = msgspec.msgpack.Decoder(QueueSettings).decode
_decode_schedule = msgspec.msgpack.Decoder(ScheduleInfo).decode
Drop = Callable[[str, str], None]


def copy_queues(source: sqlite3.Connection, target: sqlite3.Connection, now: float, drop: Drop) -> None:
    """Copy what is whole; `drop` is told what is not, and what that means. The runs are in the target already."""
    _copy_named(source, target, "queue", "name, settings, paused, vtime", drop)
    _copy_named(source, target, "schedule", "name, body, paused, due", drop)
    stored, error = read_table(source, f"SELECT {STORED_JOB} FROM job ORDER BY run")
    if error is not None:
        drop("the jobs of queues have a damaged page", "jobs behind it are lost: `headway resume` goes on with their runs")
    there = {uid for (uid,) in target.execute("SELECT uid FROM run").fetchall()}
    kept: dict[int, str] = {}
    for one in stored:
        if one[0] not in there:  # its run was named as lost
            continue
        job = check_stored_job(one, now)
        if job is None:
            drop(f"the job of run {one[1]!r} is damaged", f"it is in no queue any more: `headway resume {one[1]}` goes on with it")
            continue
        target.execute(f"INSERT INTO job ({STORED_JOB}) VALUES ({jobs.marks(job)})", job)
        kept[int(str(job[0]))] = str(job[9])
    _copy_waits(source, target, {uid for uid, state in kept.items() if state == JobState.PARKED}, there, now)


def _copy_named(source: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: str, drop: Drop) -> None:
    """Queues or schedules."""
    decode: Callable[..., object] = _decode_settings if table == "queue" else _decode_schedule
    stored, error = read_table(source, f"SELECT {columns} FROM {table}")
    if error is not None:
        drop(f"the list of {table}s has a damaged page", "set those behind it again")
    for name, body, *rest in stored:
        try:
            decode(body)
            target.execute(f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?)", (name, body, *rest))
        except (msgspec.MsgspecError, TypeError, sqlite3.Error):
            drop(f"{table} {name!r} is damaged", "set it again")


def check_stored_job(stored: tuple[object, ...], now: float) -> tuple[object, ...] | None:
    """The job, waiting again where it was taken; None where it is not what a job is."""
    uid, run_id, task, queue, key, priority, not_before, weight, version, state, at, vtime, deaths = stored
    asked = {"queue": queue, "key": key, "priority": priority, "at": not_before, "weight": weight, "version": version}
    try:
        check_job(msgspec.convert(asked, Job))
        numbers = msgspec.convert([at, vtime, deaths], tuple[float, float, int])
        if math.isnan(numbers[0]) or not isinstance(run_id, str) or not isinstance(task, str):
            return None
        if JobState(state) is JobState.TAKEN:  # type: ignore[arg-type]  # a wrong type is no state either
            state, at = JobState.DELAYED.value, now
    except (msgspec.MsgspecError, ValueError, TypeError):
        return None
    return uid, run_id, task, queue, key, priority, not_before, weight, version, state, at, vtime, deaths


def _copy_waits(source: sqlite3.Connection, target: sqlite3.Connection, parked: set[int], there: set[int], now: float) -> None:
    stored, error = read_table(source, "SELECT run, waiter FROM awaits")
    waits = [one for one in stored if one[1] in parked]
    target.executemany("INSERT OR IGNORE INTO awaits (run, waiter) VALUES (?, ?)", [one for one in waits if one[0] in there])
    lost = {waiter for run, waiter in waits if run not in there}
    for uid in sorted(parked if error is not None else lost, key=str):
        target.execute("UPDATE job SET state='delayed', at=? WHERE run=?", (now, uid))
        target.execute("DELETE FROM awaits WHERE waiter=?", (uid,))
