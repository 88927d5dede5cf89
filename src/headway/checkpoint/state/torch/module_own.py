"""Keeps what a module's `state_dict` has beside parameters and buffers: all of it, or the module is refused.

Torch lets a class write its own `_save_to_state_dict` and `_load_from_state_dict` (quantized modules, torchmetrics), or override
`state_dict`, and lets anybody hang hooks into either. So for a module with such code of its own, `state_dict()` is called too.
Entries that are not the memory of a parameter or buffer are kept as they are, in the value `<module>._own_state` of the module
below that they belong to. Parameters and buffers stay arrays of their own, whatever the dictionary calls them.

When loading, arrays are filled first, in place. Then the module's `load_state_dict` gets its own current `state_dict()` with the
loaded entries put in, so its methods and hooks see what they would see without Headway. (Copying a parameter onto itself costs
nothing.) The methods of torch's own modules are not called: they only bring old dictionaries up to date.
"""

from __future__ import annotations

import inspect
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from headway.checkpoint.state.libraries import local_of
from headway.errors import UsageError

if TYPE_CHECKING:
    from headway.checkpoint.state.inventory_builder import InventoryBuilder

_METHODS = ("state_dict", "_save_to_state_dict", "load_state_dict", "_load_from_state_dict")
_HOOKS = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")
_KNOWN = ("torch.nn.", "torch.distributed.", "torch._dynamo.", "torch.jit.")  # what these do adds nothing to a state
_EXTRA = "_extra_state"  # has a value of its own


