"""Has one row measured at a time, whatever the run that measures them runs beside it, on a server that forgets nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator

from benchmarks.sides import ROOT

sys.path.append(str(ROOT / "tests"))

from postgres_server import Server

SETTINGS = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""Debian's settings but for memory and the distance between checkpoints. A commit waits for the disk."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other row is measured."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "scale_out.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def server(**settings: str) -> Iterator[str]:
    """The URL of a server of one's own, alone on this machine. HEADWAY_POSTGRES names it meanwhile."""
    with alone():
        started = Server(**{**SETTINGS, **settings})
        os.environ["HEADWAY_POSTGRES"] = started.url
        try:
            yield started.url
        finally:
            started.remove()
