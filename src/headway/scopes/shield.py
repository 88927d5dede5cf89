"""Shields: blocks of a task's code that a stop does not interrupt, so that it can undo what it did."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from headway.engine.call import current
from headway.engine.stopping.halt import Shield
from headway.engine.stopping.outside import refuse_outside
from headway.engine.tasks.options import is_number
from headway.errors import UsageError
from headway.pools.current import worker_call
from headway.scopes.opened import Opened

if TYPE_CHECKING:
    from headway.engine.engine import Engine


class ShieldScope(Opened):
    """A block that no stop of its call interrupts; made by `shielded`."""

    def __init__(self, timeout: float) -> None:
        self._timeout_s = timeout
        self._shield: Shield | None = None

    def __enter__(self) -> ShieldScope:
        frame = current.get()
        if frame is None:
            if worker_call() is None:
                refuse_outside("hw.shielded was opened", "open it in the code of an async task")
                return self
            raise UsageError("hw.shielded was opened in a worker process, which can't be told of a stop: open it in an async task")
        engine: Engine = frame.call.engine
        self._shield = engine.on_loop(engine.shields.open, frame, self._timeout_s)
        self._enter(frame, frame.scope._replace(deadline=None, shield=self._shield))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self._shield is not None:
            engine: Engine = self._shield.call.engine
            if not engine.loop.is_closed():
                engine.shields.close(self._shield, error)


def shielded(timeout: float = 30.0) -> ShieldScope:
    """Run a block to its end even if the call that it is part of is stopped.

    A call is stopped when its handle is cancelled, it loses a race, its `timeout=` or a deadline passes, or the whole run is
    cancelled. Its code gets an `asyncio.CancelledError` and can make no more calls. Inside this block it can, to undo what it did.
    (An async generator that is stopped at a `yield` gets GeneratorExit there, so undo in a `finally:`.)

    The block is as durable as the rest of the run. If the run dies in the middle, the resumed run replays the code, stops it at the
    same place and goes on with the block; what the block has finished is not repeated. A call whose run died at the moment of the
    stop hears of the stop as well.

    A stop that comes while the block is open takes effect when the block ends, which then raises `asyncio.CancelledError`. So does
    the end of a deadline around the block, and so does a join that cancels the coroutine which the block is in. Inside, the
    `timeout` holds, and budgets do: a task that undoes something should cost 0 of their units (`cost={"usd": 0}`), so that it runs
    even when they are used up. Once a call has undone something, whoever asks for it again asks for all of its children afresh.
    When a run stops to go on later (Ctrl-C, a full disk), nothing is undone: the block raises CancelledError.

    Open it in async tasks: code in threads, processes and batches can't be told of a stop. Await what you start inside.
    `asyncio.timeout` and `Task.cancel` are not stops of the call, and do interrupt the block.

    Args:
        timeout: seconds that the block may take; then the calls made inside are stopped.

    Returns:
        A scope, to be opened with `with`.

    Raises:
        UsageError: the timeout is not a number of seconds above zero, or the code can't be shielded.
        CallTimeout: by the block, when it took longer.

    Example:
        >>> import asyncio
        >>> @hw.task(effect=True)
        ... async def book(seat: str) -> str:
        ...     return f"booking of {seat}"
        >>> @hw.task(effect=True)
        ... async def cancel_booking(booking: str) -> None:
        ...     print("cancelled the", booking)
        >>> @hw.task
        ... async def travel() -> None:
        ...     booking = await book("7A")
        ...     try:
        ...         await hw.sleep(3600)
        ...     except asyncio.CancelledError:
        ...         with hw.shielded(timeout=60):
        ...             await cancel_booking(booking)
        ...         raise
        >>> @hw.task
        ... async def program() -> str:
        ...     trip = travel()
        ...     await hw.sleep(10)
        ...     trip.cancel()
        ...     return str(type((await hw.settle(trip))[0].error).__name__)
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        cancelled the booking of 7A
        'CallCancelled'
    """
    if not is_number(timeout) or not timeout > 0:
        raise UsageError(f"hw.shielded(timeout={timeout!r}): a number of seconds above zero")
    return ShieldScope(float(timeout))
