"""Collects the parts of a state into an inventory, for saving and for loading.

One walk serves both, so that a name can't mean two things. The walk only collects arrays. They are placed all at once, by the rules
of the layout, when somebody asks where they lie: the optimizers, whose moments lie as their parameters do, or `finish`.

When there is a checkpoint to load (`InventoryBuilder.saved`), a source makes room for what the checkpoint has and the state lacks
(the moments of a fresh optimizer, the arrays of an object), and says what to do with it in `InventoryBuilder.then`. None of that
touches the state: the room is the source's own until `accept` runs, after every byte has been verified.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from headway.checkpoint.files.manifest import Json, Kind, Object
from headway.checkpoint.layout.dtypes import numpy_dtype, torch_dtype
from headway.checkpoint.layout.pieces import Piece, Range, lay_all
from headway.checkpoint.layout.placing import Place, Placer
from headway.checkpoint.state.arrays import Local
from headway.checkpoint.state.fit import Stored, Values, find_misfits, refuse
from headway.checkpoint.state.inventory import Holding, Inventory
from headway.checkpoint.state.libraries import is_array, is_numpy_scalar, is_tensor, is_torch_loaded, local_of
from headway.checkpoint.state.values.alike import classes_for, match_kinds
from headway.checkpoint.state.values.tree import decode, encode, references
from headway.errors import CheckpointMismatch, LayoutError, UsageError

_SHOWN = 10
_NOT_SHARDED = ("rng", "cursor")


@dataclass(slots=True)
class Member:
    """An array of the state that optimizers may know: its name and its place. For a flat buffer, one for each parameter that has
    elements in it, which are `begin <= i < end` of it, from element `at` of the buffer on."""

    local: str
    place: Place
    shape: tuple[int, ...]
    begin: int = 0
    end: int = 0
    at: int = 0
    flat: bool = False


@dataclass(slots=True)
class _Collected:
    """An array that the walk has met and nobody has placed yet. `array` is what optimizers know it by; `place` is known already for
    what lies as something else does; `placer` has the rules that hold where it was met."""

    path: str
    local: Local
    kind: Kind
    placer: Placer
    array: Any = None
    place: Place | None = None
    range: Range | None = None
    renamed: bool = True
    guarded: bool = False
    synced: bool = False


class InventoryBuilder:
    """An inventory in the making."""

    def __init__(
        self,
        placer: Placer,
        saved: Stored | None = None,
        select: Callable[[str], bool] | None = None,
        *,
        strict: bool = True,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.placer = placer
        self.saved = saved
        self.strict = strict
        self.rank, self.ranks = rank, ranks
        self.select = select or (lambda name: True)
        self.members: dict[tuple[Any, ...] | int, list[Member]] = {}  # by id() and by memory
        self.rooms: dict[int, Any] = {}  # memory to load into, by id() of the tensors that get it in the end
        self.without_memory: list[str] = []  # tensors that get none by loading either
        self._collected: list[_Collected] = []
        self._holdings: dict[str, Holding] = {}
        self._aliases: dict[str, Object] = {}
        self._values: dict[str, Json] = {}
        self._keys: dict[tuple[Any, ...], str] = {}
        self._declined: dict[str, str] = {}
        self._then: list[tuple[str, Callable[[Values], None]]] = []
        self._kept: list[object] = []  # `members` is by id: keep these objects alive

    # --- what sources put -----------------------------------------------------------------------------------------

    def array(self, path: str, array: Any, kind: Kind, *, synced: bool = False) -> None:
        """Put an array there, or another name of one that is there already. `synced`: the first rank sends it to the others before
        it is used."""
        local = self._local(array, path)
        if local is not None:
            self._collected.append(_Collected(path, local, kind, self.placer, array, synced=synced))

    def _local(self, array: Any, path: str) -> Local | None:
        """Describe an array of the state. One without memory gets the memory that it will have when everything is loaded."""
        if self.saved is None or not is_tensor(array):
            return local_of(array, path, self.saved is not None)
        from headway.checkpoint.state.torch import tensors as torch_state

        if not torch_state.lacks_memory(array):
            return local_of(array, path, True)
        name = self.placer.name(path)
        known = self.saved.objects.get(name) if self.select(name) else None
        if id(array) not in self.rooms and known is not None:
            torch_state.refuse_watched(array, name)
            room = self.rooms[id(array)] = torch_state.room_for(array, known.shape)
            self._kept.append(array)
            self.then(lambda _: torch_state.give_memory(array, room), name)
        if id(array) in self.rooms:
            return local_of(self.rooms[id(array)], path, True)
        self.without_memory.append(name)
        if array.is_meta:
            return torch_state.without_memory(array, name)
        if self.strict and self.select(name):
            refuse(self.saved, find_misfits(self.saved, [(name, None)]))
        return None

    def hold(self, place: Place, local: Local, kind: Kind, guarded: bool = False) -> None:
        """Put an array there that lies at a known place."""
        self._collected.append(_Collected(place.name, local, kind, self.placer, place=place, guarded=guarded))

    def hold_range(self, member: Member, place: Place, local: Local, kind: Kind, guarded: bool = False) -> None:
        """Put there what a flat array has of a parameter. `place` is the parameter's, or that of one of its moments."""
        part = Range(member.place.cuts, member.shape, member.begin, member.end, member.at)
        self._collected.append(_Collected(place.name, local, kind, self.placer, place=place, range=part, guarded=guarded))

    def value(self, name: str, value: Json) -> None:
        """Put a plain value there."""
        if name in self._values:
            raise UsageError(f"two values of the state are called {name}: rename one (names of nested keys are joined with dots)")
        self._values[name] = value

    def decline(self, names: Iterable[str], why: str) -> None:
        """Note names of the checkpoint that the state knows and leaves alone."""
        self._declined.update(dict.fromkeys(names, why))

    def then(self, accept: Callable[[Values], None], what: str) -> None:
        """Call `accept` with the values once all arrays are loaded, in the order of these calls. `what` it loads is for
        messages."""
        self._then.append((what or "the state", accept))

    def tree(self, name: str, current: object, kind: Kind, load: Callable[[Any], None]) -> None:
        """Put a value there that may contain arrays. When loading, `load` receives what was saved."""
        if self.saved is None:
            self.value(name, encode(current, name, lambda path, leaf: self._keep(path, leaf, kind)))
            return
        self.value(name, None)
        if not self.select(name) or name not in self.saved.values:
            return
        rooms: dict[str, Any] = {}
        here = _arrays_of(current, name)
        for mark, reference in references(self.saved.values[name]):
            rooms[reference] = self._room(reference, mark, here.get(reference), kind)
        classes = classes_for(self.saved.values[name], current, name)

        def array(mark: str, at: str) -> Any:
            return rooms[at][()] if mark == "$scalar" else rooms[at]

        self.then(lambda values: load(match_kinds(current, decode(values[name], array, classes))), name)

    def finish(self) -> Inventory:
        """Return the inventory."""
        self._place(last=True)
        accepts = tuple(self._then)

        def accept(values: Values) -> None:
            for number, (what, each) in enumerate(accepts):
                try:
                    each(values)
                except Exception as error:
                    before, after = ([name for name, _ in some] for some in (accepts[:number], accepts[number + 1 :]))
                    error.add_note(_describe_half_load(what, before, after))
                    raise
            if self.without_memory:
                _warn_of_no_memory(self.without_memory)

        inventory = Inventory(list(self._holdings.values()), self._aliases, self._values, accept)
        inventory.declined = self._declined
        return inventory

    def guard(self, name: str) -> None:
        """Note that only an optimizer changes this array."""
        self._place()
        if name in self._holdings:
            self._holdings[name].guarded = True

    # --- how ------------------------------------------------------------------------------------------------------

    def _place(self, *, last: bool = False) -> None:
        """Place what was collected since the last time, and hold it. `last`: nothing follows, so every rule must have been used."""
        if not self._collected and not last:
            return
        collected, self._collected = self._collected, []
        places: list[tuple[Place, str | None]] = []
        for placer, group in groupby(collected, key=attrgetter("placer")):
            places += placer.place_all((each.path, each.local.shape, each.place) for each in group)
        if last:
            self.placer.finish()
        pieces = lay_all((place, each.local, each.range) for (place, _), each in zip(places, collected, strict=True))
        for each, (place, tied), its in zip(collected, places, pieces, strict=True):
            if each.array is not None:
                self._hold_or_alias(each, place, tied, its)
            else:
                place = place if each.renamed else Place(each.path, place.shape, place.cuts)
                self._hold(place.name, each, place.shape, its)

    def _hold_or_alias(self, each: _Collected, place: Place, tied: str | None, pieces: tuple[Piece, ...]) -> None:
        """Hold an array, unless its memory is held already, or it is declared to be `tied` to another."""
        name, local = place.name, each.local
        first = self._keys.get(local.key) if local.key is not None else None
        if first is not None and first == name:  # held already, for one that is declared to be tied to it
            self._holdings[name].synced |= each.synced
            self._remember(each, self.members[local.key or 0])
            return
        if tied is not None and first != tied:
            if tied in self._holdings:
                raise LayoutError(f"{name} is declared to be tied to {tied}, but has memory of its own: tie them, or drop the rule")
            self._alias(name, tied, each, place.shape)
            name, place = tied, Place(tied, place.shape, place.cuts)
        elif first is not None and self._holdings[first].object.shape == place.shape:
            self._alias(name, first, each, place.shape)
            self._remember(each, self.members[local.key or 0])
            return
        self._hold(name, each, place.shape, pieces)
        if local.key is not None:
            self._keys[local.key] = name
        self._remember(each, [Member(each.path, place, local.shape)])

    def _hold(self, name: str, each: _Collected, shape: tuple[int, ...], pieces: tuple[Piece, ...]) -> None:
        if name in self._holdings or name in self._aliases:
            raise _two_arrays(name)
        kept = Object(each.local.code, shape, each.kind)
        self._holdings[name] = Holding(name, kept, pieces, each.local.memory, each.guarded, each.synced)

    def _alias(self, name: str, of: str, each: _Collected, shape: tuple[int, ...]) -> None:
        if name in self._holdings or name in self._aliases:
            raise _two_arrays(name)
        self._aliases[name] = Object(each.local.code, shape, each.kind, of)

    def _remember(self, each: _Collected, members: list[Member]) -> None:
        self.members[id(each.array)] = members
        self._kept.append(each.array)
        if each.local.key is not None:
            self.members.setdefault(each.local.key, members)

    def remember(self, array: object, members: list[Member]) -> None:
        """Let optimizers find an array by identity."""
        self._place()
        self.members[id(array)] = members
        self._kept.append(array)

    def members_of(self, tensor: Any, name: str) -> list[Member]:
        """Return what is known of an array that an optimizer has; nothing if it is not in the state."""
        self._place()
        found = self.members.get(id(tensor))
        if found is None:
            key = local_of(tensor, name, False).key
            found = self.members.get(key) if key is not None else None
        return found or []

    def _keep(self, path: str, leaf: object, kind: Kind) -> str | None:
        """Keep an array that is a leaf of a tree."""
        if is_numpy_scalar(leaf):
            import numpy as np

            self.hold(Place(path, ()), local_of(np.asarray(leaf), path, False), kind)
            return "$scalar"
        if not is_array(leaf):
            return None
        local = local_of(leaf, path, False)
        place = Place(path, local.shape) if kind in _NOT_SHARDED else None
        self._collected.append(_Collected(path, local, kind, self.placer, place=place, renamed=False))
        return "$tensor" if is_tensor(leaf) else "$array"

    def _place_in_tree(self, path: str, local: Local, kind: Kind) -> Place:
        """Place an array of a tree. Arrays of ordinary objects follow the layout; streams and cursors are nobody's shards. The name
        stays the one that the tree refers to."""
        if kind in _NOT_SHARDED:
            return Place(path, local.shape)
        place = self.placer.place(path, local.shape)
        return Place(path, place.shape, place.cuts)

    def _room(self, name: str, mark: str, here: Any, kind: Kind) -> Any:
        """Make memory for an array of the checkpoint: like the one in its place, if that has its shape, else for the whole
        array."""
        assert self.saved is not None
        known = self.saved.objects.get(name)
        if known is None:
            raise CheckpointMismatch(f"the checkpoint refers to {name} and does not have it: it was not written by Headway")
        if here is not None and mark == "$tensor" and is_torch_loaded():
            local = local_of(here, name, False)
            place = self._place_in_tree(name, local, kind)
            if (place.shape, local.code) == (known.shape, known.dtype):
                import torch

                room = torch.empty_like(here, requires_grad=False)
                self.hold(place, local_of(room, name, True), kind)
                return room
        room = fresh(known, mark == "$tensor")
        self.hold(Place(name, known.shape), local_of(room, name, True), kind)
        return room


