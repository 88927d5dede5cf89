"""Limits: how many of the calls made inside a block run at a time, or start in a stretch of time."""

from __future__ import annotations

import math
from types import TracebackType

from headway.engine.call import current
from headway.engine.scopes.bounds import LimitNumbers
from headway.engine.stopping.outside import refuse_outside
from headway.engine.tasks.options import is_number
from headway.errors import UsageError
from headway.relay import wire
from headway.scopes.opened import BOUND_ELSEWHERE, Opened


class LimitScope(Opened):
    """A bound on how many calls run at a time, or start in a stretch of time; made by `limit`."""

    def __init__(self, concurrency: int | None, rate: float | None, per_s: float, name: str) -> None:
        self.numbers = LimitNumbers(concurrency, rate, per_s, name)

    @property
    def name(self) -> str:
        return self.numbers.name

    def __enter__(self) -> LimitScope:
        if (frame := current.get()) is not None:
            scopes = frame.call.engine.scopes
            found = frame.call.engine.on_loop(scopes.open_limit, frame, *self.numbers)
            limits = frame.scope.limits if found in frame.scope.limits else (*frame.scope.limits, found)
            self._enter(frame, frame.scope._replace(limits=limits))
        elif not self._open_in_worker(wire.OpenLimit(*self.numbers)):
            refuse_outside("hw.limit was opened", BOUND_ELSEWHERE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self._block is not None:
            self._block.leave(error, waits=False)


def limit(concurrency: int | None = None, *, rate: float | None = None, per_s: float = 1.0, name: str = "") -> LimitScope:
    """Bound how many of the calls made inside run at a time, or how many start in a stretch of time.

    A call gives its place back while it waits for other calls. For GPUs and the like see `resources=` of `hw.task` and `hw.run`.

    With a name it is one limit for every run of the store that uses this name, in however many processes, and has the numbers of
    the block that opened last. A process leases places and starts for its calls ahead, off the loop, so a name costs little
    where nobody else uses it. Processes that wait for each other share evenly, and take turns where there are fewer places than
    processes. What a killed process held goes to the others at once; on another machine, where nobody can see it die, after two
    minutes. A start that was promised to a process that died counts as made. The windows of a name are kept in wall time, so a
    clock that is set ahead ends them. With `store=None` a name is one limit of this run.

    Args:
        concurrency: how many may run at a time.
        rate: how many may start in any stretch of `per_s` seconds, wherever it begins. A retry is a start too. A rate below one is
            one start in a longer stretch; a fraction above one is dropped.
        per_s: the stretch for `rate`, in seconds.
        name: shares the limit between all runs of the store that use this name.

    Returns:
        A scope, to be opened with `with`.

    Raises:
        UsageError: the numbers limit nothing, or the block is inside one of the same name with other numbers.

    Example:
        >>> @hw.task
        ... async def ask(question: int) -> int:
        ...     return question
        >>> @hw.task
        ... async def program() -> float:
        ...     began = hw.now()
        ...     with hw.limit(8, rate=2, per_s=60):
        ...         await hw.gather(*(ask(n) for n in range(6)))
        ...     return round(hw.now() - began)
        >>> hw.testing.run(program, store=None)  # 6 calls, two a minute
        120
    """
    if concurrency is None and rate is None:
        raise UsageError("hw.limit() limits nothing: give concurrency, rate or both")
    if concurrency is not None and not (isinstance(concurrency, int) and concurrency >= 1):
        raise UsageError(f"hw.limit({concurrency!r}): a whole number, at least 1, or nothing could ever start")
    if rate is not None and not all(is_number(number) and 0 < number < math.inf for number in (rate, per_s)):
        raise UsageError(
            f"hw.limit(rate={rate!r}, per_s={per_s!r}): both must be finite numbers above zero; without rate= none bounds it"
        )
    return LimitScope(concurrency, rate, per_s, name)
