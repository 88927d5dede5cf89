"""The place of large blobs that a store which is a database does not keep in its tables: a folder that machines share, or an object
store. Agents on other machines reach it directly.

A large blob is an object named by its hash. It is there when `put` returns. What is read is hashed again by whoever names it. This
file must never write a blob under a name that is not its hash.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import CheckpointConflict, NoCheckpoint, StoreDamaged, StoreError
from headway.storage.blobs import BlobFolder, hash_blob

if TYPE_CHECKING:
    from headway.storage.backend import Backend, Stat
    from headway.storage.blobs import Buffer

LARGE_BYTES = 1 << 20
"""A blob above this size is kept in the place of large ones, where there is one; the others in the database."""


class LargeBlobs:
    """The place of large blobs. `place` is a folder or the URL of an object store; empty where none was named."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._folder = BlobFolder(Path(place) / "blobs") if place and "://" not in place else None
        self._backend: Backend | None = None

    def check_place(self, nbytes: int, where: str) -> None:
        """Raise StoreError where there is no place for so many bytes."""
        if not self.place:
            raise StoreError(
                f"a value of {nbytes:,} bytes is too large for the database of {where}: name a folder that all machines "
                "share, or an object store, in its URL, as in ?blobs=/srv/headway or ?blobs=s3://bucket/headway, and resume"
            )

    def put(self, digest: bytes, data: Buffer) -> None:
        """Write it durably unless it is there. Raises StoreError."""
        if self._folder is not None:
            self._folder.put(digest, data)
            return
        backend, file = self._open(), _object_name(digest)
        with memoryview(data) as view:
            found = backend.stat(file)
            if found is not None and found.nbytes == view.nbytes:
                return
            try:
                backend.put(file, bytes(view))
            except CheckpointConflict:  # another process has put the same bytes there meanwhile
                return

    def get(self, digest: bytes) -> memoryview:
        """Read it. Only bytes that come from a file are checked here. Raises StoreDamaged."""
        if self._folder is not None:
            return self._folder.get(digest)
        try:
            return memoryview(bytearray(self._open().get(_object_name(digest))))
        except NoCheckpoint as error:
            raise missing(digest, self.place) from error

    def remove(self, digests: Sequence[bytes]) -> None:
        """Remove blobs; those that are gone are no error."""
        if self._folder is not None:
            with self._folder.lock(exclusive=True):
                for digest in digests:
                    self._folder.path(digest).unlink(missing_ok=True)
            return
        self._open().delete([_object_name(digest) for digest in digests])

    def listed(self) -> Iterator[tuple[bytes, Stat]]:
        """Every blob that is there, with its size and when it was written."""
        for file, stat in self._open().files("blobs") if self.place else ():
            _, first, rest = f"{file}//".split("/", 2)
            with contextlib.suppress(ValueError):  # no file of ours
                yield bytes.fromhex(first + rest.rstrip("/")), stat

    def _open(self) -> Backend:
        if self._backend is None:
            from headway.storage.opening import open_backend

            self._backend = open_backend(self.place)
        return self._backend


def check(digest: bytes, view: memoryview, where: str) -> memoryview:
    """The bytes, if they are those that were written."""
    if hash_blob(view) != digest:
        raise StoreDamaged(f"blob {digest.hex()} is damaged ({where} has other bytes than were written): {RESTORE}")
    return view


def missing(digest: bytes, where: str) -> StoreDamaged:
    """The error for a blob that is not there."""
    return StoreDamaged(f"blob {digest.hex()} is missing in {where}: {RESTORE}")


RESTORE = "restore it from a copy; the call that made it has to run again"


def _object_name(digest: bytes) -> str:
    name = digest.hex()
    return f"blobs/{name[:2]}/{name[2:]}"
