"""A checkpoint root in a folder of this machine (or of a file server that it mounts)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway.errors import CheckpointDamaged, CheckpointError, NoCheckpoint
from headway.storage.backend import Stat
from headway.storage.direct import DirectWriter
from headway.storage.files import (
    PARTIAL,
    Temporary,
    flush_folder,
    locked,
    make_folders,
    remove_unheld,
    trouble,
    write_small,
)
from headway.storage.names import already_there, elsewhere, inside

PARTS = ("steps", "pins", "readers", "saving", "clock", "metrics")
"""The folders of a root. Nothing else below it is looked at."""
_READ = 1 << 30  # one call reads at most 2 GiB, and a signal may cut it short
_LOCK = ".lock"


class LocalBackend:
    """Files of a folder, which is created with the first of them. `direct`: write past the page cache where that can be done."""

    def __init__(self, path: str | Path, *, direct: bool = True) -> None:
        self.root = Path(path).expanduser().absolute()
        self.url = str(self.root)
        self._direct = direct

    def get(self, file: str) -> bytes:
        there = elsewhere(file)
        if there is not None:
            return there[0].get(there[1])
        try:
            return (self.root / file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NoCheckpoint(f"{self.root / file}: there is no such file") from None
        except OSError as error:
            raise self._unreadable(file, error) from error

    def read(self, file: str, start: int, into: memoryview) -> None:
        there = elsewhere(file)
        if there is not None:
            there[0].read(there[1], start, into)
            return
        view = into.cast("B") if into.format != "B" or into.ndim != 1 else into
        try:
            fd = os.open(self.root / file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointDamaged(f"{self.root / file} is missing") from None
        except OSError as error:
            raise self._unreadable(file, error) from error
        try:
            at = 0
            while at < len(view):
                got = os.preadv(fd, [view[at : at + _READ]], start + at)
                if not got:
                    size, need = os.fstat(fd).st_size, start + len(view)
                    raise CheckpointDamaged(f"{self.root / file} is cut short: it has {size:,} bytes, {need:,} are needed")
                at += got
        except OSError as error:
            raise self._unreadable(file, error) from error
        finally:
            os.close(fd)

    def stat(self, file: str) -> Stat | None:
        there = elsewhere(file)
        if there is not None:
            return there[0].stat(there[1])
        try:
            found = (self.root / file).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(file, error) from error
        return Stat(found.st_size, found.st_mtime)

    def files(self, folder: str) -> Iterator[tuple[str, Stat]]:
        found = [
            (str(path.relative_to(self.root)), stat) for path, stat in _walk(self.root / folder) if not path.name.startswith(".")
        ]
        return iter(sorted(found))

    def put(self, file: str, data: bytes) -> None:
        final = self.root / inside(file)
        try:
            if final.exists():
                raise already_there(final)
            temporary = Temporary(final)
            try:
                write_small(temporary, data)
                temporary.publish()
            finally:
                temporary.discard()
        except OSError as error:
            raise trouble(error, final) from error

    def swap(self, file: str, data: bytes, expected: bytes | None) -> bool:
        final = self.root / inside(file)
        try:
            make_folders(self.root)
            with locked(self.root / _LOCK):
                if (final.read_bytes() if final.exists() else None) != expected:
                    return False
                temporary = Temporary(final)
                try:
                    write_small(temporary, data)
                    temporary.replace()
                finally:
                    temporary.discard()
        except OSError as error:
            raise trouble(error, final) from error
        return True

    def create(self, file: str, nbytes: int) -> DirectWriter:
        final = self.root / inside(file)
        if final.exists():
            raise already_there(final)
        return DirectWriter(final, nbytes, direct=self._direct)

    def delete(self, files: Iterable[str]) -> None:
        folders: set[Path] = set()
        try:
            for file in files:
                path = self.root / inside(file)
                path.unlink(missing_ok=True)
                folders.add(path.parent)
            for folder in sorted(folders, key=lambda each: -len(each.parts)):
                self._prune(folder)
        except OSError as error:
            raise trouble(error, path) from error

    def sweep(self, *, dry_run: bool) -> Iterator[tuple[str, Stat]]:
        for path, stat in (*_walk(self.root, deep=False), *(each for part in PARTS for each in _walk(self.root / part))):
            if path.name.startswith(".") and path.name.endswith(PARTIAL) and remove_unheld(path, dry_run=dry_run):
                yield str(path.relative_to(self.root)), stat
                if not dry_run:
                    self._prune(path.parent)

    def path(self, file: str) -> Path | None:
        there = elsewhere(file)
        return self.root / file if there is None else there[0].path(there[1])

    def _prune(self, folder: Path) -> None:
        """Make removals durable, and remove folders that are empty by now."""
        flush_folder(folder)
        while folder != self.root and self.root in folder.parents:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    return
                raise
            folder = folder.parent
            flush_folder(folder)

    def _unreadable(self, file: str, error: OSError) -> CheckpointError:
        kind = CheckpointDamaged if error.errno == errno.EIO else CheckpointError
        return kind(f"{self.root / file} cannot be read ({error.strerror or error}): look at its permissions and at the disk")


def _walk(folder: Path, *, deep: bool = True) -> Iterator[tuple[Path, Stat]]:
    """All plain files below, or only those in it; what vanishes meanwhile is left out."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be listed ({error.strerror}): look at its permissions") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path)) if deep else ()
            continue
        try:
            found = entry.stat()
        except FileNotFoundError:
            continue
        yield Path(entry.path), Stat(found.st_size, found.st_mtime)
