"""A block that ends when its budget or deadline runs out, and keeps the best result so far.

    best = {"answer": await draft(question)}
    with hw.anytime(best) as block:
        while True:
            block.keep("answer", await refine(best["answer"]))
    return best["answer"], block.stopped            # "budget" or "deadline"

A block may end at any `await`. So keep each result as soon as it is found, and make no calls after the block. Reaching a bound ends
the block without an error; every other error is raised.

A deadline stops everything that runs under it, including the block. So a block ends shortly before its deadline (by a fiftieth of
the time left, at most a second), while its call can still return a result.

What is asked inside is numbered apart from what is asked outside, so a resume that comes to less of the block, or to more, shifts
nothing behind it.

Which results were kept in time depends on timing. So the journal records the end of the block with everything kept by then. After a
resume the code runs again, gets the recorded answers and ends with exactly the kept results. The record holds for the bounds it was
made under: with more money or time the block goes on. Outside of a run there are no bounds, and the same lines do nothing.

The record holds the values too, up to a mebibyte in all: a resume may have no time to come to them again. Of a value beyond that it
says only that it was there. Where a resume does not come to such a value, the block warns.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, overload

from headway.engine.call import Frame, current
from headway.engine.identity.branch_siblings import Siblings
from headway.engine.stopping.outside import refuse_outside
from headway.engine.tasks.options import is_number
from headway.errors import NotDecodable, NotEncodable, UsageError
from headway.joins import recorded
from headway.joins.bound import bound_of
from headway.journal.codec.codec import decode, encode
from headway.journal.decisions import BlockEnded, Kept
from headway.scopes.deadline import DeadlineScope, deadline, until_deadline
from headway.scopes.opened import Opened

K = TypeVar("K", bound=int | str)
T = TypeVar("T")

Stopped = Literal["done", "budget", "deadline"]

EARLY = 0.02  # of the time left
EARLY_S = 1.0  # at most
MOST_BYTES = 1 << 20  # of kept values in one record


class Anytime(Opened, Generic[K, T]):
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
        self._siblings: Siblings | None = None
        self._path = b""  # of the code in it
        self._name = b""
        self._times: Counter[int | str] = Counter()  # how often each key was kept
        self._given: frozenset[int | str] = frozenset()  # the keys that were there when it began
        self._before: BlockEnded | None = None  # how the block ended in an earlier life
        self._in_time: dict[int | str, int] = {}  # how often each key had been kept by then

    def keep(self, key: K, value: T) -> None:
        """Put a value under a key, instead of what is there.

        Where the block ended early in an earlier life of the run, what was not in time then is not in time now either.

        Args:
            key: a number or a text.
            value: what to keep.
        """
        self._times[key] += 1
        if self._before is None or self._before.stopped == "done" or self._times[key] <= self._in_time.get(key, 0):
            self.kept[key] = value

    def __enter__(self) -> Anytime[K, T]:
        self.stopped, self._given = "done", frozenset(self.kept)
        self._times.clear()
        self._frame = current.get()
        if self._frame is None:
            refuse_outside("hw.anytime was opened", "open it in the parent task")
        else:
            self._frame.call.engine.on_loop(self._recall, self._frame)
            self._run_in(self._frame._replace(path=self._path))
        left_s = until_deadline()
        own_s = math.inf if self._within_s is None else self._within_s
        seconds = min(left_s - min(max(left_s, 0.0) * EARLY, EARLY_S), own_s)
        if seconds < math.inf:
            self._deadline = deadline(seconds=max(0.0, seconds), raises=False)
            self._deadline.__enter__()
        return self

    def _recall(self, frame: Frame) -> None:
        self._name = recorded.name_decision(frame, "anytime", recorded.name_bounds(frame))
        self._before = recorded.recall(frame, self._name, BlockEnded)
        self._in_time = {} if self._before is None else {each.key: each.times for each in self._before.kept}
        self._siblings = frame.call.engine.names.siblings_of(frame.call)
        block = recorded.name_decision(frame, "block")
        self._path = self._siblings.open_block(frame.path, block, ended=self._before is not None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        stopped: Stopped | None
        ended = self._deadline is not None and self._deadline.__exit__(kind, error, trace)
        self._leave()
        if self._siblings is not None:
            self._siblings.close_block(self._path)
        if ended:
            stopped = "deadline"
        elif isinstance(error, Exception):
            stopped = bound_of(error)
            if self._before is not None and self._before.stopped != "done":
                stopped = self._before.stopped  # the block had ended before it heard of this error
        else:
            stopped = None if error is not None else "done"
        if stopped is None:
            return False
        self._end(stopped)
        return True

    def _end(self, stopped: Stopped) -> None:
        """Say why the block ended: as it did before, or for this reason, which is recorded where there are bounds."""
        self.stopped = stopped
        if self._before is not None:
            self._end_as_before(self._before)
        elif self._frame is not None and (self._deadline is not None or self._frame.scope.account is not None):
            kept = _record_kept((key, times, self.kept[key]) for key, times in self._times.items() if key in self.kept)
            self._frame.call.engine.on_loop(recorded.record, self._frame, self._name, BlockEnded(stopped, kept))

    def _end_as_before(self, before: BlockEnded) -> None:
        """What this life had no time to tell the block again comes from the record."""
        self.stopped = before.stopped
        lost: list[int | str] = []
        for each in before.kept:
            key: Any = each.key
            if self._times[key] < each.times and not self._take(key, each):
                lost.append(key)
            if key in self.kept and key not in self._given:
                self.kept[key] = self.kept.pop(key)  # in the order of before
        if lost:
            warnings.warn(
                f"hw.anytime: this life of the run did not come again to what was kept as {', '.join(map(repr, lost))}, and the "
                f"record of the block's end lacks it: together its values are more than {MOST_BYTES >> 10} KiB, or it has no "
                "encoding. What is there under the same key is older. Keep something smaller, such as the number of the answer",
                RuntimeWarning,
                stacklevel=4,
            )

    def _take(self, key: Any, each: Kept) -> bool:
        """Keep what the record has; whether it has it."""
        if not each.value:
            return False
        try:
            self.kept[key] = decode(each.value, each.buffers)
        except NotDecodable:
            return False
        return True


def _record_kept(kept: Iterable[tuple[int | str, int, object]]) -> tuple[Kept, ...]:
    """What was kept, for the record of the block's end: each with its value, as long as there is room for it."""
    found, room = [], MOST_BYTES
    for key, times, value in kept:
        head, buffers = _encode_within(value, room)
        room -= len(head) + sum(map(len, buffers))
        found.append(Kept(key, times, head, buffers))
    return tuple(found)


