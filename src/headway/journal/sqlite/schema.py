"""The database file of a store: its tables, its version, how it is created and opened, what SQLite's errors mean.

The version is in the header of the file (`application_id` and `user_version`), so that it is read from 100 bytes
before SQLite touches anything: a store of a newer Headway is refused without one byte of it changing. A schema change
must leave the header in the main file (change in rollback mode, then return to WAL), never only in the write-ahead
log.

A new database is built under another name and linked into place, so a crash or a second creator never leaves half of
one. An empty or short `journal.db` is therefore damage, and this file must never "repair" it by writing tables into
it.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Any

from headway.errors import StoreDamaged, StoreError, StoreFull, StoreVersion
from headway.journal.sql import claims, items, jobs, limits
from headway.journal.sql.database import Connection
from headway.journal.sqlite.locks import NOTICE, descriptor_of, holders, is_busy, wait_for_lock
from headway.storage.files import sync_folder as sync_folder

DATABASE = "journal.db"
BUILDING = "journal.db.new-"
APPLICATION_ID = 0x48647779  # "Hdwy"
VERSION = 4
BUSY_TIMEOUT_S = 30.0
HEADER_BYTES = 100
SAFE = "what was committed is safe"
READ_ONLY = "allow writing to its files, folder and disk, or go on in a copy; hw.view and `headway show` read it as it is"

TABLES = """
CREATE TABLE run (
    uid INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, spec BLOB NOT NULL, crc INTEGER NOT NULL,
    status TEXT NOT NULL, fence INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',
    owned_since REAL NOT NULL DEFAULT 0, lease_until REAL NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0,
    error_floor INTEGER NOT NULL DEFAULT 0, ended REAL NOT NULL DEFAULT 0, nrows INTEGER NOT NULL DEFAULT 0);
CREATE TABLE record (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, parent BLOB NOT NULL,
    body BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, fence INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
    key BLOB NOT NULL, parent BLOB NOT NULL, body BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE signal (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL,
    value BLOB NOT NULL, at REAL NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX signal_by_run ON signal (run, number);
CREATE TABLE cache (
    key BLOB PRIMARY KEY, kind INTEGER NOT NULL, call BLOB NOT NULL, parent BLOB NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL) WITHOUT ROWID;
"""


def check_header(path: Path) -> None:
    """Refuse a file that is no store, or of another version, by its first 100 bytes, before SQLite opens it.

    Raises:
        StoreDamaged: the file is too short or is not a Headway database.
        StoreVersion: another schema wrote it.
    """
    try:
        if (descriptor := descriptor_of(path)) is not None:  # opening it once more would drop the locks on it
            head = os.pread(descriptor, HEADER_BYTES, 0)
        else:
            with path.open("rb") as file:
                head = file.read(HEADER_BYTES)
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    advice = "run `headway doctor` on its folder, restore it from a copy, or choose another folder"
    if len(head) < HEADER_BYTES:
        raise StoreDamaged(f"{path} is cut short ({len(head)} bytes, a database has more): {advice}")
    if not head.startswith(b"SQLite format 3\0"):
        raise StoreDamaged(f"{path} is not a database (its first bytes are {head[:8]!r}): {advice}")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise StoreDamaged(f"{path} is a database but not one that Headway wrote: {advice}")
    version = int.from_bytes(head[60:64], "big")
    if version != VERSION:
        way = "upgrade headway, or open a copy made by this one" if version > VERSION else "open it with that version"
        raise StoreVersion(f"{path} was written by schema {version}, this Headway reads schema {VERSION}: {way}")


def create(path: Path) -> None:
    """Build an empty database and link it to `path`; a database that somebody else linked there first is left alone."""
    new = path.with_name(f"{BUILDING}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        write_empty(new)
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                new.replace(path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        what = f"a store cannot be made in {path.parent} ({error.strerror}): free some space or check permissions"
        raise StoreFull(error.errno or errno.EIO, what) from error
    finally:
        new.unlink(missing_ok=True)


def number_signals_behind(connection: Connection, heard: int) -> None:
    """Let the signals that are sent from now on have larger numbers than this. A run that another store had, or a fork of a run
    that is gone, has used numbers that no signal here has."""
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name='signal'").fetchone()
    if last is None:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('signal', ?)", (heard,))
    elif last[0] < heard:
        connection.execute("UPDATE sqlite_sequence SET seq=? WHERE name='signal'", (heard,))


def write_empty(path: Path) -> None:
    """A database with the tables of this version at `path`, closed, ready for WAL."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")  # nobody knows the file yet; one sync below makes it durable
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.executescript(
            f"BEGIN;PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={VERSION};"
            f"{TABLES}{items.TABLES}{claims.TABLES}{limits.TABLES}{jobs.TABLES}"
            + "".join(f"CREATE INDEX {name} {what};" for name, what in jobs.INDEXES)
            + "COMMIT;"
        )
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def connect(path: Path, *, readonly: bool = False, more: str = "", first: str = "") -> sqlite3.Connection:
    """A connection to an existing database, usable from any thread (the caller locks). `more`: other parameters of its URI;
    `first`: what has to be said before anything else."""
    mode = "ro" if readonly else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{more}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=NOTICE * BUSY_TIMEOUT_S,  # `wait_for_lock` waits on
        cached_statements=256,
        factory=_Connection,
    )
    connection.text_factory = decode_text
    settings = ["synchronous=FULL", "wal_autocheckpoint=1000", "cache_size=-16000", "trusted_schema=OFF"]

    def begin() -> None:
        for setting in [first] * bool(first) + settings:
            connection.execute(f"PRAGMA {setting}")
        if not readonly:
            connection.execute("SELECT 1 FROM run LIMIT 1").fetchall()

    try:
        wait_for_lock(begin, path, BUSY_TIMEOUT_S)
    except BaseException:
        connection.close()
        raise
    return connection


class _Connection(sqlite3.Connection):
    """One that says "damaged" also where Python can't decode what SQLite says of it, since it quotes a damaged page."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            damaged = sqlite3.DatabaseError(decode_text(error.object))
            damaged.sqlite_errorcode, damaged.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
            raise damaged from None


def decode_text(raw: bytes) -> str:
    """Text that a damaged page made unreadable is still a string, so that the checks above it can speak."""
    return raw.decode("utf-8", "backslashreplace")


def explain(error: sqlite3.Error, where: Path | str) -> StoreError:
    """The store error that an SQLite error means."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(errno.ENOSPC, f"the disk of {where} is full ({error}): free some space; {SAFE}")
    if code == sqlite3.SQLITE_IOERR:
        return StoreFull(errno.EIO, f"the disk of {where} failed ({name}): check disk and quota; {SAFE}")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(f"{where} cannot be written ({error}): {READ_ONLY}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(f"{where} is damaged ({error}): run `headway doctor` to see what is lost")
    if is_busy(error):
        return StoreError(
            f"{where} stayed locked by {holders(Path(where))} for {BUSY_TIMEOUT_S:g} s: end the program that holds it "
            "(a backup, an open sqlite3 shell) and try again"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"{where} cannot be opened ({error}): check that its folder exists and can be written")
    return StoreError(f"{where} cannot be used ({name}: {error}): run `headway doctor` on its folder")
