"""Parameters and buffers of modules, by the names that the model's author gave them.

Wrappers add words to names (`module.` of DDP, `_orig_mod.` of `torch.compile`, `_fsdp_wrapped_module.` of FSDP1); they are taken
out, so that a model has the same names however it is wrapped. Buffers that are not persistent are left out, as `state_dict` does.

What a module's own `state_dict` or a hook adds is kept as well: see `module_own`.

DDP sends the buffers of its first rank to the others before each forward. Between two forwards each rank may have its own, such as
the statistics of its batches. The first rank's are kept, and a difference on other ranks is no mistake.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch

from headway.checkpoint.state.torch.module_own import modules_with_own_ways, put_own_state
from headway.errors import UsageError

if TYPE_CHECKING:
    from headway.checkpoint.state.inventory_builder import InventoryBuilder

_WORDS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_WRAPPERS = ("DistributedDataParallel", "DataParallel")  # whose word, `module`, others use as well


def is_module(value: object) -> bool:
    """Whether it is a torch module."""
    return isinstance(value, torch.nn.Module)


def put_module(module: torch.nn.Module, builder: InventoryBuilder, path: str, without: Collection[int] = ()) -> None:
    """Put a module's parameters, persistent buffers, extra state and own state under a path, except parameters with these ids."""
    bases: dict[str, str] = {}
    wrappers: set[str] = set()
    senders: list[tuple[str, Any]] = []
    for prefix, inner in module.named_modules(remove_duplicate=False):
        outer, _, word = prefix.rpartition(".")
        added = word in _WORDS or (word == "module" and outer in wrappers)
        base = bases[prefix] = _join_words(bases.get(outer, path), "" if added else word)
        if type(inner).__name__ in _WRAPPERS:
            wrappers.add(prefix)
            senders += [(_join_words(prefix, "module."), inner)] if _sends_buffers(inner) else []
        for name, parameter in inner._parameters.items():
            if parameter is not None and id(parameter) not in without:
                builder.array(_join_words(base, name), parameter, "param")
        for name, buffer in inner._buffers.items():
            if buffer is not None and name not in inner._non_persistent_buffers_set:
                synced = _is_sent(_join_words(prefix, name), senders)
                builder.array(_join_words(base, name), buffer, "buffer", synced=synced)
            elif buffer is not None and buffer.is_meta:
                builder.without_memory.append(builder.placer.name(_join_words(base, name)))
        if type(inner).get_extra_state is not torch.nn.Module.get_extra_state:
            if type(inner).set_extra_state is torch.nn.Module.set_extra_state:
                raise UsageError(f"{base or 'the module'} is a {type(inner).__name__} with get_extra_state and no set_extra_state")
            name = builder.placer.name(_join_words(base, "_extra_state"))
            builder.tree(name, inner.get_extra_state(), "array", inner.set_extra_state)
    for prefix, inner in modules_with_own_ways(module).items():
        put_own_state(inner, prefix, bases, builder)


def _sends_buffers(wrapper: Any) -> bool:
    """Whether it sends its first rank's buffers to the others before each forward. (With a hook, nobody knows.)"""
    sends = getattr(wrapper, "forward_sync_buffers", getattr(wrapper, "broadcast_buffers", False))
    return bool(sends) and not hasattr(wrapper, "buffer_hook")


def _is_sent(path: str, senders: list[tuple[str, Any]]) -> bool:
    return any(
        path.startswith(below) and path.removeprefix(below) not in getattr(sender, "parameters_to_ignore", ())
        for below, sender in senders
    )


def _join_words(*words: Any) -> str:
    return ".".join(word for word in words if word)
