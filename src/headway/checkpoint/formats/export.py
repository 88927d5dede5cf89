"""Puts fragments of a checkpoint together as one safetensors file, verified.

A fragment that is contiguous in the target is copied inside the kernel and then read back from the target, block by block, against
its hashes: what is proved is what was written. Other fragments, and those of an object store, are read block by block, verified,
and put where they belong. At most one block is in this process's memory.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from headway.checkpoint.files.file_layout import lay_out
from headway.checkpoint.files.foreign import locate
from headway.checkpoint.files.manifest import BLOCK_BYTES, Object
from headway.checkpoint.layout.boxes import Box, strides_of, whole
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.load.blocks import Block, Contents, StoredFragment
from headway.checkpoint.load.plan import Read
from headway.checkpoint.load.reading import Source, check, open_source, read_fully
from headway.errors import CheckpointDamaged
from headway.storage.backend import Backend
from headway.storage.files import Temporary, reserve, to_store_error, write_small

_NO_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_COPY_BYTES = 64 << 20
_NOTHING = "Nothing was exported. Export another checkpoint, or see `headway ckpt verify` for all that is damaged"


class Wanted(NamedTuple):
    """An array to export: `holder` names the object that has its bytes."""

    holder: str
    object: Object


def write_file(
    backend: Backend, contents: Contents, file: Path, tensors: Mapping[str, Wanted], metadata: Mapping[str, str]
) -> None:
    """Write a new safetensors file. It gets its name when all of it is verified and durable, and never if this raises.

    Raises:
        CheckpointDamaged: a block is missing or not what was written; the message names it.
        StoreFull: there is no room for the file.
    """
    parts = [(key, wanted.object, whole(wanted.object.shape)) for key, wanted in tensors.items()]
    image = lay_out(parts, contents.manifest.id, metadata)
    try:
        target = Temporary(file)
        try:
            os.ftruncate(target.fd, image.nbytes)
            reserve(target.fd, image.nbytes, file)  # a mapped page must not find the disk full later
            write_small(target, image.header)
            with _Assembly(backend, contents, target.fd) as assembly:
                for each in image.fragments:
                    assembly.put(tensors[each.name], each.start)
            target.publish()
        finally:
            target.discard()
    except OSError as error:
        raise to_store_error(error, file) from error


class _Assembly:
    """The file being written, and where its bytes come from."""

    def __init__(self, backend: Backend, contents: Contents, target: int) -> None:
        self._backend = backend
        self._contents = contents
        self._target = target
        self._source: Source = open_source(backend, contents)
        self._files: dict[int, int | None] = {}
        self._closing = ExitStack()
        self._room = memoryview(bytearray(BLOCK_BYTES))

    def __enter__(self) -> _Assembly:
        self._closing.callback(self._source.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def put(self, wanted: Wanted, start: int) -> None:
        """Put all fragments of an array, which begins at byte `start`, in their places."""
        everything = whole(wanted.object.shape)
        for part, _ in self._contents.meeting(wanted.holder, everything):
            array = StoredFragment(0, 0, part.name, everything, part.itemsize, start, "", part.block_nbytes)
            at, source = array.run(part.box), self._file(part.segment)
            if at is None or source is None:
                for number in range(part.count):
                    self._put_block(part, number, array)
            else:
                begin = start + at * part.itemsize
                if not copy_range(source, part.start, self._target, begin, part.nbytes):
                    raise CheckpointDamaged(f"{self._contents.describe(part.block(0))}: the file ends before it does. {_NOTHING}")
                self._prove(part, begin)

    def _prove(self, part: StoredFragment, start: int) -> None:
        """Read a fragment back from the target."""
        for number in range(part.count):
            block = part.block(number)
            here = self._room[: block.nbytes]
            read_fully(self._target, start + block.start - part.start, [here])
            check(self._contents, [block], [here], _NOTHING)

    def _put_block(self, part: StoredFragment, number: int, array: StoredFragment) -> None:
        block = part.block(number)
        here = self._room[: block.nbytes]
        self._source.fetch(_make_read(block), [here])
        check(self._contents, [block], [here], _NOTHING)
        for box, at in part.boxes(number):
            self._scatter(box, here[at * part.itemsize : (at + box.volume) * part.itemsize], array)

    def _scatter(self, box: Box, data: memoryview, array: StoredFragment) -> None:
        """Put the elements of a box in their places: one strided assignment to the file's pages, however short its rows are."""
        import numpy as np
        from numpy.lib.stride_tricks import as_strided

        raw = raw_dtype(self._contents.manifest.objects[array.name].dtype)
        strides = strides_of(array.box.extent)
        first = sum(at * stride for at, stride in zip(box.offset, strides, strict=True))
        count = 1 + sum((size - 1) * stride for size, stride in zip(box.extent, strides, strict=True))
        begin = array.start + first * raw.itemsize
        page = begin - begin % mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(self._target, begin - page + count * raw.itemsize, offset=page) as pages:
            flat = np.frombuffer(pages, raw, count, begin - page)
            view = as_strided(flat, box.extent, [stride * raw.itemsize for stride in strides])
            view[...] = np.frombuffer(data, raw).reshape(box.extent)
            del flat, view  # or the pages can't be unmapped

    def _file(self, segment: int) -> int | None:
        """Open a data file, once; None in an object store."""
        if segment not in self._files:
            name = self._contents.segments[segment].file
            owner, inside = locate(self._backend, name)
            path = owner.path(inside)
            try:
                source = None if path is None else self._closing.enter_context(path.open("rb", buffering=0))
            except FileNotFoundError:
                raise CheckpointDamaged(f"{self._contents.label}: its file {name} is missing. {_NOTHING}") from None
            self._files[segment] = None if source is None else source.fileno()
        return self._files[segment]


def _make_read(block: Block) -> Read:
    return Read(block.segment, block.start, block.nbytes, (block,))


def copy_range(source: int, start: int, target: int, at: int, nbytes: int) -> bool:
    """Copy bytes from file to file inside the kernel, or through a buffer where that isn't possible (other file systems, macOS).
    False where the source ends too early."""
    end = start + nbytes
    while start < end:
        try:
            count = os.copy_file_range(source, target, min(end - start, _COPY_BYTES), start, at)
        except (OSError, AttributeError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_COPY:
                raise
            count = os.pwrite(target, os.pread(source, min(end - start, BLOCK_BYTES), start), at)
        if not count:
            return False
        start, at = start + count, at + count
    return True
