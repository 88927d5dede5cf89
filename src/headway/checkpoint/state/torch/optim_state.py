"""Torch optimizers, by parameter: moments where their parameter lies, hyperparameters without groups.

An optimizer numbers its parameters and keeps them in groups; both depend on how the program was started. So nothing here has a
number or a group: slot `exp_avg` of the parameter `model.w` is the object `opt.state.model.w.exp_avg`, with the layout of
`model.w`, and the hyperparameters of its group are the value `opt.group.model.w`. When loading, they are put into the groups that
the optimizer has now; parameters that share a group must have been saved with the same ones. Groups without a parameter have no
name but their place: `opt.empty_group.1`.

The hyperparameters tell which kind of optimizer saved them (`optimizer`), since slots of one kind mean something else to another,
or nothing. Adam and AdamW take each other's, as torch's own `load_state_dict` does: like that, loading ends with `__setstate__`, in
which a class puts right what is its own (AdamW decouples the decay, whatever was loaded). All other pairs of torch are refused.

What an optimizer has beside slots and hyperparameters (entries of `state` that are no parameter's, what its `state_dict` or a hook
adds) is the value `opt._own_state`: see `optim_own`.

A fresh optimizer has no slots, so room is made for those of the checkpoint, and hung into the optimizer when all is loaded. Slots
that the checkpoint does not have are dropped then: it was saved before the first step. Those of parameters that it does not know,
and those that are not to be loaded, stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch

from headway.checkpoint.files.manifest import Json, Kind, Object
from headway.checkpoint.layout.dtypes import torch_dtype
from headway.checkpoint.layout.placing import Place
from headway.checkpoint.layout.sharding import full
from headway.checkpoint.state.alike import alike, classes_for
from headway.checkpoint.state.fit import Values
from headway.checkpoint.state.flat import hold_range
from headway.checkpoint.state.inventory_builder import Member, Taking
from headway.checkpoint.state.sources import Local, local_of
from headway.checkpoint.state.torch.optim_own import put_own_state
from headway.checkpoint.state.tree import decode, encode
from headway.errors import CheckpointMismatch, LayoutError, UsageError

_HOW = frozenset({"params", "param_names", "foreach", "fused", "capturable", "differentiable"})
"""What a group says about how to compute, and not what: the program decides that anew each time."""

_SCHEDULED = frozenset({"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr"})
"""What schedules add to a group."""

_MASTER = "master"
_KIND = "optimizer"
"""Under which hyperparameter the kind of the optimizer is kept. No optimizer has one of this name."""

_ALIKE = frozenset({"torch.optim.Adam", "torch.optim.AdamW"})
"""Kinds with the same slots, which differ in a hyperparameter."""


def is_optimizer(value: object) -> bool:
    """Whether it is an optimizer of torch's."""
    return isinstance(value, torch.optim.Optimizer)


def put_optimizer(optimizer: Any, taking: Taking, path: str, *, masters: bool = False) -> None:
    """Put an optimizer's slots and hyperparameters under a name. The arrays that it optimizes must be known by now."""
    work = _Work(optimizer, taking, path, masters)
    work.put_groups()
    if taking.saved is None:
        work.put_slots()
    else:
        work.make_slots()
        work.settle()
    put_own_state(optimizer, taking, path)


def kind_of(optimizer: Any) -> str:
    """The name of the class of torch's that an optimizer is a kind of; its own name where it is of none.

    Example:
        >>> class Mine(torch.optim.AdamW): pass
        >>> kind_of(Mine([torch.zeros(1, requires_grad=True)]))
        'torch.optim.AdamW'
    """
    kinds = [each for each in type(optimizer).__mro__ if each is not torch.optim.Optimizer]
    known = [each.__name__ for each in kinds if each.__module__.startswith("torch.optim.")]
    return f"torch.optim.{known[0]}" if known else f"{kinds[0].__module__}.{kinds[0].__qualname__}"


