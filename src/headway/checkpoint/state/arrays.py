"""Describes an array in memory, whatever library made it, and refuses one that can't be used.

A `Local` is an element type, a shape as the library sees it, how much of that is in this process, and the memory. Which library
made an array is decided in `libraries.py`, not here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from headway.checkpoint.layout.dtypes import code_of
from headway.checkpoint.layout.sharding import DimSharding
from headway.checkpoint.state.inventory import Memory
from headway.errors import UsageError


class Local(NamedTuple):
    """An array as this process has it. `shape` is what its library says; `extent` is what is here of it, and `cuts` how that lies
    in `shape` (None: it is the same). `offset` and `strides` are in elements of `memory`. `key` tells tied arrays."""

    code: str
    shape: tuple[int, ...]
    extent: tuple[int, ...]
    cuts: tuple[DimSharding, ...] | None
    memory: Memory
    offset: int
    strides: tuple[int, ...]
    key: tuple[Any, ...] | None


def find_code(dtype: Any, name: str) -> str:
    """Return the name of an element type. Raises UsageError, naming the array, for one that can't be kept."""
    try:
        return code_of(dtype)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def refuse_unwritable(name: str, shape: tuple[int, ...], strides: tuple[int, ...], writable: bool) -> None:
    """Refuse memory that can't take an array: read-only, or the same element twice (as `expand` and `broadcast_to` give)."""
    if not writable:
        raise UsageError(f"{name} can't be loaded into: it is read-only")
    if 0 not in shape and any(stride == 0 and extent > 1 for extent, stride in zip(shape, strides, strict=True)):
        raise UsageError(f"{name} can't be loaded into: several of its elements are one place in memory (expanded): copy it first")