def _encode_within(value: object, room: int) -> tuple[bytes, tuple[bytes, ...]]:
    """A value as bytes; nothing where it needs more or can't be encoded. Then the results of the calls that made it have it."""
    try:
        head, buffers = encode(value, copy=False)
    except NotEncodable:
        return b"", ()
    if len(head) + sum(memoryview(buffer).nbytes for buffer in buffers) > room:
        return b"", ()
    return head, tuple(bytes(buffer) for buffer in buffers)


@overload
def anytime(*, within_s: float | None = None) -> Anytime[int | str, object]: ...
@overload
def anytime(kept: dict[K, T], *, within_s: float | None = None) -> Anytime[K, T]: ...
def anytime(kept: dict[K, T] | None = None, *, within_s: float | None = None) -> Anytime[K, T]:
    """Open a block that ends with what it has when the budget or the deadline around it is used up.

    The end by a bound is no error: the code after the block goes on, and `stopped` says why. The end is recorded with what had been
    kept, so that a resumed program has the same; it is decided anew where the budgets or the deadline around it have changed.

    Args:
        kept: what there is already; `keep(key, value)` puts more into it. Keys are numbers or text.
        within_s: seconds after which the block ends in any case.

    Returns:
        The block, to be opened with `with`.

    Raises:
        UsageError: an argument is not what it should be; or the block is opened in a worker process.

    Example:
        >>> @hw.task(cost={"tokens": 400})
        ... async def sample(index: int) -> str:
        ...     return "a" * index
        >>> @hw.task
        ... async def program() -> tuple[dict[int, str], str]:
        ...     found: dict[int, str] = {}
        ...     with hw.budget(tokens=1000), hw.anytime(found) as block:
        ...         for index in range(16):
        ...             block.keep(index, await sample(index))
        ...     return found, block.stopped
        >>> hw.run(program, store=None)
        ({0: '', 1: 'a'}, 'budget')
    """
    if kept is not None and not isinstance(kept, dict):
        raise UsageError(f"hw.anytime(kept={kept!r:.100}): expected a dictionary, into which the block puts what it keeps")
    if within_s is not None and not (is_number(within_s) and within_s >= 0):
        raise UsageError(f"hw.anytime(within_s={within_s!r}): expected a number of seconds, zero or more")
    return Anytime({} if kept is None else kept, within_s)
