"""Lets a new call in: answers it from the journal, has it wait for the handles among its arguments, or queues it.

A call that got handles is looked up by its key like any other, but can be answered only when its inputs have ended: they must be
what its recorded result was computed from. Only then is a call that has equals elsewhere answered with their result.
"""

from __future__ import annotations

import contextvars

from headway import events
from headway.engine.call import Call
from headway.engine.dispatch.ready import Ready
from headway.engine.lifecycle import Lifecycle
from headway.engine.ports import Recalling
from headway.engine.replay.garbage import FullSearches
from headway.engine.replay.lookup import Replay, epoch_name
from headway.engine.replay.shared import Shared
from headway.engine.run_context import RunContext
from headway.engine.scopes.accounting import Accounting
from headway.engine.transitions import OK, WAITING
from headway.engine.waiting.signals import Signals
from headway.errors import InputFailed, SourceChanged
from headway.journal.clocks import left_s


class Admission:
    def __init__(
        self,
        run: RunContext,
        lifecycle: Lifecycle,
        ready: Ready,
        replay: Replay,
        accounting: Accounting,
        shared: Shared,
        signals: Signals,
    ) -> None:
        self._run = run
        self._lifecycle = lifecycle
        self._ready = ready
        self._replay = replay
        self._accounting = accounting
        self._shared = shared
        self._signals = signals
        self._full_searches = FullSearches(run.world.at_turns_end)
        self.shields: Recalling  # set by the engine, which makes both
        self.answer = lifecycle.answer
        self.refuse = lifecycle.refuse

    def answer_at_once(self, call: Call) -> bool:
        """Answer a new call from the journal where nothing has to be waited for, before its parent knows of it."""
        if call.inputs or call.scope.deadline is not None:
            return False
        recorded = self._replay.find(call)
        if recorded is None:
            return False
        if self._run.emit:
            self._tell_spawned(call)
        self._lifecycle.reuse_new(call, recorded)
        if not self._full_searches.are_put_off:
            self._full_searches.put_off()
        return True

    def admit(self, call: Call, stopped: str | None = None) -> None:
        """Answer the call from the journal, or let it wait for its inputs, or let it start.

        `stopped`: why it has to stop at once, where it does."""
        if self._run.emit:
            self._tell_spawned(call)
        if call.scope.deadline is not None:
            call.scope.deadline.calls[call] = None
        if self._run.resumed:
            self._run.known.unfinished.discard(call.key)
        if stopped is not None:
            self._lifecycle.cancel(call, stopped)
            if call.state >= OK:
                return
        if call.memo is not None:
            call.epoch = max(call.epoch, call.memo.get(epoch_name(call.key), 0))
        if self._run.resumed or call.memo is not None:
            try:
                recorded = self._replay.find(call)
            except SourceChanged as error:
                self.refuse(call, error)
                return
            if recorded is not None:
                if not call.inputs:
                    self._lifecycle.reuse(call, recorded)
                    return
                call.extra().recorded = recorded
        if call.context is None:
            call.context = contextvars.copy_context()
        if call.inputs:
            if not self._await_inputs(call):
                self._inputs_there(call)
        elif self._run.resumed or call.memo is not None or call.share is not None:
            self.start(call)
        else:  # nothing that was before can have a word in it
            self._lifecycle.queue(call)

    def _await_inputs(self, call: Call) -> bool:
        """Come back when all inputs have ended; False if they have."""
        left = [handle for handle in call.inputs if handle.state < OK]
        for handle in call.inputs:
            handle.awaited = True
        if not left:
            return False
        count = len(left)

        def arrived(handle: Call) -> None:
            nonlocal count
            count -= 1
            if not count and call.state == WAITING:
                self._inputs_there(call)

        for handle in left:
            if handle.dependents is None:
                handle.dependents = [call]
            else:
                handle.dependents.append(call)
            handle.add_callback(arrived)
            self._ready.promote(handle)
        return True

    def _inputs_there(self, call: Call) -> None:
        for handle in call.inputs:
            if handle.state != OK:
                if call.x is not None and call.x.stop is not None:  # what stopped it has stopped its input, too
                    self._lifecycle.body_ended(call, None, call.x.stop)
                    return
                error = InputFailed(f"{call.describe()} was not started: its argument {handle.describe()} {handle.state_name}")
                error.__cause__ = handle.error
                self.refuse(call, error)
                return
        x = call.x
        if x is not None and (recorded := x.recorded) is not None:
            x.recorded = None
            if self._replay.same_inputs(call, recorded):
                self._lifecycle.reuse(call, recorded)
                return
        self.start(call)

    def start(self, call: Call) -> None:
        """Let a call run that no record of its own answers, unless an equal call does."""
        tried = self._accounting.take_over(call)
        if call.share is not None:
            try:
                if self._shared.answered(call, lambda: self._let_run(call, tried)):
                    return
            except SourceChanged as error:
                self.refuse(call, error)
                return
        self._let_run(call, tried)

    def _let_run(self, call: Call, tried: bool) -> None:
        """Nothing that is recorded answers the call: it runs as soon as its inputs are at hand."""
        if unread := [given for given in call.inputs if given.unread]:
            left = len(unread)

            def read(_: Call) -> None:
                nonlocal left
                left -= 1
                if not left and call.state == WAITING:
                    self._let_run(call, tried)

            for given in unread:
                self._run.reader.when_read(given, read)
            return
        if self._run.resumed and not tried:
            self._resume(call)
        if call.state == WAITING:
            self._lifecycle.queue(call)

    def _resume(self, call: Call) -> None:
        """Take over what earlier processes recorded of a call that is asked again: its attempts, and that it was stopped."""
        self._signals.note_asked(call)
        rest_s = self._take_over_attempts(call)
        if not self.shields.recall(call) and rest_s > 0:
            self._lifecycle.postpone(call, rest_s)

    def _take_over_attempts(self, call: Call) -> float:
        """Count on from the attempts that are recorded; how many seconds are left until the next."""
        if (found := self._run.known.attempts.get(call.key)) is None:
            return 0.0
        seq, attempt = found
        call.epoch = max(call.epoch, attempt.epoch)
        call.prefix = b""
        if call.share is not None:
            call.share.begin(max(call.share.epoch, attempt.shared_epoch))
        if seq <= call.floor and not attempt.goes_on:  # attempts of a life that ended: this one has all of its own
            return 0.0
        call.attempt = attempt.attempt
        call.floor = seq if attempt.goes_on else max(call.floor, seq)
        return left_s(attempt.retry_at, attempt.retry_at - attempt.ended, self._run.wall())

    def _tell_spawned(self, call: Call) -> None:
        run = self._run
        if run.emit:
            run.emit(
                events.CallSpawned(
                    at=run.wall(),
                    key=call.key.hex(),
                    parent=call.parent_key.hex(),
                    task=call.task,
                    label=call.spec.label(call.args, call.kwargs),
                )
            )
