"""Budgets: a bound on what is spent inside a block, what is charged to it, and what it leaves."""

from __future__ import annotations

import math
from types import TracebackType
from typing import overload

from headway.engine.call import current
from headway.engine.scopes.account import Account
from headway.engine.scopes.accounting import check_amounts, check_bounds, check_item, warn_of_units
from headway.engine.stopping.outside import refuse_outside
from headway.errors import UsageError
from headway.journal.records import Amounts
from headway.pools.current import worker_call
from headway.relay import wire
from headway.relay.client import asking
from headway.scopes.opened import ASKED_ELSEWHERE, BOUND_ELSEWHERE, Opened

CHARGED_ELSEWHERE = "charge it in the code of a task"


class Budget(Opened):
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
        if self._block is not None:
            return dict(self._block.look()[0])
        return dict.fromkeys(self.limits, 0.0) | (self._account.spent if self._account else {})

    @property
    def remaining(self) -> Amounts:
        """What this budget has left, after what is spent and reserved. For reports, as `spent`."""
        if self._block is not None:
            return dict(self._block.look()[1])
        return self._account.remaining if self._account else dict(self.limits)

    @property
    def closed(self) -> bool:
        """Whether more was spent than allowed; nothing starts inside any more."""
        if self._block is not None:
            return bool(self._block.look()[2])
        return self._account.closed if self._account else False

    def __enter__(self) -> Budget:
        if (frame := current.get()) is not None:
            self._account = frame.call.engine.on_loop(frame.call.engine.scopes.open_budget, frame, self.limits, b"", self._wait)
            self._enter(frame, frame.scope._replace(account=self._account))
        elif not self._open_in_worker(wire.OpenBudget(dict(self.limits), self._wait)):
            refuse_outside("hw.budget was opened", BOUND_ELSEWHERE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self._block is not None:
            self._block.leave(error, waits=False)
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


@overload
def remaining(unit: str, /) -> float: ...
@overload
def remaining() -> Amounts: ...
def remaining(unit: str | None = None, /) -> float | Amounts:
    """What the enclosing budgets leave to spend.

    In async code the answer is recorded, because a program plans calls by it: a replay returns the recorded value, adjusted if a
    budget's amount has changed since, and less what the call itself has charged in an attempt that failed. Code that does work
    itself (a plain function, a batch, a call with `cost=`) gets the present value. In a batch in a process, and in all of a gang
    but rank 0, that is what was left when the call started, less what it has charged since.

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
    left: Amounts
    if (client := asking()) is not None:
        left = client.ask(wire.Remaining(unit or ""))
    elif (worker := worker_call()) is not None:
        left = worker.remaining()
    else:
        frame = current.get()
        if frame is None:
            refuse_outside("hw.remaining was called", ASKED_ELSEWHERE)
        left = {} if frame is None else frame.call.engine.accounting.left(frame, unit or "")
    return left if unit is None else left.get(unit, math.inf)


def bounds(unit: str) -> bool:
    """Whether an enclosing budget bounds this unit."""
    if (client := asking()) is not None:
        return unit in client.ask(wire.Remaining(""))
    frame = current.get()
    return frame is not None and frame.scope.account is not None and unit in frame.scope.account.units
