"""Compares two checkpoints tensor by tensor, without ever holding a whole tensor in memory.

Equal hashes of equal boxes mean equal bytes, so where both were cut in the same way only blocks that differ are read. Everything
else is compared box by box, in boxes of at most a block, whatever the layouts that the two were saved under.

Numbers: an element has changed if its bits have. Differences are taken in float64 (integers exactly first), and an element that is
NaN or infinite on one side only differs infinitely. The relative difference of an element is its difference over the larger of both
magnitudes, so it is at most 2, and 1 where one of them is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.load.lazy import LazyArray, OpenCheckpoint

Array = np.ndarray[Any, np.dtype[Any]]


class Recast(msgspec.Struct, frozen=True):
    """A tensor whose type or shape differs, so its elements have no counterparts."""

    name: str
    before: str
    after: str


class Changed(msgspec.Struct, frozen=True):
    """A tensor with other values: how many elements, and the largest absolute and relative difference of one."""

    name: str
    elements: int
    changed: int
    max_abs: float
    max_relative: float


class Diff(msgspec.Struct, frozen=True):
    """What differs from the first checkpoint to the second. `bytes_read` from both."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    recast: tuple[Recast, ...]
    changed: tuple[Changed, ...]
    equal: tuple[str, ...]
    values_added: tuple[str, ...]
    values_removed: tuple[str, ...]
    values_changed: tuple[str, ...]
    bytes_read: int

    @property
    def same(self) -> bool:
        """Whether both hold the same state, to the last bit."""
        return not (
            self.added
            or self.removed
            or self.recast
            or self.changed
            or self.values_added
            or self.values_removed
            or self.values_changed
        )

    def __str__(self) -> str:
        lines = [f"+ {name}" for name in (*self.added, *self.values_added)]
        lines += [f"- {name}" for name in (*self.removed, *self.values_removed)]
        lines += [f"! {each.name}: {each.before} -> {each.after}" for each in self.recast]
        lines += [
            f"~ {each.name}: {each.changed:,} of {each.elements:,} elements, at most {each.max_abs:.3g} "
            f"({each.max_relative:.2%} of the element)"
            for each in self.changed
        ]
        lines += [f"~ {name}" for name in self.values_changed]
        return "\n".join([*lines, f"= {len(self.equal)} tensors are equal"])


def diff(before: OpenCheckpoint, after: OpenCheckpoint) -> Diff:
    """Compare two open checkpoints. Raises CheckpointDamaged where a block that has to be read is not what was written."""
    old, new = before.manifest.objects, after.manifest.objects
    read = before.bytes_read + after.bytes_read
    recast: list[Recast] = []
    changed: list[Changed] = []
    equal: list[str] = []
    for name in sorted(old.keys() & new.keys()):
        if (old[name].dtype, old[name].shape) != (new[name].dtype, new[name].shape):
            recast.append(Recast(name, _kind(old[name]), _kind(new[name])))
        elif (found := compare(before[name], after[name])).changed:
            changed.append(found)
        else:
            equal.append(name)
    values, others = before.manifest.values, after.manifest.values
    return Diff(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        recast=tuple(recast),
        changed=tuple(changed),
        equal=tuple(equal),
        values_added=tuple(sorted(others.keys() - values.keys())),
        values_removed=tuple(sorted(values.keys() - others.keys())),
        values_changed=tuple(sorted(name for name in values.keys() & others.keys() if values[name] != others[name])),
        bytes_read=before.bytes_read + after.bytes_read - read,
    )


def compare(mine: LazyArray, other: LazyArray) -> Changed:
    """Compare the elements of two arrays of one type and shape. Reads only blocks whose hashes differ."""
    changed, max_abs, max_relative = 0, 0.0, 0.0
    for box in _differing(mine, other):
        count, largest, relative = _elements(mine, other, box)
        changed, max_abs, max_relative = changed + count, max(max_abs, largest), max(max_relative, relative)
    return Changed(other.name, other.size, changed, max_abs, max_relative)


def _differing(mine: LazyArray, other: LazyArray) -> Iterator[Box]:
    """Yield the boxes, of a block at most, that may differ. The rest of the tensor is equal."""
    twins = {part.box: part for part in other.parts()}
    for part in mine.parts():
        twin = twins.get(part.box)
        for number in range(part.count):
            if twin is None or part.hash(number) != twin.hash(number):
                yield from (box for box, _ in part.boxes(number))


def _elements(mine: LazyArray, other: LazyArray, box: Box) -> tuple[int, float, float]:
    """Count the elements of a box that changed, and find the largest absolute and relative difference."""
    a, b = mine.box(box).reshape(-1), other.box(box).reshape(-1)
    raw = raw_dtype(mine.code)
    bits = a.view(raw).view("u1").reshape(a.size, -1) != b.view(raw).view("u1").reshape(b.size, -1)
    where = bits.any(axis=1)
    count = int(where.sum())
    if not count:
        return 0, 0.0, 0.0
    a, b = a[where], b[where]
    distance, size = _distances(a, b)
    with np.errstate(all="ignore"):
        relative = np.where(distance == 0, 0.0, distance / size)
    relative = np.where(np.isnan(relative), math.inf, relative)
    return count, float(distance.max()), float(relative.max())


def _distances(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the distances of elements, and the larger of their magnitudes, as float64."""
    if a.dtype.kind in "biu":
        if a.dtype.kind == "b":
            a, b = a.view("u1"), b.view("u1")
        unsigned = a.dtype.str.replace("i", "u")
        distance = (np.maximum(a, b).view(unsigned) - np.minimum(a, b).view(unsigned)).astype("f8")  # exact, whatever the signs
        return distance, np.maximum(np.abs(a.astype("f8")), np.abs(b.astype("f8")))
    wide = "c16" if a.dtype.kind == "c" else "f8"
    a, b = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        distance = np.abs(a - b)
        both_nan = np.isnan(a) & np.isnan(b)
        distance = np.where((a == b) | both_nan, 0.0, np.where(np.isnan(distance), math.inf, distance))
        return distance, np.maximum(np.abs(a), np.abs(b))


def _kind(known: Object) -> str:
    return f"{known.dtype} {list(known.shape)}"
