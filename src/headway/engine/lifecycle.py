"""Drives a call from its first start to its end: feeds events to the table in `transitions` and carries out its effects.

This is the only place where a call's state changes. Events come in through the methods below (a ready queue has room, code has
ended, somebody cancels), and each method feeds one event. Other parts decide and record: `outcomes` says whether a call is tried
again and writes how it ended, `accounting` reserves and settles, `launcher` runs code. They return and never call back in.

A dependent must never see an outcome that is not in the journal's queue, so an end is recorded before it is fed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headway import events
from headway.engine.call import NO_ENTRIES, NO_ITEMS, BodyEnd, Call, Extra
from headway.engine.identity.argument_changes import cannot_change, is_unseen, unless_changed
from headway.engine.outcomes.failures import as_exception
from headway.engine.run_context import RunContext
from headway.engine.transitions import (
    CANCELLED,
    FAILED,
    FINISHING,
    OK,
    READY,
    RESTING,
    RUNNING,
    STARTING,
    TABLE,
    WAITING,
    Effect,
    Event,
    end_of_body,
    move,
    refusal,
)
from headway.errors import BudgetExceeded, CallTimeout, UsageError
from headway.journal.codec.codec import Encoded
from headway.journal.records import BY_HAND
from headway.journal.recovery.recovered import Recorded

if TYPE_CHECKING:
    from headway.engine.dispatch.launch import Launcher
    from headway.engine.dispatch.ready import Ready
    from headway.engine.outcomes.outcomes import Outcomes
    from headway.engine.replay.lookup import Replay
    from headway.engine.scopes.accounting import Accounting
    from headway.engine.stopping.shields import Shields
    from headway.engine.streaming.streams import Streams

_QUEUED, _POSTPONED, _ADMITTED, _BEGUN = int(Event.QUEUED), int(Event.POSTPONED), int(Event.ADMITTED), int(Event.BEGUN)
_STOPPED, _CHILDREN_ENDED, _RETRIED = int(Event.STOPPED), int(Event.CHILDREN_ENDED), int(Event.RETRIED)
_REFUSED, _BODY_ENDED = int(Event.REFUSED), int(Event.BODY_ENDED)
_ENDS = {OK: int(Event.SUCCEEDED), FAILED: int(Event.FAILED), CANCELLED: int(Event.CANCELLED)}


class Lifecycle:
    """Moves the calls of one run. Implements the ports `Starts`, `Ends` and `Stopper`."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._effects: tuple[Callable[[Call, int, Any], None], ...] = (
            self._do_nothing,
            self._enqueue,
            self._rest,
            self._launch,
            self._end_unrun,
            self._interrupt,
            self._stop_children,
            self._conclude,
            self._try_again,
            self._deliver,
        )
        assert len(self._effects) == len(Effect)
        # the table with callable effects: read five times for every call
        self._moves = tuple([tuple([to and (to.state, self._effects[to.effect]) for to in row]) for row in TABLE])

    def connect(
        self,
        *,
        accounting: Accounting,
        ready: Ready,
        launcher: Launcher,
        outcomes: Outcomes,
        replay: Replay,
        streams: Streams,
        shields: Shields,
    ) -> None:
        """Set the parts that carry out effects. They are made later, because they feed this one."""
        self._accounting = accounting
        self._ready = ready
        self._launcher = launcher
        self._outcomes = outcomes
        self._replay = replay
        self._streams = streams
        self._shields = shields

    def _feed(self, call: Call, event: int, given: Any = None) -> None:
        """Feed an event to a call and carry out its effect. `given` is what the effect needs."""
        before = call.state
        found = self._moves[before][event]
        if found is None:
            raise refusal(before, event)
        call.state, effect = found
        effect(call, before, given)

    def _do_nothing(self, call: Call, before: int, given: Any) -> None:
        pass

    # --- starting ----------------------------------------------------------------------------------------------------

    def queue(self, call: Call) -> None:
        """Queue a call whose inputs are there and that no record answers."""
        self._feed(call, _QUEUED)

    def postpone(self, call: Call, delay_s: float) -> None:
        """Rest until the next attempt of the call begins, as an earlier process recorded."""
        self._feed(call, _POSTPONED, delay_s)

    def begin(self, call: Call) -> None:
        """Begin an attempt, for which there is room: reserve its budget and launch it."""
        scope = call.scope
        x = call.x
        stopped = x is not None and x.stop is not None  # its code runs only to hear of it
        booked = stopped and x is not None and x.halt is not None and not x.halt.guessed  # when it began, in an earlier life
        if scope.deadline is not None and scope.deadline.left_s <= 0 and not stopped and not self._replay.goes_on(call):
            self._ready.release(call)
            if scope.deadline.holds_back:
                scope.deadline.kept.add(call)
            else:
                self.forbid(call, scope.deadline.error(call.describe()))
            return
        if (call.spec.cost or scope.account is not None) and not booked:
            goes_on = self._run.resumed and self._replay.is_under_way(call)
            if (refused := self._accounting.reserve(call, goes_on=goes_on)) is not None:
                self._ready.release(call)
                if x is not None and x.stop is not None:
                    self._accounting.line.leave(call)
                    self.body_ended(call, None, x.stop)
                elif isinstance(refused, BudgetExceeded):
                    self.forbid(call, refused)
                return  # else it waits in line
        self._feed(call, _ADMITTED)

    def forbid(self, call: Call, error: BaseException) -> None:
        """A bound forbids the call to begin: refuse it, unless its code ran in an earlier life and has to hear of that."""
        if not self._shields.lets_begin(call):
            self.refuse(call, error)
            return
        x = call.extra()
        x.stop, x.stop_reason = error, str(error)
        self._ready.push(call)

    def body_begun(self, call: Call) -> None:
        """The call's code begins now."""
        found = TABLE[call.state][_BEGUN] or move(call.state, _BEGUN)
        call.state = found[0]  # without an effect

    def refuse(self, call: Call, error: BaseException) -> None:
        """End a call that will not be started."""
        self._feed(call, Event.BODY_BROKE if call.children else _REFUSED, (None, error, None))

    def _enqueue(self, call: Call, before: int, given: Any) -> None:
        self._ready.push(call)

    def _launch(self, call: Call, before: int, given: Any) -> None:
        """Note the start where the journal must know it, and launch."""
        spec = call.spec
        call.attempt += 1
        if spec.plain and call.x is None:
            self._ready.active += 1
            self._launcher.run_plain(call)
            return
        if spec.pool == "inline" and not spec.batch:
            self._ready.active += 1
        if spec.effect or (call.x is not None and call.x.reserved):
            seq = self._outcomes.note_start(call)
            if spec.effect:
                self._launcher.when_durable(call, seq)
                return
        self._launcher.launch(call)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def timed_out(self, call: Call) -> None:
        """Stop a call whose timeout has passed."""
        if call.state in (STARTING, RUNNING, FINISHING) and (call.x is None or call.x.stop is None):
            timeout_s = call.spec.timeout_s
            self._stop(call, "timed out", CallTimeout(f"{call.describe()} took longer than its timeout of {timeout_s:g} s"))

    def cancel(self, call: Call, reason: str, error: BaseException | None = None) -> None:
        """Ask a call to stop, with everything under it. `error` is what it ends with instead of being cancelled."""
        if call.state >= OK:
            return
        x = call.extra()
        if x.halt is not None and x.halt.recalled:  # what an earlier life said somebody says in this one, too
            x.halt.recalled = False
            return
        if x.stop is None or (error is None and not isinstance(x.stop, asyncio.CancelledError)):
            self._stop(call, reason, error or asyncio.CancelledError(reason))
        elif self._run.closing and x.halt is not None and call.state == RUNNING:  # no shield and no record holds this off
            self._launcher.interrupt(call)
        elif self._run.closing and call.state == READY:  # it was to begin only to hear of its stop, and nothing begins any more
            self._feed(call, _STOPPED, f"{call.describe()} is stopping")

    def _stop(self, call: Call, reason: str, why: BaseException) -> None:
        x = call.extra()
        x.stop, x.stop_reason = why, reason
        run = self._run
        if run.emit:
            run.emit(events.CancelRequested(at=run.wall(), key=call.key.hex(), task=call.task, reason=reason))
        self._feed(call, _STOPPED, f"{call.describe()} is stopping")

    def _end_unrun(self, call: Call, before: int, given: Any) -> None:
        waited = before == READY and (self._accounting.line.leave(call) or _is_let_go(call))
        if before != RESTING and self._shields.lets_begin(call):
            if waited:
                self._ready.push(call)
            return
        assert call.x is not None
        self.body_ended(call, None, call.x.stop)

    def _interrupt(self, call: Call, before: int, given: Any) -> None:
        self._shields.interrupt(call)

    def _stop_children(self, call: Call, before: int, reason: Any) -> None:
        if type(reason) is tuple:  # its own code has ended
            reason = f"{call.describe()} ended without it"
        for child in list(call.children or ()):
            self.cancel(child, reason)

    # --- ending ------------------------------------------------------------------------------------------------------

    def body_ended(self, call: Call, value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """Take the end of the call's own code, which has ended or will never run; its children may still run."""
        if call.state >= FINISHING:
            return  # code that was left behind
        run, x = self._run, call.x
        fixed = run.closing or cannot_change(call)
        if not fixed and error is None:
            error = unless_changed(call, value, None)
        if x is None and call.spec.plain:
            call.asyncio_task = None
            self._ready.free_slot()
        else:
            self._launcher.leave(call)
        if x is not None and x.stop is not None and _ends_stopped(x, error):
            error = x.stop
        elif error is not None:
            error = as_exception(call, error, closing=run.closing)
        if not fixed and error is not None:
            error = unless_changed(call, value, error)
        end = (value, error, encoded)
        if not call.children:
            self._feed(call, _BODY_ENDED, end)
            return
        call.extra().ended = end
        self._feed(call, end_of_body(failed=error is not None, has_children=True), end)
        self._streams.leave_unread(call)

    def _children_ended(self, call: Call) -> None:
        """The last child of a call that was waiting for it has ended."""
        if call.state != FINISHING or call.children:
            return
        x = call.extra()
        end, x.ended = x.ended, None
        assert end is not None
        if end[1] is None and x.stop is not None:  # only asked to stop: it keeps its result, if its children kept theirs
            if not isinstance(x.stop, asyncio.CancelledError) or x.cut or any(not child.awaited for child in x.failures):
                end = (end[0], x.stop, end[2])
        self._feed(call, _CHILDREN_ENDED, end)

    def _conclude(self, call: Call, before: int, end: BodyEnd) -> None:
        """A call and its children have ended: settle, try again, or end it for good."""
        value, error, encoded = end
        outcomes = self._outcomes
        if before == WAITING and (call.x is None or not call.x.costs):  # what it has cost before is not forgotten
            self._accounting.take_over(call)
        x = call.x
        if x is not None:
            if x.timer is not None:
                x.timer.cancel()
                x.timer = None
            self._accounting.settle(call, self._launcher.seconds(call), ran=before != STARTING)
            if error is None and x.failures:
                error = outcomes.unawaited_errors(call)
        if error is None and encoded is None and not self._run.closing:
            encoded, error = outcomes.encode(call, value)
        if error is not None:
            try:
                if (delay_s := outcomes.note_retry(call, error)) is not None:
                    self._feed(call, _RETRIED, delay_s)
                    return
                if outcomes.is_cut_short(call, error):
                    error = call.extra().stop
            except UsageError as wrong:  # what the task's retry asks has failed
                error = wrong
        if call.spec.streams:
            self._streams.close(call, error)
        self._feed(call, _ENDS[outcomes.end(call, value, error, encoded)])

    def _try_again(self, call: Call, before: int, delay_s: float) -> None:
        """Forget the failed attempt and rest before the next."""
        x = call.extra()
        x.failures = x.child_errors = NO_ITEMS
        x.functions = x.recharged = NO_ENTRIES
        x.stop, x.stop_reason, x.halt = None, "", None
        x.cut = False
        self._ready.forget_waits(call)
        call.ordinals = None
        if call.siblings is not None:
            call.siblings.begin_again()
        if call.share is not None:
            call.share.ordinals = None
        self._rest(call, before, delay_s)

    def _rest(self, call: Call, before: int, delay_s: float) -> None:
        call.extra().timer = self._run.loop.call_later(delay_s, self._end_rest, call)

    def _end_rest(self, call: Call) -> None:
        if call.state == RESTING:
            call.extra().timer = None
            self._feed(call, _QUEUED)

    # --- ends from the record ----------------------------------------------------------------------------------------

    def reuse(self, call: Call, recorded: Recorded) -> None:
        """End the call as it ended before."""
        if call.spec.streams:
            self._streams.reuse(call, by_hand=recorded.outcome.inputs == BY_HAND)
        self._feed(call, _ENDS[self._outcomes.reuse(call, recorded)])

    def reuse_new(self, call: Call, recorded: Recorded) -> None:
        """`reuse` for a call that nobody waits for yet: only its parent hears of it, and only of a failure."""
        if call.spec.streams:
            self._streams.reuse(call, by_hand=recorded.outcome.inputs == BY_HAND)
        before, state = call.state, self._outcomes.reuse(call, recorded)
        found = TABLE[before][_ENDS[state]] or move(before, _ENDS[state])
        call.state = found[0]  # without an effect
        if state != OK and call.parent is not None:
            _note_failure(call.parent, call, state)

    def answer(self, call: Call, recorded: Recorded) -> None:
        """End the call with the result of an equal one, recorded as its own."""
        self._feed(call, _ENDS[self._outcomes.answer(call, recorded)])

    # --- after the end -----------------------------------------------------------------------------------------------

    def _deliver(self, call: Call, before: int, given: Any) -> None:
        """The outcome is queued for the journal: pass it to the waiters."""
        state = call.state
        call.context = None
        call.ordinals = None
        call.siblings = None
        call.children = None
        if call.scope.deadline is not None:
            call.scope.deadline.ended(call)
        parent = call.parent
        if parent is not None:
            if state != OK:
                _note_failure(parent, call, state)
            children = parent.children
            if children is not None:
                children.pop(call, None)
                if not children:
                    parent.children = None  # a dictionary keeps the size it once had
                    if parent.state == FINISHING:
                        self._run.loop.call_soon(self._children_ended, parent)
        callbacks = call.callbacks
        if callbacks is not None:
            call.callbacks = None
            if type(callbacks) is list:
                for callback in callbacks:
                    callback(call)
            else:
                callbacks(call)


def _is_let_go(call: Call) -> bool:
    """Whether a deadline kept the call from beginning. It is to end or to begin now, and is kept no longer."""
    deadline = call.scope.deadline
    if deadline is None or call not in deadline.kept:
        return False
    deadline.kept.remove(call)
    return True


def _ends_stopped(x: Extra, error: BaseException | None) -> bool:
    """Whether a call that was stopped ends so: it let the cancellation through, or its code came to its end before it heard of the
    stop, though it had undone something in an earlier life, or was run only to hear of it."""
    if issubclass(type(error), asyncio.CancelledError):
        return True
    halt = x.halt if error is None else None
    return halt is not None and halt.replays and (halt.recorded or halt.guessed or bool(halt.untold))


def _note_failure(parent: Call, call: Call, state: int) -> None:
    """What a call must know of a child that did not end well."""
    if state == FAILED:
        x = parent.extra()
        if not call.awaited or is_unseen(call):
            x.failures = x.failures or []
            x.failures.append(call)
        keeps = parent.spec.retry is not None or parent.memo is not None or parent.share is not None
        if keeps and call.error is not None:
            x.child_errors = x.child_errors or []
            x.child_errors.append(call.error)
    elif parent.state == FINISHING and parent.x is not None and parent.x.stop is not None:
        parent.x.cut = True
