"""Boxes: the part of a named array that a process or a file holds.

A box is an offset and an extent in the coordinates of the whole array. Layouts need only a few exact operations on boxes:
intersect, subtract, cut a flat range of the row-major order into boxes, and prove that boxes cover an array without holes or
overlaps. There are no ranks, tensors or bytes here. A 0-d array has one box, `Box((), ())`, of one element.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A part of an array: elements `offset[d] <= i < offset[d] + extent[d]` in every dimension `d`."""

    offset: tuple[int, ...]
    extent: tuple[int, ...]

    @property
    def volume(self) -> int:
        """How many elements it has."""
        return math.prod(self.extent)

    @property
    def end(self) -> tuple[int, ...]:
        return tuple(map(sum, zip(self.offset, self.extent, strict=True)))

    def __str__(self) -> str:
        """As a slice is written: `[0:4, 8:16]`."""
        return "[" + ", ".join(f"{begin}:{end}" for begin, end in zip(self.offset, self.end, strict=True)) + "]"

    def meet(self, other: Box) -> Box | None:
        """Intersect two boxes; None if they share no element."""
        offset = tuple(map(max, self.offset, other.offset))
        extent = tuple(end - begin for begin, end in zip(offset, map(min, self.end, other.end), strict=True))
        return Box(offset, extent) if all(size > 0 for size in extent) else None

    def holds(self, other: Box) -> bool:
        """Whether every element of `other` is in it."""
        return all(map(int.__le__, self.offset, other.offset)) and all(map(int.__ge__, self.end, other.end))

    def is_whole(self, shape: tuple[int, ...]) -> bool:
        """Whether it is all of an array of this shape."""
        return self.extent == shape and not any(self.offset)

    def minus(self, other: Box) -> list[Box]:
        """Subtract a box: disjoint boxes, at most two for each dimension."""
        met = self.meet(other)
        if met is None:
            return [self] if self.volume else []
        rest: list[Box] = []
        offset, extent = list(self.offset), list(self.extent)
        for d in range(len(offset)):
            before, after = met.offset[d] - offset[d], offset[d] + extent[d] - met.end[d]
            if before:
                rest.append(Box(tuple(offset), (*extent[:d], before, *extent[d + 1 :])))
            if after:
                rest.append(Box((*offset[:d], met.end[d], *offset[d + 1 :]), (*extent[:d], after, *extent[d + 1 :])))
            offset[d], extent[d] = met.offset[d], met.extent[d]
        return rest

    def shift(self, by: Sequence[int]) -> Box:
        """Return the same box with an offset that is `by` larger."""
        return Box(tuple(map(int.__add__, self.offset, by)), self.extent)


def whole(shape: Sequence[int]) -> Box:
    """Return the box that is a whole array."""
    return Box((0,) * len(shape), tuple(shape))


def strides_of(extent: Sequence[int]) -> tuple[int, ...]:
    """Return the row-major strides, in elements."""
    strides, step = [], 1
    for size in reversed(extent):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def flat_boxes(shape: Sequence[int], start: int, stop: int) -> list[Box]:
    """Cut the elements `start <= i < stop` of an array's row-major order into boxes, in that order.

    Each box is contiguous in that order. There are at most `2 * len(shape) - 1` (ByteCheckpoint, 2407.20143, section 4).

    Example:
        >>> [str(box) for box in flat_boxes((4, 4), 2, 12)]
        ['[0:1, 2:4]', '[1:3, 0:4]']
    """
    if not 0 <= start <= stop <= math.prod(shape):
        raise ValueError(f"elements {start} to {stop} of an array of {math.prod(shape)}")
    if start == stop:
        return []
    if not shape:
        return [Box((), ())]
    row = math.prod(shape[1:])
    first, last = -(-start // row), stop // row  # rows that are whole
    if first > last:  # inside one row
        return _in_row(shape, last, start - last * row, stop - last * row)
    boxes = _in_row(shape, first - 1, start - (first - 1) * row, row) if start < first * row else []
    if first < last:
        boxes.append(Box((first,) + (0,) * (len(shape) - 1), (last - first, *shape[1:])))
    if stop > last * row:
        boxes += _in_row(shape, last, 0, stop - last * row)
    return boxes


def _in_row(shape: Sequence[int], row: int, start: int, stop: int) -> list[Box]:
    return [Box((row, *box.offset), (1, *box.extent)) for box in flat_boxes(shape[1:], start, stop)]


def overlap(boxes: Iterable[Box]) -> tuple[Box, Box] | None:
    """Find two boxes that share an element; None if there are none."""
    sorted_boxes = sorted(box for box in boxes if box.volume)
    if not sorted_boxes or not sorted_boxes[0].offset:
        return (sorted_boxes[0], sorted_boxes[1]) if len(sorted_boxes) > 1 else None
    axis = max(range(len(sorted_boxes[0].offset)), key=lambda d: len({box.offset[d] for box in sorted_boxes}))
    sorted_boxes.sort(key=lambda box: box.offset[axis])
    open_boxes: list[Box] = []
    for box in sorted_boxes:
        begin = box.offset[axis]
        open_boxes = [other for other in open_boxes if other.offset[axis] + other.extent[axis] > begin]
        for other in open_boxes:
            if box.meet(other) is not None:
                return other, box
        open_boxes.append(box)
    return None


def hole(shape: Sequence[int], boxes: Iterable[Box]) -> Box | None:
    """Find a part of the array that none of the (disjoint) boxes holds; None if they cover it."""
    held = [box for box in boxes if box.volume]
    if sum(box.volume for box in held) == math.prod(shape):
        return None
    rest = [whole(shape)] if math.prod(shape) else []
    for box in held:
        rest = [part for left in rest for part in left.minus(box)]
    return min(rest) if rest else None
