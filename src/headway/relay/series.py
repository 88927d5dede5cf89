"""Calls that the driver hands out to code in a worker as they end, in recorded order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headway.relay import wire

if TYPE_CHECKING:
    from headway.relay.client import Client


class Series:
    """One series: what a group, an unordered map or `as_completed` reads in a worker."""

    def __init__(self, client: Client, what: str, calls: Sequence[Any] = ()) -> None:
        self._client = client
        self._number: int = client.ask(wire.OpenSeries(what, [call._number for call in calls]))
        self._left = len(calls)

    def __len__(self) -> int:
        """How many calls have not been handed out yet."""
        return self._left

    def add(self, call: Any) -> None:
        self._client.ask(wire.AddToSeries(self._number, call._number))
        self._left += 1

    async def next(self) -> Any:
        """The next call that ends."""
        handle = await self._client.later(wire.NextOfSeries(self._number))
        self._left -= 1
        return handle

    async def stop(self, reason: str) -> None:
        """Cancel and drain what was not handed out."""
        await self._client.later(wire.StopSeries(self._number, reason))
        self._left = 0
