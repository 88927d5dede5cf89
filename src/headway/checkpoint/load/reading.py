"""Reads and verifies blocks: from a local file, from an object store, or from the spool of what was fetched from one.

A source fills memory that the caller brings. That may be the final place of the values, so nothing is copied twice. Every block is
hashed where it was just put. Files are opened once per thread and read by offset, so threads never move each other's position. A
file that is gone, too short or unreadable is reported as damage to the tensors that were to be read from it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import xxhash

from headway.checkpoint.files.foreign import locate
from headway.checkpoint.load.blocks import Block, Contents
from headway.checkpoint.load.plan import Read
from headway.errors import CheckpointDamaged, StoreFull
from headway.ipc.shm import anonymous_file
from headway.storage.backend import Backend

T = TypeVar("T")
UNCHANGED = "Nothing of the state was changed. Load an earlier checkpoint, or see `headway ckpt verify` for all that is damaged"


class Source(Protocol):
    """Where blocks come from. Used by several threads at once."""

    def fetch(self, read: Read, buffers: Sequence[memoryview]) -> None:
        """Fill the buffers, which together have the size of the read, with its bytes. Raises CheckpointDamaged."""
        ...

    def announce(self, read: Read) -> None:
        """Announce that this read comes soon."""
        ...

    def close(self) -> None: ...


def open_source(backend: Backend, contents: Contents) -> Source:
    """Open the source of a checkpoint's own files: by path if they have one, else by ranges."""
    located = [locate(backend, segment.file) for segment in contents.segments]
    local = all(owner.path(name) is not None for owner, name in located)
    return LocalFiles(backend, contents) if local else Ranges(backend, contents)


class LocalFiles:
    """Files of this machine, through its page cache. Each thread has one open file, of the segment that it read last."""

    def __init__(self, backend: Backend, contents: Contents) -> None:
        self._backend = backend
        self._contents = contents
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._open: set[int] = set()

    def fetch(self, read: Read, buffers: Sequence[memoryview]) -> None:
        try:
            got = read_fully(self._descriptor(read.segment), read.start, buffers)
        except OSError as error:
            raise CheckpointDamaged(f"{unreadable(self._contents, read)}: {error}. {UNCHANGED}") from error
        if got < read.nbytes:
            at = f"the file ends at byte {read.start + got}"
            raise CheckpointDamaged(f"{unreadable(self._contents, read)}: {at}. {UNCHANGED}")

    def announce(self, read: Read) -> None:
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):  # a file that can't be opened is reported when it is read
                os.posix_fadvise(self._descriptor(read.segment), read.start, read.nbytes, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        with self._lock:
            for descriptor in self._open:
                os.close(descriptor)
            self._open.clear()

    def _descriptor(self, segment: int) -> int:
        last: tuple[int, int] | None = getattr(self._mine, "last", None)
        if last is not None and last[0] == segment:
            return last[1]
        owner, name = locate(self._backend, self._contents.segments[segment].file)
        path = owner.path(name)
        assert path is not None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with self._lock:
            self._open.add(descriptor)
            if last is not None:
                self._open.discard(last[1])
                os.close(last[1])
        self._mine.last = (segment, descriptor)
        return descriptor


class Ranges:
    """Files of an object store. A read is one request, so it is given one buffer where that can be chosen."""

    def __init__(self, backend: Backend, contents: Contents) -> None:
        self._backend = backend
        self._contents = contents

    def fetch(self, read: Read, buffers: Sequence[memoryview]) -> None:
        whole = buffers[0] if len(buffers) == 1 else memoryview(bytearray(read.nbytes))
        try:
            owner, name = locate(self._backend, self._contents.segments[read.segment].file)
            owner.read(name, read.start, whole)
        except CheckpointDamaged as error:
            raise CheckpointDamaged(f"{unreadable(self._contents, read)}: {error}. {UNCHANGED}") from error
        if len(buffers) > 1:
            at = 0
            for buffer in buffers:
                buffer[:] = whole[at : at + len(buffer)]
                at += len(buffer)

    def announce(self, read: Read) -> None:
        pass

    def close(self) -> None:
        pass


class Spool:
    """A file without a name that holds what one rank fetched for its host: its reads, one after the other.

    It is in memory if that was asked for, else in the folder for temporary files. The ranks of a host open each other's spools
    through /proc, so a killed process leaves nothing behind.
    """

    def __init__(self, *, in_memory: bool) -> None:
        self._descriptor = anonymous_file("headway-load", in_memory=in_memory)

    def allocate(self, nbytes: int) -> None:
        """Make room. Raises StoreFull if there is none."""
        try:
            if nbytes:
                os.posix_fallocate(self._descriptor, 0, nbytes)
        except OSError as error:
            raise StoreFull(
                f"no room for {nbytes} bytes in {tempfile.gettempdir()}, where a load from an object store keeps what it fetched: "
                f"free some, or set TMPDIR to another folder ({error})"
            ) from error

    @property
    def path(self) -> Path:
        """Return the path by which other processes of this machine find it, as long as it is open here."""
        return Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    def write(self, at: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], at + done)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Spooled:
    """The blocks that the ranks of a host fetched, in their spools. `shares` are their reads in the order of the files."""

    def __init__(self, contents: Contents, shares: Sequence[tuple[Path, Sequence[Read]]]) -> None:
        self._contents = contents
        self._keys: list[tuple[int, int]] = []
        self._places: list[tuple[int, int]] = []
        self._descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path, _ in shares]
        for descriptor, (_, reads) in zip(self._descriptors, shares, strict=True):
            for read, at in in_a_row(reads):
                self._keys.append((read.segment, read.start))
                self._places.append((descriptor, at))

    def fetch(self, read: Read, buffers: Sequence[memoryview]) -> None:
        for block, buffer in zip(read.blocks, buffers, strict=True):
            found = bisect_right(self._keys, (block.segment, block.start)) - 1
            descriptor, at = self._places[found]
            if read_fully(descriptor, at + block.start - self._keys[found][1], [buffer]) < block.nbytes:
                raise CheckpointDamaged(f"{self._contents.describe(block)}: what was fetched of it is gone from the local spool")

    def announce(self, read: Read) -> None:
        pass

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def in_a_row(reads: Iterable[Read]) -> Iterator[tuple[Read, int]]:
    """Lay reads out in a spool: each with the byte at which it begins."""
    at = 0
    for read in reads:
        yield read, at
        at += read.nbytes


