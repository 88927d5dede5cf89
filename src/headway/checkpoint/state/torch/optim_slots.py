"""The slots of a torch optimizer (moments, counters), by parameter: as they are now, or made from a checkpoint."""

from __future__ import annotations

from typing import Any

import torch

from headway.checkpoint.files.manifest import Kind, Object
from headway.checkpoint.layout.dtypes import torch_dtype
from headway.checkpoint.layout.placing import Place
from headway.checkpoint.layout.sharding import full
from headway.checkpoint.state.arrays import Local
from headway.checkpoint.state.fit import Values
from headway.checkpoint.state.inventory_builder import Member
from headway.checkpoint.state.libraries import local_of
from headway.checkpoint.state.torch.optim_named import NamedOptimizer
from headway.errors import CheckpointMismatch, LayoutError, UsageError

_MASTER = "master"


class Slots:
    """The slots of an optimizer. With `masters`, the flat buffers themselves are slots too."""

    def __init__(self, named: NamedOptimizer, *, masters: bool) -> None:
        self._of, self._masters = named, masters
        self._numbers = {"step"}  # slots that are one number for a parameter, whatever its shape

    # --- slots, as they are ---------------------------------------------------------------------------------------

    def put(self) -> None:
        """Put what the optimizer has."""
        for parameter, slots in self._of.optimizer.state.items():
            if isinstance(parameter, torch.Tensor) and parameter.ndim:
                self._numbers |= {slot for slot, value in slots.items() if isinstance(value, torch.Tensor) and not value.ndim}
        for _, parameter, _ in self._of.parameters():
            members = self._of.known[id(parameter)]
            slots = self._of.optimizer.state.get(parameter, {})
            for slot, value in slots.items():
                self._refuse_nameless(members, slot)
                if isinstance(value, torch.Tensor):
                    self._hold(parameter, members, slot, value)
                else:
                    for member in members:
                        self._of.builder.tree(self._name(member, slot), value, "moment", _ignore)
            if self._masters and members[0].flat:
                self._hold(parameter, members, _MASTER, parameter)

    def _refuse_nameless(self, members: list[Member], slot: object) -> None:
        """Refuse a slot name that is not one word: a slot is stored as the last word of a name, so it could not be loaded again."""
        if type(slot) is not str or "." in slot:
            kind = "has a dot" if type(slot) is str else f"is of type {type(slot).__qualname__}"
            raise UsageError(
                f"{self._of.path or 'the optimizer'}: the {type(self._of.optimizer).__qualname__} keeps the slot {slot!r} of "
                f"{members[0].place.name if members else 'a parameter'}, which {kind}, so it has no name there: call it by "
                "a string without dots, or give an object of your own with state_dict and load_state_dict around the optimizer"
            )

    def _hold(self, parameter: Any, members: list[Member], slot: str, tensor: Any) -> None:
        local = local_of(tensor, self._name(members[0], slot), self._of.builder.saved is not None)
        for member in members:
            self._hold_one(parameter, member, slot, local)

    def _hold_one(self, parameter: Any, member: Member, slot: str, local: Local) -> None:
        name = self._name(member, slot)
        if member.flat and local.shape == tuple(parameter.shape):
            if member.begin < member.end:
                place = Place(name, member.place.shape, member.place.cuts)
                self._of.builder.hold_range(member, place, local, "moment", guarded=True)
        elif not member.flat or member.begin < member.end:
            local = _as_parameter(local, self._real(parameter), member, name)
            kind: Kind = "scalar" if local.shape == () and slot in self._numbers else "moment"
            self._of.builder.hold(_slot_place(name, member, local.shape), local, kind, guarded=True)

    def _name(self, member: Member, slot: str) -> str:
        return f"{self._of.states}{member.place.name}.{slot}"

    # --- slots, as the checkpoint has them ------------------------------------------------------------------------

    def make(self) -> None:
        """Put what the checkpoint has: into the slots that are there, and into fresh ones."""
        arrays, trees = self._saved_slots()
        for _, parameter, group in self._of.parameters():
            members = [member for member in self._of.known[id(parameter)] if not member.flat or member.begin < member.end]
            kept: set[str] = set()
            new: dict[str, Any] = {}
            for slot in self._slots_of(members, arrays):
                kept.add(slot)
                saved = {member.place.name: arrays[member.place.name][slot] for member in members}
                self._make_slot(parameter, group, members, slot, saved, new)
            for member in members[:1]:
                for slot in trees.get(member.place.name, ()):
                    kept.add(slot)
                    current = self._of.optimizer.state.get(parameter, {}).get(slot)
                    self._of.builder.tree(
                        self._name(member, slot), current, "moment", _put(self._of.optimizer.state, parameter, slot)
                    )
            for slot in self._of.optimizer.state.get(parameter, ()):
                if not all(self._of.builder.select(self._name(member, slot)) for member in members):
                    kept.add(slot)
            if members and all(self._of.is_saved(self._of.groups + member.place.name) for member in members):
                self._of.builder.then(self._hang(parameter, new, kept), self._of.path)
            elif new:
                self._of.builder.then(self._hang(parameter, new, None), self._of.path)

    def settle(self) -> None:
        """Call `__setstate__` once everything is loaded, as torch's `load_state_dict` does. Not after a part was loaded."""
        saved, select = self._of.builder.saved, self._of.builder.select
        assert saved is not None
        names = [name for name in (*saved.objects, *saved.values) if name.startswith((self._of.states, self._of.groups))]
        if names and all(map(select, names)):
            both = self._of.optimizer
            self._of.builder.then(
                lambda _: both.__setstate__({"state": both.state, "param_groups": both.param_groups}), self._of.path
            )

    def _saved_slots(self) -> tuple[dict[str, dict[str, Object]], dict[str, list[str]]]:
        """Find the slots of the checkpoint, by the name of the parameter: arrays, and other values."""
        saved, select = self._of.builder.saved, self._of.builder.select
        assert saved is not None
        names = {member.place.name for members in self._of.known.values() for member in members}
        arrays: dict[str, dict[str, Object]] = {}
        trees: dict[str, list[str]] = {}
        for name in saved.objects:
            parameter, _, slot = name.removeprefix(self._of.states).rpartition(".")
            if name.startswith(self._of.states) and parameter in names and select(name):
                arrays.setdefault(parameter, {})[slot] = saved.objects[name]
                if saved.objects[name].kind == "scalar":
                    self._numbers.add(slot)
        for name in saved.values:
            parameter, _, slot = name.removeprefix(self._of.states).rpartition(".")
            if name.startswith(self._of.states) and parameter in names and select(name):
                trees.setdefault(parameter, []).append(slot)
        return arrays, trees

    def _slots_of(self, members: list[Member], arrays: dict[str, dict[str, Object]]) -> list[str]:
        """List the slots of a parameter. All parameters of a flat buffer must have the same ones."""
        if not members:
            return []
        slots = {member.place.name: set(arrays.get(member.place.name, ())) for member in members}
        first = members[0].place.name
        for name, here in slots.items():
            if here != slots[first]:
                raise CheckpointMismatch(
                    f"{first} and {name} share a flat buffer of {self._of.path}, but the checkpoint has {sorted(slots[first])} for "
                    f"one and {sorted(here)} for the other"
                )
        return list(arrays.get(first, ()))

    def _make_slot(
        self, parameter: Any, group: dict[str, Any], members: list[Member], slot: str, saved: dict[str, Object], new: dict[str, Any]
    ) -> None:
        current = self._of.optimizer.state.get(parameter, {}).get(slot)
        if slot == _MASTER and self._masters:
            current = parameter
        known = saved[members[0].place.name]
        if members[0].flat and slot in self._numbers:
            self._make_shared(parameter, group, members, slot, known, new, current)
            return
        if not isinstance(current, torch.Tensor):
            current = new[slot] = self._fresh(parameter, members[0], group, slot, known)
        self._hold(parameter, members, slot, current)

    def _fresh(self, parameter: Any, member: Member, group: dict[str, Any], slot: str, known: Object) -> Any:
        """Make memory for a slot of the checkpoint. Padding, which nothing fills, is zero."""
        parameter = self._real(parameter)
        dtype, like, name = torch_dtype(known.dtype), parameter.detach(), self._name(member, slot)
        if known.shape == () and slot in self._numbers:
            return torch.empty((), dtype=dtype, device=_scalar_device(parameter, group, slot))
        if member.flat or known.shape == member.place.shape:
            return torch.zeros_like(like, dtype=dtype)
        if member.place.cuts is None and local_of(parameter, name, False).cuts is None:
            return torch.empty(known.shape, dtype=dtype, device=like.device)
        if len(known.shape) == len(member.shape):
            pairs = zip(known.shape, member.place.shape, member.shape, strict=True)
            return torch.zeros([mine if size == whole else size for size, whole, mine in pairs], dtype=dtype, device=like.device)
        shapes = f"has shape {known.shape} in the checkpoint, its parameter {member.place.shape}"
        raise CheckpointMismatch(f"{name} {shapes}: how this follows is not known")

    def _real(self, parameter: Any) -> Any:
        """Return a parameter's memory, or the memory that it gets by being loaded."""
        return self._of.builder.rooms.get(id(parameter), parameter)

    def _make_shared(
        self,
        parameter: Any,
        group: dict[str, Any],
        members: list[Member],
        slot: str,
        known: Object,
        new: dict[str, Any],
        current: Any,
    ) -> None:
        """Make one number for a whole flat buffer. The checkpoint has one for each parameter, and they must be equal."""
        rooms = {}
        for member in members:
            name = self._name(member, slot)
            rooms[name] = torch.empty((), dtype=torch_dtype(known.dtype))
            self._of.builder.hold(Place(name, ()), local_of(rooms[name], name, True), "scalar")
        if not isinstance(current, torch.Tensor):
            current = new[slot] = torch.zeros(
                (), dtype=torch_dtype(known.dtype), device=_scalar_device(self._real(parameter), group, slot)
            )

        def accept(_: Values) -> None:
            first = next(iter(rooms))
            for name, room in rooms.items():
                if not torch.equal(room, rooms[first]):
                    raise CheckpointMismatch(
                        f"{first} is {rooms[first].item()} and {name} is {room.item()}, but they share a flat buffer of "
                        f"{self._of.path}, which has one: put them into different buffers"
                    )
            current.copy_(rooms[first])

        self._of.builder.then(accept, self._of.path)

    def _hang(self, parameter: Any, new: dict[str, Any], kept: set[str] | None) -> Any:
        def accept(_: Values) -> None:
            slots = self._of.optimizer.state.get(parameter)
            for slot in [] if slots is None or kept is None else [slot for slot in slots if slot not in kept]:
                del slots[slot]
            if new:
                self._of.optimizer.state[parameter].update(new)
            elif slots is not None and not slots:
                del self._of.optimizer.state[parameter]  # as an optimizer that never stepped

        return accept