def _two_arrays(name: str) -> UsageError:
    return UsageError(f"two arrays of the state are called {name}: rename one (names of nested keys are joined with dots)")


def fresh(known: Object, as_tensor: bool) -> Any:
    """Allocate memory for a whole array."""
    if as_tensor and is_torch_loaded():
        import torch

        return torch.empty(known.shape, dtype=torch_dtype(known.dtype))
    import numpy as np

    return np.empty(known.shape, numpy_dtype(known.dtype))


def _warn_of_no_memory(names: list[str]) -> None:
    warnings.warn(
        f"{_some(names)} had no memory and got none, because the checkpoint does not have them or they were not to be loaded: make "
        "them anew before you use them (buffers that are not persistent are in no checkpoint)",
        RuntimeWarning,
        stacklevel=2,
    )


def _describe_half_load(what: str, before: list[str], after: list[str]) -> str:
    """Describe a state in which an object raised when it was given what was loaded."""
    names = (_some(name for name in each if name != what) for each in (before, after))
    done, left = names
    return (
        f"{what} did not take what was loaded, so the state is half loaded: don't go on with it. All arrays are loaded"
        f"{f', and so are {done}' if done else ''}; {f'{left} and ' if left else ''}{what} are not. Load again when this is mended"
    )


def _some(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return ", ".join(unique[:_SHOWN]) + more


def _arrays_of(tree: object, name: str) -> dict[str, object]:
    """Find the arrays of a tree, by the names that `encode` gives them."""
    found: dict[str, object] = {}

    def keep(path: str, leaf: object) -> str | None:
        if not is_array(leaf):
            return "$scalar" if is_numpy_scalar(leaf) else None
        found[path] = leaf
        return "$array"

    encode(tree, name, keep)
    return found
