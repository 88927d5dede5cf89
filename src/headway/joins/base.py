"""What every join is made of: an awaitable that has not begun, how one part ended, and the check of a join's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.streaming.stream import Stream
from headway.engine.waiting.until import Awaited
from headway.errors import CallCancelled, UsageError
from headway.relay.client import asking

T = TypeVar("T")


class Join(Generic[T]):
    """Something to await: a join that has not begun. It begins when it is awaited (or given to `hw.wait`)."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begin().__await__()


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """How one call ended.

    Attributes:
        value: its result; None where it failed.
        error: what it failed with, CallCancelled where it was cancelled; None where it succeeded.
    """

    value: T | None = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return isinstance(self.error, CallCancelled)


def make_settled(part: Awaited[T]) -> Settled[T]:
    """How a part ended, as a Settled."""
    error = part.exception()
    return Settled(part.result()) if error is None else Settled(error=error)


class _Returned(Generic[T]):
    """The result of a plain function, which can be awaited like a coroutine."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, T]:
        yield from ()
        return self._value


def check_awaitables(join: str, given: Sequence[Any]) -> Sequence[Awaitable[Any]]:
    """Check the arguments of a join and return them as awaitables. Outside of a run, a task that is a plain `def` has already
    returned its result.

    Raises:
        UsageError: One of the arguments is not a call.
    """
    for each in given:
        if type(each) is not Handle:
            if isinstance(each, Stream):
                _refuse_stream(join, each)
            if not isinstance(each, Awaitable):
                break
    else:
        return given
    if in_run() or any(_holds_calls(each) for each in given):
        _refuse(join, given)
    return [each if isinstance(each, Awaitable) else _Returned(each) for each in given]


def _refuse_stream(join: str, stream: Stream[Any]) -> NoReturn:
    raise UsageError(
        f"hw.{join} got {stream.task}({stream.label}), a stream of items, which only goes on while they are read: read it with "
        "async for, in a coroutine where that is to happen beside others, or with the read() of a hw.group()"
    )


def _refuse(join: str, given: Sequence[object]) -> NoReturn:
    wrong = next(each for each in given if not isinstance(each, Awaitable))
    way = f": write hw.{join}(*calls)" if isinstance(wrong, list | tuple) or hasattr(wrong, "__next__") else ""
    raise UsageError(f"hw.{join} takes calls, got {type(wrong).__name__}{way}")


def _holds_calls(given: object) -> bool:
    """Whether it is a collection of calls whose elements should have been passed."""
    return hasattr(given, "__next__") or (isinstance(given, list | tuple) and any(isinstance(each, Awaitable) for each in given))


def check_calls(join: str, given: Sequence[object]) -> None:
    """Look at what a join was given that records an order.

    Raises:
        UsageError: In a run, one of the arguments is not a call of a task: the order in which others end can't be recorded.
    """
    wrong = next((each for each in given if not isinstance(each, Handle)), None)
    if wrong is None or not in_run():
        return
    close_coroutines(given)
    name = getattr(wrong, "__qualname__", "")
    raise UsageError(
        f"hw.{join} takes calls of tasks, got {type(wrong).__name__}{f' {name}' if name else ''}: "
        "only the order of calls is recorded, so decorate the function with @hw.task"
    )


def in_run() -> bool:
    """Whether this is code of a run, here or in a worker."""
    return current.get() is not None or asking() is not None


def close_coroutines(given: Iterable[object]) -> None:
    """Close coroutines that nobody will await, or Python would warn about them."""
    for each in given:
        if inspect.iscoroutine(each):
            each.close()
