"""Deadlines: a time by which the work inside a block has ended, and how long that is away."""

from __future__ import annotations

import asyncio
import functools
import math
from types import TracebackType
from typing import TYPE_CHECKING

from headway.engine.call import Call, Frame, current
from headway.engine.scopes.bounds import Deadline
from headway.engine.scopes.patience import Patience
from headway.engine.stopping.halt import Shield
from headway.engine.stopping.outside import refuse_outside
from headway.errors import DeadlineExceeded, InputFailed, UsageError
from headway.journal.decisions import TimeLeft
from headway.pools.current import worker_call
from headway.relay import wire
from headway.relay.client import Block, asking
from headway.scopes.opened import ASKED_ELSEWHERE, BOUND_ELSEWHERE, Opened

if TYPE_CHECKING:
    from headway.engine.engine import Engine


class DeadlineScope(Opened):
    """A time by which the work inside a block must have ended; made by `deadline`."""

    def __init__(self, seconds: float | None, at: float | None, raises: bool) -> None:
        self._seconds = seconds
        self._at = at
        self._raises = raises
        self._deadline: Deadline | None = None
        self._interrupted = self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._patience: Patience | None = None
        self._cancelled = 0  # how often the task had been told to stop when the block began

    @property
    def expired(self) -> bool:
        """Whether the time has passed while the block was open."""
        return self._expired or (self._deadline is not None and self._deadline.expired)

    def __enter__(self) -> DeadlineScope:
        if (frame := current.get()) is not None:
            deadline = frame.call.engine.on_loop(self._open, frame)
            self._enter(frame, frame.scope._replace(deadline=deadline))
        elif not self._open_in_worker(wire.OpenDeadline(self._seconds, self._at, self._raises)):
            refuse_outside("hw.deadline was opened", BOUND_ELSEWHERE)
        return self

    def _open(self, frame: Frame) -> Deadline:
        engine: Engine = frame.call.engine
        wanted = self._at if self._at is not None else engine.wall() + (self._seconds or 0.0)
        deadline = engine.scopes.open_deadline(frame, wanted)
        deadline.call, deadline.open = frame.call, True
        self._interrupted = self._expired = False
        self._task = asyncio.current_task()  # none in a thread, which can't be interrupted: what it waits for ends
        if self._task is not None:
            self._cancelled = self._task.cancelling()
            deadline.on_expiry = functools.partial(self._interrupt, deadline)
        else:
            deadline.ends_rests = True
        self._deadline = deadline
        return deadline

    def _close(self, frame: Frame, deadline: Deadline, error: BaseException | None) -> None:
        scopes = frame.call.engine.scopes
        if self._interrupted or (self._expired and _says_deadline(error)):
            scopes.leave_deadline(frame, deadline, "interrupted")
        elif error is None or isinstance(error, Exception):  # and was not stopped from outside
            scopes.leave_deadline(frame, deadline, "done" if error is None else "failed")
        deadline.leave()
        if self._patience is not None:
            self._patience.cancel()
        if not deadline.calls:
            scopes.close_deadline(deadline)

    def _interrupt(self, deadline: Deadline) -> None:
        """The time has passed: break off the block, or come back when the last shielded block inside of it is left."""
        if self._interrupted or not deadline.open or self._task is None or self._task.done():
            return
        assert deadline.call is not None
        loop = deadline.call.engine.loop
        if self._patience is not None:
            self._patience.cancel()
        if (shield := _find_shield(deadline)) is not None:
            interrupt = functools.partial(self._interrupt, deadline)
            shield.listeners.append(interrupt)
            self._patience = deadline.begin_patience(interrupt, shield.ends - loop.time())  # where its code ignores its timeout
            return
        self._interrupted = True
        self._task.cancel("deadline passed")
        self._patience = deadline.begin_patience(functools.partial(_fail_call, deadline))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._block is not None:
            return self._leave_in_worker(self._block, error)
        deadline = self._deadline
        if not self.leave(error) or deadline is None:
            return False
        frame = current.get()
        assert frame is not None
        if self._task is None and deadline.stopping:
            frame.call.engine.world.wait(asyncio.run_coroutine_threadsafe(self.wait_until_stopped(), frame.call.engine.loop))
        return self.swallows(error)

    def leave(self, error: BaseException | None) -> bool:
        """Leave the block with this error; whether it had begun."""
        self._leave()
        deadline = self._deadline
        if deadline is None:
            return False
        frame = current.get()
        assert frame is not None
        self._expired = deadline.expired or deadline.left_s <= 0
        frame.call.engine.on_loop(self._close, frame, deadline, error)
        return True

    async def wait_until_stopped(self) -> None:
        """After `leave`, wait until everything that the deadline stops has ended."""
        if self._deadline is not None and self._deadline.stopping:
            await self._deadline.stopped()

    def _leave_in_worker(self, block: Block, error: BaseException | None) -> bool:
        if error is not None and not isinstance(error, Exception | asyncio.CancelledError):
            block.leave(error, waits=False)  # the code is killed, or leaves for another reason of its own
            return False
        self._expired, swallows = block.leave(error, waits=True)
        return bool(swallows)

    def swallows(self, error: BaseException | None) -> bool:
        """After all that, whether the block ends without this error. Raises DeadlineExceeded where the block ends with that."""
        deadline = self._deadline
        assert deadline is not None
        if self._interrupted and self._task is not None and self._task.uncancel() > self._cancelled:
            return False  # somebody else wants this call to stop too
        if self._interrupted and isinstance(error, asyncio.CancelledError):
            if self._raises:
                raise deadline.error("work under a deadline") from None
            return True
        # what was awaited heard of it before the block did
        return self._expired and not self._raises and _says_deadline(error)


