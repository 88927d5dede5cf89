"""`Trained` leaves a module's frozen parameters out of the state, for a model that is mostly frozen.

A frozen base takes its space only once anyway, because what has not changed is not written again. `Trained` is for checkpoints that
must be small in themselves: an adapter to give away, or a base that is loaded from elsewhere.
"""

from __future__ import annotations

from typing import Any

from headway.checkpoint.state.inventory_builder import InventoryBuilder
from headway.checkpoint.state.parts.source import Source
from headway.errors import UsageError


class Trained(Source):
    """A module without its frozen parameters.

    It has the parameters that require gradients, all buffers (those of a frozen part change too, such as running means), extra
    state and the module's own state. Names are those of the whole module, so the optimizer finds its parameters.

    Which parameters train is looked up at each save and load. So freeze the same parameters before loading, or load with
    `strict=False`, also into the module itself. All other parameters must be there already.

    Args:
        module: the torch module.

    Raises:
        UsageError: it is not a module.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        >>> _ = model[0].requires_grad_(False)
        >>> state = {"model": Trained(model)}  # and "opt": optimizer
    """

    def __init__(self, module: Any) -> None:
        if not callable(getattr(module, "named_modules", None)):
            raise UsageError(f"Trained({type(module).__name__}): give a module of torch")
        self.module = module

    def __repr__(self) -> str:
        return f"Trained({type(self.module).__name__})"

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put the trained parameters there, under the names that they have in the module."""
        from headway.checkpoint.state.torch.module_state import put_module

        frozen = {id(each) for each in self.module.parameters() if not each.requires_grad}
        if all(id(each) in frozen for each in self.module.parameters()):
            raise UsageError(f"{path or 'the state'} is {self!r}, and no parameter of the module requires gradients")
        put_module(self.module, builder, path, frozen)
