"""The work queue as data, and the rules that every store goes by.

A run that was enqueued has a job for as long as it has not ended. The unit is the run: calls stay inside their driver. A job is

    delayed    until its time; enqueued a moment ago, it is delayed until now.
    waiting    a worker may take it. It got its place in the line when it began to wait.
    taken      a worker drives its run, under a lease. It holds a slot of its queue and one of its key.
    parked     its run waits for a time, for word from outside or for other runs. It holds no slot and no process.
    stuck      its drivers died too often. It is shown, and not tried again until somebody says so.

**The line.** Jobs are taken by priority, then by virtual time. A job that begins to wait gets `max(queue, key) + 1/weight`, where
the queue's virtual time is that of the job that was taken last, and the key's that of its newest job. So keys take turns by weight,
whoever has enqueued how much, and nothing is sorted. A job that waits again has had its turn: it goes on where the queue is.

**Limits.** A slot is a row of a taken job, and nothing else is counted. Who takes jobs of a queue with a limit holds the queue's
row while it counts and takes; a slot is given back by the transaction that ends, parks or sweeps the run. So no crash can lose a
slot or give one twice. A run that somebody takes by hand takes a slot past the limit.

**Deaths.** A lease that is over, or whose process is seen to be dead, is swept by any worker at any poll: the job waits again after
a time that doubles with each death, and is stuck after `deaths` of them. A driver that gave its run back had not died, and deaths
are counted from 0 again.

This file must never decide by a time of its own, and never by what a store looks like.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headway.errors import QueueFull, UsageError
from headway.journal.records import After, Lease, RunInfo

QUEUES = 0
"""Stands for a run's number in `data_version`: there may be jobs to take."""

COUNTED = 10_000
"""No state of a queue is counted further than this: whoever looks wants to know that there are many."""

PROMOTED = 1_000
"""How many jobs begin to wait in one transaction."""

FORGOTTEN_S = 3600.0
"""A worker that was silent for so long is not shown any more."""


class JobState(enum.StrEnum):
    WAITING = "waiting"
    DELAYED = "delayed"
    TAKEN = "taken"
    PARKED = "parked"
    STUCK = "stuck"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is to be taken: fixed when it is enqueued."""

    queue: str = "default"
    key: str = ""  # of whom it is: keys of a queue take turns, and may have a limit
    priority: int = 0  # higher first
    at: float = 0.0  # not before; wall clock, seconds since 1970
    weight: float = 1.0  # how much of its key's turn it takes up: 1/weight
    version: str = ""  # only a worker that runs this version takes it; empty for any


def park(*, until: float = math.inf, seen: int = 0, runs: Sequence[str] = ()) -> After:
    """Wait without a process and without a slot.

    >>> park(until=60.0, seen=3).parked
    True
    """
    return After(at=until, parked=True, seen=seen, runs=tuple(runs))


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue allows. A queue that nobody has set anything for has these."""

    name: str = "default"
    limit: int | None = None  # taken jobs of the queue, on all machines
    key_limit: int | None = None  # taken jobs of each key
    depth: int | None = None  # jobs that wait or are delayed: more are refused
    deaths: int = 3  # a job is stuck after so many
    backoff_s: float = 1.0  # after the first death; twice as long after each more
    longest_backoff_s: float = 300.0


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it is now. No number of jobs is counted beyond `COUNTED`."""

    settings: QueueSettings
    paused: bool = False
    waiting: int = 0
    delayed: int = 0
    taken: int = 0
    parked: int = 0
    stuck: int = 0
    oldest: float | None = None  # since when the job has waited that has waited longest; None where none waits


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is now."""

    run_id: str
    uid: int  # of its run
    task: str
    job: Job
    state: JobState
    at: float  # waiting: since when; delayed, parked: until when; taken: its lease was looked at then, or will be
    owner: str = ""  # who has taken it
    deaths: int = 0
    place: tuple[str, str, float, int] = ("", "", 0.0, 0)  # in a listing: `after=` this come the next ones
    awaits: tuple[str, ...] = ()  # parked: ids of runs, the end of any of which wakes it; not in a listing


class Taken(NamedTuple):
    """A job that a worker has now, with the right to write to its run."""

    run: RunInfo
    lease: Lease
    job: Job


