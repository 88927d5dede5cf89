"""Torch optimizers, by parameter: moments laid out like their parameter, hyperparameters without groups.

An optimizer numbers its parameters and keeps them in groups; both depend on how the program was started. So names here contain
neither. Slot `exp_avg` of the parameter `model.w` is the object `opt.state.model.w.exp_avg`, with the layout of `model.w`, and the
hyperparameters of its group are the value `opt.group.model.w`. A load puts them into the groups that the optimizer has now;
parameters that share a group must have been saved with the same hyperparameters. A group without parameters is named by its place:
`opt.empty_group.1`.

The hyperparameters tell which kind of optimizer saved them (`optimizer`), since slots of one kind mean something else to another,
or nothing. Adam and AdamW accept each other's, as with torch's own `load_state_dict`. As there, loading ends with `__setstate__`,
in which a class sets what it insists on (AdamW decouples the decay, whatever was loaded). All other pairs of torch are refused.

What an optimizer has beside slots and hyperparameters (entries of `state` that are no parameter's, what its `state_dict` or a hook
adds) is the value `opt._own_state`: see `optim_own`.

A fresh optimizer has no slots, so room is made for those of the checkpoint and attached to the optimizer when everything is loaded.
Slots that the checkpoint lacks are dropped then, because it was saved before the first step. Slots of parameters that the
checkpoint does not know, and those that are not to be loaded, stay.
"""

from __future__ import annotations

from typing import Any

import torch

from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.torch.optim_groups import Groups
from headway.checkpoint.state.torch.optim_named import NamedOptimizer
from headway.checkpoint.state.torch.optim_own import put_own_state
from headway.checkpoint.state.torch.optim_slots import Slots


def is_optimizer(value: object) -> bool:
    """Whether it is a torch optimizer."""
    return isinstance(value, torch.optim.Optimizer)


def put_optimizer(optimizer: Any, builder: InventoryBuilder, path: str, *, masters: bool = False) -> None:
    """Put an optimizer's slots and hyperparameters under a name. The arrays that it optimizes must be known by now."""
    named = NamedOptimizer(optimizer, builder, path)
    Groups(named).put()
    slots = Slots(named, masters=masters)
    if builder.saved is None:
        slots.put()
    else:
        slots.make()
        slots.settle()
    put_own_state(optimizer, builder, path)
