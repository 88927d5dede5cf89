"""Waiting for a database that another program has locked, with a word after seconds and a limit; and keeping one's own locks.

SQLite waits in silence. Here a wait that lasts is told once on stderr, with whoever holds the lock where the system says so, and
ends with an error that says the same.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

NOTICE = 0.1  # of the patience is spent in silence
_PAUSE_S = 0.02  # where SQLite itself did not wait
T = TypeVar("T")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether an error says that somebody else holds a lock."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def wait_for_lock(action: Callable[[], T], path: Path, patience_s: float) -> T:
    """Do something with a database as soon as no other program locks it. Raises the error of SQLite after `patience_s` seconds."""
    began, told = time.monotonic(), False
    while True:
        tried = time.monotonic()
        try:
            return action()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not is_busy(error) or waited >= patience_s:
                raise
            if not told and waited >= NOTICE * patience_s * 0.9:
                told = True
                left = patience_s - waited
                sys.stderr.write(f"headway: {path} is locked by {holders(path)}: waiting {left:.0f} s more\n")
            if time.monotonic() - tried < _PAUSE_S:
                time.sleep(_PAUSE_S)


def holders(path: Path) -> str:
    """Who has locked a database, as far as the system says: "pid 123 (sqlite3)", or "another process".

    >>> holders(Path("/nowhere"))
    'another process'
    """
    found = ["this process" if pid == os.getpid() else f"pid {pid} ({_command(pid)})" for pid in dict.fromkeys(_writers(path))]
    return " and ".join(found[:3]) or "another process"


def _writers(path: Path) -> Iterator[int]:
    """The processes that hold a lock for writing on the database or its index of the log (Linux)."""
    files = set()
    for name in (path, Path(f"{path}-shm")):
        try:
            stat = name.stat()
        except OSError:
            continue
        files.add(f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}")
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if "->" not in fields and len(fields) >= 6 and fields[3] == "WRITE" and fields[5] in files:
            pid = int(fields[4])
            if pid > 0:
                yield pid


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() or "?"
    except OSError:
        return "?"


def descriptor_of(path: Path) -> int | None:
    """The descriptor under which SQLite has a file open in this process. Opening the file once more would do harm: closing it drops
    all locks that the process has on it, as POSIX wants it, and two processes would write at the same time.

    Source: https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
    """
    try:
        wanted = path.stat()
    except OSError:
        return None
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - a Path for each takes longer than the rest, each time a store is opened
        with contextlib.suppress(OSError):  # the descriptor of this listing is closed by now
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return int(name)
    return None
