"""What the disk can do, and what it did: the raw limits that saves and loads are held against, a page cache that is really cold,
and the bytes that a process had fetched from the medium."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

import numpy as np

PIECE = 16 << 20
CACHED_PIECE = 4 << 20
_O_DIRECT = getattr(os, "O_DIRECT", 0)


def touched_buffer() -> mmap.mmap:
    """Memory that begins at a page and has been written to, as direct writes want it."""
    buffer = mmap.mmap(-1, PIECE)
    buffer[:] = os.urandom(1 << 20) * (PIECE >> 20)
    return buffer


def raw_write_s(folder: Path, nbytes: int) -> float:
    """Seconds to write so many bytes one after another, past the page cache, 16 MiB at a time, until they are durable."""
    path, buffer = folder / "raw", touched_buffer()
    began = perf_counter()
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | _O_DIRECT)
    try:
        os.posix_fallocate(handle, 0, nbytes)
        for at in range(0, nbytes, PIECE):
            os.pwrite(handle, memoryview(buffer)[: min(PIECE, nbytes - at)], at)
        os.fsync(handle)
        return perf_counter() - began
    finally:
        os.close(handle)
        path.unlink()


def raw_read_s(files: Iterable[Path], *, direct: bool) -> float:
    """Seconds to read files: past the page cache one after another, 16 MiB at a time, or through it as loads do, 4 MiB at a time in
    two threads. Which is faster depends on the disk and on what it has done before."""
    pieces = iter([(path, at) for path in files for at in range(0, path.stat().st_size, PIECE if direct else CACHED_PIECE)])
    taking = threading.Lock()

    def read(buffer: memoryview) -> None:
        while True:
            with taking:
                path, at = next(pieces, (None, 0))
            if path is None:
                break
            handle = os.open(path, os.O_RDONLY | (_O_DIRECT if direct else 0))
            os.preadv(handle, [buffer], at)
            os.close(handle)

    buffers = [memoryview(touched_buffer())[: PIECE if direct else CACHED_PIECE] for _ in range(1 if direct else 2)]
    readers = [threading.Thread(target=read, args=(buffer,)) for buffer in buffers]
    began = perf_counter()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return perf_counter() - began


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def make_cold(files: Iterable[Path]) -> float:
    """Have the page cache forget the files; the share of them that it still holds."""
    held = total = 0
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            here, pages = _resident(handle)
        finally:
            os.close(handle)
        held, total = held + here, total + pages
    return held / max(1, total)


def _resident(handle: int) -> tuple[int, int]:
    """How many pages of a file are in the page cache, of how many."""
    size = os.fstat(handle).st_size
    if not size:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    mapping = mmap.mmap(handle, size, prot=mmap.PROT_READ)
    seen = (ctypes.c_ubyte * pages)()
    view = np.frombuffer(mapping, "u1")
    failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), seen)
    del view
    mapping.close()
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return int((np.frombuffer(seen, "u1") & 1).sum()), pages


def fetched_bytes() -> int:
    """What this process has had fetched from the medium so far, readahead included."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "read_bytes":
            return int(value)
    raise OSError("/proc/self/io does not say read_bytes")
