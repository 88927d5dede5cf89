"""Scopes that a program opens: budgets and deadlines, found again by their place, and what waits for the wall clock.

A budget is recorded with its amounts and a deadline with its absolute time when it first opens; a resumed program opens the same
one. Times of the wall clock are waited for with the loop's clock, which nobody sets; when the wall clock is set, whoever waits
looks again.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Literal

from headway import events
from headway.engine.call import Call, Frame, hear_stop
from headway.engine.decisions import Decisions
from headway.engine.ports import Stopper
from headway.engine.replay.lookup import Replay
from headway.engine.run_context import RunContext
from headway.engine.scopes.account import Account
from headway.engine.scopes.accounting import Accounting
from headway.engine.scopes.bounds import Deadline, Limit, Scope
from headway.engine.scopes.desk import Desk
from headway.engine.scopes.patience import Turns
from headway.engine.tasks.spec import TaskSpec
from headway.engine.waiting.waits import Waits
from headway.errors import UsageError
from headway.journal.decisions import BudgetOpened, DeadlineLeft, name_asked_again, name_left
from headway.journal.records import Amounts


class Scopes:
    def __init__(
        self, run: RunContext, decisions: Decisions, accounting: Accounting, replay: Replay, stopper: Stopper, waits: Waits
    ) -> None:
        self._run = run
        self._decisions = decisions
        self._accounting = accounting
        self._replay = replay
        self._stopper = stopper
        self._waits = waits
        self._turns = Turns(run.loop, run.world.after_ready)
        self.desk: Desk | None = None  # of limits that processes share; none without a store
        self.deadlines: set[Deadline] = set()
        self._named: dict[str, Limit] = {}
        self._of_tasks: dict[str, Limit] = {}  # limits without a name that tasks have
        self._rates: weakref.WeakValueDictionary[str, Limit] = weakref.WeakValueDictionary()  # of blocks without a name
        # what waits for a time of the wall clock, with the timer
        self.resting: dict[asyncio.Future[None], asyncio.TimerHandle | None] = {}

    def open_budget(self, frame: Frame, limits: Amounts, place: bytes = b"", waits: bool = False) -> Account:
        """The account of a budget that opens here; found again by its place in the call."""
        call, outer, decisions = frame.call, frame.scope.account, self._decisions
        key = decisions.name_decision(frame, "budget", place)
        opened = BudgetOpened(outer.key if outer else b"", limits)
        if decisions.recall(call, key, BudgetOpened) != opened:
            hear_stop(call)
            decisions.record_decision(call, key, opened)
        return self._accounting.open(key, outer, limits, waits=waits)

    def open_deadline(self, frame: Frame, wanted: float, place: bytes = b"") -> Deadline:
        """A deadline that opens here, at the absolute time that was recorded when it first did."""
        run, key = self._run, self._decisions.name_decision(frame, "deadline", place)
        at, left_s = self._decisions.decide_deadline(frame, key, wanted)
        outer = frame.scope.deadline
        deadline = Deadline(min(at, outer.at) if outer else at, outer, run.wall, key)
        left, _ = self._recall_left(frame.call, deadline)
        deadline.was_left, deadline.holds_back = left is not None, self._was_in_time(frame.call, deadline, left)
        deadline.arm(self._turns, min(left_s, outer.left_s) if outer else left_s, self._stopper.cancel, self._replay.last_answer)
        self.deadlines.add(deadline)
        if run.emit:
            run.emit(events.DeadlineOpened(at=run.wall(), key=frame.call.key.hex(), deadline=deadline.at))
        return deadline

    def _was_in_time(self, call: Call, deadline: Deadline, left: DeadlineLeft | None) -> bool:
        """Whether an earlier life left the block before the deadline broke in on it. A block that it did not leave is like the one
        around it. What had failed before the run did is asked again, and so is how such a block ends."""
        if left is None:
            return deadline.outer is not None and deadline.outer.holds_back
        return left.how == "done" or (left.how == "failed" and left.row > call.floor)

    def leave_deadline(self, frame: Frame, deadline: Deadline, how: Literal["done", "failed", "interrupted"]) -> None:
        """The code leaves the block of a deadline: record how, so that a replay is not broken in on where this life was not."""
        if frame.over or self._run.closing:
            return
        before, name = self._recall_left(frame.call, deadline)
        if before is None or before.how != how or (how == "failed" and before.row <= frame.call.floor):
            self._decisions.record_decision(frame.call, name, DeadlineLeft(how, self._run.journal.last_seq))

    def _recall_left(self, call: Call, deadline: Deadline) -> tuple[DeadlineLeft | None, bytes]:
        """How the block of a deadline was left last, and the name for the next time that it is left otherwise."""
        newest, name = None, name_left(deadline.key)
        while (left := self._decisions.recall(call, name, DeadlineLeft)) is not None:
            newest, name = left, name_asked_again(name)
        return newest, name

    def close_deadline(self, deadline: Deadline) -> None:
        """Nothing runs under it any more."""
        deadline.disarm()
        self.deadlines.discard(deadline)

    def is_broken_off(self, frame: Frame, until: float) -> bool:
        """Whether the deadline of a block that the code has open passes before this time of the wall clock. In every life it breaks
        in on a wait for that time: the time never comes, however late it is when a resumed run waits for it again."""
        deadline = frame.scope.deadline
        return deadline is not None and deadline.open and deadline.call is frame.call and deadline.at < until

    async def rest(self, frame: Frame, future: asyncio.Future[None], seconds: float | None) -> None:
        """Park the call until the future is done, the seconds have passed, or the wall clock was set. Raises DeadlineExceeded where
        the block around it is a thread's and its deadline passes."""
        deadline = frame.scope.deadline
        bound = deadline if deadline is not None and deadline.ends_rests else None
        if bound is not None:
            if bound.expired and not bound.stopping:
                raise bound.error("work under a deadline")
            bound.rests.add(future)
        timer = self._run.loop.call_later(seconds, _wake, future) if seconds is not None else None
        self.resting[future] = timer
        try:
            await Parked(frame, self._waits, future)
        finally:
            del self.resting[future]
            if bound is not None:
                bound.rests.discard(future)
            if timer is not None:
                timer.cancel()

    def open_limit(self, frame: Frame, concurrency: int | None, rate: float | None, per_s: float, name: str) -> Limit:
        """A limit that opens here. One with a name is one limit, with the numbers of its newest block; the rate of one without is
        found again by its place, so that a resumed run counts what began before it."""
        shared = self.desk is not None
        if not name:
            if not shared or rate is None:
                return Limit(concurrency, rate, per_s)
            key = f"\x1f{self._decisions.name_decision(frame, 'limit').hex()} in {self._run.nonce.hex()}"
            if (found := self._rates.get(key)) is None:
                found = self._rates[key] = Limit(concurrency, rate, per_s, key=key)
        elif (found := self._named.get(name)) is None:
            shares = shared and concurrency is not None
            found = self._named[name] = Limit(concurrency, rate, per_s, key=name if shared else "", shares_places=shares)
        if (found.concurrency, found.rate) != (concurrency, (rate, per_s) if rate is not None else None):
            if name and found in frame.scope.limits:
                raise UsageError(
                    f"hw.limit(name={name!r}) is open around this block with other numbers, and one name is one limit: give all "
                    "numbers in one block, or this one another name"
                )
            found.set(concurrency, rate, per_s)
        return found

    def limited(self, frame: Frame, spec: TaskSpec) -> Scope:
        """The scope of a call of a task that has a limit: that around it, with the task's. Without a name it is one for all calls
        of the task in the run, and a resumed run counts the starts of earlier lives."""
        scope, numbers = frame.scope, spec.limit
        if numbers is None:
            return scope
        if numbers.name:
            found = self.open_limit(frame, *numbers)
        elif (kept := self._of_tasks.get(spec.name)) is not None:
            found = kept
            if (found.concurrency, found.rate) != (numbers.concurrency, numbers.window):
                found.set(*numbers[:3])
        else:
            counted = self.desk is not None and numbers.rate is not None
            key = f"\x1ftask {spec.name} in {self._run.nonce.hex()}" if counted else ""
            found = self._of_tasks[spec.name] = Limit(*numbers[:3], key=key)
        return scope if found in scope.limits else scope._replace(limits=(*scope.limits, found))

    def close(self) -> None:
        """The run ends here."""
        for deadline in list(self.deadlines):
            self.close_deadline(deadline)

    def clock_jumped(self) -> None:
        """The wall clock was set: times that it has passed are over now, not when the timer says so."""
        for deadline in list(self.deadlines):
            deadline.look()
        for future in list(self.resting):
            if not future.done():
                future.set_result(None)
        if self.desk is not None:
            self.desk.clock_jumped()


class Parked:
    """Await a future of the engine while the call counts as waiting."""

    def __init__(self, frame: Frame, waits: Waits, future: asyncio.Future[None]) -> None:
        self._frame, self._waits, self._future = frame, waits, future

    def __await__(self) -> Any:
        self._frame.must_go_on()
        return self._waits.suspend(self._frame.call, self._future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
