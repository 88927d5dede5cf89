"""A block that ends when its budget or its deadline does, with what it has.

    best = {"answer": await draft(question)}
    with hw.anytime(best) as block:
        while True:
            block.keep("answer", await refine(best["answer"]))
    return best["answer"], block.stopped            # "budget" or "deadline"

A block may end at any `await`. So what is found is kept as it is found, and what is decided after the block needs no calls. A
bound that is reached is the block's end and no error; every other error is one.

A deadline stops whatever runs under it, the block too. So a block ends a moment before its deadline (a fiftieth of the time left,
at most a second), while its call can still say what it has.

Which of the things kept were in time hangs on timing. So an early end is recorded with what was kept by then, and a resumed
program gets the same end. The record holds for the bounds that it was made under: with more money or time the block goes on.
Outside of a run there are no bounds, and the same lines do nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from types import TracebackType
from typing import Generic, Literal, TypeVar, overload

from headway.engine.handle import Frame, current
from headway.engine.identity.options import is_number
from headway.engine.stopping.outside import refuse_outside
from headway.errors import UsageError
from headway.joins import recorded
from headway.joins.bound import bound_of
from headway.journal.decisions import EndedEarly
from headway.scope import DeadlineScope, deadline, until_deadline

K = TypeVar("K", bound=int | str)
T = TypeVar("T")

Stopped = Literal["done", "budget", "deadline"]

EARLY = 0.02  # of the time left
EARLY_S = 1.0  # at most


class Anytime(Generic[K, T]):
    """A block that ends with what it has when its bounds are used up; made by `hw.anytime`.

    Attributes:
        kept: What was kept, by its key: the dictionary that the block was given.
        stopped: Why the block ended: "done", "budget" or "deadline".
    """

    def __init__(self, kept: dict[K, T], within_s: float | None) -> None:
        self.kept = kept
        self.stopped: Stopped = "done"
        self._within_s = within_s
        self._deadline: DeadlineScope | None = None
        self._frame: Frame | None = None
        self._name = b""
        self._times: Counter[int | str] = Counter()  # how often each key was kept
        self._given: frozenset[int | str] = frozenset()  # the keys that were there when it began
        self._before: tuple[Stopped, dict[int | str, int]] | None = None  # how the block ended in an earlier life

    def keep(self, key: K, value: T) -> None:
        """Put `value` under `key`, instead of what is there. Where the block ended early in an earlier life of the run, what was
        not in time then is not in time now either."""
        self._times[key] += 1
        if self._before is None or self._times[key] <= self._before[1].get(key, 0):
            self.kept[key] = value

    def __enter__(self) -> Anytime[K, T]:
        self.stopped, self._given = "done", frozenset(self.kept)
        self._times.clear()
        self._frame = current.get()
        if self._frame is None:
            refuse_outside("hw.anytime was opened", "open it in the parent task")
        else:
            self._recall(self._frame)
        left_s = until_deadline()
        own_s = math.inf if self._within_s is None else self._within_s
        seconds = min(left_s - min(max(left_s, 0.0) * EARLY, EARLY_S), own_s)
        if seconds < math.inf:
            self._deadline = deadline(seconds=max(0.0, seconds), raises=False)
            self._deadline.__enter__()
        return self

    def _recall(self, frame: Frame) -> None:
        self._name = recorded.name_decision(frame, "anytime", recorded.name_bounds(frame))
        told = recorded.recall(frame, self._name, EndedEarly)
        self._before = None if told is None else (told.stopped, dict(told.kept))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        stopped: Stopped | None
        if self._deadline is not None and self._deadline.__exit__(kind, error, trace):
            stopped = "deadline"
        else:
            stopped = "done" if error is None else bound_of(error)
        if stopped is None:
            return False
        self._end(stopped)
        return True

    def _end(self, stopped: Stopped) -> None:
        """Say why the block ended: as it did before, or for this reason, which is recorded where it is a bound."""
        self.stopped = stopped
        if self._before is not None:
            self.stopped, times = self._before
            for key in [key for key in times if key in self.kept and key not in self._given]:
                self.kept[key] = self.kept.pop(key)  # in the order of before
        elif self._frame is not None and stopped != "done":
            recorded.record(self._frame, self._name, EndedEarly(stopped, tuple(self._times.items())))


@overload
def anytime(*, within_s: float | None = None) -> Anytime[int | str, object]: ...
@overload
def anytime(kept: dict[K, T], *, within_s: float | None = None) -> Anytime[K, T]: ...
def anytime(kept: dict[K, T] | None = None, *, within_s: float | None = None) -> Anytime[K, T]:
    """Open a block that ends with what it has when the budget or the deadline around it is used up.

    The end by a bound is no error: the code after the block goes on, and `stopped` says why. An early end is recorded with what had
    been kept, so that a resumed program has the same; it is decided anew where the budgets or the deadline around it have changed.

    Args:
        kept: What there is already; `keep(key, value)` puts more into it. Keys are numbers or text.
        within_s: Seconds after which the block ends in any case.

    Raises:
        UsageError: An argument is not what it should be; or the block is opened in a worker process.

    Example:
        >>> async def program(question):
        ...     found: dict[int, str] = {}
        ...     async def attempt(index: int) -> None:
        ...         block.keep(index, await sample(question, index))
        ...     with hw.budget(tokens=20_000), hw.anytime(found) as block:
        ...         await hw.gather_affordable(*(attempt(index) for index in range(16)))
        ...     return max(found.values(), key=len), block.stopped
    """
    if kept is not None and not isinstance(kept, dict):
        raise UsageError(f"hw.anytime(kept={kept!r:.100}): expected a dictionary, into which the block puts what it keeps")
    if within_s is not None and not (is_number(within_s) and within_s >= 0):
        raise UsageError(f"hw.anytime(within_s={within_s!r}): expected a number of seconds, zero or more")
    return Anytime({} if kept is None else kept, within_s)
