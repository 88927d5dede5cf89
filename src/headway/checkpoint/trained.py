"""What trains of a module: `Trained`, for a model of which most is frozen.

A frozen base costs its space once anyway, because what has not changed is not written again. `Trained` is for those who want
checkpoints that are small in themselves: an adapter to give away, or a base that is loaded from elsewhere.
"""

from __future__ import annotations

from typing import Any

from headway.checkpoint.taking import Source, Taking
from headway.errors import UsageError


class Trained(Source):
    """The parameters of a module that require gradients, and all its buffers, since those of a frozen part change as well (running
    means). Names are those of the whole module, and the optimizer finds its parameters.

    What trains is asked at each save and load: freeze the same parameters before loading, or load with `strict=False`, also into
    the module itself. Everything else must be there already.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        >>> _ = model[0].requires_grad_(False)
        >>> state = {"model": Trained(model)}  # and "opt": optimizer
    """

    def __init__(self, module: Any) -> None:
        if not callable(getattr(module, "named_parameters", None)):
            raise UsageError(f"Trained({type(module).__name__}): give a module of torch")
        self.module = module

    def __repr__(self) -> str:
        return f"Trained({type(self.module).__name__})"

    def put_into(self, taking: Taking, path: str) -> None:
        """Put them there under the names that they have in the module."""
        from headway.checkpoint.sources import is_tensor
        from headway.checkpoint.state import put_all

        frozen = {id(each) for each in self.module.parameters() if not each.requires_grad}
        kept = self.module.state_dict(keep_vars=True)
        where = f"{path or 'the state'} is {self!r}, and"
        if own := [name for name, each in kept.items() if not is_tensor(each)]:
            raise UsageError(f"{where} {own[0]} of the module is no tensor: give the whole module")
        trained = {name: each for name, each in kept.items() if id(each) not in frozen}
        if not any(each.requires_grad for each in trained.values()):
            raise UsageError(f"{where} no parameter of the module requires gradients")
        put_all(trained, taking, path)
