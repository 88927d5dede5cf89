"""The interface of a part of a state that puts itself into an inventory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from headway.checkpoint.state.inventory_builder import InventoryBuilder


class Source:
    """A part of a state. `last`: it is put when all others are, because it calls arrays by what they name."""

    last: ClassVar[bool] = False

    def put_into(self, builder: InventoryBuilder, path: str) -> None:
        """Put it there under this name."""
        raise NotImplementedError

    def parts(self) -> Iterable[Any]:
        """The states inside of it: objects, and containers of such."""
        return ()
