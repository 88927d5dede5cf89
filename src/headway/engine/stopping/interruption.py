"""An interrupted run: the first signal lets what runs end and starts nothing more, the second stops it at once.

Ctrl-C waits for as long as whoever pressed it does. SIGTERM, and a worker that shuts down, wait for a bounded time: whoever sent it
kills after half a minute or so. Where the loop can't hear of it, `LastResort` leaves the process.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable

from headway.engine.dispatch.ready import Ready
from headway.engine.run_context import RunContext
from headway.engine.stopping.last_resort import LastResort
from headway.ipc.interrupts import interrupts

STOP_S = 10.0  # after SIGTERM, how long calls that run may take to end
LEAVE_S = 2.0  # how long code that was told to stop may take before the driver leaves without it


class Interruption:
    """Hears of signals for one run, and of a worker that wants to leave. `stop` ends the driver's wait."""

    def __init__(self, run: RunContext, ready: Ready, stop: Callable[[], None], how: str) -> None:
        self._run, self._ready, self._stop = run, ready, stop
        self._how = f"; go on with: {how}" if how else ""
        self._last_resort: LastResort | None = None
        self.times = 0

    def listen(self, last_words: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """Take the process's signals as long as the run goes on. `last_words` runs in another thread before the process is left."""
        self._last_resort = LastResort(self._seconds_to_end, lambda: self.times > 0, last_words, self._how)
        return interrupts(self._on_interrupt, self._on_signal)

    def close(self) -> None:
        """The driver has ended."""
        if self._last_resort is not None:
            self._last_resort.end()

    def interrupt(self, stop_s: float | None) -> None:
        """Start nothing more, and stop what runs after so many seconds; a second time, stop it now."""
        self.times += 1
        if self.times > 1:
            self._stop()
            return
        self._ready.stopped = self._ready.ending = True
        for pool in self._run.pools.values():
            pool.announce_end()
        if stop_s is not None:
            self._run.loop.call_later(stop_s, self._stop)
        self.look()

    def look(self) -> None:
        """Stop an interrupted run once nothing runs any more."""
        if self.times and self._ready.idle:
            self._run.loop.call_soon(self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        if self._ready.idle:
            self._stop()

    def _on_signal(self, number: int) -> None:
        """In the signal's handler, in the middle of anything."""
        self._ready.ending = True
        if self._last_resort is not None:
            self._last_resort.on_signal(number)

    def _seconds_to_end(self, number: int, times: int) -> float | None:
        """Seconds after signals within which this driver ends; fewer if its loop does not even hear of them."""
        left = LEAVE_S if self.times else 0.0
        if times > 1:
            return left
        return STOP_S + left if number == signal.SIGTERM else None

    def _on_interrupt(self, number: int) -> None:
        busy, first = self._ready.active + self._ready.in_pools, not self.times
        self.interrupt(STOP_S if number == signal.SIGTERM else None)
        if not first:
            return
        limit = f"{STOP_S:g} s at most" if number == signal.SIGTERM else "Ctrl-C again: stop at once"
        print(  # noqa: T201 - a word to the person who pressed the keys
            f"\nheadway: {'interrupted' if number == signal.SIGINT else 'told to end'}; no new calls, waiting for {busy} running "
            f"call{'s' * (busy != 1)} to end and be journaled ({limit})",
            file=sys.stderr,
        )
