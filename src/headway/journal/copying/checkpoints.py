"""Copies the checkpoints of a run's calls, file by file, and reads each back.

They are copied before the run is there, so nobody can see them half written. A file that is there is compared: files of checkpoints
never change, but for the one that names the newest.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator

from headway.errors import CheckpointConflict, NoCheckpoint, StoreDamaged
from headway.journal.store import Store
from headway.storage.backend import Backend, Stat
from headway.storage.opening import open_backend

CHUNK = 8 << 20
SMALL = 1 << 20


def copy_checkpoints(source: Store, target: Store, run_id: str) -> tuple[int, str]:
    """Copy what the calls of a run have saved. Returns how many files, and why they could not be copied (empty: all are there)."""
    old, new = source.checkpoint_root(run_id), target.checkpoint_root(run_id)
    files = list(_files(old)) if old is not None else []
    if old is None or not files:
        return 0, ""
    if new is None:
        return 0, f"its {len(files)} files of checkpoints are left: {target.url} has no place for them (add ?blobs= to its URL)"
    here, there = open_backend(old), open_backend(new)
    for file, stat in files:
        _copy(here, there, file, stat.nbytes)
    return len(files), ""


def _files(root: str) -> Iterator[tuple[str, Stat]]:
    with contextlib.suppress(NoCheckpoint):
        yield from open_backend(root).files("")


def _copy(here: Backend, there: Backend, file: str, nbytes: int) -> None:
    if nbytes <= SMALL:
        data = here.get(file)
        _put(there, file, data)
        back, wanted = _digest(there, file, len(data)), hashlib.blake2b(data).digest()
    else:
        wanted = _digest(here, file, nbytes)
        found = there.stat(file)
        if found is None or found.nbytes != nbytes:
            _stream(here, there, file, nbytes)
        back = _digest(there, file, nbytes)
    if back != wanted:
        raise StoreDamaged(f"{file} in {there.url} is not what {here.url} has: remove it, and copy again")


def _put(there: Backend, file: str, data: bytes) -> None:
    try:
        is_there: bytes | None = there.get(file)
    except NoCheckpoint:
        is_there = None
    if is_there != data and not there.swap(file, data, is_there):
        raise CheckpointConflict(f"{file} in {there.url} is written by another program: end that, and copy again")


def _stream(here: Backend, there: Backend, file: str, nbytes: int) -> None:
    writer = there.create(file, nbytes)
    try:
        for chunk in _chunks(here, file, nbytes):
            writer.write(chunk)
        writer.finish()
    except BaseException:
        writer.abort()
        raise


def _digest(backend: Backend, file: str, nbytes: int) -> bytes:
    digest = hashlib.blake2b()
    for chunk in _chunks(backend, file, nbytes):
        digest.update(chunk)
    return digest.digest()


def _chunks(backend: Backend, file: str, nbytes: int) -> Iterator[memoryview]:
    """The bytes of a file, piece by piece, in memory that begins at a page and is used again."""
    with memoryview(mmap.mmap(-1, CHUNK)) as buffer:
        for start in range(0, nbytes, CHUNK):
            with buffer[: min(CHUNK, nbytes - start)] as piece:
                backend.read(file, start, piece)
                yield piece
