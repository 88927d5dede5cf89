"""The last resort of a run that was told to end by a signal: leaving the process, where the event loop can't.

Ctrl-C and SIGTERM are heard on the event loop. Code that blocks it (`time.sleep` in an async task, a loop that never awaits), a
disk that never answers, a helper that never ends: whatever the reason, the loop may not get there. So the signal's own handler,
which Python runs between two instructions of whatever runs, starts a thread that watches the time. It leaves only where the driver
has not ended by then, and first has the journal write what is finished.

Nothing in Python can run while native code holds the interpreter's lock; that only SIGKILL ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from headway.engine.call import Call

MARGIN_S = 1.0  # how much later than it should the driver may end
FLUSH_S = 1.5  # how long the journal may take to write what is finished


class LastResort:
    """Leaves the process unless `end` is called in time.

    `limit_s(number, times)` says how long after the signal that counts (the first, or the second once there were two) the driver
    has ended; None where nobody minds how long it takes. `heard` says whether the loop knows of a signal at all. `flush` writes
    what is finished.
    """

    def __init__(
        self,
        limit_s: Callable[[int, int], float | None],
        heard: Callable[[], bool],
        flush: Callable[[], None],
        how_to_go_on: str,
    ) -> None:
        self._limit_s, self._heard, self._flush, self._how_to_go_on = limit_s, heard, flush, how_to_go_on
        self._main = threading.get_ident()
        self._times: list[float] = []
        self._number = 0
        self._ended = False

    def on_signal(self, number: int) -> None:
        """For the signal's handler: must not block, and runs in the middle of anything."""
        self._number = number
        self._times.append(time.monotonic())
        if len(self._times) == 1:
            threading.Thread(target=self._watch, name="headway-last-resort", daemon=True).start()

    def end(self) -> None:
        """The driver has ended."""
        self._ended = True

    def _watch(self) -> None:
        told = False
        while not self._ended:
            since = time.monotonic() - self._times[min(len(self._times), 2) - 1]
            limit_s = self._limit_s(self._number, len(self._times))
            if limit_s is not None and since >= limit_s + MARGIN_S:
                self._leave()
            if limit_s is None and not told and since >= MARGIN_S and not self._heard():
                told = True
                _say(f"the run can't hear it: {_where(self._main)}. Ctrl-C again: leave at once")
            time.sleep(0.1)

    def _leave(self) -> None:
        where = _where(self._main)
        last_words = threading.Thread(target=self._last_words, name="headway-last-words", daemon=True)
        last_words.start()
        last_words.join(FLUSH_S)
        if not self._ended:
            _say(f"the run could not end: {where}. What is finished is journaled{self._how_to_go_on}")
            os._exit(128 + self._number)

    def _last_words(self) -> None:
        self._flush()
        sys.stdout.flush()


def _say(text: str) -> None:
    os.write(2, f"\nheadway: {text}\n".encode())  # whoever was interrupted may be in the middle of printing


def _where(thread: int) -> str:
    """What the loop's thread does now: which call has blocked it, and where."""
    frame = sys._current_frames().get(thread)
    inner, call = frame, None
    while frame is not None and call is None:
        found = frame.f_locals.get("call") if frame.f_code.co_name == "_code" else None
        call = found if isinstance(found, Call) else None
        frame = frame.f_back
    place = f"{inner.f_code.co_filename}:{inner.f_lineno}" if inner is not None else "somewhere"
    if call is not None:
        return f"{call.describe()} has blocked the event loop, at {place} (async code must await; put what blocks into a plain def)"
    return f"its driver waits at {place}"
