"""The interface of a part of a state that puts itself into an inventory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from headway.checkpoint.state.inventory_builder import InventoryBuilder


class Source:
    """A part of a state. `last`: it is put after all others, because it needs the names that they give to arrays."""

    last: ClassVar[bool] = False

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put the part into an inventory, under this name."""
        raise NotImplementedError

    def parts(self) -> Iterable[Any]:
        """List the states inside of it: objects, and containers of objects."""
        return ()
