"""How a run stands: what its store says of it, and whether anybody alive drives it."""

from __future__ import annotations

from headway.journal.owner import is_alive
from headway.journal.records import RunInfo, RunStatus


def standing(info: RunInfo, now: float) -> str:
    """A run's status as it really is: what the store says, and whether anybody alive drives it."""
    if info.status != RunStatus.RUNNING:
        return str(info.status)
    if info.fence == 0:
        return "new"
    alive = is_alive(info.owner) if info.owner else False
    if alive is False or (alive is None and info.lease_until <= now):
        return "crashed"
    return "cancelling" if info.cancel_requested else "running"


def is_live(info: RunInfo, now: float) -> bool:
    return standing(info, now) in ("running", "cancelling")


def driver(info: RunInfo) -> str:
    """Who drives a run, without what only a program needs to tell processes apart."""
    return info.owner.partition(" (")[0].partition("/")[0]
