"""Samples elements from all over an array, to tell cheaply whether two arrays differ or one has changed.

What makes arrays differ (a missed all-reduce, another seed, a write through `.data`) nearly always changes most of their elements,
or whole rows. So a small array is compared whole, and a large one at regular intervals from a start that moves with `phase`:
repeated looks see all of it in time. Until then a change of single elements of a large array may be missed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headway.checkpoint.layout.boxes import Box, strides_of
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.state.inventory import Memory

if TYPE_CHECKING:
    Raw = np.ndarray[Any, np.dtype[Any]]


WHOLE = 4096  # elements of an array up to which looking at all costs no more


class Spread(NamedTuple):
    """Every `step`-th element of a piece in row-major order, `number` in all, from `first` on; in its memory they begin at `offset`
    and are `stride` apart."""

    first: int
    step: int
    number: int
    offset: int
    stride: int


def spread(piece: Piece, most: int, phase: int = 0, *, whole: int = WHOLE) -> Spread | None:
    """Choose the elements of a piece to look at, at most `most`; None: all of them, since there are no more than `whole`."""
    extent, volume = piece.box.extent, piece.box.volume
    if volume <= whole:
        return None
    if _in_a_row(extent, piece.strides):
        step = -(-volume // most)
        first = phase % step
        return Spread(first, step, (volume - first + step - 1) // step, piece.offset + first, step)
    # Not in one row: a line along the longest dimension, from places that move with the phase.
    rows = strides_of(extent)
    longest = max(range(len(extent)), key=lambda dim: extent[dim])
    step = -(-extent[longest] // most)
    at = [(phase * 7919 + dim) % size for dim, size in enumerate(extent)]
    at[longest] = phase % step
    first = sum(each * row for each, row in zip(at, rows, strict=True))
    offset = piece.offset + sum(each * mine for each, mine in zip(at, piece.strides, strict=True))
    number = (extent[longest] - at[longest] + step - 1) // step
    return Spread(first, step * rows[longest], number, offset, step * piece.strides[longest])


@lru_cache(4096)
def _in_a_row(extent: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    return all(size == 1 or mine == row for size, mine, row in zip(extent, strides, strides_of(extent), strict=True))


def sample(memory: Memory, piece: Piece, code: str, picked: Spread | None) -> bytes:
    """Read the bytes of these elements, as they are now."""
    if picked is not None:
        piece = Piece(Box((0,), (picked.number,)), picked.offset, (picked.stride,))
    view = memory.view(piece)
    if view is not None:
        return view.tobytes()
    values: Raw = np.empty(piece.box.extent, raw_dtype(code))
    memory.read(piece, values)
    return values.tobytes()


def sample_of_copy(data: memoryview, code: str, picked: Spread | None) -> bytes:
    """Read the bytes of the same elements in a row-major copy of the piece."""
    if picked is None:
        return bytes(data)
    raw: Raw = np.frombuffer(data, raw_dtype(code))
    return raw[picked.first :: picked.step][: picked.number].tobytes()
