"""What bounds work: budget, deadline, limit. Opened with `with`, inherited by every call made inside, visible to programs.

    with hw.budget(tokens=20_000, money=0.50), hw.deadline(seconds=120):
        return await refine(draft)

Outside of a run the same lines do nothing, so a program can be tried without one.
"""

from __future__ import annotations

import asyncio
import math
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, overload

from headway.engine.call import Call, Frame, current
from headway.engine.identity.options import is_number
from headway.engine.scopes.account import Account
from headway.engine.scopes.accounting import check_amounts, check_bounds, check_item, warn_of_units
from headway.engine.scopes.bounds import PATIENCE_S, Deadline, LimitNumbers, Scope
from headway.engine.stopping.outside import refuse_outside
from headway.engine.transitions import OK
from headway.errors import DeadlineExceeded, InputFailed, UsageError
from headway.journal.decisions import TimeLeft
from headway.journal.records import Amounts
from headway.pools.current import worker_call

if TYPE_CHECKING:
    from headway.engine.engine import Engine

CHARGED_ELSEWHERE = "charge it in the code of a task"
ASKED_ELSEWHERE = "ask in the code of a task, and hand the answer on"
BOUND_ELSEWHERE = "open it around the call of the task; hw.remaining() and hw.time_left() tell here what is left"


class _Opened:
    """A `with` block that derives a scope from the one around it."""

    _token: Token[Frame | None] | None = None

    def _enter(self, frame: Frame, scope: Scope) -> None:
        if self._token is not None:
            raise UsageError(f"{type(self).__name__} scope opened twice: make a new one for each with block")
        self._token = current.set(frame._replace(scope=scope))

    def _leave(self) -> None:
        if self._token is not None:
            current.reset(self._token)
            self._token = None


class Budget(_Opened):
    """A bound on what is spent inside a block; made by `budget`."""

    def __init__(self, limits: Amounts, wait: bool) -> None:
        self.limits = limits
        self._wait = wait
        self._account: Account | None = None

    @property
    def spent(self) -> Amounts:
        """What was spent inside so far, by earlier processes too: of each bounded unit and of whatever else was charged.

        For reports. It is not recorded, so plan by `hw.remaining` instead.
        """
        return dict.fromkeys(self.limits, 0.0) | (self._account.spent if self._account else {})

    @property
    def remaining(self) -> Amounts:
        """What this budget has left, after what is spent and reserved. For reports, as `spent`."""
        return self._account.remaining if self._account else dict(self.limits)

    @property
    def closed(self) -> bool:
        """Whether more was spent than allowed; nothing starts inside any more."""
        return self._account.closed if self._account else False

    def __enter__(self) -> Budget:
        if (frame := current.get()) is not None:
            self._account = frame.call.engine.on_loop(frame.call.engine.scopes.open_budget, frame, self.limits, b"", self._wait)
            self._enter(frame, frame.scope._replace(account=self._account))
        else:
            refuse_outside("hw.budget was opened", BOUND_ELSEWHERE)
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()
        if self._account is not None:
            warn_of_units(self.limits, self._account.spent)


def budget(*, wait: bool = False, **amounts: float) -> Budget:
    """Bound what the calls made inside may spend, all together.

    A call that would overdraw this or an outer budget is refused before it starts: awaiting it raises BudgetExceeded. What was
    spent survives a crash. A resume finds the same budget again by its place in the program, so a raised amount continues it.

    With `wait`, a call that does not fit beside what running calls have reserved waits until enough of them have ended, first come
    first served. It holds no slot, limit or resource meanwhile. It is refused as soon as it can never fit: more is spent than it
    would leave, or only calls that wait for it hold something back. A budget around this one may still refuse at once.

    Args:
        wait: whether calls wait for the reservations of others, instead of being refused at once.
        **amounts: how much of each unit may be spent, such as `tokens=1000`. Any unit that you charge may be bounded. The runtime
            books two by itself: `calls` (attempts started) and `seconds` (of running; waits for other calls do not count).

    Returns:
        A scope, to be opened with `with`. Its `spent`, `remaining` and `closed` say how far it is used.

    Raises:
        UsageError: no amount is given, or one is not a number from zero on; or `wait` is not True or False.
        BudgetExceeded: by the handle of a refused call.

    Example:
        >>> @hw.task
        ... async def sample(n: int) -> int:
        ...     hw.charge(tokens=400)
        ...     return n
        >>> @hw.task
        ... async def program() -> tuple[list[int], float]:
        ...     taken = []
        ...     with hw.budget(tokens=1000) as budget:
        ...         while hw.remaining("tokens") >= 400:
        ...             taken.append(await sample(len(taken)))
        ...     return taken, budget.spent["tokens"]
        >>> hw.run(program, store=None)
        ([0, 1], 800.0)
    """
    if not amounts:
        raise UsageError("hw.budget() bounds nothing: name an amount, such as hw.budget(tokens=1000)")
    if not isinstance(wait, bool):
        raise UsageError(f"hw.budget(wait={wait!r}): wait is an option, True or False, and no unit: give the unit another name")
    return Budget(check_bounds(amounts, "hw.budget"), wait)


