"""What lies about in a Postgres store: rows of blobs by the time of their last use, objects without a row, rows without a run.

All is done in batches, each a short transaction, beside live drivers. A blob goes in a transaction that holds its row: whoever
writes it again first says so in the row (`postgres.blobs`), and either is seen here or finds the blob gone and writes it anew.
An object without a row is what a writer or a collector left that died; it gets a row for as long as it is being removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from headway.journal.owner import LEASE_S
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Row, RunInfo
from headway.journal.upkeep.gc import Candidates
from headway.journal.upkeep.postgres_doctor import ORPHANS
from headway.storage.large import LargeBlobs
from headway.storage.opening import open_backend

PAGE = 5000
BATCH = 200  # blobs that go in one transaction
ROWS = 20_000  # of one statement
FILES = 1000
T = TypeVar("T")


class PostgresHeap:
    """The blobs of a database, and of the place of its large ones."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self._large = LargeBlobs(store.address.blobs)

    def find_free(self, run_id: str, now: float, *, dry_run: bool) -> RunInfo:
        if not dry_run:
            self.store.shorten_leases(self.store.by_server(now) + LEASE_S, run_id)
        return self.store.free_run(run_id, now)

    # blobs

    def candidates(self, now: float, grace_s: float, *, dry_run: bool) -> Candidates:
        before = self.store.by_server(now) - grace_s
        old: set[bytes] = set()
        young: set[bytes] = set()
        for digest, at in self._pages("digest, at", "blob"):
            (old if at < before else young).add(digest)
        known = old | young
        lost = [digest for digest, stat in self._large.listed() if digest not in known and stat.modified < now - grace_s]
        return Candidates(old, young, lost)

    def _pages(self, columns: str, table: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a table in the order of its first column, which is its key."""
        key = columns.partition(",")[0]
        behind = b""
        while True:
            query = f"SELECT {columns} FROM {table} WHERE {key}>? ORDER BY {key} LIMIT {PAGE}"
            page = self.store.reading(lambda connection: connection.execute(query, (behind,)).fetchall())  # noqa: B023 - at once
            yield from page
            if len(page) < PAGE:
                return
            behind = page[-1][0]

    def remove_blobs(self, digests: Iterable[bytes], before: float, *, dry_run: bool) -> tuple[int, int]:
        count = nbytes = 0
        before = self.store.by_server(before)
        wanted = sorted(digests)
        for part in _parts(wanted, BATCH):
            names = ", ".join("?" * len(part))
            with self.store.writing() as connection:
                query = (
                    f"SELECT digest, nbytes, data IS NULL FROM blob WHERE digest IN ({names}) AND at<? ORDER BY digest FOR UPDATE"
                )
                found = connection.execute(query, (*part, before)).fetchall()
                if found and not dry_run:
                    self._large.remove([digest for digest, _, is_large in found if is_large])
                    connection.executemany("DELETE FROM blob WHERE digest=?", [(digest,) for digest, _, _ in found])
            count += len(found)
            nbytes += sum(size for _, size, _ in found)
        return count, nbytes

    def sweep(self, temporary: Sequence[bytes], now: float) -> None:
        for digest in temporary:
            with self.store.writing() as connection:
                mark = "INSERT INTO blob (digest, nbytes, data, at) VALUES (?, 0, NULL, 0) ON CONFLICT (digest) DO NOTHING"
                if connection.execute(mark, (digest,)).rowcount:  # else somebody has written it meanwhile
                    self._large.remove([digest])
                    connection.execute("DELETE FROM blob WHERE digest=?", (digest,))
        self.store.drop_void_claims(self.store.by_server(now))

    # rows

    def sweep_rows(self, *, dry_run: bool) -> int:
        count = 0
        while found := self.store.reading(lambda connection: connection.execute(ORPHANS, (1000,)).fetchall()):
            for (uid,) in found:
                count += self._count(uid) if dry_run else self.store.delete_rows(uid)
            if dry_run:
                break
        return count

    def _count(self, uid: int) -> int:
        query = "SELECT count(*) FROM record WHERE run=?"
        return int(self.store.reading(lambda connection: connection.execute(query, (uid,)).fetchone())[0])

    def other_rows(self) -> Iterator[Row]:
        for _, *row in self._pages("key, kind, call, parent, body", "cache"):
            yield Row(*row)
        last = 0
        while True:
            query = f"SELECT id, kind, key, parent, body FROM rejected WHERE id>? ORDER BY id LIMIT {PAGE}"
            page = self.store.reading(lambda connection: connection.execute(query, (last,)).fetchall())  # noqa: B023 - at once
            yield from (Row(*row) for _, *row in page)
            if len(page) < PAGE:
                return
            last = page[-1][0]

    # all else

    def delete_checkpoints(self, run_id: str) -> None:
        root = self.store.checkpoint_root(run_id)
        if root is None:
            return
        if "://" not in root:
            shutil.rmtree(root, ignore_errors=True)
            return
        backend = open_backend(root)
        for part in _parts([file for file, _ in backend.files("")], FILES):
            backend.delete(part)

    def vacuum(self) -> None:
        self.store.vacuum()


def _parts(whole: list[T], most: int) -> Iterator[list[T]]:
    """Cut a list into parts of at most so many."""
    yield from (whole[at : at + most] for at in range(0, len(whole), most))
