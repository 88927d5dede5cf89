"""Modules: their parameters and buffers, by the names that the model's author gave them.

Wrappers add words to names (`module.` of DDP, `_orig_mod.` of `torch.compile`, `_fsdp_wrapped_module.` of FSDP1); they are taken
out, so that a model has the same names however it is wrapped. Buffers that are not persistent are left out, as `state_dict` does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from headway.checkpoint.taking import Taking

_WORDS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_WRAPPERS = ("DistributedDataParallel", "DataParallel")


def is_module(value: object) -> bool:
    """Whether it is a module of torch's."""
    return isinstance(value, torch.nn.Module)


def put_module(module: torch.nn.Module, taking: Taking, path: str) -> None:
    """Put a module's parameters, persistent buffers and extra state under a name."""
    while type(module).__name__ in _WRAPPERS and isinstance(module.module, torch.nn.Module):
        module = module.module
    for prefix, inner in module.named_modules(remove_duplicate=False):
        base = _joined(path, clean_name(prefix))
        for name, parameter in inner._parameters.items():
            if parameter is not None:
                taking.array(_joined(base, name), parameter, "param")
        for name, buffer in inner._buffers.items():
            if buffer is not None and name not in inner._non_persistent_buffers_set:
                taking.array(_joined(base, name), buffer, "buffer")
        if type(inner).get_extra_state is not torch.nn.Module.get_extra_state:
            name = taking.placer.name(_joined(base, "_extra_state"))
            taking.tree(name, inner.get_extra_state(), "array", inner.set_extra_state)


def clean_name(name: str) -> str:
    """A module's name without the words of wrappers.

    Example:
        >>> clean_name("_orig_mod.layers.0._checkpoint_wrapped_module.up")
        'layers.0.up'
    """
    return _WORDS.sub("", name + ".").removesuffix(".")


def _joined(*words: Any) -> str:
    return ".".join(word for word in words if word)
