"""The handle through which a program holds a call.

It holds one reference to the engine's record (`call`) and no state of its own, so users who hold, copy or subclass handles can't
disturb the engine. Names without underscore are for users; keys are hexadecimal here and bytes inside.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, NoReturn, TypeVar

from headway.engine.call import MISSING, Call, check_stop, current, is_told_again
from headway.engine.transitions import CANCELLED, OK, RUNNING
from headway.errors import UsageError
from headway.journal.records import Amounts

T_co = TypeVar("T_co", covariant=True)


class Handle(Generic[T_co]):
    """The awaitable future of a call. As an argument of another call it is a dependency. Made by calling a task.

    Await it to get the call's result or its error, any number of times and from any call of its run.

    Raises:
        Exception: on await, what the call's function raised.
        CallTimeout: it took longer than the `timeout=` of its task.
        DeadlineExceeded: the deadline of a scope around it passed first.
        BudgetExceeded: it would have overdrawn a budget.
        CallCancelled: it was cancelled.
        InputFailed: a call whose handle was among its arguments failed.
        WorkerDied: the process that ran it ended without an answer.
        CycleError: the two calls would wait for each other.
        ForeignHandle: it is awaited in another run.

    Example:
        >>> @hw.task
        ... async def search(query: str) -> list[str]:
        ...     return query.split()
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     handle = search("why is the sky blue?")  # runs now
        ...     return await handle
        >>> len(hw.run(program, store=None))
        5
    """

    __slots__ = ("__weakref__", "_call")
    __headway_handle__ = True

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def key(self) -> str:
        """The call's key, hexadecimal: the same in every life of the run, and in `headway show`."""
        return self._call.key.hex()

    @property
    def _key(self) -> bytes:
        """What an argument that is a handle counts as, where calls are named."""
        return self._call.key

    @property
    def task(self) -> str:
        """The name of the task that was called."""
        return self._call.spec.name

    @property
    def label(self) -> str:
        """A short text that tells this call from others of its task."""
        return self._call.spec.label(self._call.args, self._call.kwargs)

    @property
    def state(self) -> str:
        """waiting, ready, starting, running, resting, finishing, ok, failed or cancelled."""
        return self._call.state_name

    @property
    def cost(self) -> Amounts:
        """What the call has cost so far, all attempts together: unit to amount. Its children's costs are theirs."""
        cost: Amounts = self._call.engine.accounting.cost(self._call)
        return cost

    def done(self) -> bool:
        """Whether the call has ended, in any way."""
        return self._call.state >= OK

    def cancelled(self) -> bool:
        """Whether the call has ended cancelled. A call that was only asked to stop has not."""
        return self._call.state == CANCELLED

    def result(self) -> T_co:
        """The result of a call that has ended.

        Returns:
            The result.

        Raises:
            HeadwayError: the call still runs.
            Exception: its error, where it failed.
        """
        return self._call.result()  # type: ignore[no-any-return]  # a call knows no types

    def exception(self) -> BaseException | None:
        """The error of a call that has ended, CallCancelled if it was cancelled, None if it succeeded."""
        return self._call.exception()

    def cancel(self, reason: str = "") -> None:
        """Ask the call to stop, with everything under it. Returns at once; await the handle to see it stopped.

        Args:
            reason: is told to those who see it stopped, such as the call's error and tables.
        """
        engine = self._call.engine
        engine.on_loop(engine.cancel, self._call, reason or "cancelled by the program")

    def __await__(self) -> Generator[Any, Any, T_co]:
        frame, call = current.get(), self._call
        call.awaited = True
        if frame is None or frame.call.engine is not call.engine:
            raise call.foreign()
        me = frame.call
        if call.state < OK:
            if frame.attempt != me.attempt or me.state != RUNNING:
                frame.must_go_on()
            yield from call.engine.waits.wait_for(me, call)
        elif (x := me.x) is not None and x.stop is not None and not is_told_again(me, call):
            check_stop(me)
        if call.state == OK:
            if call.value is not MISSING:
                return call.value  # type: ignore[no-any-return]  # a call knows no types
            if call.unread:
                yield from call.engine.waits.read(me, call)
        if frame.scope.deadline is not None and call.state != OK:
            yield from call.engine.waits.for_stopped(frame, call)
        return call.result()  # type: ignore[no-any-return]  # a call knows no types

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f"{self._call.describe()} is a call, neither true nor false: write `await` before it to ask about its result "
            "(hw.wait(…) in a plain def), or `is None` to ask whether there is a handle"
        )

    def __repr__(self) -> str:
        return repr(self._call)
