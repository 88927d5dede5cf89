"""Takes tensors over that lie in files of other programs: hashes are computed, bytes stay where they are.

Every importer (safetensors, torch.distributed.checkpoint, DeepSpeed) finds `Place`s: this box of this object is row-major at this
byte of this file. What has no such place (a transposed tensor, a Python number that becomes an array) is a `Part` and is written.
From here on there is no difference between them and a checkpoint that was saved here: blocks have hashes, `commit` proves that the
boxes cover every object, and a file that is changed or removed later is damage that is named.

A checkpoint in an object store must not depend on a path of one machine, so there, or with `copy=True`, bytes are copied.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import xxhash

from headway.checkpoint.catalog.commit import commit
from headway.checkpoint.catalog.leases import saving
from headway.checkpoint.files.coverage import Draft
from headway.checkpoint.files.manifest import BLOCK_BYTES, Fragment, Json, Manifest, Object, Segment, block_nbytes, folder_of
from headway.checkpoint.files.write import Part, put_segment, write_segment
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import CheckpointDamaged, UsageError
from headway.storage.backend import Backend

WRITER = "import"  # and `import-00000` … for each file of others


class Place(NamedTuple):
    """One box of one object, row-major, from byte `start` of a file."""

    name: str
    object: Object
    box: Box
    file: Path
    start: int


class Found(NamedTuple):
    """What an importer found. `objects`: what has to be there, whether a place or a part of it was found or not. `headers`: how
    many bytes at the beginning of a file are a safetensors header."""

    places: Sequence[Place]
    parts: Sequence[Part]
    values: dict[str, Json]
    provenance: dict[str, Json]
    objects: Mapping[str, Object] = MappingProxyType({})
    layout: Mapping[str, Json] = MappingProxyType({})
    headers: Mapping[Path, int] = MappingProxyType({})


def take_over(backend: Backend, found: Found, step: int, copy: bool = False) -> Manifest:
    """Make a checkpoint of what was found, and the newest one of this root.

    Raises:
        SaveFailed: boxes of a tensor overlap or leave a hole.
        CheckpointDamaged: a file is shorter than it was when it was looked at.
        UsageError: two tensors have one name and differ in shape or type.
    """
    identity = uuid.uuid4().hex[:12]
    folder = folder_of(step, identity)
    parts, places = list(found.parts), list(found.places)
    objects = _objects(found)
    if copy or backend.path(folder) is None:
        parts += [_copied(place) for place in places]
        places = []
    by_file: dict[Path, list[Place]] = {}
    for place in places:
        by_file.setdefault(place.file, []).append(place)
    with saving(backend, identity, WRITER):
        segments = [write_segment(backend, folder, WRITER, parts, identity)] if parts else []
        for number, (file, inside) in enumerate(by_file.items()):
            segments.append(hash_in_place(file, inside, found.headers.get(file, 0), f"{WRITER}-{number:05d}"))
        refs = [(put_segment(backend, folder, segment), segment) for segment in segments]
        draft = Draft(identity, step, 0, time.time(), objects, found.values, layout=dict(found.layout), provenance=found.provenance)
        return commit(backend, draft, refs)


def hash_in_place(file: Path, places: Iterable[Place], header_nbytes: int, writer: str) -> Segment:
    """A segment that refers to a file that was there before. Reads each byte of the places once."""
    fragments = []
    with file.open("rb", buffering=0) as source:
        header_hash = xxhash.xxh3_128_hexdigest(source.read(header_nbytes))
        room = memoryview(bytearray(BLOCK_BYTES))
        for place in sorted(places, key=lambda each: each.start):
            hashes = "".join(xxhash.xxh3_128_hexdigest(block) for block in _blocks(source, place, room))
            fragments.append(Fragment(place.name, place.box.offset, place.box.extent, place.start, hashes))
        nbytes = os.fstat(source.fileno()).st_size
    return Segment(str(file.resolve()), nbytes, header_nbytes, header_hash, tuple(fragments), writer)


def _blocks(source: FileIO, place: Place, room: memoryview) -> Iterator[memoryview]:
    itemsize = NBYTES[place.object.dtype]
    left, block = place.box.volume * itemsize, block_nbytes(place.box.extent, itemsize)
    source.seek(place.start)
    while left:
        here = room[: min(block, left)]
        _fill(source, here, place)
        yield here
        left -= len(here)


def _fill(source: FileIO, into: memoryview, place: Place) -> None:
    at = 0
    while at < len(into):
        count = source.readinto(into[at:])
        if not count:
            raise CheckpointDamaged(f"{place.file}: it ends before {place.name}{place.box} does, so the file is not whole")
        at += count


def _copied(place: Place) -> Part:
    def data() -> memoryview:
        into = memoryview(bytearray(place.box.volume * NBYTES[place.object.dtype]))
        with place.file.open("rb", buffering=0) as source:
            source.seek(place.start)
            _fill(source, into, place)
        return into

    return Part(place.name, place.object, place.box, data)


def _objects(found: Found) -> dict[str, Object]:
    objects = dict(found.objects)
    for name, its in [*((place.name, place.object) for place in found.places), *((part.name, part.object) for part in found.parts)]:
        first = objects.setdefault(name, its)
        if (first.dtype, first.shape) != (its.dtype, its.shape):
            raise UsageError(
                f"two tensors are both called {name}: {first.dtype} {list(first.shape)} and {its.dtype} {list(its.shape)}. "
                "Give one of them another name (rename=)"
            )
    return objects
