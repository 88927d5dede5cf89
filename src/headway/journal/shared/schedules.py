"""Schedules: runs that are enqueued at times of the clock, by whichever worker looks first.

Nobody leads. Each worker fires what is due at each poll, in a transaction that holds the schedule's row; the run's id is made of
the schedule's name and the due time, so that no due time is ever two runs. What was due while nobody looked is made up for as far
back as the catch-up time goes. Where the run before has not ended, the overlap says what becomes of the new one:

    skip      there is none.
    queue     it is enqueued and begins when the run before has ended.
    cancel    the run before is cancelled, and the new one begins when that has ended.

This file must never make two due times of one, and never look at a clock.
"""

from __future__ import annotations

import datetime
import difflib
import enum
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from headway.errors import QueueFull, UsageError
from headway.journal.records import RunSpec
from headway.journal.shared.cron import find_zone, next_due, parse_cron
from headway.journal.shared.queues import Job, check_job

MADE_UP = 100
"""How many due times of a schedule are fired in one transaction; the others follow at the next poll."""


class Overlap(enum.StrEnum):
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What is enqueued when."""

    name: str
    cron: str
    zone: str = "UTC"
    spec: RunSpec  # of each run; its id, its salt and its root are made for each
    job: Job = Job()
    overlap: Overlap = Overlap.SKIP
    catch_up_s: float = 3600.0  # a due time further back than this is given up
    identity: str = ""  # what the root call's key is made of: the name of its task,
    asked: bytes = b""  # and its arguments in canonical form


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is now."""

    schedule: Schedule
    paused: bool = False
    due: float = 0.0  # when it is due next, or was and has not been fired yet
    fired: float = 0.0  # the due time that was fired last; 0 where none was
    last_run: str = ""  # the run that it enqueued last


class Fired(NamedTuple):
    """What became of a due time."""

    schedule: str
    due: float
    run_id: str  # empty where nothing was enqueued
    why: str = ""  # nothing was: "overlap", or "full" (the queue; it is tried again)


Make = Callable[[Schedule, str, float], RunSpec]
"""Makes the spec of one run of a schedule, by the run's id and the due time: each run has a salt and a root of its own."""


def check_schedule(schedule: Schedule, now: float) -> float:
    """When a schedule is due next, if it makes sense. Raises UsageError."""
    if not schedule.name or not schedule.name.isprintable() or "@" in schedule.name:
        raise UsageError(f"{schedule.name!r} is no name for a schedule: use printable characters without @")
    check_job(schedule.job)
    if not (schedule.catch_up_s >= 0 and math.isfinite(schedule.catch_up_s)):
        raise UsageError(f"catch_up_s={schedule.catch_up_s!r} of schedule {schedule.name!r}: give seconds, 0 or more")
    find_zone(schedule.zone)
    due = next_due(parse_cron(schedule.cron), schedule.zone, now)
    if due is None:
        raise UsageError(f"cron line {schedule.cron!r} of schedule {schedule.name!r} is never due: no year has such a day")
    return due


def unknown_schedule(name: str, known: Iterable[str]) -> UsageError:
    """The error for a schedule that is not there."""
    near = difflib.get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UsageError(f"there is no schedule {name!r}; {hint}`headway schedule ls` shows all of them")


def name_run(schedule: str, due: float) -> str:
    """The id of the run of a due time.

    >>> name_run("nightly", 0.0)
    'nightly@1970-01-01T00:00:00Z'
    """
    return f"{schedule}@{datetime.datetime.fromtimestamp(due, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def due_times(schedule: Schedule, due: float, now: float) -> tuple[list[float], float]:
    """The due times from `due` on that are to be fired at `now`, and the one that comes after them."""
    times, at = list[float](), due
    if at < now - schedule.catch_up_s:
        at = _after(schedule, now - schedule.catch_up_s - 1e-3)
    while at <= now and len(times) < MADE_UP:
        times.append(at)
        at = _after(schedule, at)
    return times, at


def _after(schedule: Schedule, at: float) -> float:
    due = next_due(parse_cron(schedule.cron), schedule.zone, at)
    return math.inf if due is None else due


def replace_schedule(before: ScheduleInfo | None, schedule: Schedule, due: float) -> ScheduleInfo:
    """A schedule that is put in the place of another one of its name."""
    if before is None:
        return ScheduleInfo(schedule=schedule, due=due)
    old = before.schedule
    kept = before.due if (old.cron, old.zone) == (schedule.cron, schedule.zone) else due
    return msgspec.structs.replace(before, schedule=schedule, due=kept)


def pause(info: ScheduleInfo, paused: bool, now: float) -> ScheduleInfo:
    """A schedule that is paused, or goes on."""
    due = _after(info.schedule, now) if info.paused and not paused else info.due
    return msgspec.structs.replace(info, paused=paused, due=due)


def fire(
    info: ScheduleInfo, now: float, make: Make, enqueue: Callable[[ScheduleInfo, RunSpec, float], bool]
) -> tuple[ScheduleInfo, list[Fired]]:
    """Fire what is due of a schedule: the schedule as it is then, and what became of each due time.

    Args:
        info: the schedule as it is.
        now: wall clock seconds.
        make: makes the spec of a run.
        enqueue: enqueues a run, as the overlap with the schedule's last run wants it; whether it does. Raises QueueFull.
    """
    name, fired = info.schedule.name, list[Fired]()
    times, after = due_times(info.schedule, info.due, now)
    for due in times:
        run_id = name_run(name, due)
        try:
            is_enqueued = enqueue(info, make(info.schedule, run_id, due), now)
        except QueueFull:
            return msgspec.structs.replace(info, due=due), [*fired, Fired(name, due, "", "full")]
        fired.append(Fired(name, due, run_id) if is_enqueued else Fired(name, due, "", "overlap"))
        info = msgspec.structs.replace(info, fired=due, last_run=run_id if is_enqueued else info.last_run)
    return msgspec.structs.replace(info, due=after), fired
