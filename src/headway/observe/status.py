"""The status of a run: what its store records, and whether a live process drives it."""

from __future__ import annotations

from headway.journal.owner import is_alive
from headway.journal.records import RunInfo, RunStatus


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
