"""Where files that must last are kept, under one root: a folder or an object store.

Names are relative, with `/`, and lead nowhere outside of the root (`names.py`). Files are immutable: written once, whole or not at
all, durable when the call returns. The exception is a file that is exchanged by `swap`. Nothing here knows what is in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol


class Stat(NamedTuple):
    nbytes: int
    modified: float  # wall clock, seconds


class DataWriter(Protocol):
    """A large file on its way. Chunks come in order; all but the last have a multiple of 1 MiB and start at a page of memory."""

    def write(self, chunk: memoryview) -> None:
        """Take the next chunk; its memory may be reused when the call returns. Raises OSError or CheckpointError."""
        ...

    def finish(self) -> None:
        """Make the file visible and durable."""
        ...

    def abort(self) -> None:
        """Leave nothing behind."""
        ...


class Backend(Protocol):
    """The files of one root. Raises UsageError for a name to write that leads out of it, and CheckpointDamaged for one to read: it
    was found in a file that says something impossible."""

    url: str

    def get(self, file: str) -> bytes:
        """A small file. Raises NoCheckpoint where there is none."""
        ...

    def read(self, file: str, start: int, into: memoryview) -> None:
        """Fill `into` from byte `start`. Raises CheckpointDamaged, naming the file, where it is missing or too short."""
        ...

    def stat(self, file: str) -> Stat | None: ...

    def files(self, folder: str) -> Iterator[tuple[str, Stat]]:
        """All files below a folder (`""`: the root), by name, in order."""
        ...

    def put(self, file: str, data: bytes) -> None:
        """Write a small file that was never there. Raises CheckpointConflict where it is."""
        ...

    def swap(self, file: str, data: bytes, expected: bytes | None) -> bool:
        """Replace a small file if its content is `expected` (None: it is not there); whether it was."""
        ...

    def create(self, file: str, nbytes: int) -> DataWriter:
        """Begin a large file. Raises StoreFull early where `nbytes` can't fit."""
        ...

    def delete(self, files: Iterable[str]) -> None:
        """Remove files; those that are gone are no error. Empty folders go with them."""
        ...

    def sweep(self, folders: Iterable[str], *, dry_run: bool) -> Iterator[tuple[str, Stat]]:
        """Remove what writers that died have left in the root itself and below these folders (`files` never shows it), and say what
        it was. Live writers lose nothing."""
        ...

    def path(self, file: str) -> Path | None:
        """Where it is in this machine's file system (`""`: the root itself); None in an object store."""
        ...
