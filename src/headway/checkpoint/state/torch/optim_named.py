"""Calls the parameters of a torch optimizer by the names that the state gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headway.checkpoint.state.inventory_builder import InventoryBuilder, Member
from headway.errors import UsageError


class NamedOptimizer:
    """What slots (`optim_slots.py`) and hyperparameters (`optim_groups.py`) both need. `known`: what each parameter is in the
    state, by id; a flat buffer is several."""

    def __init__(self, optimizer: Any, builder: InventoryBuilder, path: str) -> None:
        self.optimizer, self.builder, self.path = optimizer, builder, path
        self.states = f"{path}.state." if path else "state."
        self.groups = f"{path}.group." if path else "group."
        self.known = {id(each): self._members(number, each) for number, each, _ in self.parameters()}

    def parameters(self) -> Iterator[tuple[int, Any, dict[str, Any]]]:
        """Yield the number of the group, the parameter, and the group."""
        for number, group in enumerate(self.optimizer.param_groups):
            for parameter in group["params"]:
                yield number, parameter, group

    def _members(self, group: int, parameter: Any) -> list[Member]:
        members = self.builder.members_of(parameter, f"a parameter of {self.path}")
        if not members and parameter.numel():
            raise UsageError(
                f"{self.path or 'the optimizer'}: group {group} has a parameter of shape {tuple(parameter.shape)} that is nowhere "
                "in the state, so it has no name: put its module there as well, or declare flat buffers with FlatOptimizer"
            )
        for member in members:
            self.builder.guard(member.place.name)
        return members

    def is_saved(self, name: str) -> bool:
        """Whether a value is in the checkpoint and is to be loaded."""
        assert self.builder.saved is not None
        return name in self.builder.saved.values and self.builder.select(name)