def charge(item: int | None = None, /, **amounts: float) -> None:
    """Book what the current call spent. Works in every pool.

    It never refuses to book, because the money is gone: spending above a bound closes that budget for further calls. Read
    `remaining()` before you spend. Outside of a run it does nothing.

    Args:
        item: in a batch function, the place of the one item that it was spent for. Without it all calls of the batch share it.
        **amounts: how much of each unit was spent, such as `tokens=70`.

    Raises:
        UsageError: an amount is not a number from zero on, or there is no such item; also in code of a run that the run can't hear
            (a thread that was started without its context, a process that a call forked), where it warns if it can't raise.

    Example:
        >>> @hw.task
        ... async def ask(question: str) -> str:
        ...     hw.charge(tokens=70, money=0.002)
        ...     return question.upper()
        >>> @hw.task
        ... async def program() -> dict[str, float]:
        ...     handle = ask("why?")
        ...     await handle
        ...     return handle.cost
        >>> hw.run(program, store=None)
        {'tokens': 70.0, 'money': 0.002}
    """
    booked = check_amounts(amounts, "hw.charge")
    if (worker := worker_call()) is not None:
        check_item(item, worker.items, worker.facts.task)
        worker.charge(booked, item)
    elif (frame := current.get()) is not None:
        frame.call.engine.on_loop(frame.call.engine.launcher.charge, frame, booked, item)
    else:
        refuse_outside("hw.charge was called", CHARGED_ELSEWHERE)


def stopping(item: int | None = None) -> bool:
    """Whether nobody waits for the current attempt any more: it was cancelled, timed out or lost a race.

    Async code and processes are interrupted anyway. A thread can't be, so one that works for long asks now and then.

    Args:
        item: in a batch function, the place of the item to ask about. Without it, whether none of the items is wanted any more. A
            batch function in a process is interrupted when none is wanted; there, asking about a single item always gives False.

    Returns:
        Whether to stop; False outside of a run.

    Raises:
        UsageError: the batch has no such item.

    Example:
        >>> @hw.task
        ... def count(limit: int) -> int:
        ...     for number in range(limit):
        ...         if hw.stopping():
        ...             break
        ...     return number
        >>> hw.run(count, 100, store=None)
        99
    """
    frame = current.get()
    if frame is None:
        return False
    call, batch = frame.call, frame.batch
    check_item(item, None if batch is None else len(batch.calls), call.task, "hw.stopping({})")
    if batch is not None:
        return not (batch.left if item is None else batch.wants(item))
    asked = call.x is not None and call.x.stop is not None
    return asked or call.state >= OK or (frame.attempt > 0 and frame.attempt != call.attempt)


@overload
def remaining(unit: str, /) -> float: ...
@overload
def remaining() -> Amounts: ...
def remaining(unit: str | None = None, /) -> float | Amounts:
    """What the enclosing budgets leave to spend.

    In async code the answer is recorded, because a program plans calls by it: a replay returns the recorded value, adjusted if a
    budget's amount has changed since, and less what the call itself has charged in an attempt that failed. Code that does work
    itself (a thread, a batch, a call with `cost=`) gets the present value. A process gets what was left when its call started, less
    what the call has charged since.

    Args:
        unit: the unit to ask about, such as "tokens". Without it, all units that are bounded.

    Returns:
        The amount left of the unit, `inf` where nothing bounds it; without `unit` a dictionary of unit to amount.

    Example:
        >>> @hw.task
        ... async def program() -> tuple[float, float]:
        ...     with hw.budget(tokens=1000):
        ...         return hw.remaining("tokens"), hw.remaining("money")
        >>> hw.run(program, store=None)
        (1000.0, inf)
    """
    if (worker := worker_call()) is not None:
        left = worker.remaining()
    else:
        frame = current.get()
        if frame is None:
            refuse_outside("hw.remaining was called", ASKED_ELSEWHERE)
        left = {} if frame is None else frame.call.engine.accounting.left(frame, unit or "")
    return left if unit is None else left.get(unit, math.inf)


