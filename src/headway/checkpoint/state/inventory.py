"""What one process holds of a state: which boxes of which objects, and where in its memory.

An `Inventory` is made from a state (`walk.py`) and is all that saving and loading look at: saving reads the memory, loading
writes it. A `Holding` is one object's part here, as `Piece`s: a box of the whole array, and the strided place in memory that
holds it. A plain tensor is one piece; a packed or padded shard has several; a flat ZeRO range has up to `2 * ndim - 1`; padding
is in none. Memory is seen as unsigned integers of the element's size, so element types cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from headway.checkpoint.files.manifest import Json, Object
from headway.checkpoint.layout.pieces import Piece

if TYPE_CHECKING:
    import numpy as np

    Raw = np.ndarray[Any, np.dtype[Any]]


class Memory(Protocol):
    """Where the elements of a holding are."""

    def view(self, piece: Piece) -> Raw | None:
        """View the piece as a writable strided array of the box's extent; None if it is not in host memory."""
        ...

    def read(self, piece: Piece, into: Raw) -> None:
        """Copy the piece to a row-major array of the box's extent. Releases the interpreter lock."""
        ...

    def write(self, piece: Piece, values: Raw) -> None:
        """Copy a row-major array of the box's extent to the piece."""
        ...

    def version(self) -> int:
        """Return a number that grows with every visible change; -1 if changes are not visible."""
        ...

    def address(self) -> int:
        """Return where the memory is; 0: nowhere. No two memories that exist at the same time share an address."""
        ...


class HostMemory:
    """A flat array of raw elements in this process's memory. `owner` keeps it alive, `changes` says how often it was changed."""

    def __init__(self, flat: Raw, owner: object = None, changes: Callable[[], int] | None = None) -> None:
        self.flat = flat
        self.owner = owner
        self._changes = changes

    def view(self, piece: Piece) -> Raw:
        from numpy.lib.stride_tricks import as_strided

        size = self.flat.itemsize
        strides = [stride * size for stride in piece.strides]
        view: Raw = as_strided(self.flat[piece.offset :], shape=piece.box.extent, strides=strides)
        return view

    def read(self, piece: Piece, into: Raw) -> None:
        into[...] = self.view(piece)

    def write(self, piece: Piece, values: Raw) -> None:
        self.view(piece)[...] = values

    def version(self) -> int:
        return self._changes() if self._changes is not None else -1

    def address(self) -> int:
        return int(self.flat.__array_interface__["data"][0])


@dataclass(slots=True)
class Holding:
    """What this process holds of one object. `guarded` memory changes only in an optimizer step, so it may be copied later.
    `synced`: the first rank's is sent to the others before it is used, so that what they have may be something else."""

    name: str
    object: Object
    pieces: tuple[Piece, ...]
    memory: Memory
    guarded: bool = False
    synced: bool = False


Marks = dict[str, tuple[int, int]]
"""Of each array: its address, and its version."""


@dataclass(slots=True)
class Inventory:
    """What this process holds of a state. `values` is what is no array; `accept` puts loaded values (and what hangs on them, as
    `load_state_dict` of an object) back into the state once all arrays are filled. `missing`: what was wanted of a checkpoint that
    does not have it, each with its kind ("" where it is no array). `declined`: what of a checkpoint it leaves alone, and why.
    `marks`: of an inventory to save, what tells whether an array has changed since it was made."""

    holdings: list[Holding] = field(default_factory=list)
    aliases: dict[str, Object] = field(default_factory=dict)
    values: dict[str, Json] = field(default_factory=dict)
    accept: Callable[[Mapping[str, Json]], None] = lambda values: None
    missing: dict[str, str] = field(default_factory=dict)
    declined: dict[str, str] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)

    def part(self, wanted: Callable[[str], bool]) -> Inventory:
        """Return the part of it with these arrays. If only another name of an array is wanted, that name holds its bytes."""
        heads = {each.name: each.name for each in self.holdings if wanted(each.name)}
        others = {name: each for name, each in self.aliases.items() if wanted(name)}
        for name, each in others.items():
            heads.setdefault(each.alias_of, name)
        holdings = [replace(each, name=heads[each.name]) for each in self.holdings if each.name in heads]
        aliases = {
            name: msgspec.structs.replace(each, alias_of=heads[each.alias_of])
            for name, each in others.items()
            if heads[each.alias_of] != name
        }
        return replace(self, holdings=holdings, aliases=aliases)
