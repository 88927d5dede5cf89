"""Puts the elements of blocks where they belong in memory.

Where a whole block is contiguous at its destination, the destination itself is what the file is read into: no copy, no buffer.
Everything else (a slice of a block, a column, a strided or transposed tensor, another device) is read into a buffer and copied
from there. Several pieces may want the same block; then it may be read into one of them and copied from there to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.load.blocks import Block, Contents
from headway.checkpoint.load.plan import Fill, Read
from headway.checkpoint.state.inventory import Holding, Memory

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Target(NamedTuple):
    """Where a fill goes. `flat`: its memory, where the fill is contiguous there and in its fragment, of which it begins at byte
    `begin`."""

    box: Box
    piece: Piece
    memory: Memory
    flat: memoryview | None
    begin: int


class Scatter:
    """Puts the blocks of a rank's reads where they belong. Used by several threads, for different blocks."""

    def __init__(self, contents: Contents, holdings: Sequence[Holding], fills: Mapping[tuple[int, int], tuple[Fill, ...]]) -> None:
        self._contents = contents
        self._holdings = holdings
        self._fills = fills
        self._places: dict[tuple[int, int], tuple[_Target, ...]] = {}

    def targets(self, read: Read, scratch: memoryview) -> list[memoryview]:
        """Choose what to read each block into: its destination, or the next part of `scratch`."""
        targets, at = [], 0
        for block in read.blocks:
            direct = self._direct(block)
            targets.append(scratch[at : at + block.nbytes] if direct is None else direct[1])
            at += block.nbytes if direct is None else 0
        return targets

    def put(self, read: Read, targets: Sequence[memoryview]) -> None:
        """Copy the blocks, which are in `targets`, to all other places that want them."""
        for block, target in zip(read.blocks, targets, strict=True):
            direct = self._direct(block)
            for place in self._of(block):
                if direct is None or place is not direct[0]:
                    self._copy(block, target, place)

    def _direct(self, block: Block) -> tuple[_Target, memoryview] | None:
        at = block.number * self._contents.fragment_of(block).block_nbytes
        for place in self._of(block):
            if place.flat is not None and place.begin <= at and at + block.nbytes <= place.begin + len(place.flat):
                return place, place.flat[at - place.begin : at - place.begin + block.nbytes]
        return None

    def _copy(self, block: Block, data: memoryview, place: _Target) -> None:
        placed = self._contents.fragment_of(block)
        raw = np.frombuffer(data, raw_dtype(self._contents.manifest.objects[placed.name].dtype))
        for box, at in placed.boxes(block.number):
            met = box.meet(place.box)
            if met is None:
                continue
            inside = tuple(
                slice(begin - mine, begin - mine + size)
                for begin, mine, size in zip(met.offset, box.offset, met.extent, strict=True)
            )
            values = raw[at : at + box.volume].reshape(box.extent)[inside]
            piece = place.piece.narrow(met)
            view = place.memory.view(piece)
            if view is None:
                place.memory.write(piece, np.ascontiguousarray(values).reshape(met.extent))
            else:
                view[...] = values

    def _of(self, block: Block) -> tuple[_Target, ...]:
        where = (block.segment, block.fragment)
        places = self._places.get(where)
        if places is None:
            places = self._places[where] = tuple(self._place(block, fill) for fill in self._fills[where])
        return places

    def _place(self, block: Block, fill: Fill) -> _Target:
        placed = self._contents.fragment_of(block)
        holding = self._holdings[fill.want]
        piece = holding.pieces[fill.piece].narrow(fill.box)
        begin = placed.run(fill.box)
        view = holding.memory.view(piece) if begin is not None else None
        if begin is None or view is None or not view.flags.c_contiguous:
            return _Target(fill.box, piece, holding.memory, None, 0)
        return _Target(fill.box, piece, holding.memory, view.reshape(-1).view("u1").data, begin * placed.itemsize)
