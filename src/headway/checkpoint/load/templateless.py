"""Loads a checkpoint without a state to load into, for those who want to look at it, convert it or build a state from it.

Names are split at their dots, so a module becomes a dictionary of dictionaries, and a list of arrays a dictionary with the keys
"0", "1", …: a checkpoint does not record what kind of object they came from. Tied arrays are one array.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Literal

from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.layout.placing import Place, Placer
from headway.checkpoint.state.fit import Stored
from headway.checkpoint.state.inventory import Inventory
from headway.checkpoint.state.inventory_builder import InventoryBuilder, fresh
from headway.checkpoint.state.libraries import local_of
from headway.checkpoint.state.selection import Select
from headway.checkpoint.state.values.tree import decode, references
from headway.errors import UsageError
from headway.extras import explain_missing

Arrays = Literal["numpy", "torch"]


class Whole:
    """Memory for all that is chosen of a checkpoint: what `inventory` fills, and `state` once it is filled."""

    def __init__(self, manifest: Manifest, selection: Select, arrays: Arrays | None) -> None:
        if arrays not in (None, "numpy", "torch"):
            raise UsageError(f"load(arrays={arrays!r}): 'numpy' or 'torch'")
        if arrays == "torch":
            with explain_missing("load(arrays='torch')"):
                importlib.import_module("torch")
        self.state: dict[str, Any] = {}
        self._manifest = manifest
        self._torch = arrays == "torch" or (arrays is None and "torch" in sys.modules)
        self._values = {name: value for name, value in manifest.values.items() if selection(name)}
        inside = {name: mark for value in self._values.values() for mark, name in references(value)}
        self._names = [name for name in manifest.objects if selection(name) and name not in inside]
        self._rooms: dict[str, Any] = {}
        builder = InventoryBuilder(Placer(), Stored.of(manifest))
        all_names = dict.fromkeys((*self._names, *inside))
        for name in all_names:
            self._room(builder, name, as_tensor=inside.get(name, "$tensor" if self._torch else "$array") == "$tensor")
        for name in self._values:
            builder.value(name, None)
        builder.then(self._accept, "")
        inventory = builder.finish()
        inventory.aliases |= {name: manifest.objects[name] for name in all_names if manifest.objects[name].alias_of}
        self.inventory: Inventory = inventory.part(all_names.__contains__)

    def _room(self, builder: InventoryBuilder, name: str, *, as_tensor: bool) -> None:
        holder = self._manifest.objects[name].alias_of or name
        known = self._manifest.objects[holder]
        if holder not in self._rooms:
            room = self._rooms[holder] = fresh(known, as_tensor)
            builder.hold(Place(holder, known.shape), local_of(room, holder, True), known.kind)
        self._rooms[name] = self._rooms[holder]

    def _accept(self, values: Mapping[str, Any]) -> None:
        def array(mark: str, name: str) -> Any:
            return self._rooms[name][()] if mark == "$scalar" else self._rooms[name]

        leaves = {name: self._rooms[name] for name in self._names}
        leaves |= {name: decode(value, array) for name, value in self._values.items()}
        self.state.update(nest(leaves))


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nest leaves by their dotted names. If a name is also the beginning of others, those keep their dots.

    >>> nest({"model.w": 1, "model.b": 2, "x": 3, "x.y": 4})
    {'model': {'w': 1, 'b': 2}, 'x': 3, 'x.y': 4}
    """
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *above, last = name.split(".")
        node, at = tree, 0
        while at < len(above) and ".".join(above[: at + 1]) not in leaves:
            node = node.setdefault(above[at], {})
            at += 1
        node[".".join((*above[at:], last))] = leaf
    return tree
