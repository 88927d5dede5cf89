"""Opening a store's database to read it, whether or not it may be written.

SQLite needs to write for reading: it keeps an index of the write-ahead log in a file beside the database. On a read-only disk, in
another user's folder or in an archive that can't be, so there are three ways:

- where everything may be written, a connection like any other, which is told to write nothing;
- where the index is there and may be read, a live writer keeps it: SQLite reads along, under its locks;
- else without locks, and with an index in memory, so that what a crash left in the log counts. A writer that appears meanwhile is
  not seen; whoever finds damage through such a connection must compare `fingerprint` before saying so.

A reader must never leave files in a folder that it could not write, and never mistake a missing permission for damage.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from headway.journal.place import owner_of, unreadable
from headway.journal.sqlite import schema

_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


class Reading(NamedTuple):
    """A connection that reads, and whether others are kept from changing what it reads."""

    connection: sqlite3.Connection
    locked: bool


def why_not_writable(path: Path) -> str:
    """Why this process can't write the database; empty where it can."""
    for place in (path.parent, path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if not place.exists() or _may(place, os.W_OK):
            continue
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return f"{place} is on a disk that is mounted read-only"
        return f"{place} belongs to {owner_of(place)} and this process may not write it"
    return ""


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def connect_to_read(path: Path, *, strictly: bool = False) -> Reading:
    """Open a database for reading. `strictly`: SQLite itself must refuse to write, which leaves its index behind.

    Raises StoreError where this process may not read it, sqlite3.Error where none of the ways works.
    """
    for file in (path, Path(f"{path}-wal")):
        if file.exists() and not _may(file, os.R_OK):
            raise unreadable(file, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if not why_not_writable(path):
        try:
            return Reading(_obedient(path, strictly=strictly), True)
        except sqlite3.Error as error:  # a disk that says one thing and does another, as file servers do
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _REFUSED:
                raise
    if Path(f"{path}-shm").exists():
        try:
            return Reading(_try_connection(schema.connect(path, readonly=True)), True)
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _REFUSED:
                raise
    return Reading(_try_connection(_alone(path)), False)


def _obedient(path: Path, *, strictly: bool) -> sqlite3.Connection:
    connection = schema.connect(path, readonly=strictly)
    if not strictly:
        connection.execute("PRAGMA query_only=ON")
    return connection


def _alone(path: Path) -> sqlite3.Connection:
    """A connection without locks, as if nobody else had the file open."""
    wal = Path(f"{path}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return schema.connect(path, readonly=True, more="&immutable=1")
    # the index of the log is kept in memory by a connection that shares the file with nobody
    return schema.connect(path, readonly=True, more="&vfs=unix-none", first="locking_mode=EXCLUSIVE")


def _try_connection(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def fingerprint(path: Path) -> tuple[object, ...]:
    """What differs when a database was written meanwhile."""
    found: list[object] = []
    for name in (path, Path(f"{path}-wal")):
        try:
            stat = name.stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
