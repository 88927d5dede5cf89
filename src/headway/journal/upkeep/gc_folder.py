"""What lies about in a folder: files of blobs, their ages, and what crashes left beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from headway.journal.clocks import SET_BACK_S
from headway.journal.owner import LEASE_S
from headway.journal.records import Row, RunInfo
from headway.journal.sqlite.schema import BUILDING
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.gc import Candidates
from headway.storage.blobs import TEMPORARY


class FolderHeap:
    """The blobs of a folder."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store

    def find_free(self, run_id: str, now: float, *, dry_run: bool) -> RunInfo:
        if not dry_run:
            self.store.shorten_leases(now + LEASE_S, run_id)
        return self.store.free_run(run_id, now)

    def candidates(self, now: float, grace_s: float, *, dry_run: bool) -> Candidates:
        def is_old(file: Path) -> bool:
            return _age_s(file, now, dry_run=dry_run) > grace_s

        return Candidates(*_candidates(self.store, is_old))

    def delete_checkpoints(self, run_id: str) -> None:
        shutil.rmtree(self.store.checkpoint_root(run_id), ignore_errors=True)

    def other_rows(self) -> Iterator[Row]:
        query = "SELECT kind, call, parent, body FROM cache UNION ALL SELECT kind, key, parent, body FROM rejected"
        for stored in self.store.reading(lambda connection: connection.execute(query).fetchall()):
            yield Row(*stored)

    def remove_blobs(self, digests: Iterable[bytes], before: float, *, dry_run: bool) -> tuple[int, int]:
        removed = [self._remove(self.store.blobs.path(digest), before, dry_run=dry_run) for digest in digests]
        sizes = [nbytes for nbytes in removed if nbytes is not None]
        return len(sizes), sum(sizes)

    def _remove(self, path: Path, before: float, *, dry_run: bool) -> int | None:
        """Remove a blob that nobody wrote again meanwhile; its size in bytes."""
        with self.store.blobs.lock(exclusive=True):
            try:
                state = path.stat()
                if state.st_mtime >= before:
                    return None
                if not dry_run:
                    path.unlink()
            except FileNotFoundError:
                return None
        return state.st_size

    def sweep(self, temporary: Sequence[Path], now: float) -> None:
        for file in temporary:
            file.unlink(missing_ok=True)
        self.store.drop_void_claims(now)

    def sweep_rows(self, *, dry_run: bool) -> int:
        return 0  # a run and its rows go in one transaction

    def vacuum(self) -> None:
        self.store.vacuum()


def _candidates(store: SqliteStore, is_old: Callable[[Path], bool]) -> tuple[set[bytes], set[bytes], list[Path]]:
    """Old blobs, younger ones, and old temporary files."""
    old: set[bytes] = set()
    young: set[bytes] = set()
    temporary = [file for file in store.folder.glob(f"{BUILDING}*") if is_old(file)]
    for file in store.blobs.root.glob("??/*"):
        try:
            aged = is_old(file)
            if file.name.startswith(TEMPORARY):
                temporary += [file] * aged
            else:
                (old if aged else young).add(bytes.fromhex(file.parent.name + file.name))
        except (FileNotFoundError, ValueError):
            continue  # renamed meanwhile, or a file that is not ours
    return old, young, temporary


def _age_s(file: Path, now: float, *, dry_run: bool) -> float:
    """How long ago a file was written. One of the future, from before the clock was set back, is dated now: the grace period then
    lasts for its own length."""
    written = file.stat().st_mtime
    if written <= now + SET_BACK_S:
        return now - written
    if not dry_run:
        with contextlib.suppress(OSError):
            os.utime(file, (now, now))
    return 0.0
