"""The stored side of every read: which fragments hold a box of an object, and which of their blocks must be read.

A block is the smallest thing that can be verified, so it is the smallest thing that is read. Loading, lazy reading, verifying and
comparing ask the same questions, and ask them here: where is this box (`Contents.meeting`), which blocks does a part of a fragment
touch (`StoredFragment.find_blocks`), which boxes are in one block (`StoredFragment.boxes`). Geometry only: no file is opened.

A seal proves that a segment has not changed, not that it is right. A fragment outside its object or file, a wrong number of hashes,
or two fragments that claim the same element are reported as damage before anything is read.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from headway.checkpoint.files.manifest import Fragment, Manifest, Object, Segment, block_nbytes
from headway.checkpoint.layout.boxes import Box, flat_boxes, overlap, strides_of, whole
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import CheckpointDamaged, CheckpointMismatch

HASH_DIGITS = 32


class Block(NamedTuple):
    """A block: where it is in its fragment (`number`) and in its file (`start`, `nbytes`). Sorts in the order of the files."""

    segment: int
    start: int
    fragment: int
    number: int
    nbytes: int

    @property
    def end(self) -> int:
        return self.start + self.nbytes


@dataclass(frozen=True, slots=True)
class StoredFragment:
    """A fragment, with what follows from its geometry. `segment` and `fragment` are its numbers in the lists."""

    segment: int
    fragment: int
    name: str
    box: Box
    itemsize: int
    start: int
    hashes: str
    block_nbytes: int

    @property
    def nbytes(self) -> int:
        return self.box.volume * self.itemsize

    @property
    def count(self) -> int:
        """How many blocks it has."""
        return -(-self.nbytes // self.block_nbytes)

    def block(self, number: int) -> Block:
        at = number * self.block_nbytes
        return Block(self.segment, self.start + at, self.fragment, number, min(self.block_nbytes, self.nbytes - at))

    def hash(self, number: int) -> str:
        return self.hashes[number * HASH_DIGITS : (number + 1) * HASH_DIGITS]

    def find_blocks(self, part: Box) -> list[range]:
        """List the blocks that hold an element of `part`, exactly, as ranges in order. `part` lies in the fragment."""
        elements = self.block_nbytes // self.itemsize
        ranges: list[range] = []
        for begin, end in _spans(self.box.extent, part.shift([-at for at in self.box.offset]), elements):
            first, stop = begin // elements, (end - 1) // elements + 1
            if ranges and first <= ranges[-1].stop:
                ranges[-1] = range(ranges[-1].start, max(stop, ranges[-1].stop))
            else:
                ranges.append(range(first, stop))
        return ranges

    def boxes(self, number: int) -> Iterator[tuple[Box, int]]:
        """List the boxes that a block holds, in order, each with the element of the block at which it begins."""
        elements = self.block_nbytes // self.itemsize
        at = 0
        for box in flat_boxes(self.box.extent, number * elements, min((number + 1) * elements, self.box.volume)):
            yield box.shift(self.box.offset), at
            at += box.volume

    def run(self, part: Box) -> int | None:
        """Return the element of the fragment at which `part` begins, if it is contiguous there, else None."""
        inner = len(part.extent)
        while inner and part.extent[inner - 1] == self.box.extent[inner - 1]:
            inner -= 1
        if any(size != 1 for size in part.extent[: max(inner - 1, 0)]):
            return None
        steps = zip(part.offset, self.box.offset, strides_of(self.box.extent), strict=True)
        return sum((mine - its) * stride for mine, its, stride in steps)


def _spans(extent: Sequence[int], part: Box, gap: int) -> list[tuple[int, int]]:
    """Return the row-major elements of a box as spans. Those less than `gap` apart are one span: no block fits between them."""
    if not extent:
        return [(0, 1)]
    inner = _spans(extent[1:], Box(part.offset[1:], part.extent[1:]), gap)
    row, first, rows = math.prod(extent[1:]), part.offset[0], part.extent[0]
    begin, end = inner[0][0], inner[-1][1]
    if len(inner) == 1 and (rows == 1 or row - (end - begin) < gap):
        return [(first * row + begin, (first + rows - 1) * row + end)]
    return [(at * row + begin, at * row + end) for at in range(first, first + rows) for begin, end in inner]


class _Index:
    """The fragments of one object, searchable by box: sorted along the axis on which they differ most."""

    def __init__(self, parts: list[StoredFragment]) -> None:
        dims = len(parts[0].box.offset) if parts else 0
        self._axis = max(range(dims), key=lambda d: len({part.box.offset[d] for part in parts}), default=-1)
        self.parts = sorted(parts, key=lambda part: part.box.offset[self._axis] if dims else 0)
        if dims:
            self._begins = [part.box.offset[self._axis] for part in self.parts]
            self._ends = list(accumulate((part.box.end[self._axis] for part in self.parts), max))

    def meeting(self, box: Box) -> Iterator[tuple[StoredFragment, Box]]:
        near = self.parts
        if self._axis >= 0 and near:
            low = bisect_right(self._ends, box.offset[self._axis])
            near = near[low : bisect_left(self._begins, box.end[self._axis])]
        for part in near:
            met = part.box.meet(box)
            if met is not None:
                yield part, met


class Contents:
    """What a checkpoint holds, by name. Fragments of an object are placed and checked when it is first asked for."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment]) -> None:
        self.manifest = manifest
        self.segments = tuple(segments)
        self.label = manifest.label
        self._fragments: dict[str, list[tuple[int, int]]] = {}
        for number, segment in enumerate(self.segments):
            for at, fragment in enumerate(segment.fragments):
                self._fragments.setdefault(fragment.name, []).append((number, at))
        self._indexes: dict[str, _Index] = {}
        self._placed: dict[tuple[int, int], StoredFragment] = {}

    def holder(self, name: str) -> str:
        """Return the name under which the bytes of an object are stored. Raises CheckpointMismatch if there is no such object."""
        seen = {name}
        while True:
            known = self.manifest.objects.get(name)
            if known is None:
                raise CheckpointMismatch(f"{self.label} has no tensor {name}; it has {_some(self.manifest.objects)}")
            if not known.alias_of:
                return name
            name = known.alias_of
            if name in seen:
                raise CheckpointDamaged(f"{self.label}: {', '.join(sorted(seen))} are each other's aliases and have no bytes")
            seen.add(name)

    def strangers(self) -> list[str]:
        """List names that have fragments but are no objects with bytes of their own."""
        objects = self.manifest.objects
        return sorted(name for name in self._fragments if name not in objects or objects[name].alias_of)

    def parts(self, name: str) -> list[StoredFragment]:
        """List all fragments with elements of an object that has bytes of its own."""
        return self._index(name).parts

    def meeting(self, name: str, box: Box) -> list[tuple[StoredFragment, Box]]:
        """Find the fragments that hold a part of `box`, and that part. Raises CheckpointDamaged if some of it is nowhere."""
        met = list(self._index(name).meeting(box))
        if sum(part.volume for _, part in met) != box.volume:
            left = [box] if box.volume else []
            for _, part in met:
                left = [rest for each in left for rest in each.minus(part)]
            raise CheckpointDamaged(
                f"{self.label}: tensor {name}: {min(left)} is in none of its files, so it can't be loaded. Load another checkpoint"
            )
        return met

    def describe(self, block: Block) -> str:
        """Name a block for messages: tensor, file, block and byte range."""
        segment = self.segments[block.segment]
        name = segment.fragments[block.fragment].name
        return f"tensor {name}: block {block.number} in {segment.file}, bytes {block.start} to {block.end}"

    def fragment_of(self, block: Block) -> StoredFragment:
        """Return the fragment that a block belongs to."""
        return self.place(block.segment, block.fragment)

    def _index(self, name: str) -> _Index:
        index = self._indexes.get(name)
        if index is None:
            parts = [self.place(*where) for where in self._fragments.get(name, ())]
            index = _Index([part for part in parts if part.nbytes])
            twice = overlap(part.box for part in index.parts)
            if twice is not None:
                raise CheckpointDamaged(f"{self.label}: tensor {name}: {twice[0]} and {twice[1]} are stored and overlap")
            self._indexes[name] = index
        return index

    def place(self, number: int, at: int) -> StoredFragment:
        """Place fragment `at` of segment `number`. Raises CheckpointDamaged if that is impossible."""
        known_place = self._placed.get((number, at))
        if known_place is not None:
            return known_place
        segment = self.segments[number]
        fragment = segment.fragments[at]
        known = self.manifest.objects[fragment.name]
        itemsize = NBYTES[known.dtype]
        block = block_nbytes(fragment.extent, itemsize)
        placed = StoredFragment(number, at, fragment.name, fragment.box, itemsize, fragment.start, fragment.hashes, block)
        wrong = _impossible(segment, fragment, known, placed)
        if wrong:
            raise CheckpointDamaged(f"{self.label}: tensor {fragment.name}: fragment {at} of {segment.file} {wrong}")
        self._placed[number, at] = placed
        return placed


def _impossible(segment: Segment, fragment: Fragment, known: Object, placed: StoredFragment) -> str:
    """Say what is wrong with a fragment's geometry, "" if nothing."""
    if len(fragment.offset) != len(known.shape) or len(fragment.extent) != len(known.shape):
        return f"has {len(fragment.extent)} dimensions, the tensor {len(known.shape)}"
    if min((*fragment.offset, *fragment.extent), default=0) < 0 or not whole(known.shape).holds(placed.box):
        return f"is {placed.box}, outside of the shape {list(known.shape)}"
    if placed.nbytes and not segment.header_nbytes <= placed.start <= segment.nbytes - placed.nbytes:
        return f"is at bytes {placed.start} to {placed.start + placed.nbytes}, outside of the data of a file of {segment.nbytes}"
    if len(fragment.hashes) != placed.count * HASH_DIGITS:
        return f"has {len(fragment.hashes) // HASH_DIGITS} hashes for {placed.count} blocks"
    return ""


def _some(names: Sequence[str] | dict[str, Object]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") if shown else "none"
