"""What is whole in a store and what is not: every page, record and blob is looked at, nothing is changed.

The doctor reads through a connection of its own that cannot write. What it finds it says about a run: which record,
which call, and whether a resume needs what is lost. Whatever the bytes on the disk are, the doctor must never fail
itself and never call a store whole unless all its records can be read as they were written.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from headway.errors import StoreDamaged, StoreError, StoreVersion
from headway.journal.owner import is_alive
from headway.journal.place import has_database, name_folder, no_store, owner_of
from headway.journal.records import Row, RunInfo
from headway.journal.shared.items import check_item
from headway.journal.sql import checked_rows
from headway.journal.sql.items import ALL_ITEMS
from headway.journal.sqlite import schema
from headway.journal.sqlite.access import connect_to_read, fingerprint, why_not_writable
from headway.journal.sqlite.locks import is_busy, wait_for_lock
from headway.journal.sqlite.wal import inspect_wal
from headway.journal.upkeep.findings import Book, Finding, Report, call_text, describe_damage
from headway.journal.upkeep.named import blobs_of
from headway.journal.upkeep.salvage import read_run, read_table
from headway.storage.blobs import TEMPORARY, BlobFolder

MOST_PROBLEMS = 50
LOST_ITEM = "a snapshot that has it can't be read; after a repair it is left out"
Users = dict[bytes, list[Finding]]


def examine(store: str | Path) -> Report:
    """Check a store folder without changing it.

    >>> examine("/nowhere").whole
    False
    """
    return _Examination(name_folder(store)).report()


class _Examination:
    """One walk through a store; findings gather as it goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / schema.DATABASE
        self.blobs = BlobFolder(folder / "blobs")
        self.findings: list[Finding] = []
        self.users: Users = {}  # digest -> what to say for each record that names it, should it be bad
        self.nruns = self.nrecords = self.nblobs = self.nbytes = 0

    def report(self) -> Report:
        if self._step("the folder", self._check_there) and self._step("the header", lambda: schema.check_header(self.path)):
            self._check_writable()
            self._step("the write-ahead log", self._check_wal)
            self._step("the database", self._check_database)
            self._step("the blobs", self._check_blobs)
        return Report(
            store=str(self.folder),
            findings=tuple(self.findings),
            runs=self.nruns,
            records=self.nrecords,
            blobs=self.nblobs,
            blob_bytes=self.nbytes,
        )

    def _say(self, severity: str, what: str, *, means: str = "", run: str = "", path: str = "") -> None:
        self.findings.append(Finding(severity=severity, what=what, means=means, run=run, path=path))

    def _step(self, name: str, check: Callable[[], None]) -> bool:
        """Run one part of the examination; what it raises is a finding too."""
        try:
            check()
        except StoreError as error:
            self._say("unread" if _is_kept_out(error) else "error", str(error), path=str(self.path))
        except PermissionError as error:
            self._say(
                "unread", f"{name} of {self.folder} cannot be read ({error.strerror})", means=self._ask(), path=str(self.path)
            )
        except Exception as error:  # damaged bytes can raise anything; the doctor goes on with the next part
            means = "restore the store from a copy, or save what can be read with `headway doctor --repair`"
            self._say("error", f"{name} of {self.folder} cannot be read ({error})", means=means, path=str(self.path))
        else:
            return True
        return False

    def _ask(self) -> str:
        return f"look at it as {owner_of(self.folder)}, whose it is; nothing says that it is damaged"

    def _check_there(self) -> None:
        if not has_database(self.folder):
            raise no_store(self.folder)

    def _check_writable(self) -> None:
        if why := why_not_writable(self.path):
            self._say(
                "info", f"the store can be read but not written: {why}", means="no run can go on from here", path=str(self.path)
            )

    def _check_wal(self) -> None:
        lost = inspect_wal(Path(f"{self.path}-wal")).lost_commits
        if lost:
            self._say(
                "warning" if lost == 1 else "error",
                f"the write-ahead log is broken before its last {lost} transaction{'s'[: lost > 1]}",
                means="they are lost, but one that was being written when the power failed was never durable",
                path=f"{self.path}-wal",
            )

    # the database

    def _check_database(self) -> None:
        before, errors = fingerprint(self.path), len(self.findings)
        try:
            connection, locked = connect_to_read(self.path, strictly=True)
        except sqlite3.Error as error:
            raise schema.explain(error, self.path) from error
        try:
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("BEGIN")
            if self._step("the lock", lambda: self._begin(connection)):
                self._step("the pages", lambda: self._check_pages(connection))
                self._step("the runs", lambda: self._check_runs(connection))
                self._step("the cache", lambda: self._check_cache(connection))
                self._step("the signals", lambda: self._check_signals(connection))
                self._step("the collections", lambda: self._check_items(connection))
                self._step("the claims", lambda: self._check_claims(connection))
                self._step("the rejected records", lambda: self._check_rejected(connection))
        finally:
            connection.close()
        if not locked and before != fingerprint(self.path):
            del self.findings[errors:]  # they may be of pages that were half written
            means = "look again, or look at it on the machine where it is written"
            self._say("unread", f"{self.path} was written while it was read, and this process can't lock it", means=means)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Fix what is read from now on. Raises StoreError where another program keeps the database locked."""
        query = "SELECT COUNT(*) FROM sqlite_schema"
        try:
            wait_for_lock(lambda: connection.execute(query).fetchone(), self.path, schema.BUSY_TIMEOUT_S)
        except sqlite3.Error as error:
            if is_busy(error):
                raise schema.explain(error, self.path) from error

    def _check_pages(self, connection: sqlite3.Connection) -> None:
        for (problem,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
            if problem != "ok":
                means = "`headway doctor --repair` saves what can be read into a new database"
                self._say("error", f"the database has a damaged page: {problem}", means=means, path=str(self.path))

    def _check_runs(self, connection: sqlite3.Connection) -> None:
        stored, error = read_table(connection, f"SELECT {checked_rows.RUN_COLUMNS} FROM run ORDER BY uid")
        if error is not None:
            self._say("error", f"the list of runs ends in a damaged page ({error})", means="later runs may be lost")
        known: set[object] = set()
        for one in stored:
            known.add(one[0])
            self._step(f"run {one[1]!r}", functools.partial(self._check_run, connection, one))
        for uid in self._runs_of_records(connection):
            if uid not in known:
                means = "what the run was is lost, and its results with it"
                self._say("error", f"there are records of run number {uid}, which is not in the list of runs", means=means)

    def _runs_of_records(self, connection: sqlite3.Connection) -> Iterator[int]:
        query = "SELECT run FROM record WHERE run>? ORDER BY run LIMIT 1"
        found = connection.execute(query, (-(1 << 62),)).fetchone()
        while found is not None:
            yield found[0]
            found = connection.execute(query, found).fetchone()

    def _check_run(self, connection: sqlite3.Connection, stored: tuple[object, ...]) -> None:
        info = checked_rows.decode_run(stored, str(self.folder))
        name = info.spec.run_id
        self.nruns += 1
        self._check_owner(info)
        for digest in info.spec.blobs:
            means = "the run cannot be started again from its arguments; what is recorded can still be read"
            self._use(digest, Finding(severity="error", what=f"run {name}: its arguments", means=means, run=name))
        book, broken = Book(info), []
        for found in read_run(connection, info.uid, info.nrows):
            self.nrecords += 1
            if found.row is None or found.seq > info.nrows or book.add(found.seq, found.row) is not None:
                broken.append(found)
            else:
                self._use_blobs(book, found.seq, found.row)
        self.findings += [describe_damage(book, found) for found in broken]

    def _check_owner(self, info: RunInfo) -> None:
        if info.owner and is_alive(info.owner) is False:
            name = info.spec.run_id
            self._say(
                "info",
                f"run {name}: its driver ({info.owner}) is gone",
                means=f"`headway resume {name}` goes on at once",
                run=name,
            )

    def _check_cache(self, connection: sqlite3.Connection) -> None:
        query = "SELECT key, kind, call, parent, body, crc FROM cache"
        stored, error = read_table(connection, query)
        if error is not None:
            self._say("error", f"the cache has a damaged page ({error})", means="calls shared between runs run again")
        for key, kind, call, parent, body, crc in stored:
            row = Row(kind, call, parent, body)  # type: ignore[arg-type]  # the sum held
            text = key.hex() if isinstance(key, bytes) else repr(key)
            means = "the call runs again when it is asked for"
            if not checked_rows.whole_cache(key, row, crc):
                self._say("error", f"the cached result {text} is damaged", means=means)
                continue
            for digest in blobs_of(row):
                self._use(digest, Finding(severity="error", what=f"the cached result {text}", means=means))

    def _check_signals(self, connection: sqlite3.Connection) -> None:
        stored, error = read_table(connection, "SELECT number, run, name, value, at, crc FROM signal ORDER BY number")
        if error is not None:
            self._say("error", f"the list of signals has a damaged page ({error})", means="send later ones again")
        for number, uid, *rest in stored:
            if not checked_rows.whole_signal(uid, *rest):
                self._say("error", f"signal {number} ({rest[0]!r}) is damaged", means="send it again after a repair")

    def _check_items(self, connection: sqlite3.Connection) -> None:
        stored, error = read_table(connection, ALL_ITEMS)
        if error is not None:
            self._say("error", f"the collections have a damaged page ({error})", means="items behind it are lost")
        last, expected = "", 0
        for name, number, *rest in stored:
            expected = expected if name == last else 0
            last = str(name)
            if isinstance(number, int) and number > expected:
                missing = f"item {expected}" if number == expected + 1 else f"items {expected} to {number - 1}"
                self._say("error", f"collection {name!r}: {missing} missing", means=LOST_ITEM)
            expected = number + 1 if isinstance(number, int) else expected
            item = check_item(name, number, *rest)
            what = f"collection {name!r}: item {number}"
            if item is None:
                self._say("error", f"{what} is damaged", means=LOST_ITEM)
                continue
            for digest in item.blobs:
                self._use(digest, Finding(severity="error", what=what, means=LOST_ITEM))

    def _check_claims(self, connection: sqlite3.Connection) -> None:
        query = "SELECT claim.run, owner FROM claim LEFT JOIN run ON uid=claim.run AND run.fence=claim.fence ORDER BY name"
        stored, error = read_table(connection, query)
        if error is not None:
            means = "shared results that runs compute now may be computed twice"
            self._say("error", f"the claims on shared results have a damaged page ({error})", means=means)
        if void := sum(not owner or is_alive(str(owner)) is False for _, owner in stored):
            computed = f"{void} shared results were being computed by drivers that are gone"
            if void == 1:
                computed = "1 shared result was being computed by a driver that is gone"
            self._say("info", computed, means="that holds nobody up: the next run that asks computes them")

    def _check_rejected(self, connection: sqlite3.Connection) -> None:
        query = "SELECT COALESCE(run_id, rejected.run), COUNT(*) FROM rejected LEFT JOIN run ON uid=rejected.run GROUP BY 1"
        for run, count in connection.execute(query).fetchall():
            means = "they were not needed: the driver that took the run over went on without them"
            self._say("info", f"run {run}: {count} records of a late driver were rejected", means=means, run=str(run))

    # blobs

    def _use(self, digest: bytes, finding: Finding) -> None:
        self.users.setdefault(digest, []).append(finding)

    def _use_blobs(self, book: Book, seq: int, row: Row) -> None:
        name = book.run_id
        for digest in blobs_of(row):
            what = f"run {name}: record {seq} ({call_text(row)})"
            self._use(digest, Finding("error", what, book.need(row), run=name, seq=seq, call=row.key.hex()))

    def _check_blobs(self) -> None:
        present = set()
        spare = leftover = 0
        for file in sorted(self.blobs.root.glob("??/*")):
            if file.name.startswith(TEMPORARY):
                leftover += 1
                continue
            digest = _digest_of(file)
            self.nblobs += 1
            nbytes = file.stat().st_size
            self.nbytes += nbytes
            present.add(digest)
            spare += digest not in self.users
        for digest, users in self.users.items():
            self._check_blob(digest, users)
        if spare:
            whole = not any(finding.severity == "error" for finding in self.findings)
            means = "`headway gc` removes them" if whole else "they may belong to what can't be read: keep them"
            self._say("info", f"{spare} blobs are named by no record that can be read", means=means)
        if leftover:
            self._say("info", f"{leftover} unfinished blobs were left by a crash", means="`headway gc` removes them")

    def _check_blob(self, digest: bytes, users: list[Finding]) -> None:
        try:
            self.blobs.get(digest).release()
        except StoreError as error:
            why = str(error).partition(":")[0]
            path = str(self.blobs.path(digest))
            for user in users:
                if _is_kept_out(error):
                    self.findings.append(
                        Finding("unread", f"{user.what}: {error}", self._ask(), user.run, user.seq, user.call, path)
                    )
                    continue
                self.findings.append(Finding(user.severity, f"{user.what}: {why}", user.means, user.run, user.seq, user.call, path))


def _is_kept_out(error: StoreError) -> bool:
    """Whether an error is about who may read, and says nothing about what is there."""
    if isinstance(error, StoreDamaged):
        return False
    cause = error.__cause__
    return (
        isinstance(error, StoreVersion)
        or isinstance(cause, PermissionError)
        or (isinstance(cause, sqlite3.Error) and is_busy(cause))
    )


def _digest_of(file: Path) -> bytes:
    try:
        return bytes.fromhex(file.parent.name + file.name)
    except ValueError:
        return b""
