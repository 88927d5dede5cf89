"""Waiting of one call for others: parking, and refusing to wait in a circle.

While a call waits for other calls it is parked: it does not count against the bound of active calls and gives its limits back, so
those it waits for can always run. It takes its limits again before it goes on.

Waiting in a circle can't end, so it is refused where it would begin. A call waits for the handles among its arguments, for the
handles it awaits, and, at its end, for its children. The common waits (a parent for its own child) can't close a circle and are
not searched.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from headway.engine.call import Call, Frame, check_stop, must_stop
from headway.engine.dispatch.ready import Ready
from headway.engine.ports import Stopper
from headway.engine.run_context import RunContext
from headway.engine.scopes.bounds import PATIENCE_S
from headway.engine.scopes.patience import Patience, Turns
from headway.engine.transitions import OK
from headway.errors import CycleError

STOPPED_WAITING = "the call that awaited it stopped waiting"
Waiting = Generator[Any, Any, None]


class Waits:
    def __init__(self, run: RunContext, stopper: Stopper, ready: Ready) -> None:
        self._run = run
        self._stopper = stopper
        self._ready = ready
        self._turns = Turns(run.loop, run.world.after_ready)
        self._foreign = 0  # waits of a call for a call that is not its child
        self._reads: dict[Call, int] = {}  # by call: waits for a value that the journal has told

    def wait_for(self, me: Call, target: Call) -> Waiting:
        """Park `me` until `target` has ended. If the wait is cancelled, so is a target that is a child of `me`."""
        future = self._run.loop.create_future()

        def wake(_: Call) -> None:
            if not future.done():
                future.set_result(None)

        foreign = () if target.parent is me else (target,)
        if foreign:
            self.check(me, foreign)
        target.add_callback(wake)
        try:
            yield from self.suspend(me, future, foreign)
        except asyncio.CancelledError:
            note_untold(me, (target,))
            target.remove_callback(wake)
            if target.parent is me:
                self._stopper.cancel(target, STOPPED_WAITING)
                yield from self.drain(me, (target,))
            raise

    def read(self, me: Call, target: Call) -> Waiting:
        """Park `me` until the large result of a call that has ended was read."""
        future = self._run.loop.create_future()

        def wake(_: Call) -> None:
            if not future.done():
                future.set_result(None)

        self._run.reader.when_read(target, wake)
        yield from self.suspend(me, future, reads=True)

    def join(self, me: Call, running: Call) -> None:
        """`me` gets the result of an equal call that runs. Raises CycleError where that one can't end before `me` has."""
        if self._needs(running, me):
            raise CycleError(
                f"{me.describe()} asks for what {running.describe()} is computing, which waits for it: neither could ever end. "
                'A cache="forever" task can\'t need its own result for the same arguments'
            )
        x = me.extra()
        x.awaiting = [*x.awaiting, running]
        self._foreign += 1

    def part(self, me: Call, running: Call) -> None:
        """The call whose result `me` waited for has ended."""
        me.extra().awaiting.remove(running)
        self._foreign -= 1

    def drain(self, me: Call, targets: Sequence[Call]) -> Waiting:
        """A wait was cancelled, and what it waited for was asked to stop: let that end, so that it is settled and booked when `me`
        goes on. Not in a call that is to stop itself, whose end waits for its children anyway; and not for ever."""
        left = [target for target in targets if target.state < OK and target.parent is me]
        if not left or must_stop(me):
            return
        count = len(left)
        future = self._run.loop.create_future()

        def ended(_: Call) -> None:
            nonlocal count
            count -= 1
            if not count:
                self._end_wait(future)

        for target in left:
            target.add_callback(ended)
        patience = Patience(self._turns, PATIENCE_S, functools.partial(self._end_wait, future))
        try:
            yield from self.suspend(me, future)
        finally:
            patience.cancel()

    def _end_wait(self, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_result(None)

    def for_stopped(self, frame: Frame, failed: Call) -> Waiting:
        """In the block of a deadline that has passed, wait until everything that it stops has ended, not only the awaited call. So
        the block ends by its deadline, not by the call's error. The same holds where a resumed run finds that error recorded."""
        deadline = frame.scope.deadline
        if deadline is not None and deadline.call is frame.call and (deadline.stopping or deadline.is_about_to_stop(failed)):
            yield from self.suspend(frame.call, deadline.stopped())

    def suspend(self, me: Call, future: asyncio.Future[None], targets: Sequence[Call] = (), *, reads: bool = False) -> Waiting:
        """Park `me` until the future is done. Raises CancelledError at once in code that has to stop. `reads`: it waits for nothing
        but a value that the journal has told it."""
        x = me.extra()
        if x.stop is not None and not (reads and x.halt is not None and x.halt.replays):
            check_stop(me)
        foreign = [target for target in targets if target.parent is not me] if targets else ()
        if foreign:
            x.awaiting = x.awaiting or []
            x.awaiting.extend(foreign)
            self._foreign += 1
        attempt = me.attempt
        if reads:
            self._reads[me] = self._reads.get(me, 0) + 1
        has_job = x.job is not None
        if has_job:
            x.parked_on = x.parked_on or []
            x.parked_on.append(future)
        self._ready.park(me)
        try:
            yield from future
            if x.held and me.attempt == attempt:
                yield from self._ready.reenter(me)
        finally:
            if has_job:
                x.parked_on.remove(future)
            if reads and (left := self._reads.pop(me) - 1):
                self._reads[me] = left
            self._ready.unpark(me, attempt)
            if foreign:
                self._foreign -= 1
                for target in foreign:
                    x.awaiting.remove(target)

    def waits_for_news(self, me: Call) -> bool:
        """Whether the call waits for something that no earlier life told it."""
        return me.x is not None and me.x.parks > self._reads.get(me, 0)

    def check(self, me: Call, targets: Sequence[Call]) -> None:
        """Raises ForeignHandle or CycleError where `me` can't wait for one of the targets."""
        for target in targets:
            if target.engine.run is not self._run:
                raise target.foreign()
            if target.state < OK and target.parent is not me and (target is me or self._reaches(target, me)):
                raise CycleError(
                    f"{me.describe()} would wait for {target.describe()}, which waits for it: "
                    "neither could ever end. Pass the value instead of the handle, or await it elsewhere"
                )

    def check_inputs(self, parent: Call, inputs: tuple[Call, ...], what: Callable[[], str]) -> None:
        """Raises ForeignHandle or CycleError where a new child of `parent` can't wait for its inputs."""
        for handle in inputs:
            if handle.engine.run is not self._run:
                raise handle.foreign()
            if handle.state >= OK:
                continue
            if self._needs(handle, parent):
                raise CycleError(
                    f"{what()} gets the handle of {handle.describe()}, which can't end before it: a cycle. "
                    "A call can't take the result of a call that it is part of"
                )

    def _needs(self, call: Call, other: Call) -> bool:
        """Whether `call` can't end before `other` has: it is an ancestor, or waits for it directly or through other calls."""
        above: Call | None = other
        while above is not None and above is not call:
            above = above.parent
        return above is not None or (self._foreign > 0 and self._reaches(call, other))

    def _reaches(self, start: Call, goal: Call) -> bool:
        """Whether `goal` is among the calls that `start` waits for, directly or through others."""
        return any(call is goal for call in self.needed_by(start))

    def needed_by(self, start: Call) -> Iterator[Call]:
        """A call and all that it waits for, directly or through others."""
        seen = {start}
        stack = [start]
        while stack:
            call = stack.pop()
            yield call
            waited = [*call.inputs, *(call.children or ())]
            if call.x is not None:
                waited += call.x.awaiting
            for other in waited:
                if other.state < OK and other not in seen:
                    seen.add(other)
                    stack.append(other)


def note_untold(me: Call, targets: Sequence[Call]) -> None:
    """Note what a call was waiting for when its wait was broken off by a stop: its code has not seen how these calls ended, even if
    they just have."""
    if me.x is not None and me.x.stop is not None:
        me.x.halting().untold.update([target.key for target in targets])
