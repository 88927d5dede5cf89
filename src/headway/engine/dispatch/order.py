"""In which order calls that wait for room are started: the longest path ahead first, or by a rule that the run was given.

A rule sees all calls that wait in one queue as plain records and gives each a number; the least starts first. It changes when calls
run and never what they return, so a run may be resumed with another rule, or with none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from reprlib import repr as shortly
from types import FunctionType
from typing import NamedTuple, Protocol

from headway.engine.call import Call
from headway.engine.run_context import RunContext
from headway.errors import UsageError


class Waiting(NamedTuple):
    """A call that waits for room, as an order sees it.

    Attributes:
        number: calls of a run are numbered as they are made.
        task: the name of its task.
        label: what tells it from other calls of the task.
        seconds: how long calls of the task took so far that needed room, on average; None where none has ended yet.
        ahead_s: seconds of the longest path from its start through the calls that wait for it; None where it is not known.
        now_s: what time it is, in seconds since this process took up the run.
        due_s: when the deadline around it passes, on the same clock; infinite without one.
    """

    number: int
    task: str
    label: str
    seconds: float | None
    ahead_s: float | None
    now_s: float
    due_s: float


class Order(Protocol):
    """Says which of the calls that wait starts first.

    Called with all calls that wait for the same thing, in the order in which they were made, it returns a number for each. The
    least starts first, and of equals the one made first. It is asked again each time a call may start, which takes time in
    proportion to the calls that wait. A rule that judges each call by itself, whatever time it is, says so with an attribute
    `static = True`; then each call is judged once, alone.
    """

    def __call__(self, waiting: Sequence[Waiting], /) -> Sequence[float]: ...


AT_ONCE = 100  # calls that get new ranks whenever something changes
FOR_EACH = 4  # calls more for each that has started


class Ranks:
    """What the queues are ordered by."""

    def __init__(self, run: RunContext, order: Order | None) -> None:
        self._run = run
        self._began = run.loop.time()
        self.order = order
        self.changes = order is not None and not getattr(order, "static", False)  # what waits is judged anew each time
        self.durations: dict[str, tuple[int, float]] = {}  # task: (calls seen, mean seconds)
        self.is_stale = False  # what is expected has changed since calls that wait got their ranks
        self._is_news = False  # and of a task of which nothing was known
        self.started = 0  # calls since then
        self._expected: dict[str, float] = {}  # task: the seconds that ranks go by, so that equal calls keep their order

    def learn(self, task: str, seconds: float) -> None:
        """Remember how long calls of a task take, which may change the ranks."""
        seen, mean = self.durations.get(task, (0, 0.0))
        seen = min(seen + 1, 100)
        mean += (seconds - mean) / seen
        self.durations[task] = (seen, mean)
        if self._expected.get(task, -1.0) / 2 <= mean <= self._expected.get(task, -1.0) * 2:
            return
        self.is_stale = True
        self._is_news = self._is_news or task not in self._expected
        self._expected[task] = mean

    def are_due(self, waiting: int) -> bool:
        """Whether ranks that have changed are given anew now, to so many calls. Many get new ones only as often as some start: else
        that takes longer than short calls do, and makes them look longer, so that it is due again."""
        if not self._is_news and waiting > AT_ONCE + FOR_EACH * self.started:
            return False
        self.is_stale, self._is_news, self.started = False, False, 0
        return True

    def rank(self, call: Call) -> float:
        """What a queue is ordered by, the least first."""
        return -self._ahead(call) if self.order is None else self.judge([call])[0]

    def judge(self, calls: Sequence[Call]) -> Sequence[float]:
        """The order's numbers of calls. Where it fails, the run does, and calls start as they were made."""
        try:
            assert self.order is not None
            given = self.order([self._show(call) for call in calls])
            numbers = [float(number) for number in given]
            if len(numbers) != len(calls) or any(map(math.isnan, numbers)):
                raise UsageError(f"it gave {shortly(given)} for {len(calls)} calls: give a number for each, none of them NaN")
        except Exception as error:
            self._run.fail(_blame(self.order, error))
            return [0.0] * len(calls)
        return numbers

    def _show(self, call: Call) -> Waiting:
        ahead, deadline, now_s = self._ahead(call), call.scope.deadline, self._run.loop.time() - self._began
        return Waiting(
            call.number,
            call.spec.name,
            call.spec.label(call.args, call.kwargs),
            self.durations[call.spec.name][1] if call.spec.name in self.durations else None,
            None if ahead == math.inf else ahead,
            now_s,
            math.inf if deadline is None else now_s + deadline.left_s,
        )

    def _ahead(self, call: Call, depth: int = 0) -> float:
        """Seconds of the longest known path from this call through the calls that got its handle."""
        own = self._expected.get(call.spec.name, math.inf)  # the sooner one has run, the sooner it is known
        if not call.dependents or depth > 50:
            return own
        return own + max(self._ahead(dependent, depth + 1) for dependent in call.dependents)


def _blame(order: Order | None, error: Exception) -> UsageError:
    said = str(error) if isinstance(error, UsageError) else f"it failed with {type(error).__name__}: {error}"
    name = order.__qualname__ if isinstance(order, FunctionType) else f"{order!r:.100}"
    blamed = UsageError(f"order={name}: {said}. Give another order, or none: a run goes on with either")
    blamed.__cause__ = error
    return blamed
