"""Checkpoints made from numpy arrays by the letter of the format, in any fragments: an oracle that shares no code with saving.

Also what a test needs around them: random boxes that cut an array, inventories of numpy arrays, and ranks that are threads.
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from headway.checkpoint.files.manifest import (
    Coverage,
    Fragment,
    Json,
    Manifest,
    Object,
    Segment,
    SegmentRef,
    block_hashes,
    block_nbytes,
    read_sealed_hash,
    seal,
)
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import NBYTES, code_of, numpy_dtype, raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.state.inventory import Holding, HostMemory, Inventory
from headway.storage.backend import Backend
from headway.storage.local import LocalBackend

Array = np.ndarray[Any, np.dtype[Any]]
Cuts = Mapping[str, Sequence[tuple[int, Box]]]  # by name: which file has which box


@dataclass
class Synthetic:
    """A checkpoint in a folder."""

    root: Path
    backend: Backend
    manifest: Manifest
    segments: tuple[Segment, ...]
    arrays: dict[str, Array] = field(default_factory=dict)

    def path(self, file: int) -> Path:
        return self.root / self.segments[file].file

    def fragments(self, name: str) -> list[tuple[int, Fragment]]:
        return [(n, each) for n, segment in enumerate(self.segments) for each in segment.fragments if each.name == name]

    def flip(self, file: int, at: int) -> None:
        """Flip a bit of a data file."""
        flip(self.path(file), at)


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def make(
    root: Path,
    arrays: Mapping[str, Array],
    cuts: Cuts | None = None,
    *,
    aliases: Mapping[str, str] | None = None,
    values: dict[str, Json] | None = None,
    step: int = 7,
    id: str = "6a1f",
) -> Synthetic:
    """Write a checkpoint. What has no cuts is whole in file 0."""
    folder = f"steps/{step:012d}-{id}"
    by_file: dict[int, list[tuple[str, Box]]] = {}
    for name, array in arrays.items():
        for file, box in (cuts or {}).get(name, [(0, whole(array.shape))]):
            by_file.setdefault(file, []).append((name, box))
    segments, refs = [], []
    for number, entries in sorted(by_file.items()):
        segment = _file(root, f"{folder}/{number:05d}", entries, arrays, id)
        sealed = seal(segment)
        (root / folder / f"{number:05d}.json").write_bytes(sealed)
        segments.append(segment)
        refs.append(SegmentRef(f"{folder}/{number:05d}.json", read_sealed_hash(sealed), segment.nbytes))
    objects = {name: Object(code_of(array.dtype), array.shape) for name, array in arrays.items()}
    for name, other in (aliases or {}).items():
        objects[name] = Object(objects[other].dtype, objects[other].shape, alias_of=other)
    nbytes = sum(array.nbytes for array in arrays.values())
    coverage = Coverage(len(objects), sum(len(segment.fragments) for segment in segments), nbytes)
    manifest = Manifest(id, step, 1, 0.0, objects, values or {}, tuple(refs), coverage)
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "manifest.json").write_bytes(seal(manifest))
    return Synthetic(root, LocalBackend(root), manifest, tuple(segments), dict(arrays))


def _file(root: Path, name: str, entries: list[tuple[str, Box]], arrays: Mapping[str, Array], id: str) -> Segment:
    def itemsize(entry: tuple[str, Box]) -> int:
        return arrays[entry[0]].dtype.itemsize

    entries = sorted(entries, key=lambda entry: (-itemsize(entry), entry[0], entry[1]))
    header: dict[str, Any] = {"__metadata__": {"format": "headway", "id": id}}
    at = 0
    for entry in entries:
        size = entry[1].volume * itemsize(entry)
        code = code_of(arrays[entry[0]].dtype)
        shape = [*entry[1].extent, 2] if code in ("C128", "C32") else list(entry[1].extent)
        if code == "F4_X2":
            shape = [*shape[:-1], 2 * shape[-1]] if shape else [2]
        stored = {"C128": "F64", "C32": "F16", "F4_X2": "F4"}.get(code, code)
        header[_key(entry, arrays)] = {"dtype": stored, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    length = math.ceil((8 + len(text)) / 4096) * 4096 - 8
    head = length.to_bytes(8, "little") + text.ljust(length)
    path = root / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    fragments = []
    with path.open("wb") as file:
        file.write(head)
        for entry in entries:
            fragments.append(_fragment(entry, arrays[entry[0]], file.tell()))
            file.write(_part(arrays[entry[0]], entry[1]))
        nbytes = file.tell()
    return Segment(f"{name}.safetensors", nbytes, len(head), xxhash.xxh3_128_hexdigest(head), tuple(fragments), name[-5:])


def _key(entry: tuple[str, Box], arrays: Mapping[str, Array]) -> str:
    name, box = entry
    if box == whole(arrays[name].shape):
        return name
    return f"{name}@{','.join(map(str, box.offset))}+{','.join(map(str, box.extent))}"


def _fragment(entry: tuple[str, Box], array: Array, start: int) -> Fragment:
    name, box = entry
    block = block_nbytes(box.extent, array.dtype.itemsize)
    return Fragment(name, box.offset, box.extent, start, block_hashes(memoryview(_part(array, box)), block))


def _part(array: Array, box: Box) -> bytes:
    return np.ascontiguousarray(array[slices(box)]).tobytes()


def slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(begin, end) for begin, end in zip(box.offset, box.end, strict=True))


@contextmanager
def blocks_of(nbytes: int) -> Iterator[None]:
    """Make and read checkpoints whose blocks have so many bytes, so that small arrays have many."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("synthetic", "headway.checkpoint.load.blocks"):
            patch.setattr(f"{module}.block_nbytes", lambda extent, itemsize: nbytes)
        yield


