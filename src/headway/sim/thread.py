"""A thread of the simulator: it runs while everything else stands still, until its code ends or waits.

Python can't leave a plain function in the middle and come back, except in a thread. So a job of the thread pool runs in one, but
never beside anything else: whoever resumes the thread sleeps until its code has ended or waits for the loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from headway.sim.loop import Killed


class SimThread:
    """A thread that takes turns with the one that resumes it."""

    def __init__(self) -> None:
        self._mine = threading.Lock()  # plain locks, taken by one thread and released by the other, switch fastest
        self._theirs = threading.Lock()
        self._mine.acquire()
        self._theirs.acquire()
        self._work: Callable[[], None] | None = None
        self._killed = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="headway-sim", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._work is None

    @property
    def is_here(self) -> bool:
        """Whether the code that asks runs in this thread, and not in a thread that its work has started."""
        return threading.current_thread() is self._thread

    def begin(self, work: Callable[[], None]) -> None:
        """Run `work` until it ends or pauses. It should not raise; what it does raise is raised here, or by `resume`."""
        self._work, self._killed = work, False
        self.resume()

    def resume(self) -> None:
        """Let the work go on until it ends or pauses."""
        self._mine.release()
        self._theirs.acquire()
        if self.ended:
            _resting.append(self)
            fault, self._fault = self._fault, None
            if fault is not None:
                raise fault

    def pause(self) -> None:
        """Called by the work itself: let the others go on until somebody resumes this thread."""
        self._theirs.release()
        self._mine.acquire()
        if self._killed:
            raise Killed

    def kill(self) -> None:
        """Unwind work that waits and will never be resumed."""
        self._killed = True
        while not self.ended:  # what it does while it unwinds may wait again
            self.resume()

    def _live(self) -> None:
        while True:
            self._mine.acquire()
            assert self._work is not None
            try:
                self._work()
            except Killed:
                pass
            except BaseException as error:
                self._fault = error
            self._work = None
            self._theirs.release()


_resting: list[SimThread] = []
os.register_at_fork(after_in_child=_resting.clear)  # a fork has none of its parent's threads


def take_thread() -> SimThread:
    """Take a thread that rests, or start a new one."""
    return _resting.pop() if _resting else SimThread()
