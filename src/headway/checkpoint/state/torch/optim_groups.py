"""The hyperparameters of a torch optimizer, by parameter: one value for each parameter, equal within a group."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from headway.checkpoint.files.manifest import Json
from headway.checkpoint.state.fit import Values
from headway.checkpoint.state.torch.optim_named import NamedOptimizer
from headway.checkpoint.state.values.alike import classes_for, match_kinds
from headway.checkpoint.state.values.tree import decode, encode
from headway.errors import CheckpointMismatch

_HOW = frozenset({"params", "param_names", "foreach", "fused", "capturable", "differentiable"})
"""What a group says about how to compute, and not what: the program decides that anew each time."""

_SCHEDULED = frozenset({"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr"})
"""What schedules add to a group."""

_KIND = "optimizer"
"""Under which hyperparameter the kind of the optimizer is kept. No optimizer has one of this name."""

_ALIKE = frozenset({"torch.optim.Adam", "torch.optim.AdamW"})
"""Kinds with the same slots, which differ in a hyperparameter."""


def kind_of(optimizer: Any) -> str:
    """Name the torch class that an optimizer is a kind of, or its own class if it is none of torch's.

    Example:
        >>> class Mine(torch.optim.AdamW): pass
        >>> kind_of(Mine([torch.zeros(1, requires_grad=True)]))
        'torch.optim.AdamW'
    """
    kinds = [each for each in type(optimizer).__mro__ if each is not torch.optim.Optimizer]
    known = [each.__name__ for each in kinds if each.__module__.startswith("torch.optim.")]
    return f"torch.optim.{known[0]}" if known else f"{kinds[0].__module__}.{kinds[0].__qualname__}"


class Groups:
    """The groups of an optimizer, put into an inventory or loaded from a checkpoint."""

    def __init__(self, named: NamedOptimizer) -> None:
        self._of = named
        self._kind = kind_of(named.optimizer)

    def put(self) -> None:
        """Put one value for each parameter. Those of a group are equal."""
        for number, group in enumerate(self._of.optimizer.param_groups):
            where = f"{self._of.path}.param_groups[{number}]"
            values = {key: _plain(value, f"{where}[{key!r}]") for key, value in group.items() if key not in _HOW}
            names = [self._of.groups + member.place.name for p in group["params"] for member in self._of.known[id(p)]]
            if not names and self._has_place(number):
                names = [self._empty(number)]
            for name in names:
                self._of.builder.value(name, {**values, _KIND: self._kind})
            if self._of.builder.saved is not None:
                self._load_group(group, where, names)

    def _empty(self, number: int) -> str:
        return f"{self._of.path}.empty_group.{number}" if self._of.path else f"empty_group.{number}"

    def _has_place(self, number: int) -> bool:
        """Whether a group without parameters is kept. One stage of several may have one that the next run lacks."""
        return self._of.builder.saved is None or self._empty(number) in self._of.builder.saved.values

    def _load_group(self, group: dict[str, Any], where: str, names: list[str]) -> None:
        builder = self._of.builder
        assert builder.saved is not None
        names = [name for name in names if self._of.is_saved(name)]
        for name in names[:1]:
            self._refuse_another_kind(group, where, decode(builder.saved.values[name], _no_array))
        for name in names:
            one, other = builder.saved.values[names[0]], builder.saved.values[name]
            if one != other:
                first, second = names[0].removeprefix(self._of.groups), name.removeprefix(self._of.groups)
                raise CheckpointMismatch(
                    f"{where} has parameters that were saved with different hyperparameters: {first} with {one}, {second} with "
                    f"{other}: put them in different groups"
                )

        classes = classes_for(builder.saved.values[names[0]], group, where) if names else {}

        def accept(values: Values) -> None:
            loaded = decode(values[names[0]], _no_array, classes)
            loaded.pop(_KIND, None)
            for key, value in loaded.items():
                if isinstance(group.get(key), torch.Tensor):
                    group[key].fill_(value)
                else:
                    group[key] = match_kinds(group.get(key), value)

        if names:
            builder.then(accept, where)

    def _refuse_another_kind(self, group: dict[str, Any], where: str, saved: dict[str, Any]) -> None:
        """Refuse hyperparameters of another kind of optimizer: its slots are of no use, and this one's own would be missing in the
        first step. A checkpoint of an earlier version does not say which kind saved it. Then the names of the hyperparameters
        decide: a newer version of an optimizer may have more of them, or a group may have some of the program's own, but not
        both."""
        kind = str(saved.get(_KIND, ""))
        if kind == self._kind or {kind, self._kind} == _ALIKE:
            return
        both_known = all(each.startswith("torch.optim.") for each in (kind, self._kind))
        lacks = sorted(self._of.optimizer.defaults.keys() - saved.keys() - _HOW)
        extra = sorted(saved.keys() - group.keys() - _HOW - _SCHEDULED - {_KIND})
        if both_known or (lacks and extra):
            by = f"by {kind}" if kind else f"by another kind of optimizer, with {', '.join(extra)} and without {', '.join(lacks)}"
            raise CheckpointMismatch(
                f"{where} was saved {by}, and is a {self._kind} now, which has other moments. Nothing was changed. To load the "
                f"rest and begin with a fresh {type(self._of.optimizer).__name__}, select the names that don't begin with "
                f"{self._of.path + '.'!r}"
            )
        if kind:
            warnings.warn(
                f"{where} was saved by {kind}, and is a {self._kind} now: its moments are loaded as they are, because the "
                "hyperparameters don't contradict. See whether they mean the same",
                RuntimeWarning,
                stacklevel=2,
            )


def _plain(value: object, name: str) -> Json:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return encode(value, name, lambda path, leaf: None)


def _no_array(mark: str, name: str) -> object:
    raise CheckpointMismatch(f"hyperparameters refer to the array {name}: they were not written by Headway")
