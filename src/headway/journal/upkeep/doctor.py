"""What is whole in a folder and what is not: every page, record and blob is looked at, nothing is changed.

The doctor reads through a connection of its own that cannot write. `examination` has what is looked at in every store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway.errors import StoreDamaged, StoreError
from headway.journal.place import MEMORY, has_database, name_place, no_store, owner_of
from headway.journal.records import RunInfo
from headway.journal.sqlite import schema
from headway.journal.sqlite.access import connect_to_read, fingerprint, why_not_writable
from headway.journal.sqlite.locks import is_busy, wait_for_lock
from headway.journal.sqlite.wal import inspect_wal
from headway.journal.upkeep.examination import Examination
from headway.journal.upkeep.findings import Report
from headway.journal.upkeep.salvage import Found, read_run, read_table
from headway.storage.blobs import TEMPORARY, BlobFolder

MOST_PROBLEMS = 50


def examine(store: str | Path) -> Report:
    """Check a store, a folder or a database, without changing it.

    >>> examine("/nowhere").whole
    False
    """
    place = name_place(store)
    if isinstance(place, Path):
        return FolderExamination(place).report()
    if place == MEMORY:
        raise StoreError(f"{place} ends with its program: name the folder or the database of a store")
    from headway.journal.upkeep.postgres_doctor import PostgresExamination  # only now: a folder needs nothing of it

    return PostgresExamination(place).report()


class FolderExamination(Examination):
    """One walk through a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self.path = folder / schema.DATABASE
        self.place = str(self.path)
        self.blobs = BlobFolder(folder / "blobs")

    def report(self) -> Report:
        if self.step("the folder", self._check_there) and self.step("the header", lambda: schema.check_header(self.path)):
            self._check_writable()
            self.step("the write-ahead log", self._check_wal)
            self.step("the database", self._check_database)
            self.step("the blobs", self._check_blobs)
        return self.make_report()

    @property
    def whom_to_ask(self) -> str:
        return f"look at it as {owner_of(self.folder)}, whose it is; nothing says that it is damaged"

    def is_kept_out(self, error: StoreError) -> bool:
        cause = error.__cause__
        busy = isinstance(cause, sqlite3.Error) and is_busy(cause) and not isinstance(error, StoreDamaged)
        return busy or super().is_kept_out(error)

    def _check_there(self) -> None:
        if not has_database(self.folder):
            raise no_store(self.folder)

    def _check_writable(self) -> None:
        if why := why_not_writable(self.path):
            self.say(
                "info", f"the store can be read but not written: {why}", means="no run can go on from here", path=str(self.path)
            )

    def _check_wal(self) -> None:
        lost = inspect_wal(Path(f"{self.path}-wal")).lost_commits
        if lost:
            self.say(
                "warning" if lost == 1 else "error",
                f"the write-ahead log is broken before its last {lost} transaction{'s'[: lost > 1]}",
                means="they are lost, but one that was being written when the power failed was never durable",
                path=f"{self.path}-wal",
            )

    # the database

    def _check_database(self) -> None:
        before, errors = fingerprint(self.path), len(self.findings)
        try:
            self._connection, locked = connect_to_read(self.path, strictly=True)
        except sqlite3.Error as error:
            raise schema.explain(error, self.path) from error
        try:
            self._connection.execute("PRAGMA cell_size_check=ON")
            self._connection.execute("BEGIN")
            if self.step("the lock", self._begin):
                self.step("the pages", self._check_pages)
                self.check_tables()
                self.step("the list of runs", self._check_runless)
                self.step("the rejected records", self._check_rejected)
        finally:
            self._connection.close()
        if not locked and before != fingerprint(self.path):
            del self.findings[errors:]  # they may be of pages that were half written
            means = "look again, or look at it on the machine where it is written"
            self.say("unread", f"{self.path} was written while it was read, and this process can't lock it", means=means)

    def _begin(self) -> None:
        """Fix what is read from now on. Raises StoreError where another program keeps the database locked."""
        query = "SELECT COUNT(*) FROM sqlite_schema"
        try:
            wait_for_lock(lambda: self._connection.execute(query).fetchone(), self.path, schema.BUSY_TIMEOUT_S)
        except sqlite3.Error as error:
            if is_busy(error):
                raise schema.explain(error, self.path) from error

    def _check_pages(self) -> None:
        for (problem,) in self._connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
            if problem != "ok":
                means = "`headway doctor --repair` saves what can be read into a new database"
                self.say("error", f"the database has a damaged page: {problem}", means=means, path=str(self.path))

    def read(self, columns: str, table: str, order: str, what: str, means: str) -> Iterator[tuple[object, ...]]:
        stored, error = read_table(self._connection, f"SELECT {columns} FROM {table} ORDER BY {order}")
        if error is not None:
            self.say("error", f"{what} ({error})", means=means)
        return iter(stored)

    def read_records(self, info: RunInfo) -> Iterable[Found]:
        return read_run(self._connection, info.uid, info.nrows)

    def _check_runless(self) -> None:
        """Records without a run."""
        known = {uid for (uid,) in read_table(self._connection, "SELECT uid FROM run ORDER BY uid")[0]}
        query = "SELECT run FROM record WHERE run>? ORDER BY run LIMIT 1"
        found = self._connection.execute(query, (-(1 << 62),)).fetchone()
        while found is not None:
            if found[0] not in known:
                means = "what the run was is lost, and its results with it"
                self.say("error", f"there are records of run number {found[0]}, which is not in the list of runs", means=means)
            found = self._connection.execute(query, found).fetchone()

    def _check_rejected(self) -> None:
        query = "SELECT COALESCE(run_id, rejected.run), COUNT(*) FROM rejected LEFT JOIN run ON uid=rejected.run GROUP BY 1"
        for run, count in self._connection.execute(query).fetchall():
            self.say_rejected(run, count)

    # blobs

    def path_of(self, digest: bytes) -> str:
        return str(self.blobs.path(digest))

    def check_blob(self, digest: bytes) -> None:
        self.blobs.get(digest).release()

    def _check_blobs(self) -> None:
        spare = leftover = 0
        for file in sorted(self.blobs.root.glob("??/*")):
            if file.name.startswith(TEMPORARY):
                leftover += 1
                continue
            self.nblobs += 1
            self.nbytes += file.stat().st_size
            spare += _digest_of(file) not in self.users
        self.check_used_blobs()
        if spare:
            whole = not any(finding.severity == "error" for finding in self.findings)
            means = "`headway gc` removes them" if whole else "they may belong to what can't be read: keep them"
            self.say("info", f"{spare} blobs are named by no record that can be read", means=means)
        if leftover:
            self.say("info", f"{leftover} unfinished blobs were left by a crash", means="`headway gc` removes them")


def _digest_of(file: Path) -> bytes:
    try:
        return bytes.fromhex(file.parent.name + file.name)
    except ValueError:
        return b""
