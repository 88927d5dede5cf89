"""Writes data files and their segments from this process, synchronously: for imports and for programs that write themselves.

`hw.Checkpoints.save` copies into shared memory and lets its helper process write. Both make the same files in the same order (data,
sealed segments, manifest, HEAD).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from headway.checkpoint.files.file_layout import FileImage, lay_out
from headway.checkpoint.files.manifest import (
    Fragment,
    Object,
    Segment,
    SegmentRef,
    block_hashes,
    read_sealed_hash,
    seal,
)
from headway.checkpoint.layout.boxes import Box
from headway.errors import UsageError
from headway.storage.backend import Backend, DataWriter

if TYPE_CHECKING:
    import numpy as np

    Data = np.ndarray[Any, np.dtype[Any]] | memoryview

_BUFFER = 8 << 20  # a multiple of the backend's 1 MiB


class FragmentData(NamedTuple):
    """A box of an object that is to be written, and its elements in row-major order: an array, or what makes it when asked."""

    name: str
    object: Object
    box: Box
    data: Data | Callable[[], Data]


def write_segment(backend: Backend, folder: str, writer: str, parts: Iterable[FragmentData], id: str) -> Segment:
    """Write one data file, durably, and return what its segment file has to say (`put_segment`).

    Holds one part's elements and 8 MiB at a time. Where it raises, no file is left behind.

    Raises:
        UsageError: data that doesn't have its box's size, or two parts with one name and box.
        StoreFull, OSError: as the backend does.
    """
    todo = list(parts)
    image = lay_out([(part.name, part.object, part.box) for part in todo], id)
    data = {(part.name, part.box): part.data for part in todo}
    file = f"{folder}/{writer}.safetensors"
    writing = backend.create(file, image.nbytes)
    try:
        fragments = _write(writing, image, data)
        writing.finish()
    except BaseException:
        writing.abort()
        raise
    header_hash = xxhash.xxh3_128_hexdigest(image.header)
    return Segment(file, image.nbytes, len(image.header), header_hash, tuple(fragments), writer)


def put_segment(backend: Backend, folder: str, segment: Segment) -> SegmentRef:
    """Write the sealed file of a segment, under its writer's name."""
    sealed = seal(segment)
    file = f"{folder}/{segment.writer}.json"
    backend.put(file, sealed)
    return SegmentRef(file, read_sealed_hash(sealed), segment.nbytes)


def raw_bytes(data: Data) -> memoryview:
    """Return the elements of an array as bytes, in row-major order."""
    if isinstance(data, memoryview):
        return data.cast("B") if data.nbytes else memoryview(b"")
    flat = (data if data.flags.c_contiguous else data.copy(order="C")).reshape(-1)  # numbers of numpy have these as well
    return flat.view("u1").data


def _write(writing: DataWriter, image: FileImage, data: dict[tuple[str, Box], Data | Callable[[], Data]]) -> Sequence[Fragment]:
    fragments = []
    with _Aligned(writing, image.nbytes) as out:
        out.put(memoryview(image.header))
        for each in image.fragments:
            source = data[each.name, each.box]
            raw = raw_bytes(source() if callable(source) else source)
            if raw.nbytes != each.nbytes:
                raise UsageError(f"{each.name}{each.box}: {raw.nbytes} bytes were given, it has {each.nbytes}")
            fragments.append(each.with_hashes(block_hashes(raw, each.block_nbytes)))
            out.put(raw)
    return fragments


class _Aligned:
    """Collects bytes of any size into chunks that begin at a memory page and are a multiple of 1 MiB long."""

    def __init__(self, writing: DataWriter, nbytes: int) -> None:
        self._writing = writing
        self._map = mmap.mmap(-1, max(1, min(_BUFFER, nbytes)))
        self._room = memoryview(self._map)
        self._used = 0

    def put(self, data: memoryview) -> None:
        at = 0
        while at < len(data):
            part = data[at : at + len(self._room) - self._used]
            self._room[self._used : self._used + len(part)] = part
            self._used += len(part)
            at += len(part)
            if self._used == len(self._room):
                self._flush()

    def _flush(self) -> None:
        if self._used:
            with self._room[: self._used] as chunk:
                self._writing.write(chunk)
            self._used = 0

    def __enter__(self) -> _Aligned:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._room.release()
            self._map.close()
