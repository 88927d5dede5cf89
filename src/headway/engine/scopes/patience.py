"""Patience with code that was told to stop: how long it may take, counted in time in which the loop ran.

A process that was frozen (a laptop asleep, SIGSTOP, a long collection) gives its code no turn, however late it is by the clock
afterwards. So time is counted in slices. A slice is over when everything that was ready at its end has had its turn, and however
long it took, it counts as `SLICE_S` at most. A slice that was held up is followed by another one: what is ready after a freeze goes
on for a while before anything is broken off.

Nothing here may wait for ever. Code that blocks the loop again and again uses up its patience, too, a slice at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

SLICE_S = 0.5
LATE_S = 2 * SLICE_S  # a slice that took longer was held up


class Turns(NamedTuple):
    """A loop, and what calls a function on it when everything that is ready has had its turn (`World.after_ready`)."""

    loop: asyncio.AbstractEventLoop
    after_ready: Callable[[Callable[[], None]], None]


def _never() -> float:
    return -math.inf


class Patience:
    """Calls a function when what was stopped has had so many seconds to end. They begin anew with each recorded answer: code that
    is told again what it was told before leaves its block when it has heard all of it.

    `replayed_at` says when the journal last answered, by the loop's clock. `left_s` is for how long it waits before the first such
    answer, where that is not the same time.
    """

    def __init__(
        self,
        turns: Turns,
        seconds: float,
        function: Callable[[], None],
        replayed_at: Callable[[], float] = _never,
        *,
        left_s: float | None = None,
    ) -> None:
        self._loop, self._after_ready = turns
        self._seconds, self._function, self._replayed_at = seconds, function, replayed_at
        self._left_s = seconds if left_s is None else left_s
        self._heard_at = replayed_at()
        self._was_late = self._over = False
        self._begin_slice()

    def _begin_slice(self) -> None:
        self._began = self._loop.time()
        self._timer = self._loop.call_later(min(SLICE_S, self._left_s), self._after_ready, self._count_slice)

    def _count_slice(self) -> None:
        if self._over:
            return
        now = self._loop.time()
        took_s = now - self._began
        self._left_s -= min(took_s, SLICE_S)
        if (heard_at := self._replayed_at()) > self._heard_at:
            self._heard_at = heard_at
            self._left_s = max(self._left_s, self._seconds - min(now - heard_at, SLICE_S))
        if took_s > LATE_S and not self._was_late:
            self._was_late, self._left_s = True, max(self._left_s, SLICE_S)
        else:
            self._was_late = False
        if self._left_s > 0:
            self._begin_slice()
        else:
            self._over = True
            self._function()

    def cancel(self) -> None:
        """There is nothing left to wait for."""
        self._over = True
        self._timer.cancel()
