"""Collecting garbage: blobs that no record names, what crashes left behind, and runs that a user no longer wants.

A run writes a blob first and names it later, so a young blob is never garbage, and a blob that is written again
counts as young. The candidates are listed before the records are read, and looked at once more under a lock before
each is removed: a collection may run beside any number of drivers. A record that cannot be read could name anything,
so the collection must never remove a blob from a store with damaged records.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from headway.journal.clocks import SET_BACK_S
from headway.journal.owner import LEASE_S, check_takeover
from headway.journal.records import Row
from headway.journal.sqlite.schema import BUILDING
from headway.journal.sqlite.store import SqliteStore
from headway.journal.upkeep.named import blobs_of
from headway.storage.blobs import TEMPORARY

GRACE_S = 3600.0


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection removed, or would remove."""

    dry_run: bool
    runs: int
    rows: int
    blobs: int
    blob_bytes: int
    temporary_files: int
    kept_young: int  # blobs that no record names yet, younger than the grace period


def gc(
    store: SqliteStore,
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
        vacuum: give the space of deleted rows back to the disk.

    Raises:
        StoreDamaged: a record cannot be read; no blob is removed.
    """
    doomed = [store.run(run_id) for run_id in delete_runs]
    if not dry_run and doomed:
        store.shorten_leases(now + LEASE_S)
    for run in doomed:
        check_takeover(run, now)
    old, young, temporary = _candidates(store, lambda file: _age_s(file, now, dry_run=dry_run) > grace_s)
    rows = sum(run.nrows for run in doomed)
    if not dry_run:  # before the records are read: a fork of such a run is then either among them or refused
        rows = sum(store.delete_run(run.spec.run_id, now) for run in doomed)
        for run in doomed:
            shutil.rmtree(store.checkpoint_root(run.spec.run_id), ignore_errors=True)
    named = set(keep) | _find_named_blobs(store, frozenset(run.uid for run in doomed))
    blobs = nbytes = 0
    for digest in old - named:
        removed = _remove(store, store.blobs.path(digest), now - grace_s, dry_run=dry_run)
        blobs += removed is not None
        nbytes += removed or 0
    if not dry_run:
        for file in temporary:
            file.unlink(missing_ok=True)
        store.drop_void_claims(now)
        if vacuum:
            store.vacuum()
    return Collected(
        dry_run=dry_run,
        runs=len(doomed),
        rows=rows,
        blobs=blobs,
        blob_bytes=nbytes,
        temporary_files=len(temporary),
        kept_young=len(young - named),
    )


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


def _find_named_blobs(store: SqliteStore, without: frozenset[int]) -> set[bytes]:
    """Find every blob that a record, an item or a schedule names, except in the runs of `without`."""
    named: set[bytes] = set()
    for run in store.runs():
        if run.uid not in without:
            named.update(run.spec.blobs)
            for _, row in store.rows(run.uid):
                named.update(blobs_of(row))
    for info in store.schedules():
        named.update(info.schedule.spec.blobs)
    for collection in store.collections():
        named.update(digest for item in store.items(collection.name) for digest in item.blobs)
    query = "SELECT kind, call, parent, body FROM cache UNION ALL SELECT kind, key, parent, body FROM rejected"
    for stored in store.reading(lambda connection: connection.execute(query).fetchall()):
        named.update(blobs_of(Row(*stored)))
    return named


def _remove(store: SqliteStore, path: Path, before: float, *, dry_run: bool) -> int | None:
    """Remove a blob that nobody wrote again meanwhile; its size in bytes."""
    with store.blobs.lock(exclusive=True):
        try:
            state = path.stat()
            if state.st_mtime >= before:
                return None
            if not dry_run:
                path.unlink()
        except FileNotFoundError:
            return None
    return state.st_size
