"""Letting a call in: answered from the journal, or told to wait for the handles among its arguments, or sent to the ready queue.

A call that got handles is looked up by its key like any other, but can be answered only when its inputs have ended: they must be
what its recorded result was computed from. Only then is a call that has equals elsewhere answered with their result.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from headway.engine.handle import OK, WAITING, Handle
from headway.engine.replay.lookup import epoch_name
from headway.errors import InputFailed, SourceChanged
from headway.journal.clocks import left_s

if TYPE_CHECKING:
    from headway.engine.engine import Engine


class Admission:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def admit(self, call: Handle[Any]) -> None:
        """Answer the call from the journal, or let it wait for its inputs, or let it start."""
        if self._engine.emit:
            self._engine.emit_spawned(call)
        if call._scope.deadline is not None:
            call._scope.deadline.calls[call] = None
        if call._memo is not None:
            call._epoch = max(call._epoch, call._memo.get(epoch_name(call.key), 0))
        if self._engine.resumed or call._memo is not None:
            try:
                recorded = call._x.recorded if call._x is not None else None
                recorded = recorded or self._engine.replay.find(call)
            except SourceChanged as error:
                self._engine.conclude(call, None, error)
                return
            if recorded is not None:
                if not call._inputs:
                    self._engine.outcomes.reuse(call, recorded)
                    return
                call.extra().recorded = recorded
        if call._context is None:
            call._context = contextvars.copy_context()
        if call._inputs and self._await_inputs(call):
            return
        self._inputs_there(call)

    def _await_inputs(self, call: Handle[Any]) -> bool:
        """Come back when all inputs have ended; False if they have."""
        left = [handle for handle in call._inputs if handle._state < OK]
        for handle in call._inputs:
            handle._awaited = True
        if not left:
            return False
        count = len(left)

        def arrived(handle: Handle[Any]) -> None:
            nonlocal count
            count -= 1
            if not count and call._state == WAITING:
                self._inputs_there(call)

        for handle in left:
            handle.extra().dependents.append(call)
            handle.add_callback(arrived)
            self._engine.ready.promote(handle)
        return True

    def _inputs_there(self, call: Handle[Any]) -> None:
        for handle in call._inputs:
            if handle._state != OK:
                error = InputFailed(f"{call.describe()} was not started: its argument {handle.describe()} {handle.state}")
                error.__cause__ = handle._error
                self._engine.conclude(call, None, error)
                return
        x = call._x
        if x is not None and (recorded := x.recorded) is not None:
            x.recorded = None
            if self._engine.replay.same_inputs(call, recorded):
                self._engine.outcomes.reuse(call, recorded)
                return
        self.start(call)

    def start(self, call: Handle[Any]) -> None:
        """Let a call run that nothing of its own answers, unless it has an equal one that does."""
        tried = self._engine.books.take_over(call)
        if call._share is not None:
            try:
                if self._engine.shared.answered(call, lambda: self._let_run(call, tried)):
                    return
            except SourceChanged as error:
                self._engine.conclude(call, None, error)
                return
        self._let_run(call, tried)

    def _let_run(self, call: Handle[Any], tried: bool) -> None:
        """Nothing that is recorded answers the call."""
        if self._engine.resumed and not tried:
            self._resume(call)
        if call._state == WAITING:
            self._engine.ready.push(call)

    def _resume(self, call: Handle[Any]) -> None:
        """Take over the attempts that earlier processes recorded of a call that is asked again."""
        self._engine.signals.asked(call)
        if (found := self._engine.known.attempts.get(call.key)) is not None:
            seq, attempt = found
            call._epoch = max(call._epoch, attempt.epoch)
            call._prefix = b""
            if call._share is not None:
                call._share.begin(max(call._share._epoch, attempt.shared_epoch))
            if seq <= call._floor and not attempt.goes_on:  # attempts of a life that ended: this one has all of its own
                return
            call._attempt = attempt.attempt
            call._floor = seq if attempt.goes_on else max(call._floor, seq)
            delay = attempt.retry_at - attempt.ended
            if (rest := left_s(attempt.retry_at, delay, self._engine.wall())) > 0:
                self._engine.rest(call, rest)
