"""Blobs of a store in Postgres: small ones in a table, large ones in a folder or an object store.

A large blob is an object named by its hash, written before the row that says that it is there. What is read is hashed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import CheckpointConflict, NoCheckpoint, StoreDamaged, StoreError
from headway.journal.sql.database import Connection
from headway.storage.blobs import BlobFolder, hash_blob

if TYPE_CHECKING:
    from headway.storage.backend import Backend
    from headway.storage.blobs import Buffer

TABLE_BYTES = 1 << 20
"""A blob up to this size is kept in the database."""


class LargeBlobs:
    """The place of large blobs. `place` is a folder or the URL of an object store; empty where none was named."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._folder = BlobFolder(_as_path(place) / "blobs") if place and _is_folder(place) else None
        self._backend: Backend | None = None

    def put(self, digest: bytes, data: Buffer, where: str) -> None:
        """Write it durably unless it is there. Raises StoreError."""
        if not self.place:
            with memoryview(data) as view:
                raise StoreError(
                    f"a value of {view.nbytes:,} bytes is too large for the database of {where}: name a folder that all machines "
                    "share, or an object store, in its URL, as in ?blobs=/srv/headway or ?blobs=s3://bucket/headway, and resume"
                )
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
        """Its bytes, unchecked where they are no file's. Raises StoreDamaged."""
        if self._folder is not None:
            return self._folder.get(digest)
        try:
            return memoryview(bytearray(self._open().get(_object_name(digest))))
        except NoCheckpoint as error:
            raise missing(digest, self.place) from error

    def _open(self) -> Backend:
        if self._backend is None:
            from headway.storage.opening import open_backend

            self._backend = open_backend(self.place)
        return self._backend


def put_row(connection: Connection, digest: bytes, nbytes: int, data: bytes | None) -> None:
    """Say that a blob is there, with its bytes where they are few, or that it was asked for again."""
    connection.execute(
        "INSERT INTO blob (digest, nbytes, data, at) VALUES (?, ?, ?, extract(epoch FROM clock_timestamp())) "
        "ON CONFLICT (digest) DO UPDATE SET at=excluded.at",
        (digest, nbytes, data),
    )


def read_row(connection: Connection, digest: bytes) -> tuple[int, bytes | None] | None:
    """The size of a blob, and its bytes where the table has them; None where there is none."""
    found: tuple[int, bytes | None] | None = connection.execute(
        "SELECT nbytes, data FROM blob WHERE digest=?", (digest,)
    ).fetchone()
    return found


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


def _is_folder(place: str) -> bool:
    return "://" not in place or place.startswith("file://")


def _as_path(place: str) -> Path:
    return Path(place.removeprefix("file://")).absolute()
