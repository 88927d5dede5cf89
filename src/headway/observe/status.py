"""The status of a run: what its store records, and whether a live process drives it. And the runs of some status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headway.errors import UsageError
from headway.journal.owner import is_alive
from headway.journal.records import RunInfo, RunStatus
from headway.journal.store import RUNS_PAGE, Store, every_run
from headway.near import near_misses

STATUSES = ("new", "running", "cancelling", "crashed", "done", "failed", "cancelled", "interrupted")


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
) -> Iterator[RunInfo]:
    """Yield the runs that have one of the statuses, if any are given, and this task, by its whole name or the last part of it. They
    are read by pages, so whoever stops early reads no more than that."""
    recorded = list(dict.fromkeys(_RECORDED.get(one) or RunStatus(one) for one in statuses))
    for info in every_run(store, after=after, page=page, newest_first=newest_first, statuses=recorded):
        is_meant = task is None or task in (info.spec.task, info.spec.task.rpartition(".")[2])
        if is_meant and (not statuses or status_of(info, now) in statuses):
            yield info


_RECORDED = dict.fromkeys(("new", "running", "cancelling", "crashed"), RunStatus.RUNNING)
"""What a store records of a run where that is not its status: a process that dies says nothing."""


def status_of(info: RunInfo, now: float) -> str:
    """Find the status of a run as it really is: a run whose driver has died is not running."""
    if info.status != RunStatus.RUNNING:
        return str(info.status)
    if info.fence == 0:
        return "new"
    alive = is_alive(info.owner) if info.owner else False
    if alive is False or (alive is None and info.lease_until <= now):
        return "crashed"
    return "cancelling" if info.cancel_requested else "running"


def is_live(info: RunInfo, now: float) -> bool:
    """Whether somebody alive drives a run."""
    return status_of(info, now) in ("running", "cancelling")


def name_driver(info: RunInfo) -> str:
    """Name who drives a run, without what only a program needs to tell processes apart."""
    return info.owner.partition(" (")[0].partition("/")[0]