def _find_shield(deadline: Deadline) -> Shield | None:
    """An open shielded block of the same call inside of the deadline's block."""
    halt = deadline.call.extra().halt if isinstance(deadline.call, Call) else None
    shields = () if halt is None else halt.shields
    return next((shield for shield in shields if shield.holds and shield.hides(deadline)), None)


def _fail_call(deadline: Deadline) -> None:
    """Stop the call whose code was told to leave the block of a deadline and has not left it."""
    if deadline.open and (call := deadline.call) is not None:
        error = deadline.error(f"{call.describe()} did not leave the block of its deadline and")
        call.engine.cancel(call, "it did not leave the block of a deadline that has passed", error)


def _says_deadline(error: BaseException | None) -> bool:
    """Whether an error says that a deadline has passed, and nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(_says_deadline(each) for each in error.exceptions)
    if isinstance(error, InputFailed):
        return _says_deadline(error.__cause__)
    return isinstance(error, DeadlineExceeded)


def deadline(seconds: float | None = None, *, at: float | None = None, raises: bool = True) -> DeadlineScope:
    """Bound how long the work inside may take.

    When the time has passed, every call made inside is stopped. Once all of them have ended, and what they spent is booked, the
    block itself ends: it raises, or with `raises=False` just ends. Blocks inside it end first and may hand on what they have; a
    block of `hw.shielded` is left first.

    The time is recorded as an absolute one, so it passes also while the process does not run. A run that is resumed later still
    gets all recorded answers; new calls are refused. Where the wall clock is set back, nothing waits longer than it had left when
    it was recorded.

    Args:
        seconds: how long from now.
        at: wall-clock time in seconds since 1970, instead of `seconds`.
        raises: whether the block raises DeadlineExceeded when the time has passed. If not, look at `expired` of the scope.

    Returns:
        A scope, to be opened with `with`.

    Raises:
        UsageError: both or neither of `seconds` and `at` are given, or one is no such number.
        DeadlineExceeded: by the block and by the handles of stopped calls.

    Example:
        >>> @hw.task
        ... async def attempt(rest_s: float) -> float:
        ...     await hw.sleep(rest_s)
        ...     return rest_s
        >>> @hw.task
        ... async def program() -> float:
        ...     best = 0.0
        ...     with hw.deadline(seconds=60, raises=False):
        ...         async for handle in hw.as_completed(attempt(1), attempt(59), attempt(3600)):
        ...             best = max(best, handle.result())
        ...     return best
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        59
    """
    if (seconds is None) == (at is None):
        raise UsageError("hw.deadline: give either seconds from now or at=, an absolute time")
    if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
        raise UsageError(f"hw.deadline(seconds={seconds!r}): a number of seconds, zero or more")
    if at is not None and not (isinstance(at, int | float) and at == at):
        raise UsageError(f"hw.deadline(at={at!r}): a time in seconds since 1970")
    return DeadlineScope(seconds, at, raises)


def time_left() -> float:
    """Seconds until the innermost deadline.

    In async code the answer is recorded, as that of `remaining`: a replay returns the recorded value, adjusted if the deadline was
    moved since.

    Returns:
        Seconds; `inf` without a deadline, negative when it has passed.

    Example:
        >>> @hw.task
        ... async def program() -> float:
        ...     with hw.deadline(seconds=60):
        ...         await hw.sleep(15)
        ...         return round(hw.time_left())
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        45
    """
    if (client := asking()) is not None:
        return float(client.ask(wire.TimeLeft()))
    if (worker := worker_call()) is not None:
        return worker.left_s
    frame = current.get()
    if frame is None:
        refuse_outside("hw.time_left was called", ASKED_ELSEWHERE)
    if frame is None or (deadline := frame.scope.deadline) is None:
        return math.inf
    if not frame.plans:
        return deadline.left_s
    engine: Engine = frame.call.engine
    # when it was asked, by whichever clock says later; a deadline that never comes leaves the wall clock's word
    told = engine.decisions.decide(
        frame, "time_left", TimeLeft, lambda: TimeLeft(max(engine.wall(), deadline.at - deadline.left_s))
    )
    return deadline.at - told.asked


def until_deadline() -> float:
    """Seconds until the innermost deadline, as `time_left`, but as they are now and not recorded."""
    frame = current.get()
    return math.inf if frame is None or frame.scope.deadline is None else frame.scope.deadline.left_s
