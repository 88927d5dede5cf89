"""The documents that `--json` prints for queues, workers and schedules. Their names and meanings must not change.

Times are seconds since 1970, durations seconds. A field that is not known is null. Fields may be added.
"""

from __future__ import annotations

import msgspec


class EnqueuedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway enqueue --json`"""

    run_id: str
    queue: str
    store: str


class QueueDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A queue. No count goes beyond 10,000."""

    name: str
    paused: bool
    waiting: int
    delayed: int
    running: int
    parked: int
    stuck: int
    oldest_s: float | None
    limit: int | None
    key_limit: int | None
    depth: int | None
    deaths: int


class QueuesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway queue ls --json`"""

    store: str
    queues: list[QueueDocument]


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was enqueued and has not ended."""

    run_id: str
    task: str
    queue: str
    key: str
    priority: int
    state: str  # waiting, delayed, taken, parked or stuck
    at: float  # waiting: since then; delayed and parked: until then
    owner: str | None
    deaths: int
    version: str
    why: str | None  # why no worker can take it


class JobsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway queue jobs --json`"""

    store: str
    jobs: list[JobDocument]


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    program: str
    queues: list[str]
    versions: list[str]
    slots: int
    busy: int
    state: str  # working, draining, silent or dead
    since: float
    seen_s: float


class WorkersDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway workers --json`"""

    store: str
    workers: list[WorkerDocument]


class ScheduleDocument(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    task: str
    cron: str
    zone: str
    queue: str
    overlap: str
    catch_up_s: float
    paused: bool
    due: float | None
    last_run: str | None


class SchedulesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway schedule ls --json`"""

    store: str
    schedules: list[ScheduleDocument]


class DoneDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did to a queue, a run or a schedule."""

    name: str
    done: str
