"""Large payloads between processes, as one anonymous block of shared memory per message.

A block is a file descriptor without a name: `memfd` on Linux, an unlinked temporary file elsewhere. The sender writes
the parts into it once and passes the descriptor over the socket; the receiver maps it and closes it. Since nothing
has a name, nothing can be left behind: the memory goes when the last mapping goes, whoever was killed in between.

The receiver maps a block up to twice. A private mapping is copy-on-write, so whoever mutates what was decoded over it
changes only their own pages; a shared one is read-only and stays as the sender wrote it. Neither copies the bytes. A
live mapping holds a descriptor until Python 3.13, so beyond a fixed share of the process's limit parts are copied
instead.

It must never let a writer keep a block: once sent, a block is not written again.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import tempfile
import weakref
from collections.abc import Sequence
from itertools import accumulate

INLINE_BYTES = 64 * 1024
"""A payload up to this size travels inside its message."""

_ALIGN = 64
_MAX_MAPPINGS = 256
_live: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def write_block(parts: Sequence[memoryview]) -> int:
    """Write the parts into a new block, each at an aligned offset, and return its descriptor. Raises OSError."""
    fd = _anonymous_file()
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


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("headway", os.MFD_CLOEXEC)
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