class _Work:
    def __init__(self, optimizer: Any, taking: Taking, path: str, masters: bool) -> None:
        self.optimizer = optimizer
        self.taking = taking
        self.masters = masters
        self.states = f"{path}.state." if path else "state."
        self.groups = f"{path}.group." if path else "group."
        self.path = path
        self.kind = kind_of(optimizer)
        self.numbers = {"step"}  # slots that are one number for a parameter, whatever its shape
        self.known = {id(p): self._members(number, p) for number, p, _ in self._parameters()}

    def _parameters(self) -> Iterator[tuple[int, Any, dict[str, Any]]]:
        for number, group in enumerate(self.optimizer.param_groups):
            for parameter in group["params"]:
                yield number, parameter, group

    def _members(self, group: int, parameter: Any) -> list[Member]:
        members = self.taking.members_of(parameter, f"a parameter of {self.path}")
        if not members and parameter.numel():
            raise UsageError(
                f"{self.path or 'the optimizer'}: group {group} has a parameter of shape {tuple(parameter.shape)} that is nowhere "
                "in the state, so it has no name: put its module there as well, or declare flat buffers with FlatOptimizer"
            )
        for member in members:
            self.taking.guard(member.place.name)
        return members

    # --- hyperparameters ------------------------------------------------------------------------------------------

    def put_groups(self) -> None:
        """One value for each parameter; those of a group are equal."""
        for number, group in enumerate(self.optimizer.param_groups):
            where = f"{self.path}.param_groups[{number}]"
            values = {key: _plain(value, f"{where}[{key!r}]") for key, value in group.items() if key not in _HOW}
            names = [self.groups + member.place.name for p in group["params"] for member in self.known[id(p)]]
            if not names and self._has_place(number):
                names = [self._empty(number)]
            for name in names:
                self.taking.value(name, {**values, _KIND: self.kind})
            if self.taking.saved is not None:
                self._load_group(group, where, names)

    def _empty(self, number: int) -> str:
        return f"{self.path}.empty_group.{number}" if self.path else f"empty_group.{number}"

    def _has_place(self, number: int) -> bool:
        """Whether a group without parameters is kept. A stage of several may have one that the next run has not."""
        return self.taking.saved is None or self._empty(number) in self.taking.saved.values

    def _load_group(self, group: dict[str, Any], where: str, names: list[str]) -> None:
        taking = self.taking
        assert taking.saved is not None
        names = [name for name in names if self._is_saved(name)]
        for name in names[:1]:
            self._refuse_another_kind(group, where, decode(taking.saved.values[name], _no_array))
        for name in names:
            if taking.saved.values[name] != taking.saved.values[names[0]]:
                raise CheckpointMismatch(
                    f"{where} has parameters that were saved with different hyperparameters: {names[0].removeprefix(self.groups)} "
                    f"with {taking.saved.values[names[0]]}, {name.removeprefix(self.groups)} with {taking.saved.values[name]}: put "
                    "them in different groups"
                )

        classes = classes_for(taking.saved.values[names[0]], group, where) if names else {}

        def accept(values: Values) -> None:
            loaded = decode(values[names[0]], _no_array, classes)
            loaded.pop(_KIND, None)
            for key, value in loaded.items():
                if isinstance(group.get(key), torch.Tensor):
                    group[key].fill_(value)
                else:
                    group[key] = alike(group.get(key), value)

        if names:
            taking.then(accept, where)

    def _refuse_another_kind(self, group: dict[str, Any], where: str, saved: dict[str, Any]) -> None:
        """The slots of another kind of optimizer are of no use, and its own would be missing in the first step. A checkpoint of an
        earlier version does not say which kind saved it; then hyperparameters tell: a newer version of an optimizer has more of
        them, a group may have some of the program's own, but not both."""
        kind = str(saved.get(_KIND, ""))
        if kind == self.kind or {kind, self.kind} == _ALIKE:
            return
        both_known = all(each.startswith("torch.optim.") for each in (kind, self.kind))
        lacks = sorted(self.optimizer.defaults.keys() - saved.keys() - _HOW)
        extra = sorted(saved.keys() - group.keys() - _HOW - _SCHEDULED - {_KIND})
        if both_known or (lacks and extra):
            by = f"by {kind}" if kind else f"by another kind of optimizer, with {', '.join(extra)} and without {', '.join(lacks)}"
            raise CheckpointMismatch(
                f"{where} was saved {by}, and is a {self.kind} now, which has other moments. Nothing was changed. To load the "
                f"rest and begin with a fresh {type(self.optimizer).__name__}, select the names that don't begin with "
                f"{self.path + '.'!r}"
            )
        if kind:
            warnings.warn(
                f"{where} was saved by {kind}, and is a {self.kind} now: its moments are loaded as they are, because the "
                "hyperparameters don't contradict. See whether they mean the same",
                RuntimeWarning,
                stacklevel=2,
            )

    # --- slots, as they are ---------------------------------------------------------------------------------------

    def put_slots(self) -> None:
        """Put what the optimizer has."""
        for parameter, slots in self.optimizer.state.items():
            if isinstance(parameter, torch.Tensor) and parameter.ndim:
                self.numbers |= {slot for slot, value in slots.items() if isinstance(value, torch.Tensor) and not value.ndim}
        for _, parameter, _ in self._parameters():
            members = self.known[id(parameter)]
            slots = self.optimizer.state.get(parameter, {})
            for slot, value in slots.items():
                self._refuse_nameless(members, slot)
                if isinstance(value, torch.Tensor):
                    self._hold(parameter, members, slot, value)
                else:
                    for member in members:
                        self.taking.tree(self._name(member, slot), value, "moment", _ignore)
            if self.masters and members[0].flat:
                self._hold(parameter, members, _MASTER, parameter)

    def _refuse_nameless(self, members: list[Member], slot: object) -> None:
        """A slot is the last word of a name, so what is no single word would come back as another slot, or not at all."""
        if type(slot) is not str or "." in slot:
            kind = "has a dot" if type(slot) is str else f"is of type {type(slot).__qualname__}"
            raise UsageError(
                f"{self.path or 'the optimizer'}: the {type(self.optimizer).__qualname__} keeps the slot {slot!r} of "
                f"{members[0].place.name if members else 'a parameter'}, which {kind}, so it has no name there: call it by "
                "a string without dots, or give an object of your own with state_dict and load_state_dict around the optimizer"
            )

    def _hold(self, parameter: Any, members: list[Member], slot: str, tensor: Any) -> None:
        local = local_of(tensor, self._name(members[0], slot), self.taking.saved is not None)
        for member in members:
            self._hold_one(parameter, member, slot, local)

    def _hold_one(self, parameter: Any, member: Member, slot: str, local: Local) -> None:
        name = self._name(member, slot)
        if member.flat and local.shape == tuple(parameter.shape):
            if member.begin < member.end:
                place = Place(name, member.place.shape, member.place.cuts)
                hold_range(self.taking, member, place, local, "moment", guarded=True)
        elif not member.flat or member.begin < member.end:
            local = _as_parameter(local, self._real(parameter), member, name)
            kind: Kind = "scalar" if local.shape == () and slot in self.numbers else "moment"
            self.taking.hold(_slot_place(name, member, local.shape), local, kind, guarded=True)

    def _name(self, member: Member, slot: str) -> str:
        return f"{self.states}{member.place.name}.{slot}"

    # --- slots, as the checkpoint has them ------------------------------------------------------------------------

    def make_slots(self) -> None:
        """Put what the checkpoint has: into the slots that are there, and into fresh ones."""
        arrays, trees = self._saved_slots()
        for _, parameter, group in self._parameters():
            members = [member for member in self.known[id(parameter)] if not member.flat or member.begin < member.end]
            kept: set[str] = set()
            new: dict[str, Any] = {}
            for slot in self._slots_of(members, arrays):
                kept.add(slot)
                saved = {member.place.name: arrays[member.place.name][slot] for member in members}
                self._make_slot(parameter, group, members, slot, saved, new)
            for member in members[:1]:
                for slot in trees.get(member.place.name, ()):
                    kept.add(slot)
                    current = self.optimizer.state.get(parameter, {}).get(slot)
                    self.taking.tree(self._name(member, slot), current, "moment", _put(self.optimizer.state, parameter, slot))
            for slot in self.optimizer.state.get(parameter, ()):
                if not all(self.taking.select(self._name(member, slot)) for member in members):
                    kept.add(slot)
            if members and all(self._is_saved(self.groups + member.place.name) for member in members):
                self.taking.then(self._hang(parameter, new, kept), self.path)
            elif new:
                self.taking.then(self._hang(parameter, new, None), self.path)

    def settle(self) -> None:
        """When all is loaded, let the class put right what is its own, as torch's `load_state_dict` does. Not after a part."""
        saved, select = self.taking.saved, self.taking.select
        assert saved is not None
        names = [name for name in (*saved.objects, *saved.values) if name.startswith((self.states, self.groups))]
        if names and all(map(select, names)):
            both = self.optimizer
            self.taking.then(lambda _: both.__setstate__({"state": both.state, "param_groups": both.param_groups}), self.path)

    def _is_saved(self, name: str) -> bool:
        """Whether a value is in the checkpoint and is to be loaded."""
        assert self.taking.saved is not None
        return name in self.taking.saved.values and self.taking.select(name)

    def _saved_slots(self) -> tuple[dict[str, dict[str, Object]], dict[str, list[str]]]:
        """Slots of the checkpoint by the name of the parameter: arrays, and other values."""
        saved, select = self.taking.saved, self.taking.select
        assert saved is not None
        names = {member.place.name for members in self.known.values() for member in members}
        arrays: dict[str, dict[str, Object]] = {}
        trees: dict[str, list[str]] = {}
        for name in saved.objects:
            parameter, _, slot = name.removeprefix(self.states).rpartition(".")
            if name.startswith(self.states) and parameter in names and select(name):
                arrays.setdefault(parameter, {})[slot] = saved.objects[name]
                if saved.objects[name].kind == "scalar":
                    self.numbers.add(slot)
        for name in saved.values:
            parameter, _, slot = name.removeprefix(self.states).rpartition(".")
            if name.startswith(self.states) and parameter in names and select(name):
                trees.setdefault(parameter, []).append(slot)
        return arrays, trees

    def _slots_of(self, members: list[Member], arrays: dict[str, dict[str, Object]]) -> list[str]:
        """The slots of a parameter; the parameters of a flat buffer must have the same ones."""
        if not members:
            return []
        slots = {member.place.name: set(arrays.get(member.place.name, ())) for member in members}
        first = members[0].place.name
        for name, here in slots.items():
            if here != slots[first]:
                raise CheckpointMismatch(
                    f"{first} and {name} share a flat buffer of {self.path}, but the checkpoint has {sorted(slots[first])} for one "
                    f"and {sorted(here)} for the other"
                )
        return list(arrays.get(first, ()))

    def _make_slot(
        self, parameter: Any, group: dict[str, Any], members: list[Member], slot: str, saved: dict[str, Object], new: dict[str, Any]
    ) -> None:
        current = self.optimizer.state.get(parameter, {}).get(slot)
        if slot == _MASTER and self.masters:
            current = parameter
        known = saved[members[0].place.name]
        if members[0].flat and slot in self.numbers:
            self._make_shared(parameter, group, members, slot, known, new, current)
            return
        if not isinstance(current, torch.Tensor):
            current = new[slot] = self._fresh(parameter, members[0], group, slot, known)
        self._hold(parameter, members, slot, current)

    def _fresh(self, parameter: Any, member: Member, group: dict[str, Any], slot: str, known: Object) -> Any:
        """Memory for a slot of the checkpoint. Padding, which nothing fills, is zero."""
        parameter = self._real(parameter)
        dtype, like, name = torch_dtype(known.dtype), parameter.detach(), self._name(member, slot)
        if known.shape == () and slot in self.numbers:
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
        """The memory of a parameter: for one that has none yet, what it gets when it is loaded."""
        return self.taking.rooms.get(id(parameter), parameter)

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
        """One number for a whole flat buffer, which the checkpoint has for each parameter: they must be the same."""
        rooms = {}
        for member in members:
            name = self._name(member, slot)
            rooms[name] = torch.empty((), dtype=torch_dtype(known.dtype))
            self.taking.hold(Place(name, ()), local_of(rooms[name], name, True), "scalar")
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
                        f"{self.path}, which has one: put them into different buffers"
                    )
            current.copy_(rooms[first])

        self.taking.then(accept, self.path)

    def _hang(self, parameter: Any, new: dict[str, Any], kept: set[str] | None) -> Any:
        def accept(_: Values) -> None:
            slots = self.optimizer.state.get(parameter)
            for slot in [] if slots is None or kept is None else [slot for slot in slots if slot not in kept]:
                del slots[slot]
            if new:
                self.optimizer.state[parameter].update(new)
            elif slots is not None and not slots:
                del self.optimizer.state[parameter]  # as an optimizer that never stepped

        return accept


