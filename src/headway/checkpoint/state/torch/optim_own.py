"""Keeps what a torch optimizer has beside slots and hyperparameters: all of it, or the optimizer is refused.

An optimizer may keep counters of its own in `state`, under keys that are no parameters; a class may have its own `state_dict`, and
anybody may hang hooks into it that add something. Whatever is neither slot nor group is kept as one value, and restored by the
optimizer's own `load_state_dict`, together with the loaded slots. One that gives *other* slots or groups than it works with (a
wrapper that keeps the real ones elsewhere, a hook that shortens them) can't be taken apart by parameter, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.libraries import local_of
from headway.errors import CheckpointMismatch, UsageError

_PARTS = frozenset({"state", "param_groups"})
_HOOKS = (
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
_BASE = torch.optim.Optimizer


def put_own_state(optimizer: Any, builder: InventoryBuilder, path: str) -> None:
    """Put everything that is neither a slot nor a hyperparameter there; when loading, hand it to the optimizer."""
    name = f"{path}._own_state" if path else "_own_state"
    entries = _entries(optimizer, path) if _has_ways_of_its_own(optimizer) else {}
    own = {"entries": entries, "state": {key: value for key, value in optimizer.state.items() if not _is_tensor(key)}}
    if builder.saved is None:
        if any(own.values()):
            builder.tree(name, own, "moment", _ignore)
        return
    loaded: dict[str, Any] = {}
    known: Any = builder.saved.values.get(name)
    if known and known["entries"] and builder.select(name) and not _has_ways_of_its_own(optimizer):
        raise CheckpointMismatch(
            f"{path or 'the optimizer'} was saved with {', '.join(known['entries'])} of its own, which a "
            f"{type(optimizer).__qualname__} without a load_state_dict of its own or a hook does not take. Nothing was "
            f"changed. To leave it, select all names but {name!r}"
        )
    if any(own.values()) or known:
        builder.tree(name, own, "moment", loaded.update)
    prefix = f"{path}." if path else ""
    touched = any(each.startswith(prefix) and builder.select(each) for each in (*builder.saved.objects, *builder.saved.values))
    if touched:
        builder.then(lambda _: _give_back(optimizer, path, loaded), path)


def _has_ways_of_its_own(optimizer: Any) -> bool:
    kind = type(optimizer)
    methods = any(getattr(kind, each) is not getattr(_BASE, each) for each in ("state_dict", "load_state_dict"))
    return methods or any(getattr(optimizer, each, None) for each in _HOOKS)


def _entries(optimizer: Any, path: str) -> dict[str, Any]:
    """Find what else `state_dict()` gives. Raises UsageError if its slots or groups are not those of the optimizer."""
    what = f"{path or 'the optimizer'}: state_dict() of this {type(optimizer).__qualname__}"
    try:
        given = optimizer.state_dict()
    except Exception as error:
        raise UsageError(
            f"{what} raises {type(error).__name__}: {error}. A wrapper that keeps moments elsewhere has an optimizer inside, which "
            "can be given in its place (of a ZeroRedundancyOptimizer, `.optim`)"
        ) from error
    if not isinstance(given, Mapping) or not given.keys() >= _PARTS:
        raise UsageError(f"{what} gives no 'state' and 'param_groups', so it can't be taken apart by parameter: {_ADVICE}")
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    slots = {number: optimizer.state[each] for number, each in enumerate(parameters) if optimizer.state.get(each)}
    if not _same({key: value for key, value in given["state"].items() if isinstance(key, int) and value}, slots):
        raise UsageError(f"{what} gives other slots than those it works with: {_ADVICE}")
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    if not _same([{key: value for key, value in group.items() if key != "params"} for group in given["param_groups"]], groups):
        raise UsageError(f"{what} gives other hyperparameters than those it works with: {_ADVICE}")
    return {key: value for key, value in given.items() if key not in _PARTS}


_ADVICE = "remove the hook, or give an object of your own with state_dict and load_state_dict around it"


def _give_back(optimizer: Any, path: str, loaded: dict[str, Any]) -> None:
    """Let the optimizer load what it has by now, together with its own entries. The slots stay those that were filled."""
    optimizer.state.update(loaded.get("state", {}))
    entries = loaded.get("entries", {})
    if not _has_ways_of_its_own(optimizer):
        return
    slots = {each: dict(value) for each, value in optimizer.state.items() if _is_tensor(each)}
    optimizer.load_state_dict({**optimizer.state_dict(), **entries})
    for each, value in slots.items():
        optimizer.state[each].update(value)


def _same(one: Any, other: Any) -> bool:
    """Whether two trees have the very same tensors, and equal values."""
    if _is_tensor(one) and _is_tensor(other):
        return one is other or local_of(one, "", False).key == local_of(other, "", False).key
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _ignore(value: object) -> None:
    """Take nothing: nothing is loaded while saving."""
