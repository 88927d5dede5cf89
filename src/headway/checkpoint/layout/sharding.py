"""Cuts: how one dimension of a local array lies in the same dimension of the whole array, and what follows for its memory.

Every way to split a tensor over ranks, however it is called, takes some ranges of a dimension and puts them one after another:
a column split takes one range, a packed QKV shard takes three, a strided shard takes many, a padded vocabulary takes one that
ends beyond the array. A `Cut` writes that down as runs, and two of them compose. So a tensor that is declared to be split by
tensor parallelism, and then sharded by FSDP, and then flattened by ZeRO is the composition of three simple facts, and its pieces
are the product of the cuts of its dimensions. Pure functions on integers: no ranks, no tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from headway.checkpoint.layout.boxes import Box, flat_boxes, strides_of, whole
from headway.checkpoint.state.inventory import Piece


class Run(NamedTuple):
    """Elements `whole <= i < whole + size` of the whole dimension are elements `here <= i < here + size` of the local one."""

    whole: int
    here: int
    size: int


Cut = tuple[Run, ...]
"""The runs of one dimension, by `here`. What is in no run is padding."""

Range = tuple[int, int]
"""`begin <= i < end`."""


def uncut(size: int) -> Cut:
    """The cut of a dimension that is whole here."""
    return (Run(0, 0, size),) if size else ()


def taken(ranges: Iterable[Range]) -> Cut:
    """The cut of a dimension that holds these ranges of the whole one, one after another.

    Example:
        >>> taken([(0, 2), (6, 8)])
        (Run(whole=0, here=0, size=2), Run(whole=6, here=2, size=2))
    """
    runs, here = [], 0
    for begin, end in ranges:
        if begin < end:
            runs.append(Run(begin, here, end - begin))
            here += end - begin
    return _joined(runs)


def composed(outer: Cut, inner: Cut) -> Cut:
    """A cut of a cut: `inner` says how a local dimension lies in a middle one, `outer` how that lies in the whole one."""
    runs = []
    for run in inner:
        for out in outer:
            begin, end = max(run.whole, out.here), min(run.whole + run.size, out.here + out.size)
            if begin < end:
                runs.append(Run(out.whole + begin - out.here, run.here + begin - run.whole, end - begin))
    return _joined(runs)


def trimmed(cut: Cut, size: int) -> Cut:
    """The cut of a dimension whose elements from `size` on are padding."""
    return tuple(run._replace(size=min(run.size, size - run.whole)) for run in cut if run.whole < size)


def length(cut: Cut) -> int:
    """How many elements are in its runs."""
    return sum(run.size for run in cut)


def chunk(size: int, rank: int, ranks: int) -> Range:
    """The part of `rank` when a dimension is dealt in equal chunks, rounded up: the last ones may be short or empty.

    Example:
        >>> [chunk(5, rank, 4) for rank in range(4)]
        [(0, 2), (2, 4), (4, 5), (5, 5)]
    """
    each = -(-size // ranks)
    return min(rank * each, size), min((rank + 1) * each, size)


def _joined(runs: list[Run]) -> Cut:
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.whole + last.size == run.whole and last.here + last.size == run.here:
            joined[-1] = last._replace(size=last.size + run.size)
        else:
            joined.append(run)
    return tuple(joined)


# --- pieces of memory ------------------------------------------------------------------------------------------------


@functools.lru_cache(1 << 14)  # the same tensors, and as many moments, at each save
def pieces_of(cuts: tuple[Cut, ...], here: Box, offset: int, strides: tuple[int, ...]) -> tuple[Piece, ...]:
    """The pieces of a local box whose first element is at `offset` of the memory. Without padding and without empty ones."""
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


def flat_pieces(cuts: tuple[Cut, ...], shape: tuple[int, ...], start: int, stop: int, offset: int) -> list[Piece]:
    """The pieces of the elements `start <= i < stop` of a local array's row-major order, which are contiguous in memory from
    `offset` on. The array itself has this shape and these cuts."""
    strides = strides_of(shape)
    pieces: list[Piece] = []
    for box in flat_boxes(shape, start, stop):
        first = sum(at * stride for at, stride in zip(box.offset, strides, strict=True))
        pieces += pieces_of(cuts, box, offset + first - start, strides)
    return pieces


def whole_piece(shape: tuple[int, ...], offset: int, strides: tuple[int, ...]) -> tuple[Piece, ...]:
    """The one piece of an array that is whole here. An empty array has one as well, so that it is known who has it."""
    return (Piece(whole(shape), offset, strides),)
