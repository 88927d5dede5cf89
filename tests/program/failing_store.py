"""A store whose disk is full when a test says so."""

from __future__ import annotations

from typing import Any

import headway as hw


class BreakingStore(hw.MemoryStore):
    """A store whose disk is full while `broken`."""

    broken = False

    def commit(self, *args: Any, **kwargs: Any) -> None:
        if self.broken:
            raise hw.StoreFull(28, "the disk is full")
        super().commit(*args, **kwargs)
