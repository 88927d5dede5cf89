"""Takes over tensors in files of other programs: hashes are computed, bytes stay where they are.

Every importer (safetensors, torch.distributed.checkpoint, DeepSpeed) finds fragments (`ForeignFragment`): this box of this object
is row-major at this byte of this file. What has no such place (a transposed tensor, a Python number that becomes an array) is a
`FragmentData` and is written.
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

from headway.checkpoint.catalog.commit_alone import commit
from headway.checkpoint.catalog.leases import lease_for_saving
from headway.checkpoint.files.coverage import Draft
from headway.checkpoint.files.manifest import BLOCK_BYTES, Json, Manifest, Object, PlannedFragment, Segment, folder_of
from headway.checkpoint.files.write import FragmentData, put_segment, write_segment
from headway.errors import CheckpointDamaged, UsageError
from headway.storage.backend import Backend

WRITER = "import"  # and `import-00000` … for each file of others


class ForeignFragment(NamedTuple):
    """A fragment that is in a file of another program."""

    file: Path
    fragment: PlannedFragment


class Found(NamedTuple):
    """What an importer found. `objects`: what has to be there, whether a place or a part of it was found or not. `headers`: how
    many bytes at the beginning of a file are a safetensors header."""

    places: Sequence[ForeignFragment]
    parts: Sequence[FragmentData]
    values: dict[str, Json]
    provenance: dict[str, Json]
    objects: Mapping[str, Object] = MappingProxyType({})
    layout: Mapping[str, Json] = MappingProxyType({})
    headers: Mapping[Path, int] = MappingProxyType({})


def take_over(backend: Backend, found: Found, step: int, copy: bool = False) -> Manifest:
    """Make a checkpoint of what was found. It is the newest one of this root.

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
        parts += [_copy_when_asked(*place) for place in places]
        places = []
    by_file: dict[Path, list[PlannedFragment]] = {}
    for file, fragment in places:
        by_file.setdefault(file, []).append(fragment)
    with lease_for_saving(backend, identity, WRITER):
        segments = [write_segment(backend, folder, WRITER, parts, identity)] if parts else []
        for number, (file, inside) in enumerate(by_file.items()):
            segments.append(hash_in_place(file, inside, found.headers.get(file, 0), f"{WRITER}-{number:05d}"))
        refs = [(put_segment(backend, folder, segment), segment) for segment in segments]
        draft = Draft(identity, step, 0, time.time(), objects, found.values, layout=dict(found.layout), provenance=found.provenance)
        return commit(backend, draft, refs)


def hash_in_place(file: Path, places: Iterable[PlannedFragment], header_nbytes: int, writer: str) -> Segment:
    """Make a segment that refers to a file that was there before. Reads each byte of the places once."""
    fragments = []
    with file.open("rb", buffering=0) as source:
        header_hash = xxhash.xxh3_128_hexdigest(source.read(header_nbytes))
        room = memoryview(bytearray(BLOCK_BYTES))
        for place in sorted(places, key=lambda each: each.start):
            hashes = "".join(xxhash.xxh3_128_hexdigest(block) for block in _blocks(source, file, place, room))
            fragments.append(place.with_hashes(hashes))
        nbytes = os.fstat(source.fileno()).st_size
    return Segment(str(file.resolve()), nbytes, header_nbytes, header_hash, tuple(fragments), writer)


def _blocks(source: FileIO, file: Path, place: PlannedFragment, room: memoryview) -> Iterator[memoryview]:
    left, block = place.nbytes, place.block_nbytes
    source.seek(place.start)
    while left:
        here = room[: min(block, left)]
        _fill(source, here, file, place)
        yield here
        left -= len(here)


def _fill(source: FileIO, into: memoryview, file: Path, place: PlannedFragment) -> None:
    at = 0
    while at < len(into):
        count = source.readinto(into[at:])
        if not count:
            raise CheckpointDamaged(f"{file}: it ends before {place.name}{place.box} does, so the file is not whole")
        at += count


def _copy_when_asked(file: Path, place: PlannedFragment) -> FragmentData:
    def data() -> memoryview:
        into = memoryview(bytearray(place.nbytes))
        with file.open("rb", buffering=0) as source:
            source.seek(place.start)
            _fill(source, into, file, place)
        return into

    return FragmentData(place.name, place.object, place.box, data)


def _objects(found: Found) -> dict[str, Object]:
    objects = dict(found.objects)
    named: list[tuple[str, Object]] = [(place.name, place.object) for _, place in found.places]
    named += [(part.name, part.object) for part in found.parts]
    for name, its in named:
        first = objects.setdefault(name, its)
        if (first.dtype, first.shape) != (its.dtype, its.shape):
            raise UsageError(
                f"two tensors are both called {name}: {first.dtype} {list(first.shape)} and {its.dtype} {list(its.shape)}. "
                "Give one of them another name (rename=)"
            )
    return objects
