"""Who drives a run: the name of a process that outlives it, and the rule by which a run changes hands.

A lease ends by the wall clock. Where that has been set back, the lease of a driver that died could last for years; so whoever
asks for the run shortens it to the length of a lease from now on, and a driver that lives renews it long before that.

A process id alone is reused by the system, so an owner also carries when its process started and in which boot. A
lease of a dead process on this machine is void at once; one of another machine is void when its time is up. A store
must never decide this by itself: all of them ask `check_takeover`.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from headway.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from headway.journal.records import RunInfo

LEASE_S = 30.0  # how long a driver's lease lasts
_OWNER = re.compile(r"pid (\d+) on (\S+) \(started (\S+)\)")


@functools.cache
def _host() -> str:
    """This machine in this boot; containers that share a host name differ by their process namespace."""
    name = re.sub(r"\s+", "-", socket.gethostname()) or "localhost"
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{name}/{boot}-{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return name


def _read_start(pid: int) -> str | None:
    """When a process started: ticks since boot on Linux, "?" where the system does not say, None where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return "?"
    else:
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return "?"


def this_process() -> str:
    """The owner string of this process: "pid 123 on host (started 4567)"."""
    pid = os.getpid()
    return f"pid {pid} on {_host()} (started {_own_start(pid)})"


@functools.lru_cache(maxsize=1)
def _own_start(pid: int) -> str:
    """When this process started; a fork of it is another."""
    return _read_start(pid) or "?"


def is_alive(owner: str) -> bool | None:
    """Whether the process that an owner (or a text beginning with one) names still runs; None where it is unknown."""
    match = _OWNER.match(owner)
    if match is None or match[2] != _host():
        return None
    started = _read_start(int(match[1]))
    return started is not None and (match[3] == "?" or started in ("?", match[3]))


def describe_owner(owner: str) -> str:
    """Describe an owner for people, without the parts that tell processes and boots apart."""
    match = _OWNER.match(owner)
    return f"pid {match[1]} on {match[2].partition('/')[0]}" if match else owner


def check_takeover(run: RunInfo, now: float) -> None:
    """Return when the run may change hands now; raise RunOwned while a live owner holds it."""
    if not run.owner:
        return
    alive = is_alive(run.owner)
    if alive is False or run.lease_until <= now:
        return
    name = run.spec.run_id
    known = "" if alive else f" (a process that cannot be seen from here: {_host()})"
    raise RunOwned(
        f"run {name!r} is driven by {describe_owner(run.owner)}{known} since {clock(run.owned_since)}, its lease lasts until "
        f"{clock(run.lease_until)}: wait for it, end it with `headway cancel {name}`, or take it over with "
        "`take_over=True` (`--take-over`)"
    )


def make_lease_lost(run: RunInfo, fence: int) -> LeaseLost:
    """Make the error for a driver whose lease is no longer the newest one."""
    name = run.spec.run_id
    if run.owner:
        who = f"{describe_owner(run.owner)} drives it since {clock(run.owned_since)} (fence {run.fence}, this one had {fence})"
    elif run.fence == fence:
        who = "this driver gave it back before"
    else:
        who = f"another driver took it over and ended it (fence {run.fence}, this one had {fence})"
    return LeaseLost(f"the lease of run {name!r} is lost: {who}; what this driver writes from now on is rejected")


def make_gap_error(run: RunInfo, first_seq: int) -> StoreError:
    """Make the error for rows that would leave a gap in a run, or be written twice."""
    return StoreError(f"run {run.spec.run_id!r} has {run.nrows} rows, so row {first_seq} cannot follow: reload the run and go on")


def unknown_run(run_id: str, known: Iterable[str], where: str) -> UnknownRun:
    """The error for a run id that a store does not have, with ids that look like it."""
    near = difflib.get_close_matches(run_id, list(known), n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UnknownRun(f"no run {run_id!r} in {where}; {hint}`headway ls` shows all runs")


def clock(at: float) -> str:
    """A wall clock time for people, in UTC."""
    try:
        return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"
