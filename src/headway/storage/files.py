"""Files that must last, on a local file system: publish one whole and durable, exchange one, tell dead writers from live ones.

A file on its way is `.<name>.<token>.partial` in the folder of its final name, with a lock (`flock`) held by its writer. The
kernel drops the lock when the writer dies, however it dies, so what is left over can be recognised at once and without a guess
about time. Publishing is `link`, which, unlike `rename`, never overwrites; file and folder are flushed before it returns.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from headway.errors import CheckpointError, StoreError, StoreFull
from headway.storage.names import already_there

PARTIAL = ".partial"
LOCK_WAIT_S = 30.0
SAFE = "Earlier checkpoints are as they were"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_RESERVE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Temporary:
    """A file that nobody sees before it is published."""

    def __init__(self, final: Path, prefix: str | None = None) -> None:
        """`prefix`: how its name begins until then, where it is not `.<name>.<token>.partial`."""
        self.final = final
        while True:
            make_folders(final.parent)
            token = secrets.token_hex(6)
            self.path = final.with_name(f".{final.name}.{token}{PARTIAL}" if prefix is None else f"{prefix}{token}")
            # FileNotFoundError: a collector removed the empty folder in between.
            with contextlib.suppress(FileNotFoundError):
                self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                if _lock_new(self.fd, self.path):
                    return

    def publish(self) -> None:
        """Give it its name. Raises CheckpointConflict where there is one of that name."""
        os.fsync(self.fd)
        try:
            os.link(self.path, self.final)
        except FileExistsError:
            # A file server that repeats a request whose answer was lost reports our own link.
            if os.fstat(self.fd).st_nlink < 2:
                raise already_there(self.final) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._rename_unless_there()
        self.discard()
        sync_folder(self.final.parent)

    def replace(self, holding: AbstractContextManager[object] = contextlib.nullcontext()) -> None:
        """Give it its name, in the place of what has it, while a lock is held."""
        os.fsync(self.fd)
        with holding:
            self.path.replace(self.final)
        self.discard()
        sync_folder(self.final.parent)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _rename_unless_there(self) -> None:
        """Without hard links: all writers of this folder come one after the other."""
        with hold_lock(self.final.parent / ".lock"):
            if self.final.exists():
                raise already_there(self.final)
            self.path.rename(self.final)


def write_small(temporary: Temporary, data: bytes | memoryview) -> None:
    """Write all of it at the beginning of the file."""
    view, at = memoryview(data), 0
    while at < len(view):
        at += os.pwrite(temporary.fd, view[at:], at)


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file that stays. Raises CheckpointError where another process does not let go of it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _wait(fd, path)
        yield
    finally:
        os.close(fd)


def hold(path: Path, data: bytes) -> int:
    """Create a file and hold its lock until the descriptor is closed or this process dies."""
    while True:
        make_folders(path.parent)
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            if _lock_new(fd, path):
                os.pwrite(fd, data, 0)
                return fd


def remove_unheld(path: Path, *, dry_run: bool) -> bool | None:
    """Remove a file whose holder is dead; whether it was dead, None where there is no file (any more)."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return False  # not ours to judge
    try:
        if not _took_for_sure(fd):
            return False
        if not dry_run:
            path.unlink(
                missing_ok=True
            )  # while the lock is held: a holder that comes now finds its file unlinked and makes a new one
        return True
    finally:
        os.close(fd)


def reserve(fd: int, nbytes: int, path: Path) -> None:
    """Raise StoreFull now instead of after minutes of writing. Costs two milliseconds where the file system can do it."""
    room = os.fstatvfs(fd)
    free = room.f_bavail * room.f_frsize
    if room.f_blocks and free < nbytes:
        raise StoreFull(
            errno.ENOSPC,
            f"{path} needs {nbytes:,} bytes, the disk has {free:,} free: free some space or run `headway ckpt gc`. {SAFE}",
        )
    # Not os.posix_fallocate: where the file system cannot reserve, the C library would write into every block instead.
    if nbytes and _fallocate is not None and _fallocate(fd, 0, 0, nbytes) != 0:
        code = ctypes.get_errno()
        if code not in _NO_RESERVE:
            raise OSError(code, os.strerror(code))


def make_folders(folder: Path) -> None:
    """Create folders so that they outlive a power cut."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # removed with its last file
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some network file systems have nothing to flush
            raise
    finally:
        os.close(fd)


def to_store_error(error: OSError, path: Path | str) -> StoreError:
    """What the operating system said about writing a file, as one of our errors."""
    if isinstance(error, StoreError):
        return error
    code = error.errno or errno.EIO
    if code in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(code, f"no room for {path} ({error.strerror}): free some space or run `headway ckpt gc`. {SAFE}")
    if code == errno.EFBIG:
        return StoreFull(code, f"{path} is larger than what this process may write: raise `ulimit -f`. {SAFE}")
    if code in (errno.EIO, errno.EROFS):
        return StoreFull(code, f"{path} cannot be written ({error.strerror}): look at the disk and its mount. {SAFE}")
    return CheckpointError(f"{path} cannot be written ({error.strerror or error}): look at the folder and its permissions. {SAFE}")


def _lock_new(fd: int, path: Path) -> bool:
    """Lock a new file. False (and it is closed) where a collector took it for a leftover before it was locked."""
    _wait(fd, path)
    if os.fstat(fd).st_nlink:
        return True
    os.close(fd)
    return False


def _wait(fd: int, path: Path) -> None:
    give_up = time.monotonic() + LOCK_WAIT_S
    pause = 0.0005
    while not _take(fd):
        if time.monotonic() > give_up:
            raise CheckpointError(
                f"{path} is held by another process for more than {LOCK_WAIT_S:g} s: one that is stopped, or a file server "
                "that lost a client. Find it with `fuser` or `lsof` and end it"
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _take(fd: int) -> bool:
    """Take a lock if it is free. Where the file system has no locks, the file is never taken for a leftover."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _took_for_sure(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
