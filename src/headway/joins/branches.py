"""Starts coroutines and other awaitables side by side, as branches that a join can wait for.

Inside a run each is a branch of its call. Whatever is named by order (races, `hw.now`, budgets, equal calls) counts its order
within the branch, because the order between branches depends on timing. The branch itself is not recorded; the calls it makes are.
Outside of a run they are plain asyncio tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any, Generic, TypeVar

from headway.engine.call import Call, current
from headway.engine.handle import Handle
from headway.engine.stopping.halt import Shield
from headway.engine.stopping.stops import GRACE_S
from headway.engine.tasks.callables import describe_error
from headway.engine.transitions import OK
from headway.engine.waiting.until import as_awaited, find_stopped_children, until
from headway.engine.waiting.waits import STOPPED_WAITING
from headway.errors import CallCancelled, CallExited
from headway.joins.base import close_coroutines
from headway.joins.recorded import name_decision

T = TypeVar("T")


class Branch(Generic[T]):
    """An awaitable that was begun beside others. It can be asked what a handle can be asked."""

    __slots__ = ("given", "name", "task")

    def __init__(self, given: Awaitable[T], task: asyncio.Future[T], name: bytes) -> None:
        self.given = given
        self.task = task
        self.name = name  # of the branch; empty outside of a run

    def done(self) -> bool:
        return self.task.done()

    def cancelled(self) -> bool:
        return self.task.cancelled()

    def result(self) -> T:
        return self.task.result()

    def exception(self) -> BaseException | None:
        if self.task.cancelled():  # failed with this, as a call would
            return CallCancelled("a coroutine among those that a join waited for was cancelled")
        return self.task.exception()

    def cancel(self, reason: str = "") -> None:
        self.task.cancel(reason or None)

    def describe(self) -> str:
        return getattr(self.given, "__qualname__", type(self.given).__qualname__)

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        self.task.add_done_callback(lambda _: callback(self))

    def __await__(self) -> Generator[Any, Any, T]:
        return self.task.__await__()

    def __repr__(self) -> str:
        return f"<{self.describe()} {'done' if self.done() else 'running'}>"


class Branches:
    """The branches of one join. `detail` tells joins of one kind in one call apart; each has its number among its equals."""

    def __init__(self, join: str, detail: bytes = b"", given: Iterable[object] = ()) -> None:
        self.frame = current.get()
        self.name = b""
        if self.frame is not None:
            try:
                self.name = name_decision(self.frame, join, b"coroutines" + detail)
            except BaseException:  # the call is over, and its code that goes on can begin nothing more
                close_coroutines(given)
                raise
            self.frame.call.engine.names.siblings_of(self.frame.call).begin_join(self.frame.path, self.name)

    def begin(self, awaitable: Awaitable[T], place: int) -> Branch[T]:
        """Begin one, the one at this place of the join."""
        frame = self.frame
        if frame is None:
            return Branch(awaitable, asyncio.ensure_future(awaitable), b"")
        part = self.name + place.to_bytes(4, "big")
        branch, path = frame.branch + part, frame.path + part
        if isinstance(awaitable, Handle | asyncio.Future):
            return Branch(awaitable, asyncio.ensure_future(awaitable), branch)
        siblings = frame.call.engine.names.siblings_of(frame.call)
        siblings.open.add(path)
        context = contextvars.copy_context()
        context.run(current.set, frame._replace(branch=branch, path=path))
        task = asyncio.get_running_loop().create_task(contain_exit(awaitable), context=context)
        task.add_done_callback(lambda _: siblings.open.discard(path))
        return Branch(awaitable, task, branch)

    async def drain(self, branches: Sequence[Branch[Any]]) -> None:
        """Cancel what still runs, and wait until it has ended, and so have the calls that it waited for. A branch in a shielded
        block is cancelled at its end."""
        running = [branch for branch in branches if not branch.done()]
        for branch in branches:
            branch.task.add_done_callback(_hear)
        for branch in branches:
            self._stop_call(branch)  # also where the task that is to await it has not begun
        for branch in running:
            self._cancel(branch)
        if not running:
            return
        try:
            await self._wait_for(running)
        except asyncio.CancelledError:  # nobody waits any more: not for shielded blocks, either
            for branch in running:
                branch.task.cancel()
            raise
        if self.frame is not None:
            call = self.frame.call
            for branch in running:
                if isinstance(branch.task, asyncio.Task):
                    call.engine.stops.leave_behind(branch.task, f"a coroutine that {call.describe()} joined")
            await until(find_stopped_children(call))

    async def _wait_for(self, running: Sequence[Branch[Any]]) -> None:
        """Wait for branches that were cancelled: while they are shielded, and for a grace."""
        loop, shielded = asyncio.get_running_loop(), True
        while running and shielded:
            shields = [shield for branch in running for shield in self._shields_of(branch)]
            left_s = max([shield.ends - loop.time() for shield in shields], default=0.0)
            await asyncio.wait([branch.task for branch in running], timeout=max(0.0, left_s) + GRACE_S / 2)
            running = [branch for branch in running if not branch.done()]
            shielded = bool(shields) or any(self._shields_of(branch) for branch in running)

    def _cancel(self, branch: Branch[Any]) -> None:
        """Cancel a branch, as soon as it is in no shielded block."""
        if shields := self._shields_of(branch):
            shields[0].listeners.append(lambda: self._cancel(branch))
        elif not branch.done():
            branch.task.cancel()

    def _shields_of(self, branch: Branch[Any]) -> list[Shield]:
        """The shielded blocks that a branch, or one inside of it, has open."""
        x = None if self.frame is None else self.frame.call.x
        if x is None or x.halt is None or not branch.name:
            return []
        return [shield for shield in x.halt.shields if shield.holds and shield.branch.startswith(branch.name)]

    def _stop_call(self, branch: Branch[Any]) -> None:
        """Ask the call that a branch waits for to stop, if it is a child of the one that joins."""
        if self.frame is not None and isinstance(branch.given, Handle) and not branch.done():
            call, me = branch.given._call, self.frame.call
            if call.state < OK and call.parent is me:
                me.engine.cancel(call, STOPPED_WAITING)


def sort_signals(parts: Iterable[Any], used: Callable[[Any], bool], *, calls_too: bool = False) -> None:
    """Signals that coroutines were told belong to whoever gets their results; those that nobody gets go back to the queue. The
    result of a call is recorded and can be found again, so it keeps its signals, unless it lost a race (`calls_too`)."""
    frame = current.get()
    if frame is None or not frame.call.engine.signals.given.touched:
        return
    call, signals = frame.call, frame.call.engine.signals
    lost: list[bytes] = []
    for part in parts:
        asked = part if isinstance(part, Call) else as_awaited(part.given)
        if isinstance(asked, Call):
            told = signals.under(call, asked)
        else:
            if signals.is_lent(call, part.name) and used(part):
                signals.reclaim(frame, part.name)
            told = signals.inside(call, part.name)
        if not told:
            continue
        if not used(part):
            gone = told if calls_too else [wait for wait in told if not signals.given.through(wait)]
            lost += gone
            told = [wait for wait in told if wait not in gone]
        signals.hand_on(told, frame.branch)
    signals.give_back(call, lost)


def contain_exit(awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
    """Wrap an awaitable in a coroutine that turns an exit into an error: asyncio would let the exit end the loop, and everything
    else with it."""
    return _Contained(awaitable if inspect.iscoroutine(awaitable) else _awaiting(awaitable))


class _Contained(Coroutine[Any, Any, T]):
    """No coroutine around the coroutine: one that never began would leave the inner one behind, and Python complains of that."""

    def __init__(self, inner: Coroutine[Any, Any, T]) -> None:
        self._inner = inner
        self.__qualname__ = getattr(inner, "__qualname__", type(inner).__qualname__)

    def send(self, value: Any) -> Any:
        return self._exits_are_errors(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._exits_are_errors(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    def _exits_are_errors(self, step: Callable[..., Any], *given: Any) -> Any:
        try:
            return step(*given)
        except (KeyboardInterrupt, SystemExit) as error:
            raise CallExited(f"a coroutine raised {describe_error(error)} (which is no Exception)") from error


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _hear(task: asyncio.Future[Any]) -> None:
    """Read the error of a part, so that asyncio does not warn about failures besides the first."""
    if not task.cancelled():
        task.exception()
