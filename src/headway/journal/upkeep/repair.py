"""Making a damaged store usable again: everything that can be read is copied into a new database, the rest is named.

The old database is kept beside the new one, byte for byte. A run loses its damaged records, and those outcomes whose
blobs are damaged or missing; their calls run again. What such a call had spent stays in the ledger as a CHARGE.
Whatever is doubtful is dropped: an older outcome of a call whose newer one is lost would be a wrong answer, not an
old one.

This file must never touch a store that somebody drives, nor replace a database before its copy is durable.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from pathlib import Path

import msgspec

from headway.errors import StoreDamaged, StoreError
from headway.journal.owner import check_takeover
from headway.journal.place import has_database, name_folder, no_store
from headway.journal.records import COSTED, Charge, Kind, Outcome, Row, RunInfo, RunStatus
from headway.journal.shared.items import Item, check_item
from headway.journal.sql import checked_rows
from headway.journal.sql.items import ALL_ITEMS, insert_item
from headway.journal.sqlite import schema
from headway.journal.sqlite.access import why_not_writable
from headway.journal.sqlite.inserting import insert_rows
from headway.journal.upkeep.findings import BODIES, Book, Finding, call_text, describe_damage
from headway.journal.upkeep.named import blobs_of
from headway.journal.upkeep.queues_kept import copy_queues
from headway.journal.upkeep.salvage import read_run, read_table
from headway.storage.blobs import BlobFolder

MOST_PADDED = 1 << 40  # a header that says more is itself damaged


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair kept and what it had to drop."""

    backup: str  # the old database, as it was
    runs: int
    records: int
    dropped: tuple[Finding, ...]


def repair(store: str | Path, *, now: float) -> Repaired:
    """Rebuild the database of a store from what can be read of it. Nobody may drive a run of it meanwhile.

    Raises:
        RunOwned: a run has a live driver; nothing is changed.
        StoreDamaged, StoreVersion: nothing can be read; nothing is changed.
    """
    return _Repair(name_folder(store), now).work()


