"""What ties a worker process to its driver: it ends when the driver does, with a pool closed or not, and leaves SIGTERM to it."""

from __future__ import annotations

import atexit
import fcntl
import multiprocessing
import multiprocessing.util
import os
import signal
import time
from typing import Protocol

from headway.ipc.interrupts import keep_from_forks
from headway.pools import current

AGAIN_S = 5.0


class Owned(Protocol):
    """A worker as the process sees it that has started it."""

    owner: int

    @property
    def alive(self) -> bool: ...
    def kill(self) -> None: ...


living: set[Owned] = set()
"""The workers that this process, or the one that it is a fork of, has started and not reaped."""


def _kill_the_living() -> None:
    """When the interpreter ends and a pool was not closed. multiprocessing would send SIGTERM, which workers leave to the driver,
    and wait for them."""
    for each in list(living):
        if each.owner == os.getpid() and each.alive:
            each.kill()


atexit.register(_kill_the_living)  # after multiprocessing.util has registered its own, so that this one comes first


def hear_sigterm() -> None:
    """SIGTERM may come to all processes of a machine. Then the driver stops this call, which goes on after a resume; it does not
    fail because its process died. A second one, `AGAIN_S` later or more, is for this process."""
    came_at: list[float] = []

    def note(number: int, frame: object) -> None:
        came_at.append(time.monotonic())
        current.note_end()
        if came_at[-1] - came_at[0] > AGAIN_S:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    keep_from_forks(signal.SIGTERM, note)


def open_process(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, where the system has such a thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        os._exit(1)
    except OSError:
        return None


def die_with_parent() -> None:
    """Have the kernel kill this process and its children when the driver is gone, even while no thread can run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        die_with(parent.sentinel, -os.getpgrp())


def die_with(fd: int, owner: int) -> None:
    """Have the kernel kill a process (or a group, as a negative number) when something comes or ends at the other end of a pipe,
    also where the process is stopped. Does nothing where the system can't."""
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(fd, fcntl.F_SETOWN, owner)
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