def modules_with_own_ways(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Find the outermost modules whose `state_dict` or `load_state_dict` is not torch's alone, by prefix."""
    found: dict[str, torch.nn.Module] = {}
    for prefix, inner in module.named_modules(remove_duplicate=False):
        inside = any(prefix.startswith(f"{outer}.") or not outer for outer in found)
        if not inside and _has_own_ways(inner):
            found[prefix] = inner
    return found


def put_own_state(unit: torch.nn.Module, prefix: str, bases: Mapping[str, str], builder: InventoryBuilder) -> None:
    """Put what a module's `state_dict` has beside its arrays; when loading, let the module load all that it has.

    Args:
        prefix: where it is in the outer module. `bases` says what each part of that is called in a checkpoint.
    """
    own = _Own(unit, prefix, bases, builder)
    if builder.saved is None:
        own.put()
    else:
        own.load()


class _Own:
    def __init__(self, unit: torch.nn.Module, prefix: str, bases: Mapping[str, str], builder: InventoryBuilder) -> None:
        self.unit, self.builder = unit, builder
        self.parts = dict(unit.named_modules(remove_duplicate=False))
        self.bases = {part: bases[f"{prefix}.{part}" if prefix and part else prefix or part] for part in self.parts}
        if any(type(each).__name__ == "FullyShardedDataParallel" for each in self.parts.values()):
            raise UsageError(
                f"{bases[prefix] or 'the module'} is a {type(unit).__name__} with a state_dict of its own and "
                "FullyShardedDataParallel inside, which would put all of it together on each rank: use fully_shard"
            )
        self.base = bases[prefix]
        self.what = f"{bases[prefix] or 'the module'}: state_dict() of a {type(unit).__name__}"

    def put(self) -> None:
        given = self._given()
        for part, entries in self._entries(given).items():
            if entries:
                self._put_tree(part, _tree(entries, given, part), _ignore)

    def load(self) -> None:
        builder, given = self.builder, self._given()
        loaded: dict[str, dict[str, Any]] = {}
        assert builder.saved is not None
        for part, entries in self._entries(given).items():
            if entries or self._name(part) in builder.saved.values:
                self._put_tree(part, _tree(entries, given, part), lambda tree, part=part: loaded.update({part: tree}))
        bases = tuple(f"{base}." if base else "" for base in self.bases.values())
        if any(name.startswith(bases) and builder.select(name) for name in (*builder.saved.objects, *builder.saved.values)):
            builder.then(lambda _: self._give_back(loaded), self.base)

    def _given(self) -> OrderedDict[str, Any]:
        given = self.unit.state_dict(keep_vars=True)
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise UsageError(f"{self.what} gives no dictionary with names as keys, so it can't be kept in a checkpoint")
        copy = OrderedDict(given)
        copy._metadata = dict(getattr(given, "_metadata", {}))  # type: ignore[attr-defined]  # as torch does it
        return copy

    def _entries(self, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Find the entries that are no arrays of the module, by the part that they belong to."""
        ids, keys = self._arrays()
        entries: dict[str, dict[str, Any]] = {part: {} for part in self.parts}
        for key, value in given.items():
            part, name = self._owner(key)
            if name == _EXTRA and type(self.parts[part]).get_extra_state is not torch.nn.Module.get_extra_state:
                continue
            if not (isinstance(value, torch.Tensor) and (id(value) in ids or _key(value) in keys)):
                entries[part][name] = value
        return entries

    def _arrays(self) -> tuple[set[int], set[object]]:
        arrays = [array for part in self.parts.values() for array in _arrays_of(part)]
        return {id(array) for array in arrays}, {key for array in arrays if (key := _key(array)) is not None}

    def _owner(self, key: str) -> tuple[str, str]:
        """Find the innermost part whose prefix a key has, and the rest of the key."""
        part = key
        while part not in self.parts or part == key:
            part, _, _ = part.rpartition(".")
            if not part:
                return "", key
        return part, key.removeprefix(f"{part}.")

    def _name(self, part: str) -> str:
        base = self.bases[part]
        return self.builder.placer.name(f"{base}._own_state" if base else "_own_state")

    def _put_tree(self, part: str, tree: dict[str, Any], load: Any) -> None:
        try:
            self.builder.tree(self._name(part), tree, "buffer", load)
        except UsageError as error:
            module = f"{self.bases[part] or 'the module'}, a {type(self.parts[part]).__name__},"
            raise UsageError(f"{module} has state of its own that can't be kept in a checkpoint: {error}") from error

    def _give_back(self, loaded: Mapping[str, dict[str, Any]]) -> None:
        state = self._given()
        metadata: Any = state._metadata  # type: ignore[attr-defined]  # torch puts it on the dictionary
        own: set[str] = set()
        for part, tree in loaded.items():
            names = {f"{part}.{name}" if part else name: value for name, value in tree["entries"].items()}
            own |= names.keys()
            state.update(names)
            if tree["metadata"]:
                metadata[part] = tree["metadata"]
        load = self.unit.load_state_dict
        lenient = {"strict": False} if "strict" in inspect.signature(load).parameters else {}
        unused = own & set(getattr(load(state, **lenient), "unexpected_keys", ()))
        if unused:
            warnings.warn(
                f"{self.what} gave {', '.join(sorted(unused))}, of which its load_state_dict() takes no notice", stacklevel=2
            )


def _tree(entries: dict[str, Any], given: Any, part: str) -> dict[str, Any]:
    return {"metadata": dict(given._metadata.get(part, {})) if entries else {}, "entries": entries}


def _has_own_ways(module: torch.nn.Module) -> bool:
    kind, own, base = type(module), vars(module), torch.nn.Module
    methods = [own.get(name) or getattr(kind, name) for name in _METHODS]
    unlike = [method for name, method in zip(_METHODS, methods, strict=True) if method is not getattr(base, name)]
    hooks = [hook for name in _HOOKS if name in own for hook in own[name].values()]
    return not all(map(_is_known, (*unlike, *hooks)))


def _is_known(method: Any) -> bool:
    """Whether it is a method or hook of torch that adds nothing to a state."""
    for _ in range(4):
        method = next(
            (inner for name in ("hook", "func", "__func__") if (inner := getattr(method, name, None)) is not None), method
        )
    home = getattr(method, "__module__", None) or type(method).__module__
    return f"{home}.".startswith(_KNOWN)


def _arrays_of(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """List the arrays of a module that `put_module` keeps."""
    yield from (parameter for parameter in module._parameters.values() if parameter is not None)
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield buffer


def _key(tensor: torch.Tensor) -> object:
    """Return a key that is equal for two tensors that are one; None if nothing can tell."""
    try:
        return local_of(tensor, "", False).key
    except UsageError:
        return None


def _ignore(value: object) -> None:
    """Take nothing: nothing is loaded while saving."""