# --- helpers ---------------------------------------------------------------------------------------------------------


def _slot_place(name: str, member: Member, shape: tuple[int, ...]) -> Place:
    """Where a slot lies: as its parameter; or, where it has one element instead of a dimension, whole in that."""
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
    """A plain tensor that an optimizer made like the local part of a DTensor is a part of the same whole."""
    if local.shape == member.shape or local.shape == () or local.cuts is not None or member.flat:
        return local
    mine = local_of(parameter, name, False)
    if mine.cuts is None:
        return local
    if mine.extent != local.extent:
        raise LayoutError(f"{name} has shape {local.shape}, the shard of its parameter {mine.extent}: how it follows is not known")
    return local._replace(shape=mine.shape, cuts=mine.cuts)


def _scalar_device(parameter: Any, group: dict[str, Any], slot: str) -> Any:
    """Where torch keeps a number: step counters in the host's memory, unless the device reads them."""
    return parameter.device if slot != "step" or group.get("capturable") or group.get("fused") else torch.device("cpu")


def _plain(value: object, name: str) -> Json:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return encode(value, name, lambda path, leaf: None)


def _no_array(mark: str, name: str) -> object:
    raise CheckpointMismatch(f"hyperparameters refer to the array {name}: they were not written by Headway")


def _put(state: Any, parameter: Any, slot: str) -> Any:
    def put(value: object) -> None:
        state[parameter][slot] = value

    return put


def _ignore(value: object) -> None:
    """Nothing is loaded while saving."""
