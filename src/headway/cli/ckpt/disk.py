"""Measures how fast an idle disk writes and reads: the yardstick for saving and loading.

It bypasses the page cache where the file system allows it (`O_DIRECT`), because a checkpoint is written when it is on the disk, and
a cold load reads from there. Elsewhere the cache is flushed or dropped as far as the kernel allows.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

CHUNK = 8 << 20
SAMPLE = 256 << 20
PAGE = 4096
_DIRECT: int = getattr(os, "O_DIRECT", 0)


def write_speed(path: Path, nbytes: int) -> float:
    """Bytes per second of writing a new file in one go, flushed. Removes it."""
    try:
        with _open_direct(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd, _pages() as pages:
            pages[:] = os.urandom(1 << 20) * (CHUNK >> 20)  # some disks write zeros faster
            began = time.perf_counter()
            for at in range(0, nbytes, CHUNK):
                _put(fd, pages, -(-min(CHUNK, nbytes - at) // PAGE) * PAGE)
            os.fsync(fd)
            return nbytes / (time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)


def read_speed(path: Path, most: int = SAMPLE) -> float | None:
    """Bytes per second of reading a file from its beginning, at most `most` bytes of it; None for an empty or missing one."""
    with contextlib.suppress(FileNotFoundError), _open_direct(path, os.O_RDONLY) as fd, _pages() as pages:
        forget(path)
        done, began = 0, time.perf_counter()
        while done < most and (got := os.preadv(fd, [pages], done)):
            done += got
            if got % PAGE:
                break
        return done / (time.perf_counter() - began) if done else None
    return None


def forget(path: Path) -> None:
    """Let the page cache drop a file, so that the next read comes from the disk."""
    if hasattr(os, "posix_fadvise"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _open_direct(path: Path, flags: int) -> Iterator[int]:
    try:
        fd = os.open(path, flags | _DIRECT | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        raise
    except OSError:  # no direct access here
        if flags & os.O_CREAT:
            path.unlink(missing_ok=True)
        fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _pages() -> Iterator[mmap.mmap]:
    """Memory that begins at a page."""
    with mmap.mmap(-1, CHUNK) as pages:
        yield pages


def _put(fd: int, pages: mmap.mmap, nbytes: int) -> None:
    with memoryview(pages) as view:
        done = 0
        while done < nbytes:
            with view[done:nbytes] as rest:
                done += os.write(fd, rest)
