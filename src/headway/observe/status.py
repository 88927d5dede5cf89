"""The status of a run, and the runs of some status.

What a store records of a run is not enough: the process that drives it may be dead, and a run that belongs to a queue and that
nobody drives has not stopped, but waits there. So whoever tells of runs looks at their jobs too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from headway.errors import UsageError
from headway.journal.owner import is_alive
from headway.journal.records import ENDED, RunInfo, RunStatus
from headway.journal.shared.queues import JobInfo, JobState
from headway.journal.store import RUNS_PAGE, Store, pages_of_runs
from headway.near import near_misses

_OF_QUEUES = {
    JobState.WAITING: "queued",
    JobState.DELAYED: "delayed",
    JobState.PARKED: "parked",
    JobState.STUCK: "stuck",
}
QUEUE_STATUSES = tuple(_OF_QUEUES.values())
"""Of runs that belong to a queue and that nobody drives now."""

STATUSES = ("new", *QUEUE_STATUSES, "running", "cancelling", "crashed", "done", "failed", "cancelled", "interrupted")


def check_statuses(asked: Sequence[str], what: str) -> None:
    """Raise UsageError for what is no status of a run."""
    for one in asked:
        if one not in STATUSES:
            raise UsageError(f"{what}={one!r} is no status of a run; {near_misses(one, STATUSES)}")


def find_runs(
    store: Store,
    now: float,
    *,
    statuses: Sequence[str] = (),
    task: str | None = None,
    after: int = 0,
    page: int = RUNS_PAGE,
    newest_first: bool = False,
) -> Iterator[tuple[RunInfo, JobInfo | None]]:
    """Yield the runs that have one of the statuses, if any are given, and this task, by its whole name or the last part of it; each
    with its job, where it belongs to a queue. They are read by pages, so whoever stops early reads no more than that."""
    recorded = list(dict.fromkeys(each for one in statuses for each in _RECORDED.get(one) or (RunStatus(one),)))
    for infos in pages_of_runs(store, after=after, page=page, newest_first=newest_first, statuses=recorded):
        meant = [info for info in infos if task is None or task in (info.spec.task, info.spec.task.rpartition(".")[2])]
        jobs = find_jobs(store, meant, now)
        for info in meant:
            job = jobs.get(info.uid)
            if not statuses or status_of(info, now, job) in statuses:
                yield info, job


def find_jobs(store: Store, infos: Sequence[RunInfo], now: float) -> dict[int, JobInfo]:
    """The jobs of those runs that belong to a queue, by the runs' numbers."""
    unended = [info.uid for info in infos if info.status not in ENDED]
    return store.find_jobs(unended, now) if unended else {}


_RECORDED = {
    **dict.fromkeys(("new", "running", "crashed"), (RunStatus.RUNNING,)),
    **dict.fromkeys(("cancelling", *QUEUE_STATUSES), (RunStatus.RUNNING, RunStatus.INTERRUPTED)),
}
"""What a store records of a run where that is not its status: a process that dies says nothing."""


def status_of(info: RunInfo, now: float, job: JobInfo | None) -> str:
    """Find the status of a run as it really is: a run whose driver has died is not running, and one that its queue has was not
    interrupted."""
    if job is not None and not info.owner:
        status = _OF_QUEUES.get(job.state, "running")  # taken since the run was read
        return "cancelling" if info.cancel_requested else status
    if info.status != RunStatus.RUNNING:
        return str(info.status)
    if info.fence == 0:
        return "new"
    if not _is_driven(info, now):
        return "crashed"
    return "cancelling" if info.cancel_requested else "running"


def until_of(job: JobInfo | None) -> float | None:
    """Until when a run only waits, unless something wakes it: seconds since 1970. None where no time is set."""
    waits = job is not None and job.state in (JobState.DELAYED, JobState.PARKED) and math.isfinite(job.at)
    return job.at if job is not None and waits else None


def _is_driven(info: RunInfo, now: float) -> bool:
    alive = is_alive(info.owner) if info.owner else False
    return alive is True or (alive is None and info.lease_until > now)


def is_live(info: RunInfo, now: float) -> bool:
    """Whether somebody alive drives a run."""
    return info.status == RunStatus.RUNNING and info.fence > 0 and _is_driven(info, now)


def name_driver(info: RunInfo) -> str:
    """Name who drives a run, without what only a program needs to tell processes apart."""
    return info.owner.partition(" (")[0].partition("/")[0]
