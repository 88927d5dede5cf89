"""Pieces: the strided places in a process's memory that hold boxes of an array.

A plain tensor is one piece; a packed or padded shard has several; a flat ZeRO range has up to `2 * ndim - 1`. Pieces follow
from how each dimension is sharded (`sharding.py`). Offsets and strides are in elements, so nothing here knows an element type.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple, Protocol

from headway.checkpoint.layout.boxes import Box, flat_boxes, strides_of, whole
from headway.checkpoint.layout.placing import Place
from headway.checkpoint.layout.sharding import DimSharding, compose, full


class Piece(NamedTuple):
    """A box of an object, at element `offset` of a memory, with `strides` in elements."""

    box: Box
    offset: int
    strides: tuple[int, ...]

    def narrow(self, box: Box) -> Piece:
        """Return the part of it that is `box`, which it must hold."""
        offset = self.offset
        for begin, mine, stride in zip(box.offset, self.box.offset, self.strides, strict=True):
            offset += (begin - mine) * stride
        return Piece(box, offset, self.strides)


class Strided(Protocol):
    """How much of an array is in this process (`extent`), how that lies in the array's own shape (`cuts`; None: it is all of it),
    and where it is in a memory, in elements."""

    @property
    def extent(self) -> tuple[int, ...]: ...
    @property
    def cuts(self) -> tuple[DimSharding, ...] | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


class Range(NamedTuple):
    """Elements `begin <= i < end` of an array of this shape and these cuts, which are in a flat memory from element `at` on."""

    cuts: tuple[DimSharding, ...] | None
    shape: tuple[int, ...]
    begin: int
    end: int
    at: int


def lay_all(items: Iterable[tuple[Place, Strided, Range | None]]) -> list[tuple[Piece, ...]]:
    """Find the pieces of arrays that lie at these places. With a `Range`, the memory is a flat buffer and has that much of the
    array."""
    found: list[tuple[Piece, ...]] = []
    for place, here, part in items:
        if part is not None:
            found.append(_range_pieces(place, here, part))
        elif (place.cuts is None and here.cuts is None) or 0 in place.shape:
            found.append(whole_piece(place.shape, here.offset, here.strides))
        else:
            outer, inner = place.cuts or here.cuts or (), here.cuts
            both = tuple(map(compose, outer, inner)) if place.cuts is not None and inner is not None else outer
            found.append(pieces_of(both, whole(here.extent), here.offset, here.strides))
    return found


def _range_pieces(place: Place, here: Strided, part: Range) -> tuple[Piece, ...]:
    if 0 in place.shape:
        return whole_piece(place.shape, 0, (0,) * len(place.shape))
    step = here.strides[0]
    pieces = flat_pieces(part.cuts or tuple(map(full, part.shape)), part.shape, part.begin, part.end, part.at)
    return tuple(Piece(box, here.offset + at * step, tuple(stride * step for stride in strides)) for box, at, strides in pieces)


@functools.lru_cache(1 << 14)  # the same tensors, and as many moments, at each save
def pieces_of(cuts: tuple[DimSharding, ...], here: Box, offset: int, strides: tuple[int, ...]) -> tuple[Piece, ...]:
    """Find the pieces of a local box whose first element is at `offset` of the memory. Padding and empty ones are left out."""
    spans = []
    for cut, begin, size in zip(cuts, here.offset, here.extent, strict=True):
        met = [(max(run.here, begin), min(run.here + run.size, begin + size), run) for run in cut]
        spans.append([(run.whole + lo - run.here, lo - begin, hi - lo) for lo, hi, run in met if lo < hi])
    return tuple(
        Piece(
            Box(tuple(span[0] for span in each), tuple(span[2] for span in each)),
            offset + sum(span[1] * stride for span, stride in zip(each, strides, strict=True)),
            strides,
        )
        for each in product(*spans)
    )


def flat_pieces(cuts: tuple[DimSharding, ...], shape: tuple[int, ...], start: int, stop: int, offset: int) -> list[Piece]:
    """Find the pieces of the elements `start <= i < stop` of a local array's row-major order, which are contiguous in memory from
    `offset` on. The array has this shape and these cuts."""
    strides = strides_of(shape)
    pieces: list[Piece] = []
    for box in flat_boxes(shape, start, stop):
        first = sum(at * stride for at, stride in zip(box.offset, strides, strict=True))
        pieces += pieces_of(cuts, box, offset + first - start, strides)
    return pieces


def whole_piece(shape: tuple[int, ...], offset: int, strides: tuple[int, ...]) -> tuple[Piece, ...]:
    """Return the one piece of an array that is whole here. An empty array has one too, so that it is known who holds it."""
    return (Piece(whole(shape), offset, strides),)
