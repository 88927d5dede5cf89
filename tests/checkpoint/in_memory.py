"""A checkpoint without files: what inventories hold, copied out, and put into other states. Ranks one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import hole
from headway.checkpoint.layout.declared import Layout
from headway.checkpoint.layout.dtypes import raw_dtype
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.walk import take, take_for_load


class Thing:
    """An object with a state of its own."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def state_dict(self) -> Any:
        return self.tree

    def load_state_dict(self, tree: Any) -> None:
        self.tree = tree


class Stored:
    """What the ranks of a job had."""

    def __init__(self, inventories: Iterable[Inventory]) -> None:
        self.objects: dict[str, Object] = {}
        self.values: dict[str, Any] = {}
        self.arrays: dict[str, np.ndarray] = {}
        boxes: dict[str, set[Any]] = {}
        for inventory in inventories:
            self.values |= msgspec.json.decode(msgspec.json.encode(inventory.values))
            self.objects = inventory.aliases | self.objects
            for holding in inventory.holdings:
                known = self.objects.get(holding.name)
                assert known is None or known.alias_of or known.shape == holding.object.shape, holding.name
                self.objects[holding.name] = holding.object
                array = self.arrays.setdefault(holding.name, np.zeros(holding.object.shape, raw_dtype(holding.object.dtype)))
                for piece in holding.pieces:
                    part = array[(..., *map(slice, piece.box.offset, piece.box.end))]
                    holding.memory.read(piece, part)
                    boxes.setdefault(holding.name, set()).add(piece.box)
        for name, array in self.arrays.items():
            parts: list[Any] = []
            for box in boxes.get(name, ()):
                fresh = [box]
                for other in parts:
                    fresh = [rest for each in fresh for rest in each.minus(other)]
                parts += fresh
            assert hole(array.shape, parts) is None, f"{name} has a hole"

    def fill(self, inventory: Inventory) -> None:
        """Put it into what an inventory wants, as loading does."""
        for holding in inventory.holdings:
            name = self.objects[holding.name].alias_of or holding.name
            for piece in holding.pieces:
                part = self.arrays[name][(..., *map(slice, piece.box.offset, piece.box.end))]
                holding.memory.write(piece, np.ascontiguousarray(part))
        inventory.accept(self.values)

    def load(self, state: Any, layout: Layout | None = None, **options: Any) -> Inventory:
        """Load it into a state of one rank."""
        inventory = take_for_load(state, self.objects, self.values, layout, **options)
        self.fill(inventory)
        return inventory


def stored(state: Any, layout: Layout | None = None, coords: Mapping[str, int] | None = None) -> Stored:
    """A checkpoint of a state that one rank has."""
    return Stored([take(state, layout, coords=coords)])


def stored_by(ranks: int, state: Callable[[int], tuple[Any, Layout | None]]) -> Stored:
    """A checkpoint of a state of which each rank has a part."""
    return Stored([take(*state(rank)) for rank in range(ranks)])
