"""Content-addressed blobs in a folder: `blobs/ab/cdef…`, one file per blob, named by the hash of its bytes.

A blob is written under a temporary name in its own folder, synced, renamed and the folder synced: a name that exists
has all its bytes. A blob is hashed again whenever it is read, so a flipped bit is an error and never a result. An
existing blob is kept, and its time refreshed under a lock, so that a collection of garbage never takes a blob that a
run is about to name.

This file must never write into a file that has its final name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from headway.errors import StoreDamaged, StoreError, StoreFull
from headway.storage.files import Temporary, write_small

Buffer = bytes | bytearray | memoryview

DIGEST_BYTES = 16
TEMPORARY = ".tmp-"
LOCK = ".lock"
RESTORE = "restore it from a copy, or run `headway doctor --repair` so that the calls that made it run again"
MAPPED_FROM_BYTES = 256 * 1024  # smaller blobs are read, larger ones mapped


class BlobFolder:
    """The blobs of a store on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: bytes) -> Path:
        """Where the blob of this digest is, if it exists."""
        name = digest.hex()
        return self.root / name[:2] / name[2:]

    def put(self, digest: bytes, data: Buffer) -> None:
        """Write the blob durably, unless it exists with the same size.

        Raises:
            StoreFull: the disk is full or refuses to write; nothing of the blob stays.
        """
        path = self.path(digest)
        with memoryview(data) as view, view.cast("B") as flat:
            if self._refresh(path, flat.nbytes):
                return
            try:
                self._write(path, flat)
            except OSError as error:
                number = error.errno or errno.EIO
                raise StoreFull(
                    number,
                    f"blob {digest.hex()} ({flat.nbytes} bytes) cannot be written to {path.parent} "
                    f"({os.strerror(number)}): free some space or check the disk; what was committed is safe",
                ) from error

    def get(self, digest: bytes) -> memoryview:
        """The blob, verified, as writable memory of the caller's own (copy on write where the file is mapped).

        Raises:
            StoreDamaged: the blob is missing or has other bytes than were written.
        """
        path = self.path(digest)
        try:
            view = read_private(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreDamaged(f"blob {digest.hex()} is missing ({path}): {RESTORE}") from error
        except OSError as error:
            raise StoreError(f"blob {digest.hex()} cannot be read from {path} ({error.strerror})") from error
        if hash_blob(view) != digest:
            raise StoreDamaged(f"blob {digest.hex()} is damaged ({path} has other bytes than were written): {RESTORE}")
        return view

    @contextlib.contextmanager
    def lock(self, *, exclusive: bool) -> Iterator[None]:
        """Hold off collectors (shared) or writers that refresh a blob (exclusive), in every process."""
        self.root.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def _refresh(self, path: Path, nbytes: int) -> bool:
        """Whether the blob exists whole in size; if so it counts as new for the collector from now on."""
        if not path.exists():
            return False
        try:
            with self.lock(exclusive=False):
                if path.stat().st_size != nbytes:
                    return False  # a torn file: renaming over it heals it
                os.utime(path)
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreFull(error.errno or errno.EIO, f"{path} cannot be refreshed: {error.strerror}") from error

    def _write(self, path: Path, flat: memoryview) -> None:
        temporary = Temporary(path, TEMPORARY)
        try:
            write_small(temporary, flat)
            temporary.replace(self.lock(exclusive=False))
        finally:
            temporary.discard()


def hash_blob(data: Buffer) -> bytes:
    """The name of a blob: BLAKE2b with 128 bits."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def read_private(path: Path) -> memoryview:
    """The bytes of a file as writable memory that nobody else sees."""
    with path.open("rb") as file:
        nbytes = os.fstat(file.fileno()).st_size
        if nbytes >= MAPPED_FROM_BYTES:
            return memoryview(mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_COPY))
        buffer = bytearray(nbytes)
        got = file.readinto(buffer)
        return memoryview(buffer)[:got]
