"""Where a worker's runs are driven: each on a thread and an event loop of its own.

So a run whose code blocks its loop holds up no other, and no worker; and everything that is on the loop of a run is that run's,
which is how `parking` knows that nothing of it goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from headway.engine.stopping.own_loop import run_to_end
from headway.service.taken import LOST, Ended, TakenRun

FLUSH_S = 3.0  # how long the last words of runs may take that do not end


class Running(Protocol):
    """A run that is being driven."""

    @property
    def run_id(self) -> str: ...
    def interrupt(self, stop_s: float) -> None:
        """Have it handed over; a second time, now."""

    def leave(self) -> None:
        """Hand it over whatever its code does. Blocks, for a bounded time."""


Begin = Callable[[TakenRun, Callable[[Ended], None]], Running]
"""Begins to drive a run, and says how it ended, on whatever thread."""


class RunThread(threading.Thread):
    def __init__(self, run: TakenRun, on_end: Callable[[Ended], None]) -> None:
        super().__init__(name=f"headway-run-{run.run_id}", daemon=True)
        self._run, self._on_end = run, on_end

    @property
    def run_id(self) -> str:
        return self._run.run_id

    def run(self) -> None:
        try:
            ended = run_to_end(self._run.drive())
        except BaseException as error:  # its worker must hear of it whatever happens, or a slot is gone for good
            ended = Ended(self._run.run_id, "", LOST, error)
        self._on_end(ended)

    def interrupt(self, stop_s: float) -> None:
        self._run.interrupt(stop_s)

    def leave(self) -> None:
        last = threading.Thread(target=self._run.leave, name="headway-last-words", daemon=True)
        last.start()
        last.join(FLUSH_S)


def begin_in_thread(run: TakenRun, on_end: Callable[[Ended], None]) -> Running:
    """Drive a run on a thread of its own."""
    thread = RunThread(run, on_end)
    thread.start()
    return thread
