"""What no number of workers can beat: the longest path, and the work divided by the workers.

The longest path is how long the workload takes when there is room for everything and nothing fails: programs are played on a
bare clock (a heap of moments), a call runs as soon as it is made and has its inputs. Where no worker idles while a call waits, the
makespan is at least each of the two bounds and at most their sum (R. L. Graham, SIAM J. Appl. Math. 17, 1969).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from headway.sim.predict.body import Body
from headway.sim.predict.workload import Workload


def longest_path(workload: Workload, seconds: Sequence[float]) -> float:
    """The makespan with room for everything, when call i takes `seconds[i]`."""
    return _Bare(workload, seconds).play()


class _Bare:
    """A clock, and room for everything."""

    def __init__(self, workload: Workload, seconds: Sequence[float]) -> None:
        self._calls = workload.calls
        self._seconds = seconds
        self._moments: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._now = 0.0
        self._over: set[int] = set()
        self._listeners: dict[int, list[Callable[[int], None]]] = {}  # whom to tell when a call ends
        self._missing: dict[int, int] = {}  # inputs and children that a call still waits for
        self._stopped: set[int] = set()

    def play(self) -> float:
        self.make(None, 0, lambda _: None)
        while self._moments and 0 not in self._over:
            self._now, _, function, args = heapq.heappop(self._moments)
            function(*args)
        return self._now

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._moments, (self._now + seconds, self._number, function, args))

    def make(self, maker: Any, number: int, ended: Callable[[int], None]) -> None:
        if maker is not None:
            self._missing[maker] += 1
            self._listeners.setdefault(number, []).append(lambda _: self._release(maker))
        self._listeners.setdefault(number, []).append(ended)
        waits = [other for other in self._calls[number].inputs if other not in self._over]
        self._missing[number] = len(waits) + 1
        for other in waits:
            self._listeners.setdefault(other, []).append(lambda _: self._start(number))
        self._start(number)

    def task_of(self, number: int) -> int:
        return self._calls[number].task

    def stop(self, number: int) -> None:
        if number not in self._over and self._calls[number].program is None:
            self._stopped.add(number)
            if number in self._missing:
                self._end(number)

    def _start(self, number: int) -> None:
        """One thing less to wait for; the last lets the call run."""
        self._missing[number] -= 1
        if self._missing[number] or number in self._over:
            return
        program = self._calls[number].program
        if number in self._stopped:
            self._end(number)
        elif program is None:
            self.later(self._seconds[number], self._end, number)
        else:
            self._missing[number] = 1  # its own code; its calls are added as they are made
            Body(self, number, program, lambda: self._release(number)).begin()

    def _release(self, number: int) -> None:
        """The own code of a caller, or one of its calls, has ended."""
        self._missing[number] -= 1
        if not self._missing[number]:
            self._end(number)

    def _end(self, number: int) -> None:
        if number in self._over:
            return
        self._over.add(number)
        for listen in self._listeners.pop(number, ()):
            listen(number)