def bounds(unit: str) -> bool:
    """Whether an enclosing budget bounds this unit."""
    frame = current.get()
    return frame is not None and frame.scope.account is not None and unit in frame.scope.account.units


class DeadlineScope(_Opened):
    """A time by which the work inside a block must have ended; made by `deadline`."""

    def __init__(self, seconds: float | None, at: float | None, raises: bool) -> None:
        self._seconds = seconds
        self._at = at
        self._raises = raises
        self._deadline: Deadline | None = None
        self._interrupted = self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._cancelled = 0  # how often the task had been told to stop when the block began

    @property
    def expired(self) -> bool:
        """Whether the time has passed while the block was open."""
        return self._expired or (self._deadline is not None and self._deadline.expired)

    def __enter__(self) -> DeadlineScope:
        if (frame := current.get()) is not None:
            deadline = frame.call.engine.on_loop(self._open, frame)
            self._enter(frame, frame.scope._replace(deadline=deadline))
        else:
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
            deadline.on_expiry = self._interrupt
        else:
            deadline.ends_rests = True
        self._deadline = deadline
        return deadline

    def _close(self, call: Call, deadline: Deadline) -> None:
        deadline.leave()
        if self._patience is not None:
            self._patience.cancel()
        if not deadline.calls:
            call.engine.scopes.close_deadline(deadline)

    def _interrupt(self) -> None:
        if self._task is not None and not self._task.done():
            self._interrupted = True
            self._task.cancel("deadline passed")
            deadline = self._deadline
            assert deadline is not None
            assert deadline.call is not None
            self._patience = deadline.call.engine.loop.call_later(PATIENCE_S, _fail_call, deadline)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._leave()
        deadline = self._deadline
        if deadline is None:
            return False
        frame = current.get()
        assert frame is not None
        self._expired = deadline.expired or deadline.left_s <= 0
        frame.call.engine.on_loop(self._close, frame.call, deadline)
        if self._task is None and deadline.stopping:
            frame.call.engine.world.wait(asyncio.run_coroutine_threadsafe(_wait_until_stopped(deadline), frame.call.engine.loop))
        if self._interrupted and self._task is not None and self._task.uncancel() > self._cancelled:
            return False  # somebody else wants this call to stop too
        if self._interrupted and isinstance(error, asyncio.CancelledError):
            if self._raises:
                raise deadline.error("work under a deadline") from None
            return True
        # what was awaited heard of it before the block did
        return self._expired and not self._raises and _says_deadline(error)


def _fail_call(deadline: Deadline) -> None:
    """Code that was told to leave its block, and has not: the call that it is part of ends."""
    if deadline.open and (call := deadline.call) is not None:
        error = deadline.error(f"{call.describe()} did not leave the block of its deadline and")
        call.engine.cancel(call, "it did not leave the block of a deadline that has passed", error)


async def _wait_until_stopped(deadline: Deadline) -> None:
    if deadline.stopping:
        await deadline.stopped()


def _says_deadline(error: BaseException | None) -> bool:
    """Whether an error says that a deadline has passed, and nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(_says_deadline(each) for each in error.exceptions)
    if isinstance(error, InputFailed):
        return _says_deadline(error.__cause__)
    return isinstance(error, DeadlineExceeded)


def deadline(seconds: float | None = None, *, at: float | None = None, raises: bool = True) -> DeadlineScope:
    """Bound how long the work inside may take.

    When the time has passed, every call made inside is stopped. When all of them have ended, and what they spent is booked, so has
    the block itself: it raises, or just ends with `raises=False`. Blocks inside of it end first, and may hand on what they have.

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


class LimitScope(_Opened):
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
        else:
            refuse_outside("hw.limit was opened", BOUND_ELSEWHERE)
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()


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
