"""Blocks that a stop does not interrupt, and stops that wait for the end of a replay.

A stopped call may undo what it did, in a shielded block. That it was stopped is recorded before anything in the block is. A resume
runs the code again, stops it at the same place, and lets the block go on. That place is the first question that had no answer when
the code heard of the stop. Where no stop was recorded, a call that is stopped before its code has run in this life hears of it at
its first question without a recorded answer: it may have something to undo.

Once a call has undone something, its children belong to a new epoch: whoever asks for the call again asks for all of them afresh.

A call that has begun to undo something must never succeed as if it had not, and no shield may outlive its time.
"""

from __future__ import annotations

import asyncio
import math

from headway.engine.call import Call, Frame
from headway.engine.decisions import Decisions
from headway.engine.dispatch.launch import Launcher
from headway.engine.ports import Stopping
from headway.engine.replay.lookup import Replay
from headway.engine.run_context import RunContext
from headway.engine.scopes.bounds import REPLAY_S
from headway.engine.stopping.halt import Halt, Shield
from headway.engine.stopping.stops import Stops
from headway.engine.streaming.streams import Streams
from headway.engine.transitions import OK, READY, RUNNING, STARTING, WAITING
from headway.engine.waiting.waits import Waits
from headway.errors import CallTimeout, UsageError
from headway.journal.codec.codec import decode_error, keep_error
from headway.journal.codec.wire import pack
from headway.journal.decisions import Stopped, decision_key


