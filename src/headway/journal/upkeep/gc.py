"""Collecting garbage: blobs that no record names, what crashes left behind, and runs that a user no longer wants.

A run writes a blob first and names it later, so a young blob is never garbage, and a blob that is written again
counts as young. The candidates are listed before the records are read, and looked at once more under a lock before
each is removed: a collection may run beside any number of drivers. A record that cannot be read could name anything,
so the collection must never remove a blob from a store with damaged records.

Where blobs are is each store's own: `gc_folder` and `gc_postgres` have the two heaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from headway.errors import UsageError
from headway.journal.records import Row, RunInfo
from headway.journal.store import Store, every_run
from headway.journal.upkeep.named import blobs_of

GRACE_S = 3600.0


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection removed, or would remove."""

    dry_run: bool
    runs: int
    rows: int  # of runs that were asked to go, or that an interrupted deletion had left
    blobs: int
    blob_bytes: int
    temporary_files: int
    kept_young: int  # blobs that no record names yet, younger than the grace period


class Candidates(NamedTuple):
    """What may be garbage, by its age."""

    old: set[bytes]
    young: set[bytes]
    temporary: Sequence[Any]  # what writers that died have left, as the heap knows it


class Heap(Protocol):
    """The blobs of one store, and what else lies about in it."""

    @property
    def store(self) -> Store: ...

    def find_free(self, run_id: str, now: float, *, dry_run: bool) -> RunInfo:
        """The run, if nobody drives it. Raises RunOwned, UnknownRun. A lease that nobody renews ends soon."""

    def candidates(self, now: float, grace_s: float, *, dry_run: bool) -> Candidates:
        """Blobs and other leftovers, old and young."""

    def delete_checkpoints(self, run_id: str) -> None:
        """Forget the checkpoints of a run's calls."""

    def other_rows(self) -> Iterator[Row]:
        """The rows that belong to no run and name blobs as well: shared results, and what late writers brought."""

    def remove_blobs(self, digests: Iterable[bytes], before: float, *, dry_run: bool) -> tuple[int, int]:
        """Remove those that nobody has written again since; how many, and their bytes."""

    def sweep(self, temporary: Sequence[Any], now: float) -> None:
        """Remove what writers that died have left."""

    def sweep_rows(self, *, dry_run: bool) -> int:
        """Remove the rows of runs that are gone; how many there were."""

    def vacuum(self) -> None:
        """Give the space of deleted rows back."""


def gc(
    store: Store,
    *,
    now: float,
    dry_run: bool = False,
    keep: Iterable[bytes] = (),
    grace_s: float = GRACE_S,
    delete_runs: Iterable[str] = (),
    vacuum: bool = False,
) -> Collected:
    """Remove what no run needs.

    Arguments:
        now: wall clock seconds, compared with the times of files.
        dry_run: only count.
        keep: digests of blobs to keep although no record names them.
        grace_s: blobs and temporary files younger than this many seconds stay.
        delete_runs: ids of runs to forget first. Raises RunOwned where one is live, before anything is removed.
        vacuum: give the space of deleted rows back to the disk, or to other rows of a database.

    Raises:
        StoreDamaged: a record cannot be read; no blob is removed.
        UsageError: the store ends with its program.
    """
    heap = _open_heap(store)
    wanted = list(dict.fromkeys(delete_runs))
    doomed = [heap.find_free(run_id, now, dry_run=dry_run) for run_id in wanted]
    found = heap.candidates(now, grace_s, dry_run=dry_run)
    rows = heap.sweep_rows(dry_run=dry_run) + sum(run.nrows for run in doomed if dry_run)
    if not dry_run:  # before the records are read: a fork of such a run is then either among them or refused
        for run in doomed:
            rows += store.delete_run(run.spec.run_id, now)
            heap.delete_checkpoints(run.spec.run_id)
    named = set(keep).union(_find_named_blobs(heap, frozenset(run.uid for run in doomed)))
    blobs, nbytes = heap.remove_blobs(found.old - named, now - grace_s, dry_run=dry_run)
    if not dry_run:
        heap.sweep(found.temporary, now)
        if vacuum:
            heap.vacuum()
    return Collected(
        dry_run=dry_run,
        runs=len(doomed),
        rows=rows,
        blobs=blobs,
        blob_bytes=nbytes,
        temporary_files=len(found.temporary),
        kept_young=len(found.young - named),
    )


def _open_heap(store: Store) -> Heap:
    from headway.journal.sqlite.store import SqliteStore

    if isinstance(store, SqliteStore):
        from headway.journal.upkeep.gc_folder import FolderHeap

        return FolderHeap(store)
    from headway.journal.postgres.store import PostgresStore

    if isinstance(store, PostgresStore):
        from headway.journal.upkeep.gc_postgres import PostgresHeap

        return PostgresHeap(store)
    raise UsageError(f"`headway gc` collects in a folder or a database; {store.url!r} is neither")


def _find_named_blobs(heap: Heap, without: frozenset[int]) -> Iterator[bytes]:
    """Find every blob that a record, an item or a schedule names, except in the runs of `without`."""
    store = heap.store
    for run in every_run(store):
        if run.uid not in without:
            yield from run.spec.blobs
            for _, row in store.rows(run.uid):
                yield from blobs_of(row)
    for info in store.schedules():
        yield from info.schedule.spec.blobs
    for collection in store.collections():
        for item in store.items(collection.name):
            yield from item.blobs
    for row in heap.other_rows():
        yield from blobs_of(row)