def needed_nbytes(made: Synthetic, wanted: Mapping[str, Array]) -> int:
    """By brute force: the bytes of all blocks that hold an element whose mask, of its array's shape, is true."""
    total = 0
    for name, mask in wanted.items():
        itemsize = made.arrays[name].dtype.itemsize
        for _, fragment in made.fragments(name):
            count = block_nbytes(fragment.extent, itemsize) // itemsize
            flat = mask[slices(fragment.box)].reshape(-1)
            total += sum(itemsize * len(flat[at : at + count]) for at in range(0, len(flat), count) if flat[at : at + count].any())
    return total


# --- what tests put around them --------------------------------------------------------------------------------------


def random_cuts(shape: Sequence[int], pieces: int, rng: random.Random) -> list[Box]:
    """Disjoint boxes that are all of an array, cut at random places (never two empty ones)."""
    boxes = [whole(shape)]
    for _ in range(pieces - 1):
        box = boxes.pop(rng.randrange(len(boxes)))
        wide = [d for d, size in enumerate(box.extent) if size > 1]
        if not wide:
            boxes.append(box)
            continue
        d = rng.choice(wide)
        at = rng.randrange(1, box.extent[d])
        boxes.append(Box(box.offset, (*box.extent[:d], at, *box.extent[d + 1 :])))
        moved = (*box.offset[:d], box.offset[d] + at, *box.offset[d + 1 :])
        boxes.append(Box(moved, (*box.extent[:d], box.extent[d] - at, *box.extent[d + 1 :])))
    return boxes


def holding(name: str, array: Array, box: Box | None = None, shape: Sequence[int] | None = None) -> Holding:
    """An array of numpy as what this process holds of an object: its `box`, None for all of it. The array may be strided."""
    code = code_of(array.dtype)
    box = box or whole(array.shape)
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    flat = base.reshape(-1).view(raw_dtype(code))
    first = (array.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // flat.itemsize
    strides = tuple(stride // flat.itemsize for stride in array.strides)
    pieces = (Piece(box, first, strides),)
    return Holding(name, Object(code, tuple(shape if shape is not None else array.shape)), pieces, HostMemory(flat, base))


def inventory(arrays: Mapping[str, Array], **more: Any) -> Inventory:
    return Inventory([holding(name, array) for name, array in arrays.items()], **more)


def bits(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view("u1")


def same(a: Array, b: Array) -> bool:
    """Equal to the last bit."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(bits(a), bits(b)))


def random_array(shape: Sequence[int], code: str, seed: int) -> Array:
    raw = np.random.default_rng(seed).integers(0, 256, math.prod(shape) * NBYTES[code], dtype="u1")
    if code == "BOOL":
        raw &= 1
    return raw.view(numpy_dtype(code)).reshape(shape)


class ThreadRanks:
    """One of several ranks that are threads of this process, on the given hosts."""

    def __init__(self, rank: int, hosts: Sequence[str], shared: _Table) -> None:
        self.rank = rank
        self.size = len(hosts)
        self._hosts = list(hosts)
        self._table = shared

    def exchange(self, data: bytes) -> list[bytes]:
        return self._table.swap(self.rank, data)

    def hosts(self) -> list[str]:
        return self._hosts


class _Table:
    def __init__(self, size: int) -> None:
        self._said = [b""] * size
        self._barrier = threading.Barrier(size, timeout=60)

    def swap(self, rank: int, data: bytes) -> list[bytes]:
        self._said[rank] = data
        self._barrier.wait()
        got = list(self._said)
        self._barrier.wait()
        return got


def on_ranks(hosts: Sequence[str], act: Callable[[ThreadRanks], Any]) -> list[Any]:
    """Do `act` on as many ranks as there are hosts; what each returned or raised."""
    table = _Table(len(hosts))
    results: list[Any] = [None] * len(hosts)

    def work(rank: int) -> None:
        try:
            results[rank] = act(ThreadRanks(rank, hosts, table))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(len(hosts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