class Shields:
    """The shields of one run, and its stops that come late. Implements the port `Recalling`."""

    def __init__(
        self,
        run: RunContext,
        decisions: Decisions,
        replay: Replay,
        waits: Waits,
        lifecycle: Stopping,
        stops: Stops,
        launcher: Launcher,
        streams: Streams,
    ) -> None:
        self._run = run
        self._decisions = decisions
        self._replay = replay
        self._waits = waits
        self._lifecycle = lifecycle
        self._stops = stops
        self._launcher = launcher
        self._streams = streams

    # --- blocks ------------------------------------------------------------------------------------------------------

    def open(self, frame: Frame, timeout_s: float) -> Shield:
        """Open a block. Raises UsageError where code can't be shielded, CancelledError where the run stops to go on later."""
        call = frame.call
        if not _can_be_told(call) or not frame.attempt or asyncio.current_task() is None:
            raise UsageError(
                f"hw.shielded was opened in {call.describe()}, in code that can't be told of a stop and go on (it is a batch, runs "
                "in a thread, or is not async): open it in an async task"
            )
        frame.must_go_on()
        x = call.extra()
        if self._run.closing:
            raise asyncio.CancelledError("the run stops here and goes on another time")
        halt = x.halting()
        halt.opened += 1
        loop = self._run.loop
        shield = Shield(frame, halt.opened, timeout_s, loop.time() + timeout_s, asyncio.current_task())
        shield.timer = loop.call_at(shield.ends, self._expire, shield)
        halt.shields.append(shield)
        if x.stop is not None and not halt.replays:
            self._record(call, halt)
            self._grant(call, halt)
        return shield

    def close(self, shield: Shield, error: BaseException | None) -> None:
        """The code leaves a block. Raises CallTimeout where it took too long, CancelledError where a stop was held off."""
        call: Call = shield.call
        halt, x = call.extra().halting(), call.extra()
        shield.over = True
        if shield.timer is not None:
            shield.timer.cancel()
        if shield in halt.shields:
            halt.shields.remove(shield)
        for listener in shield.listeners:
            self._run.loop.call_soon(listener)
        if x.stop is not None and not halt.shields and call.state == RUNNING and not self._run.closing:
            if halt.replays and halt.after == shield.number:
                halt.replays, halt.held_off = False, True
            if not halt.replays:
                self._grant(call, halt)
        if shield.expired and shield.task is not None:
            shield.task.uncancel()
        too_late = shield.expired and (error is None or isinstance(error, asyncio.CancelledError))
        if halt.held_off and not halt.shields:
            self._let_through(call, halt, raises=too_late or error is not None)
        if too_late:
            raise CallTimeout(f"{call.describe()} was in a shielded block for longer than its timeout of {shield.timeout_s:g} s")

    def _let_through(self, call: Call, halt: Halt, *, raises: bool) -> None:
        """The last block is left: the code hears of the stop now, or at its next `await` where the block raises an error."""
        halt.held_off = False
        if not raises and asyncio.current_task() is call.asyncio_task:
            raise asyncio.CancelledError(call.extra().stop_reason)
        self._run.loop.call_soon(self._interrupt, call, call.attempt)

    def _grant(self, call: Call, halt: Halt) -> None:
        """Let the code of a stopped call go on for as long as its open blocks may, and its grace."""
        ends = max([shield.ends for shield in halt.shields if shield.holds], default=-math.inf)
        self._stops.grant(call, max(0.0, ends - self._run.loop.time()))

    def _interrupt(self, call: Call, attempt: int) -> None:
        if call.state == RUNNING and call.attempt == attempt and not call.extra().halting().shields:
            self._launcher.interrupt(call)

    def _expire(self, shield: Shield) -> None:
        call: Call = shield.call
        if shield.over or call.state >= OK:
            return
        shield.expired = True
        for child in list(call.children or ()):
            if child.scope.shield is shield:
                reason = f"the shielded block of {call.describe()} took longer than its timeout of {shield.timeout_s:g} s"
                self._lifecycle.cancel(child, reason)
        if shield.task is not None and not shield.task.done():
            shield.task.cancel("the timeout of a shielded block")

    # --- stops -------------------------------------------------------------------------------------------------------

    def interrupt(self, call: Call) -> None:
        """Tell the running code of a call that it must stop, now or later."""
        x = call.extra()
        if not self._run.closing and _can_be_told(call):
            halt = x.halting()
            if halt.shields:
                halt.held_off, halt.after = True, halt.shields[0].number
                self._record(call, halt)
                self._grant(call, halt)
                return
            if self._replay.may_have_begun(call) and (self._streams.let_begin(call) or self._is_told_again(call)):
                self._delay(call, halt)
                return
            halt.told, halt.heard = self._run.journal.last_seq, self._run.wall()
        self._launcher.interrupt(call)

    def lets_begin(self, call: Call) -> bool:
        """Whether to run the code of a call that is stopped before it began: it ran in an earlier life, and may have something to
        undo. It gets the recorded answers again, and then hears of the stop."""
        if self._run.closing or not self._replay.may_have_begun(call) or not _can_be_told(call):
            return False
        halt = call.extra().halting()
        halt.guessed = not self._replay.has_begun(call)
        self._delay(call, halt)
        return True

    def recall(self, call: Call) -> bool:
        """Stop a call again whose code was undoing what it did in an earlier life. Returns whether it was."""
        if not _can_be_told(call):
            return False
        told = self._decisions.recall(call, _name(call, call.attempt + 1), Stopped)
        if told is None:
            return False
        x = call.extra()
        halt = x.halting()
        halt.recorded, halt.recalled = True, told.error is None and x.stop is None
        x.stop = asyncio.CancelledError(told.reason) if told.error is None else decode_error(told.error)
        x.stop_reason = told.reason
        halt.told, halt.heard, halt.untold, halt.after = told.told, told.heard, set(told.untold), told.after
        self._delay(call, halt)
        return True

    def lets_ask(self, parent: Call, call: Call) -> bool:
        """Whether the journal answers a new call of code that is about to hear of a stop. Outcomes that the code had not seen when
        it heard of the stop are not shown to it."""
        halt, found = parent.extra().halting(), self._run.known.outcomes.get(call.key)
        answers = found is not None and self._replay.would_answer(call, found)
        if not answers or (found is not None and found[0] > halt.told):
            halt.untold.add(call.key)
        return answers

    def _is_told_again(self, call: Call) -> bool:
        """Whether the code of a call still gets recorded answers, and nothing else."""
        return self._is_answered() and not self._waits.waits_for_news(call)

    def _is_answered(self) -> bool:
        """Whether the journal has answered the program a moment ago."""
        return self._replay.last_answer() + REPLAY_S > self._run.loop.time()

    def _delay(self, call: Call, halt: Halt) -> None:
        if not halt.replays:
            halt.replays = True
            self._run.loop.call_later(REPLAY_S, self._look, call, halt)

    def _look(self, call: Call, halt: Halt) -> None:
        """Tell the code of the stop once the journal has stopped answering."""
        x = call.extra()
        if x.halt is not halt or call.state >= OK or self._run.closing:
            return
        if not halt.replays:  # it has heard
            if call.state == RUNNING and not halt.shields:
                self._grant(call, halt)
        elif self._is_answered() or call.state in (READY, STARTING):
            self._run.loop.call_later(REPLAY_S, self._look, call, halt)
        elif call.state == WAITING:  # for inputs that it had and that nobody gives it any more
            halt.replays = False
            self._lifecycle.body_ended(call, None, x.stop)
        elif call.state == RUNNING:
            halt.replays = False
            if halt.shields:
                halt.held_off = True
                self._grant(call, halt)
            else:
                self._launcher.interrupt(call)

    def _record(self, call: Call, halt: Halt) -> None:
        """Record that the call was stopped, once."""
        if not halt.recorded:
            halt.recorded, x = True, call.extra()
            error = None if x.stop is None or isinstance(x.stop, asyncio.CancelledError) else keep_error(x.stop)[0]
            told = Stopped(
                reason=x.stop_reason,
                error=error,
                told=int(min(halt.told, self._run.journal.last_seq)),
                untold=tuple(sorted(halt.untold)),
                heard=min(halt.heard, self._run.wall()),
                after=halt.after if halt.held_off else 0,
            )
            self._decisions.record_decision(call, _name(call, call.attempt), told)


def _can_be_told(call: Call) -> bool:
    """Whether the code of a call is a coroutine of its own on the loop, which can hear of a stop and go on."""
    return call.spec.pool == "inline" and call.spec.is_async and not call.spec.batch


def _name(call: Call, attempt: int) -> bytes:
    return decision_key(call.key, call.epoch, "stopped", pack(attempt))
