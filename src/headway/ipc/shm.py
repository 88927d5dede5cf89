"""Memory that processes share, as anonymous files: a block for each large message, or a buffer that both ends keep.

An anonymous file is a descriptor without a name: `memfd` on Linux, an unlinked temporary file elsewhere. The sender of a block
writes the parts into it once and passes the descriptor over the socket; the receiver maps it and closes it. Since nothing
has a name, nothing can be left behind: the memory goes when the last mapping goes, whoever was killed in between.

The receiver maps a block up to twice. A private mapping is copy-on-write, so whoever mutates what was decoded over it
changes only their own pages; a shared one is read-only and stays as the sender wrote it. Neither copies the bytes. A
live mapping holds a descriptor until Python 3.13, so beyond a fixed share of the process's limit parts are copied
instead.

It must never let a writer keep a block: once sent, a block is not written again.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import sys
import tempfile
import weakref
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

INLINE_BYTES = 64 * 1024
"""A payload up to this size travels inside its message."""

_ALIGN = 64
_MAX_MAPPINGS = 256
_POPULATED_BYTES = 32 << 20
_MADV_POPULATE_WRITE = 23  # Linux 5.14
_live: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def write_block(parts: Sequence[memoryview]) -> int:
    """Write the parts into a new block, each at an aligned offset, and return its descriptor. Raises OSError."""
    fd = anonymous_file("headway")
    try:
        *offsets, nbytes = _offsets([part.nbytes for part in parts])
        os.ftruncate(fd, nbytes)
        for part, offset in zip(parts, offsets, strict=True):
            _write_all(fd, part, offset)
    except BaseException:
        os.close(fd)
        raise
    return fd


def map_private(fd: int, sizes: Sequence[int]) -> list[memoryview]:
    """The parts as writable memory; what is written stays with the caller."""
    return _map(fd, sizes, mmap.ACCESS_COPY)


def map_shared(fd: int, sizes: Sequence[int]) -> list[memoryview]:
    """The parts as read-only memory, the same pages that the sender wrote."""
    return _map(fd, sizes, mmap.ACCESS_READ)


def _map(fd: int, sizes: Sequence[int], access: int) -> list[memoryview]:
    *offsets, nbytes = _offsets(sizes)
    whole: memoryview
    if sys.version_info >= (3, 13):
        whole = memoryview(mmap.mmap(fd, nbytes, access=access, trackfd=False))
    elif len(_live) < _mapping_limit():
        mapping = mmap.mmap(fd, nbytes, access=access)
        _live.add(mapping)
        whole = memoryview(mapping)
    else:
        whole = _read_all(fd, nbytes)
        if access == mmap.ACCESS_READ:
            whole = whole.toreadonly()
    return [whole[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]


def _mapping_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_MAPPINGS if soft == resource.RLIM_INFINITY else min(_MAX_MAPPINGS, soft // 4)


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Where each part begins, and then the size of the block (never 0: an empty block cannot be mapped)."""
    offsets = list(accumulate((-(-size // _ALIGN) * _ALIGN for size in sizes), initial=0))
    offsets[-1] = max(offsets[-1], 1)
    return offsets


def anonymous_file(label: str, *, in_memory: bool = True) -> int:
    """A descriptor of a new file without a name. `label` is what /proc shows; in memory where the system can, or else in the folder
    for temporary files."""
    if in_memory and hasattr(os, "memfd_create"):
        return os.memfd_create(label, os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data.nbytes:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def _read_all(fd: int, nbytes: int) -> memoryview:
    whole = memoryview(bytearray(nbytes))
    done = 0
    while done < nbytes:
        count = os.preadv(fd, [whole[done:]], done)
        if not count:
            raise OSError(f"a shared block ended after {done} of {nbytes} bytes")
        done += count
    return whole


def populate(mapping: mmap.mmap) -> None:
    """Have the kernel make this process's pages of a shared mapping: it may take seconds, without the interpreter lock."""
    # Not mapping.madvise, which keeps the interpreter lock.
    madvise = ctypes.CDLL(None).madvise
    kept = ctypes.c_char.from_buffer(mapping)
    start, size = ctypes.addressof(kept), len(mapping)
    for at in range(0, size, _POPULATED_BYTES):
        count = ctypes.c_size_t(min(_POPULATED_BYTES, size - at))
        if madvise(ctypes.c_void_p(start + at), count, _MADV_POPULATE_WRITE):
            return  # this kernel can't: pages are made when they are touched


def memory_left() -> int | None:
    """How much memory the machine can still give, None where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None
