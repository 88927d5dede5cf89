"""How long a wait may last: as long as its caller says, and never past the deadline of the run around it (`hw.deadline`).

Waits for a save use locks, which no cancellation reaches, so every wait here checks the deadline itself.
"""

from __future__ import annotations

import time

from headway.errors import DeadlineExceeded
from headway.pools.current import worker_call
from headway.scopes.deadline import until_deadline


class Patience:
    """A wait that begins now and may last `timeout_s` seconds (None: as long as the deadline of the run leaves)."""

    def __init__(self, timeout_s: float | None = None) -> None:
        worker = worker_call()
        scope_s = until_deadline() if worker is None else worker.left_s
        given_s = float("inf") if timeout_s is None else timeout_s
        self._by_scope = scope_s < given_s
        self._given_s = given_s
        self._until = time.monotonic() + min(scope_s, given_s)

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, at least 0; None where it may last for ever."""
        left = self._until - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left_s == 0.0

    def error(self, what: str) -> TimeoutError:
        """Make the error for a wait that ended in vain."""
        if self._by_scope:
            return DeadlineExceeded(f"{what} when the deadline passed")
        return TimeoutError(f"{what} after {self._given_s:g} s")
