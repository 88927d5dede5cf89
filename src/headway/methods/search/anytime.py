"""INTERIM: until the runtime has these."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Iterable
from types import TracebackType
from typing import TypeVar

from headway.join import gather
from headway.methods.search.bounds import bound
from headway.methods.search.found import Stopped
from headway.scope import DeadlineScope, deadline, until_deadline

T = TypeVar("T")


class Ending:
    def __init__(self, kept, seconds: float | None) -> None:
        self.kept = kept
        self.stopped: Stopped = "done"
        self._seconds = seconds
        self._deadline: DeadlineScope | None = None

    def keep(self, key, value):
        self.kept[key] = value

    def __enter__(self) -> Ending:
        left = until_deadline()
        seconds = min(left - min(max(left, 0.0) * 0.02, 1.0), math.inf if self._seconds is None else self._seconds)
        if seconds < math.inf:
            self._deadline = deadline(seconds=max(0.0, seconds), raises=False)
            self._deadline.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._deadline is not None and self._deadline.__exit__(kind, error, trace):
            self.stopped = "deadline"
            return True
        if error is None or (why := bound(error)) is None:
            return False
        self.stopped = why
        return True


def anytime(kept=None, *, within_s: float | None = None) -> Ending:
    return Ending({} if kept is None else kept, within_s)


async def gather_affordable(*begun):
    try:
        ends = await gather(*[_end_of(awaitable) for awaitable in begun])
    finally:
        close_unbegun(begun)
    errors = [error for _, error in ends if error is not None]
    for error in errors:
        if bound(error) == "deadline" or len(errors) == len(ends):
            raise error
    return [value for value, error in ends if error is None]


def close_unbegun(begun):
    for awaitable in begun:
        if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
            awaitable.close()


async def _end_of(awaitable):
    try:
        return await awaitable, None
    except Exception as error:
        if bound(error) is None:
            raise
        return None, error
