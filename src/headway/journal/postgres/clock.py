"""The server's clock, by which leases of all machines are counted.

Time comes from whoever asks, as everywhere in a store. What is stored is taken to the server's clock: this machine's monotonic
clock and how far the server was ahead of it when it last answered. So a wall clock that is hours off, or is set while a run is
driven, neither lengthens a lease nor ends one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_S = 0.05  # clocks that differ by less are the same


class ServerClock:
    """How far the server's clock is ahead of the wall clock here. `wall` is the clock that callers take `now` from."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._ahead_of_monotonic: float | None = None
        self._unsure_s = 0.0

    def note(self, server: float, began: float, ended: float) -> None:
        """The server said `server`, between two times of the monotonic clock."""
        self._unsure_s = max(ended - began, LEAST_S)
        self._ahead_of_monotonic = server - (began + ended) / 2

    def ahead_s(self) -> float:
        """Seconds by which the server is ahead; 0 where that is less than what can be told."""
        if self._ahead_of_monotonic is None:
            return 0.0
        ahead_s = self._ahead_of_monotonic + time.monotonic() - self._wall()
        return ahead_s if abs(ahead_s) > self._unsure_s else 0.0
