"""The database of a store: its file, the connections to it, and the transactions that go through them.

Writes go through one connection under a lock, each in a transaction that begins IMMEDIATE and ends with the disk's word (WAL,
`synchronous=FULL`); reads go through another, so that a long read never waits for a commit. What it holds is not known here.

Nothing may be written to a file that is not the one that was opened, and no error of SQLite gets out unexplained.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

from headway.errors import StoreError
from headway.journal.off_loop import check_thread
from headway.journal.place import has_database, name_folder, no_store
from headway.journal.sqlite import schema
from headway.journal.sqlite.access import connect_to_read, fingerprint, why_not_writable
from headway.journal.sqlite.locks import wait_for_lock

T = TypeVar("T")


class Database:
    """The SQLite database in a folder. Opening makes both where there is none."""

    def __init__(self, folder: str | Path, *, readonly: bool = False) -> None:
        self.folder = name_folder(folder)
        check_thread(self)
        self.readonly = readonly
        self.path = self.folder / schema.DATABASE
        self._write_lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._seen: tuple[object, ...] = ()  # what the files were like, where nobody is kept from writing them
        self._prepare()
        try:
            if readonly:
                self._reader, locked = connect_to_read(self.path)
                self._seen = () if locked else fingerprint(self.path)
                return
            self._file = _identity(self.path)
            self._writer = schema.connect(self.path)
        except sqlite3.Error as error:
            self.close()
            raise schema.explain(error, self.path) from error

    def _prepare(self) -> None:
        if self.readonly:
            if not has_database(self.folder):
                raise no_store(self.folder)
            schema.check_header(self.path)
            return
        try:
            is_there = self.path.exists()
            if not is_there:
                self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreError(f"{self.folder} is a file, a store is a folder: choose another path") from error
        except OSError as error:
            why = error.strerror
            raise StoreError(f"the folder {self.folder} cannot be made ({why}): choose another path") from error
        if not is_there:
            schema.create(self.path)
        schema.check_header(self.path)

    @property
    def url(self) -> str:
        return str(self.folder)

    def close(self) -> None:
        if self._reader is not None or self._writer is not None:
            check_thread(self)
        with self._write_lock, self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._writer = self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def writing(self, *gates: str) -> Iterator[sqlite3.Connection]:
        """One write transaction: committed durably when the block ends, undone when it raises. It is the only one meanwhile,
        whatever the gates."""
        check_thread(self)
        with self._write_lock:
            if self.readonly:
                why = why_not_writable(self.path) or "it was opened for reading"
                raise StoreError(f"the store {self.url} cannot be written: {why}")
            connection = self._open(self._writer)
            self._check_there()
            try:
                wait_for_lock(lambda: connection.execute("BEGIN IMMEDIATE"), self.path, schema.BUSY_TIMEOUT_S)
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise schema.explain(error, self.path) from error
                raise

    def reading(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` finds through the connection for reading."""
        check_thread(self)
        with self._read_lock:
            try:
                connection = self._open(self._reader or self._begin_reading())
                return wait_for_lock(lambda: read(connection), self.path, schema.BUSY_TIMEOUT_S)
            except sqlite3.Error as error:
                self.check_unchanged()
                raise schema.explain(error, self.path) from error

    def _begin_reading(self) -> sqlite3.Connection | None:
        """The connection for reading, made when it is first needed: a short run that is new reads nothing back."""
        if self._writer is not None:
            self._check_there()
            self._reader = schema.connect(self.path)
        return self._reader

    def _check_there(self) -> None:
        """Raises StoreError where the database is not the file any more that was opened."""
        if _identity(self.path) != self._file:
            raise StoreError(
                f"the store {self.url} is gone: its journal was moved or removed while it was open here. Put it back and go on "
                "with `headway resume`, or begin again in another store"
            )

    def check_unchanged(self) -> None:
        """Before something is called damaged: raises StoreError where somebody wrote while it was read without locks."""
        if self._seen and self._seen != fingerprint(self.path):
            raise StoreError(
                f"{self.path} was written while it was read, by a process that this one can't lock out: read it again, or copy the "
                "folder where you may write and read the copy"
            )

    def _open(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise StoreError(f"the store {self.url} is closed: open it again with `open_store`")
        return connection

    def vacuum(self) -> None:
        """Give the space of deleted rows back to the disk."""
        with self._write_lock:
            try:
                connection = self._open(self._writer)
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise schema.explain(error, self.path) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at a path; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
