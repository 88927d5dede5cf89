"""A root in a folder of this machine or of a mounted file server."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway.errors import CheckpointDamaged, CheckpointError, NoCheckpoint, UsageError
from headway.storage.backend import Stat
from headway.storage.direct import DirectWriter
from headway.storage.files import (
    PARTIAL,
    Temporary,
    hold_lock,
    make_folders,
    remove_unheld,
    sync_folder,
    to_store_error,
    write_small,
)
from headway.storage.names import already_there, check_name, check_new_name

_READ = 1 << 30  # one call reads at most 2 GiB, and a signal may cut it short
_LOCK = ".lock"


class LocalBackend:
    """Files of a folder, which is created with the first of them. `direct`: write past the page cache where that can be done."""

    def __init__(self, path: str | Path, *, direct: bool = True) -> None:
        self.root = Path(path).expanduser().absolute()
        self.url = str(self.root)
        self._direct = direct

    def get(self, file: str) -> bytes:
        try:
            return self._existing(file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NoCheckpoint(f"{self.root / file}: there is no such file") from None
        except OSError as error:
            raise self._unreadable(file, error) from error

    def read(self, file: str, start: int, into: memoryview) -> None:
        view = into.cast("B") if into.format != "B" or into.ndim != 1 else into
        try:
            fd = os.open(self._existing(file), os.O_RDONLY | os.O_CLOEXEC)
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
        try:
            found = self._existing(file).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(file, error) from error
        return Stat(found.st_size, found.st_mtime)

    def files(self, folder: str) -> Iterator[tuple[str, Stat]]:
        found = [
            (str(path.relative_to(self.root)), stat)
            for path, stat in _walk(self._existing(folder) if folder else self.root)
            if not path.name.startswith(".")
        ]
        return iter(sorted(found))

    def put(self, file: str, data: bytes) -> None:
        final = self._new(file)
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
            raise to_store_error(error, final) from error

    def swap(self, file: str, data: bytes, expected: bytes | None) -> bool:
        final = self._new(file)
        try:
            make_folders(self.root)
            with hold_lock(self.root / _LOCK):
                if (final.read_bytes() if final.exists() else None) != expected:
                    return False
                temporary = Temporary(final)
                try:
                    write_small(temporary, data)
                    temporary.replace()
                finally:
                    temporary.discard()
        except OSError as error:
            raise to_store_error(error, final) from error
        return True

    def create(self, file: str, nbytes: int) -> DirectWriter:
        final = self._new(file)
        if final.exists():
            raise already_there(final)
        return DirectWriter(final, nbytes, direct=self._direct)

    def delete(self, files: Iterable[str]) -> None:
        folders: set[Path] = set()
        try:
            for file in files:
                path = self._new(file)
                path.unlink(missing_ok=True)
                folders.add(path.parent)
            for folder in sorted(folders, key=lambda each: -len(each.parts)):
                self._prune(folder)
        except OSError as error:
            raise to_store_error(error, path) from error

    def sweep(self, folders: Iterable[str], *, dry_run: bool) -> Iterator[tuple[str, Stat]]:
        below = (each for folder in folders for each in _walk(self._existing(folder)))
        for path, stat in (*_walk(self.root, deep=False), *below):
            if path.name.startswith(".") and path.name.endswith(PARTIAL) and remove_unheld(path, dry_run=dry_run):
                yield str(path.relative_to(self.root)), stat
                if not dry_run:
                    self._prune(path.parent)

    def path(self, file: str) -> Path | None:
        return self._existing(file) if file else self.root

    def _existing(self, file: str) -> Path:
        """Where a file is. Raises CheckpointDamaged for a name that leads out of the root."""
        path = self.root / check_name(file)
        if not self._holds(path):
            raise CheckpointDamaged(
                f"{path} leads out of {self.root} through a link, so it is not read: link the whole root instead"
            )
        return path

    def _new(self, file: str) -> Path:
        """Where a file goes. Raises UsageError for a name that leads out of the root."""
        path = self.root / check_new_name(file)
        if not self._holds(path.parent):
            raise UsageError(f"{path} leads out of {self.root} through a link, so it is not written: link the whole root instead")
        return path

    def _holds(self, path: Path) -> bool:
        """Whether it is in the root when links are followed."""
        root = os.path.realpath(self.root)
        return os.path.commonpath((root, os.path.realpath(path))) == root

    def _prune(self, folder: Path) -> None:
        """Make removals durable, and remove folders that are empty by now."""
        sync_folder(folder)
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
            sync_folder(folder)

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
