"""How one dimension of a local array lies in the same dimension of the whole array.

Every way to split a tensor over ranks, whatever its name, takes some ranges of a dimension and puts them one after another:
a column split takes one range, a packed QKV shard takes three, a strided shard takes many, a padded vocabulary takes one that
ends beyond the array. A `DimSharding` writes that down as runs, and two of them compose. So a tensor that is declared to be split
by tensor parallelism, and then sharded by FSDP, and then flattened by ZeRO is the composition of three simple facts, and what a
process holds of it (`pieces.py`) is the product of those of its dimensions. Pure functions on integers: no ranks, no tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """Elements `whole <= i < whole + size` of the whole dimension are elements `here <= i < here + size` of the local one."""

    whole: int
    here: int
    size: int


DimSharding = tuple[Run, ...]
"""The runs of one dimension, by `here`. What is in no run is padding."""

Range = tuple[int, int]
"""`begin <= i < end`."""


def full(size: int) -> DimSharding:
    """Return the sharding of a dimension that is whole here."""
    return (Run(0, 0, size),) if size else ()


def from_ranges(ranges: Iterable[Range]) -> DimSharding:
    """Return the sharding of a dimension that holds these ranges of the whole one, one after another.

    Example:
        >>> from_ranges([(0, 2), (6, 8)])
        (Run(whole=0, here=0, size=2), Run(whole=6, here=2, size=2))
    """
    runs, here = [], 0
    for begin, end in ranges:
        if begin < end:
            runs.append(Run(begin, here, end - begin))
            here += end - begin
    return _join_runs(runs)


def compose(outer: DimSharding, inner: DimSharding) -> DimSharding:
    """Compose two shardings: `inner` says how a local dimension lies in a middle one, `outer` how that lies in the whole one."""
    runs = []
    for run in inner:
        for out in outer:
            begin, end = max(run.whole, out.here), min(run.whole + run.size, out.here + out.size)
            if begin < end:
                runs.append(Run(out.whole + begin - out.here, run.here + begin - run.whole, end - begin))
    return _join_runs(runs)


def trim(cut: DimSharding, size: int) -> DimSharding:
    """Cut off the elements from `size` on, which are padding."""
    return tuple(run._replace(size=min(run.size, size - run.whole)) for run in cut if run.whole < size)


def length(cut: DimSharding) -> int:
    """Count the elements in the runs."""
    return sum(run.size for run in cut)


def chunk(size: int, rank: int, ranks: int) -> Range:
    """Return the part of `rank` when a dimension is dealt in equal chunks, rounded up: the last ones may be short or empty.

    Example:
        >>> [chunk(5, rank, 4) for rank in range(4)]
        [(0, 2), (2, 4), (4, 5), (5, 5)]
    """
    each = -(-size // ranks)
    return min(rank * each, size), min((rank + 1) * each, size)


def _join_runs(runs: list[Run]) -> DimSharding:
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.whole + last.size == run.whole and last.here + last.size == run.here:
            joined[-1] = last._replace(size=last.size + run.size)
        else:
            joined.append(run)
    return tuple(joined)