class Swept(NamedTuple):
    """A job whose driver was found dead or silent."""

    run_id: str
    owner: str  # who had it
    deaths: int
    at: float  # not taken before
    stuck: bool


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself."""

    owner: str
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()  # that it has loaded
    versions: tuple[str, ...] = ()
    slots: int = 0
    busy: int = 0
    draining: bool = False
    program: str = ""
    since: float = 0.0
    seen: float = 0.0  # when it said so


# --- rules -----------------------------------------------------------------------------------------------------------


def check_job(job: Job) -> Job:
    """The job, if it can be done. Raises UsageError."""
    if not job.queue or not job.queue.isprintable():
        raise UsageError(f"queue={job.queue!r} is no name: name the queue with printable characters")
    if not (math.isfinite(job.weight) and job.weight > 0):
        raise UsageError(f"weight={job.weight!r}: a weight is a number above 0, and 2.0 gives a key twice the turns")
    if not math.isfinite(job.at):
        raise UsageError(f"at={job.at!r} is no time: give seconds since 1970, or a datetime with a time zone")
    if not -(1 << 31) <= job.priority < 1 << 31:
        raise UsageError(f"priority={job.priority!r}: give a whole number of at most 31 bits")
    return job


def check_settings(settings: QueueSettings) -> QueueSettings:
    """The settings, if they make sense. Raises UsageError."""
    check_job(Job(queue=settings.name))
    for name, least in (("limit", 0), ("key_limit", 1), ("depth", 0), ("deaths", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"{name}={value} of queue {settings.name!r}: the least that makes sense is {least}")
    for name in ("backoff_s", "longest_backoff_s"):
        if not getattr(settings, name) >= 0:
            raise UsageError(f"{name}={getattr(settings, name)} of queue {settings.name!r}: give seconds, 0 or more")
    return settings


encode_settings = msgspec.msgpack.Encoder().encode
_decode_settings = msgspec.msgpack.Decoder(QueueSettings).decode


def decode_settings(name: str, stored: Sequence[Any] | None) -> QueueSettings:
    """What a queue allows, by its stored row that begins with the settings; None where nobody has set anything."""
    return QueueSettings(name=name) if stored is None or stored[0] is None else _decode_settings(stored[0])


def queue_full(settings: QueueSettings, run_id: str) -> QueueFull:
    """The error for one job too many."""
    return QueueFull(
        f"queue {settings.name!r} is full: {settings.depth} jobs wait in it, so run {run_id!r} was not enqueued. Enqueue it again "
        f"later, start more workers, or raise the bound with `headway queue set {settings.name} --depth N`"
    )


def is_due(state: JobState | str, at: float, now: float) -> bool:
    """Whether a job is to begin to wait."""
    return state in (JobState.DELAYED, JobState.PARKED) and at <= now


def show_state(state: JobState | str, at: float, now: float) -> JobState:
    """The state of a job for people: one whose time has come waits, whether the store has noticed or not."""
    return JobState.WAITING if is_due(state, at, now) else JobState(state)


class Newcomer(NamedTuple):
    """A job that begins to wait."""

    run: int
    key: str
    weight: float
    vtime: float  # 0 where it never waited before


def stamp(newcomers: Iterable[Newcomer], queue: float, keys: Mapping[str, float]) -> tuple[dict[int, float], dict[str, float]]:
    """Places in the line: the virtual time of each job by run, and the new virtual times of keys.

    >>> stamp([Newcomer(1, "a", 1.0, 0.0), Newcomer(2, "a", 1.0, 0.0), Newcomer(3, "b", 2.0, 0.0)], 10.0, {"a": 12.0})
    ({1: 13.0, 2: 14.0, 3: 10.5}, {'a': 14.0, 'b': 10.5})
    """
    places: dict[int, float] = {}
    moved: dict[str, float] = {}
    for run, key, weight, vtime in newcomers:
        if vtime:
            places[run] = queue
        else:
            places[run] = moved[key] = max(queue, moved.get(key, keys.get(key, 0.0))) + 1 / weight
    return places, moved


def backoff_s(settings: QueueSettings, deaths: int) -> float:
    """How long a job waits after its drivers have died so often.

    >>> [backoff_s(QueueSettings(backoff_s=2.0, longest_backoff_s=5.0), deaths) for deaths in (1, 2, 3, 99)]
    [2.0, 4.0, 5.0, 5.0]
    """
    return min(settings.backoff_s * 2.0 ** min(deaths - 1, 60), settings.longest_backoff_s)


def bury(settings: QueueSettings, deaths: int, now: float) -> tuple[JobState, float]:
    """What becomes of a job whose drivers have died so often: its state, and when it may be taken."""
    if deaths >= settings.deaths:
        return JobState.STUCK, now
    return JobState.DELAYED, now + backoff_s(settings, deaths)


class Room(NamedTuple):
    """How many more jobs of a queue may be taken: in all, and of a key."""

    most: int
    key_limit: int | None
    by_key: Mapping[str, int]  # taken already

    def full_keys(self) -> list[str]:
        return [key for key, taken in self.by_key.items() if self.key_limit is not None and taken >= self.key_limit]


def room(settings: QueueSettings, wanted: int, taken: int, by_key: Mapping[str, int]) -> Room:
    """The room that the limits of a queue leave to somebody who wants so many."""
    most = wanted if settings.limit is None else min(wanted, settings.limit - taken)
    return Room(max(0, most), settings.key_limit, by_key)


def pick(keys: Iterable[tuple[int, str]], room: Room) -> list[int]:
    """The runs that are taken, of candidates `(run, key)` in the order of the line.

    >>> pick([(1, "a"), (2, "a"), (3, "b"), (4, "c")], Room(2, 2, {"a": 1}))
    [1, 3]
    """
    picked: list[int] = []
    by_key = dict(room.by_key)
    for run, key in keys:
        if len(picked) >= room.most:
            break
        if room.key_limit is None or by_key.get(key, 0) < room.key_limit:
            by_key[key] = by_key.get(key, 0) + 1
            picked.append(run)
    return picked


def go_on(after: After | None, now: float, *, cancelled: bool, newest_signal: int, ended: bool) -> tuple[JobState, float]:
    """What becomes of a job whose run is given back and has not ended: its state and its time.

    Args:
        after: what its driver said.
        now: wall clock seconds.
        cancelled: whether somebody has asked for a cancel.
        newest_signal: the number of the newest signal that was sent to the run, 0 where there is none.
        ended: whether one of the runs that it waits for has ended.
    """
    if after is None or cancelled:
        return JobState.DELAYED, now
    if not after.parked:
        return JobState.DELAYED, max(now, after.at)
    if newest_signal > after.seen or ended or after.at <= now:
        return JobState.DELAYED, now
    return JobState.PARKED, after.at
