"""Letting a call in: answered from the journal, or told to wait for the handles among its arguments, or sent to the ready queue.

A call that got handles is looked up by its key like any other, but can be answered only when its inputs have ended: they must be
what its recorded result was computed from. Only then is a call that has equals elsewhere answered with their result.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from headway.engine.call import OK, WAITING, Call
from headway.engine.replay.lookup import epoch_name
from headway.errors import InputFailed, SourceChanged
from headway.journal.clocks import left_s

if TYPE_CHECKING:
    from headway.engine.engine import Engine


class Admission:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def admit(self, call: Call) -> None:
        """Answer the call from the journal, or let it wait for its inputs, or let it start."""
        if self._engine.emit:
            self._engine.emit_spawned(call)
        if call.scope.deadline is not None:
            call.scope.deadline.calls[call] = None
        if call.memo is not None:
            call.epoch = max(call.epoch, call.memo.get(epoch_name(call.key), 0))
        if self._engine.resumed or call.memo is not None:
            try:
                recorded = self._engine.replay.find(call)
            except SourceChanged as error:
                self._engine.conclude(call, None, error)
                return
            if recorded is not None:
                if not call.inputs:
                    self._engine.outcomes.reuse(call, recorded)
                    return
                call.extra().recorded = recorded
        if call.context is None:
            call.context = contextvars.copy_context()
        if call.inputs and self._await_inputs(call):
            return
        self._inputs_there(call)

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
            handle.extra().dependents.append(call)
            handle.add_callback(arrived)
            self._engine.ready.promote(handle)
        return True

    def _inputs_there(self, call: Call) -> None:
        for handle in call.inputs:
            if handle.state != OK:
                error = InputFailed(f"{call.describe()} was not started: its argument {handle.describe()} {handle.state_name}")
                error.__cause__ = handle.error
                self._engine.conclude(call, None, error)
                return
        x = call.x
        if x is not None and (recorded := x.recorded) is not None:
            x.recorded = None
            if self._engine.replay.same_inputs(call, recorded):
                self._engine.outcomes.reuse(call, recorded)
                return
        self.start(call)

    def start(self, call: Call) -> None:
        """Let a call run that nothing of its own answers, unless it has an equal one that does."""
        tried = self._engine.books.take_over(call)
        if call.share is not None:
            try:
                if self._engine.shared.answered(call, lambda: self._let_run(call, tried)):
                    return
            except SourceChanged as error:
                self._engine.conclude(call, None, error)
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
                self._engine.reader.when_read(given, read)
            return
        if self._engine.resumed and not tried:
            self._resume(call)
        if call.state == WAITING:
            self._engine.ready.push(call)

    def _resume(self, call: Call) -> None:
        """Take over the attempts that earlier processes recorded of a call that is asked again."""
        self._engine.signals.asked(call)
        if (found := self._engine.known.attempts.get(call.key)) is not None:
            seq, attempt = found
            call.epoch = max(call.epoch, attempt.epoch)
            call.prefix = b""
            if call.share is not None:
                call.share.begin(max(call.share.epoch, attempt.shared_epoch))
            if seq <= call.floor and not attempt.goes_on:  # attempts of a life that ended: this one has all of its own
                return
            call.attempt = attempt.attempt
            call.floor = seq if attempt.goes_on else max(call.floor, seq)
            delay = attempt.retry_at - attempt.ended
            if (rest := left_s(attempt.retry_at, delay, self._engine.wall())) > 0:
                self._engine.rest(call, rest)
