"""Finds arrays of a state that share memory but are not the same array: a transposed tie, a view of a part.

Loading one of them changes the other. So the checkpoint must hold the same values for the shared part, or one array would silently
overwrite the other. Shared memory is found by addresses. To check two such arrays, both are loaded into scratch memory with the
same overlap, and each must still read as it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.load.diff import compare
from headway.checkpoint.load.lazy import LazyArray
from headway.checkpoint.state.inventory import Holding

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_MAX_WORK = 1_000_000  # candidates that numpy looks at for an element that two views share


class Region(NamedTuple):
    """The bytes from `begin` to `end` of this process's memory, in some of which a piece of an array is."""

    begin: int
    end: int
    first: int
    name: str
    code: str
    piece: Piece

    def within(self, scratch: Array, begin: int) -> Array:
        """Return where the piece is in scratch memory that stands for the memory from `begin` on."""
        raw = raw_dtype(self.code)
        strides = [stride * raw.itemsize for stride in self.piece.strides]
        return np.ndarray(self.piece.box.extent, raw, scratch.data, self.first - begin, strides)


def overlaps(holdings: Iterable[Holding]) -> Iterator[tuple[Region, Region]]:
    """Find pairs of regions of different arrays that share elements. The same box at the same place of two arrays is a pair too."""
    near: list[tuple[int, list[Region]]] = []
    for begin, end, regions in sorted(_hull(regions) for each in holdings if (regions := list(_regions(each)))):
        near = [each for each in near if each[0] > begin]
        for _, others in near:
            for pair in product(others, regions):
                if pair[0].end > pair[1].begin and pair[1].end > pair[0].begin and _share(*pair):
                    yield pair
        near.append((end, regions))


def _hull(regions: list[Region]) -> tuple[int, int, list[Region]]:
    return min(each.begin for each in regions), max(each.end for each in regions), regions


def agree(one: Region, other: Region, opened: Mapping[str, LazyArray]) -> bool:
    """Whether two regions that share memory can both have what a checkpoint has for them."""
    if one._replace(name=other.name) == other:
        return not compare(opened[one.name], opened[other.name]).changed  # mostly decided by hashes
    begin = min(one.begin, other.begin)
    scratch = np.zeros(max(one.end, other.end) - begin, "u1")
    values, after = opened[one.name].raw(one.piece.box), one.within(scratch, begin)
    after[...] = values
    other.within(scratch, begin)[...] = opened[other.name].raw(other.piece.box)
    return np.ascontiguousarray(after).tobytes() == values.tobytes()


def _regions(holding: Holding) -> Iterator[Region]:
    address, size = holding.memory.address(), raw_dtype(holding.object.dtype).itemsize
    for piece in holding.pieces if address else ():
        if piece.box.volume:
            first = address + piece.offset * size
            steps = [(extent - 1) * stride * size for extent, stride in zip(piece.box.extent, piece.strides, strict=True)]
            begin, end = first + sum(min(step, 0) for step in steps), first + sum(max(step, 0) for step in steps) + size
            yield Region(begin, end, first, holding.name, holding.object.dtype, piece)


def _share(one: Region, other: Region) -> bool:
    """Whether they have a byte in common. Interleaved views of one array have none."""
    begin = min(one.begin, other.begin)
    scratch: Array = np.empty(max(one.end, other.end) - begin, "u1")  # only addresses are looked at: no page of it is touched
    try:
        return np.shares_memory(one.within(scratch, begin), other.within(scratch, begin), max_work=_MAX_WORK)  # type: ignore[arg-type]  # numpy takes any
    except np.exceptions.TooHardError:
        return True  # the checkpoint's values decide