def read_fully(descriptor: int, start: int, buffers: Sequence[memoryview]) -> int:
    """Read until the buffers are full or the file ends. Return how many bytes were read."""
    left = [buffer for buffer in buffers if len(buffer)]
    done = 0
    while left:
        got = os.preadv(descriptor, left, start + done)
        if not got:
            break
        done += got
        while left and got >= len(left[0]):
            got -= len(left.pop(0))
        if got:
            left[0] = left[0][got:]
    return done


def find_damaged_blocks(contents: Contents, blocks: Sequence[Block], buffers: Sequence[memoryview]) -> list[Block]:
    """Return the blocks whose bytes in the buffers don't match the hash that was written."""
    return [
        block
        for block, buffer in zip(blocks, buffers, strict=True)
        if xxhash.xxh3_128_hexdigest(buffer) != contents.fragment_of(block).hash(block.number)
    ]


def check(contents: Contents, blocks: Sequence[Block], buffers: Sequence[memoryview], then: str = UNCHANGED) -> None:
    """Raise CheckpointDamaged, naming tensor, file, block and bytes, unless all blocks have their hash."""
    damaged = find_damaged_blocks(contents, blocks, buffers)
    if damaged:
        named = "; ".join(contents.describe(block) for block in damaged[:10])
        raise CheckpointDamaged(f"{contents.label}: {named}: not the bytes that were written (their hash differs). {then}")


def unreadable(contents: Contents, read: Read) -> str:
    """Make the error for a read that failed, which names its blocks."""
    named = contents.describe(read.blocks[0])
    more = f" (and {len(read.blocks) - 1} blocks that follow)" if len(read.blocks) > 1 else ""
    return f"{contents.label}: {named}{more}: can't be read"


def split(buffer: memoryview, blocks: Iterable[Block]) -> list[memoryview]:
    """Cut a buffer into the blocks that follow each other in it."""
    parts, at = [], 0
    for block in blocks:
        parts.append(buffer[at : at + block.nbytes])
        at += block.nbytes
    return parts


def each(items: Iterable[T], act: Callable[[T], object], threads: int) -> None:
    """Do `act` for all items in several threads, which take them in order. After a failure no more are taken. When all threads have
    ended, the failure of the earliest item is raised, so it is the same one every time."""
    left = iter(list(enumerate(items)))
    failures: list[tuple[int, BaseException]] = []

    def work() -> None:
        while not failures:
            number, *item = next(left, (-1,))  # a list's iterator gives each item to one thread
            if not item:
                break
            try:
                act(*item)
            except BaseException as error:
                failures.append((number, error))

    helpers = [threading.Thread(target=work, name=f"headway-read-{number}", daemon=True) for number in range(threads - 1)]
    for helper in helpers:
        helper.start()
    work()
    while any(helper.is_alive() for helper in helpers):
        try:
            for helper in helpers:
                helper.join()
        except BaseException as error:  # Ctrl-C: no thread may go on to write into the caller's state
            failures.append((-1, error))
    if failures:
        raise min(failures, key=lambda failure: failure[0])[1]