class _Repair:
    def __init__(self, folder: Path, now: float) -> None:
        self.folder = folder
        self.now = now
        self.path = folder / schema.DATABASE
        self.blobs = BlobFolder(folder / "blobs")
        self.dropped: list[Finding] = []
        self.blob_state: dict[bytes, bool] = {}
        self.nruns = self.nrecords = 0

    def work(self) -> Repaired:
        if not has_database(self.folder):
            raise no_store(self.folder)
        if why := why_not_writable(self.path):
            raise StoreError(f"the store {self.folder} cannot be repaired: {why}. Copy it where you may write and repair the copy")
        schema.check_header(self.path)
        new = self.path.with_name(f"{schema.BUILDING}repair-{os.getpid()}")
        backup = self._backup()
        readable = self.path.with_name(f"{schema.BUILDING}salvage-{os.getpid()}")
        try:
            self._copy_whole(readable)
            self._rebuild(readable, new)
        except BaseException as error:
            for file in (new, backup, Path(f"{backup}-wal")):
                file.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error):
                raise StoreDamaged(
                    f"nothing of {self.path} can be read any more ({error}): restore it from a copy, or begin a new store in "
                    "another folder; its blobs are untouched"
                ) from error
            raise
        finally:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{readable}{suffix}").unlink(missing_ok=True)
        self._swap(new)
        return Repaired(backup=str(backup), runs=self.nruns, records=self.nrecords, dropped=tuple(self.dropped))

    def _backup(self) -> Path:
        """A copy of the database and its log under names that SQLite opens together."""
        number = 1
        while (backup := self.path.with_name(f"{schema.DATABASE}.backup-{number}")).exists():
            number += 1
        for suffix in ("-wal", ""):
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                copy = Path(f"{backup}{suffix}")
                shutil.copy2(source, copy)
                with copy.open("rb") as file:
                    os.fsync(file.fileno())
        schema.sync_folder(self.folder)
        return backup

    def _copy_whole(self, copy: Path) -> None:
        """A copy to read from, as long as its header says: SQLite opens no database that was cut short, although most of its
        pages may be there. What is missing reads as zeros and is found damaged row by row."""
        for suffix in ("-wal", ""):
            if (source := Path(f"{self.path}{suffix}")).exists():
                shutil.copy2(source, Path(f"{copy}{suffix}"))
        with copy.open("r+b") as file:
            head = file.read(schema.HEADER_BYTES)
            page = int.from_bytes(head[16:18], "big")
            size = int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)
            if file.seek(0, os.SEEK_END) < size <= MOST_PADDED:
                file.truncate(size)

    def _rebuild(self, readable: Path, path: Path) -> None:
        schema.write_empty(path)
        source = schema.connect(readable, readonly=True)
        target = sqlite3.connect(path, isolation_level=None)
        try:
            source.execute("BEGIN")
            target.execute("PRAGMA synchronous=FULL")
            target.execute("BEGIN IMMEDIATE")
            self._copy_runs(source, target)
            self._copy_cache(source, target)
            self._copy_signals(source, target)
            self._copy_items(source, target)
            self._copy_rejected(source, target)
            copy_queues(source, target, self.now, self._drop)
            target.execute("COMMIT")
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            source.close()
            target.close()

    def _swap(self, new: Path) -> None:
        """Put the new database in place. The old log goes first: it must never be replayed onto another database."""
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        schema.sync_folder(self.folder)
        new.replace(self.path)
        schema.sync_folder(self.folder)

    # what is copied

    def _copy_runs(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        stored, error = read_table(source, f"SELECT {checked_rows.RUN_COLUMNS} FROM run ORDER BY uid")
        if error is not None and not stored:
            raise StoreDamaged(f"no run of {self.path} can be read ({error}): restore it from a copy, or begin a new store")
        if error is not None:
            self._drop("the list of runs ends in a damaged page", "runs behind it are lost; the backup has their bytes")
        infos = [info for one in stored if (info := self._salvage_run(one)) is not None]
        for info in infos:
            check_takeover(info, self.now)
        for info in infos:
            self._copy_run(source, target, info)

    def _salvage_run(self, stored: tuple[object, ...]) -> RunInfo | None:
        """The run where its spec is whole, with what is wrong in its state set back."""
        try:
            return checked_rows.decode_run(stored, str(self.folder))
        except StoreDamaged:
            state = (RunStatus.INTERRUPTED.value, 0, "", 0.0, 0.0, 0, 0, 0.0, 0)
        try:
            info = checked_rows.decode_run((*stored[:4], *state), str(self.folder))
        except StoreDamaged:
            self._drop(f"run {stored[1]!r} is damaged", "it is lost; the backup has its bytes")
            return None
        self._drop(f"run {info.spec.run_id}: its state was damaged", f"`headway resume {info.spec.run_id}` goes on")
        return info

    def _copy_run(self, source: sqlite3.Connection, target: sqlite3.Connection, info: RunInfo) -> None:
        whole: list[tuple[int, Row]] = []
        book, broken, doubtful = Book(info), [], {}
        for found in read_run(source, info.uid, info.nrows):
            beyond = info.nrows and found.seq > info.nrows
            if found.row is None or beyond or book.add(found.seq, found.row) is not None:
                broken.append(found)
                if found.stored is not None and isinstance(found.stored[2], bytes):
                    doubtful[found.stored[2]] = found.seq
            else:
                whole.append((found.seq, found.row))
        self.dropped += [describe_damage(book, found) for found in broken]
        lost: set[int] = set()
        for seq, row in whole:
            if not all(map(self._blob_is_whole, blobs_of(row))):
                if row.kind & ~COSTED == Kind.DECISION:  # an item of a stream: all of that runs again
                    lost.add(seq)
                    doubtful[row.parent] = whole[-1][0]
                else:
                    doubtful[row.key] = seq
                means = book.need(row)
                what = f"run {book.run_id}: record {seq} ({call_text(row)}) names a blob that is damaged or missing"
                self.dropped.append(Finding("error", what, means, book.run_id, seq, row.key.hex()))
        kept = [(seq, now) for seq, row in whole if seq not in lost and (now := _without_lost(row, seq, doubtful)) is not None]
        floor = sum(seq <= info.error_floor for seq, _ in kept)
        self._write_run(target, info, [row for _, row in kept], floor)

    def _write_run(self, target: sqlite3.Connection, info: RunInfo, rows: list[Row], floor: int) -> None:
        names = "uid, run_id, spec, crc, status, fence, error_floor, cancel, ended, nrows"
        state = (info.status.value, info.fence, floor, int(info.cancel_requested), info.ended, len(rows))
        values = (info.uid, *checked_rows.encode_run(info.spec), *state)
        target.execute(f"INSERT INTO run ({names}) VALUES ({','.join('?' * len(values))})", values)
        insert_rows(target, info.uid, 1, rows)
        self.nruns += 1
        self.nrecords += len(rows)

    def _copy_cache(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        stored, error = read_table(source, "SELECT key, kind, call, parent, body, crc FROM cache")
        if error is not None:
            self._drop("the cache has a damaged page", "calls shared between runs run again")
        for key, kind, call, parent, body, crc in stored:
            row = Row(kind, call, parent, body)  # type: ignore[arg-type]  # the sum held
            if isinstance(key, bytes) and checked_rows.whole_cache(key, row, crc):
                if all(map(self._blob_is_whole, blobs_of(row))):
                    checked_rows.insert_cache(target, [(key, row)])
                    continue
                row = Row(0, key, b"", b"")
            self._drop(f"a cached result ({call_text(row)}) is damaged", "the call runs again when it is asked for")

    def _copy_signals(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        stored, error = read_table(source, "SELECT number, run, name, value, at, crc FROM signal ORDER BY number")
        if error is not None:
            self._drop("the list of signals has a damaged page", "send later ones again")
        for number, *rest in stored:
            if checked_rows.whole_signal(*rest) and isinstance(number, int):
                target.execute("INSERT INTO signal (number, run, name, value, at, crc) VALUES (?,?,?,?,?,?)", (number, *rest))
            else:
                self._drop(f"signal {number} ({rest[1]!r}) is damaged", "send it again")

    def _copy_items(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        """Items keep their numbers; one that is lost leaves its place, so that versions go on to mean the same."""
        stored, error = read_table(source, ALL_ITEMS)
        if error is not None:
            self._drop("the collections have a damaged page", "items behind it are lost; the backup has their bytes")
        sizes: dict[str, int] = {}
        for name, number, token, *rest in stored:
            if not isinstance(name, str) or not isinstance(number, int):
                self._drop(f"an item of collection {name!r} is damaged", "it is lost; the backup has its bytes")
                continue
            item = check_item(name, number, token, *rest)
            if item is None and number != sizes.get(name, 0):  # nothing says where it belongs
                self._drop(f"an item of collection {name!r} is damaged", "it is lost; the backup has its bytes")
                continue
            for missing in range(sizes.get(name, 0), number):
                self._lose_item(target, name, missing, None)
            sizes[name] = number + 1
            if item is None or not all(map(self._blob_is_whole, item.blobs)):
                self._lose_item(target, name, number, item)
            else:
                insert_item(target, name, number, item)

    def _lose_item(self, target: sqlite3.Connection, name: str, number: int, item: Item | None) -> None:
        self._drop(f"collection {name!r}: item {number} is lost", "snapshots leave it out")
        token = secrets.token_bytes(16) if item is None else item.token
        insert_item(target, name, number, Item(token))

    def _copy_rejected(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        names = "run, fence, seq, kind, key, parent, body, at"
        stored, _ = read_table(source, f"SELECT {names} FROM rejected ORDER BY id")
        whole = [one for one in stored if None not in one]
        target.executemany(f"INSERT INTO rejected ({names}) VALUES (?,?,?,?,?,?,?,?)", whole)

    def _blob_is_whole(self, digest: bytes) -> bool:
        if digest not in self.blob_state:
            try:
                self.blobs.get(digest).release()
                self.blob_state[digest] = True
            except StoreError:
                self.blob_state[digest] = False
        return self.blob_state[digest]

    def _drop(self, what: str, means: str) -> None:
        self.dropped.append(Finding("error", what, means))


def _without_lost(row: Row, seq: int, doubtful: dict[bytes, int]) -> Row | None:
    """The row as the repaired run has it: an outcome up to the lost record of its call becomes the charge it made."""
    if row.kind & ~COSTED != Kind.OUTCOME or seq > doubtful.get(row.key, 0):
        return row
    outcome = BODIES[Kind.OUTCOME].decode(row.body)
    if not isinstance(outcome, Outcome) or not outcome.cost:
        return None
    charge = Charge(task=outcome.task, scope=outcome.scope, cost=outcome.cost)
    return Row(Kind.CHARGE | COSTED, row.key, row.parent, msgspec.msgpack.encode(charge))
