"""The own code of a caller, played again: it waits, works and makes its calls, in whatever place plays it.

The real engine plays it in a trial (`trial.py`), a bare clock with room for everything plays it to find the longest path
(`bounds.py`). Both see the same program, so the second is a lower bound of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from headway.sim.predict.workload import Program


class Place(Protocol):
    """Where a program is played."""

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> object:
        """Call the function after so many virtual seconds."""

    def make(self, maker: Any, number: int, ended: Callable[[int], None]) -> None:
        """Make a call for `maker`; `ended` is told its number when it ends."""

    def task_of(self, number: int) -> int: ...

    def stop(self, number: int) -> None:
        """Cancel a call, whether it was made or not yet."""


class Body:
    """One caller at work. `done` is called when its own code has ended; `turns`, if given, with +1 and -1 when it begins to work
    and when it begins to wait."""

    __slots__ = ("_done", "_ends", "_maker", "_missing", "_place", "_program", "_turns", "_unmade", "_waiting", "_working")

    def __init__(
        self, place: Place, maker: Any, program: Program, done: Callable[[], None], turns: Callable[[int], None] | None = None
    ) -> None:
        self._place = place
        self._maker = maker
        self._program = program
        self._done = done
        self._turns = turns
        self._working = 0
        self._ends: dict[int, int] = {}  # by task, how many of its calls have ended
        self._waiting: dict[
            tuple[int, int], list[int]
        ] = {}  # by task and number of ends, which batches; one past them all: the end
        waits = [*(batch.after for batch in program.batches), program.last]
        self._missing = [len(after) for after in waits]
        for index, after in enumerate(waits):
            for ends in after:
                self._waiting.setdefault(ends, []).append(index)
        self._unmade = sum(len(batch.makes) for batch in program.batches)

    def begin(self) -> None:
        for index, batch in enumerate(self._program.batches):
            if not batch.after:
                self._work(batch.lag_s, self._make, index, 0)

    def _work(self, seconds: float, then: Callable[..., None], *args: Any) -> None:
        """The caller's own code runs for so long."""
        if self._turns is None:
            self._place.later(seconds, then, *args)
            return
        self._working += 1
        if self._working == 1:
            self._turns(1)
        self._place.later(seconds, self._finish_work, then, args)

    def _finish_work(self, then: Callable[..., None], args: tuple[Any, ...]) -> None:
        then(*args)
        self._working -= 1
        if not self._working and self._turns is not None:
            self._turns(-1)

    def _make(self, index: int, position: int) -> None:
        """Make the calls of a batch from `position` on, up to the next that comes later."""
        makes = self._program.batches[index].makes
        at = makes[position][1]
        while position < len(makes):
            number, gap = makes[position]
            if gap > at:
                self._work(gap - at, self._make, index, position)
                return
            self._place.make(self._maker, number, self._note_end)
            self._unmade -= 1
            position += 1
        self._end()

    def _note_end(self, number: int) -> None:
        for stopped in self._program.stops.get(number, ()):
            self._place.stop(stopped)
        if number in self._program.ignored:
            return
        task = self._place.task_of(number)
        self._ends[task] = ends = self._ends.get(task, 0) + 1
        for index in self._waiting.pop((task, ends), ()):
            self._missing[index] -= 1
            if self._missing[index]:
                continue
            if index < len(self._program.batches):
                self._work(self._program.batches[index].lag_s, self._make, index, 0)
            else:
                self._end()

    def _end(self) -> None:
        """When all is made and the last wait is over, what is left is the tail."""
        if not self._unmade and not self._missing[-1]:
            self._missing[-1] = -1
            self._work(self._program.tail_s, self._done)