# --- helpers ---------------------------------------------------------------------------------------------------------


def _slot_place(name: str, member: Member, shape: tuple[int, ...]) -> Place:
    """Say where a slot lies: as its parameter does. A dimension in which it has one element is whole."""
    place = member.place
    if shape == member.shape:
        return Place(name, place.shape, place.cuts)
    if place.cuts is None or shape == ():
        return Place(name, shape)
    split = [cut != full(size) for cut, size in zip(place.cuts, place.shape, strict=True)]
    if len(shape) == len(split) and all(
        size == mine or (size == 1 and not cut) for size, mine, cut in zip(shape, member.shape, split, strict=True)
    ):
        same = [size == mine for size, mine in zip(shape, member.shape, strict=True)]
        whole = tuple(full if fits else 1 for full, fits in zip(place.shape, same, strict=True))
        cuts = tuple(cut if fits else full(1) for cut, fits in zip(place.cuts, same, strict=True))
        return Place(name, whole, cuts)
    raise LayoutError(f"{name} has shape {shape}, its parameter {member.shape}, which is split: how this follows is not known")


def _as_parameter(local: Local, parameter: Any, member: Member, name: str) -> Local:
    """Treat a plain tensor that an optimizer made like the local part of a DTensor as a part of the same whole."""
    if local.shape == member.shape or local.shape == () or local.cuts is not None or member.flat:
        return local
    mine = local_of(parameter, name, False)
    if mine.cuts is None:
        return local
    if mine.extent != local.extent:
        raise LayoutError(f"{name} has shape {local.shape}, the shard of its parameter {mine.extent}: how it follows is not known")
    return local._replace(shape=mine.shape, cuts=mine.cuts)


def _scalar_device(parameter: Any, group: dict[str, Any], slot: str) -> Any:
    """Say where torch keeps a number: step counters in the host's memory, unless the device reads them."""
    return parameter.device if slot != "step" or group.get("capturable") or group.get("fused") else torch.device("cpu")


def _put(state: Any, parameter: Any, slot: str) -> Any:
    def put(value: object) -> None:
        state[parameter][slot] = value

    return put


def _ignore(value: object) -> None:
    """Take nothing: nothing is loaded while saving."""
