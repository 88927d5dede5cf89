"""How a call ends: encoding its value, deciding whether it is tried again, recording it, and answering from the record.

A value is encoded when its call ends, so what a reader mutates later can't reach the journal. A record is queued before anybody
sees the outcome it records.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import msgspec

from headway import events
from headway.engine.call import MISSING, Call
from headway.engine.dispatch.ready import Ready
from headway.engine.identity.argument_changes import is_unseen
from headway.engine.outcomes.failures import is_own_failure, set_cause
from headway.engine.outcomes.retry import BOUNDS
from headway.engine.outcomes.rows import add_rare_fields, encode_outcome, make_attempt, make_start
from headway.engine.replay.lookup import Replay, epoch_name, inputs_digest
from headway.engine.replay.shared import Shared
from headway.engine.run_context import RunContext
from headway.engine.scopes.accounting import Accounting
from headway.engine.scopes.bounds import REPLAY_S
from headway.engine.streaming.streams import has_handed_out
from headway.engine.tasks.callables import describe_error
from headway.engine.transitions import CANCELLED, FAILED, OK
from headway.engine.waiting.signals import Signals
from headway.errors import NotEncodable, StoreError
from headway.journal.codec.codec import Encoded, decode, decode_error, digest, encode, keep_error
from headway.journal.codec.wire import SCALARS, pack
from headway.journal.log import Blob
from headway.journal.records import (
    COSTED,
    INLINE_BYTES,
    TOLD,
    Error,
    Kind,
    Outcome,
    Row,
    plain_outcome,
)
from headway.journal.recovery.recovered import Recorded, encode_body

_STATE = (OK, FAILED, CANCELLED)  # by Status
_NAMES = {OK: "ok", FAILED: "error", CANCELLED: "cancelled"}
_new_encoded = functools.partial(tuple.__new__, Encoded)  # as `Encoded(…)`, in half the time
_new_row = functools.partial(tuple.__new__, Row)
_OUTCOME, _COSTED_OUTCOME = int(Kind.OUTCOME), int(Kind.OUTCOME | COSTED)


class Outcomes:
    def __init__(
        self, run: RunContext, accounting: Accounting, shared: Shared, signals: Signals, replay: Replay, ready: Ready
    ) -> None:
        self._run = run
        self._accounting = accounting
        self._shared = shared
        self._signals = signals
        self._replay = replay
        self._ready = ready

    # --- while it runs -----------------------------------------------------------------------------------------------

    def note_start(self, call: Call) -> int:
        """Record that an attempt begins; the seq of the row."""
        run = self._run
        shared = self._shared.effect_name(call) if call.share is not None else b""
        start = make_start(call, at=run.wall(), cost=self._accounting.home_cost(call), shared=shared)
        return run.append(Row(Kind.START | COSTED, call.key, call.parent_key, encode_body(start)))

    def unawaited_errors(self, call: Call) -> BaseException | None:
        """The errors of children that nobody awaited, as one error of their parent."""
        lost = [child for child in call.extra().failures if not child.awaited or is_unseen(child)]
        if not lost:
            return None
        names = ", ".join(child.describe() for child in lost[:3]) + (" and others" if len(lost) > 3 else "")
        errors = [child.error for child in lost if isinstance(child.error, Exception)]
        return ExceptionGroup(f"{call.describe()}: calls failed that nobody awaited: {names}", errors)

    # --- at its end --------------------------------------------------------------------------------------------------

    def encode(self, call: Call, value: Any) -> tuple[Encoded | None, BaseException | None]:
        if type(value) in SCALARS:
            try:
                return _new_encoded((pack(value), ())), None
            except (OverflowError, UnicodeEncodeError):  # written in another way
                pass
        try:
            return encode(value, where=f"the result of {call.spec.name}", pickle=call.spec.pickled), None
        except NotEncodable as error:
            return None, error
        except BaseException as error:  # an object of the program's that does not let itself be looked at
            return None, set_cause(
                NotEncodable(f"the result of {call.describe()} can't be encoded: {describe_error(error)}"), error
            )

    def note_retry(self, call: Call, error: BaseException) -> float | None:
        """Record that the attempt failed, if the task's retry wants another; seconds until that, None where it wants none."""
        run, retry, cancelled = self._run, call.spec.retry, issubclass(type(error), asyncio.CancelledError)
        if cancelled and not run.closing and call.x is not None and call.x.halt is not None and call.x.halt.recalled:
            # an earlier life stopped it and it has undone what it did, but nobody has stopped it in this life: it begins afresh
            _begin_epoch(call)
            call.attempt -= 1  # it has not failed
            self._note_failed(call, call.cancellation(), REPLAY_S, afresh=True)
            return REPLAY_S
        if retry is None or cancelled or (call.x is not None and isinstance(call.x.stop, asyncio.CancelledError)):
            return None
        if not self._tries_again(call, error):
            return None
        x = call.extra()
        if afresh := (is_own_failure(error, x.child_errors) or has_undone(call)) and not has_handed_out(call):
            _begin_epoch(call)
        delay = retry.delay_after(call.attempt, call.key, error)
        self._note_failed(call, error, delay, afresh=afresh)
        return delay

    def _tries_again(self, call: Call, error: BaseException) -> bool:
        """Whether the task's retry wants another attempt after this error."""
        retry = call.spec.retry
        return not (retry is None or self._run.closing or not 0 < call.attempt < retry.attempts) and retry.wants(error)

    def is_cut_short(self, call: Call, error: BaseException) -> bool:
        """Whether the attempt failed before its code heard that the call was cancelled, and would be followed by another, as it was
        in the life before. So the cancellation ends the call, and not this error."""
        x = call.x
        if x is None or x.halt is None or not x.halt.replays or not isinstance(x.stop, asyncio.CancelledError):
            return False
        return error is not x.stop and self._tries_again(call, error)

    def _note_failed(self, call: Call, error: BaseException, delay_s: float, *, afresh: bool) -> None:
        """Record that an attempt failed and in which epoch the call asks its children next, and tell."""
        run = self._run
        cost, ended = self._accounting.home_cost(call), run.wall()
        attempt = make_attempt(call, error, ended=ended, retry_at=ended + delay_s, cost=cost)
        call.floor = run.append(Row(Kind.ATTEMPT | COSTED, call.key, call.parent_key, encode_body(attempt)))
        self._signals.fail_attempt(call, afresh=afresh)
        if run.emit:
            event = events.CallRetrying(
                at=run.wall(),
                key=call.key.hex(),
                task=call.task,
                attempt=call.attempt,
                error=describe_error(error),
                delay_s=delay_s,
            )
            run.emit(event)

    def _ask_afresh(self, call: Call, error: BaseException) -> None:
        """A call that may be asked again has failed by itself: when it is, so are its children. Its outcome carries the epoch, for
        a row of its own could survive without it. One that was stopped, or met a bound, says nothing against what they gave."""
        if call.memo is not None:
            call.epoch += 1
        if error is not call.extra().stop and not issubclass(type(error), BOUNDS):
            self._shared.ask_afresh(call)

    def end(self, call: Call, value: Any, error: BaseException | None, encoded: Encoded | None) -> int:
        """Record the outcome; the state in which the call ends."""
        run, record = self._run, None
        if error is None:
            call.value, state = value, OK
        elif issubclass(type(error), asyncio.CancelledError) or run.closing:
            call.error = error
            state = CANCELLED if issubclass(type(error), asyncio.CancelledError) else FAILED
        else:
            record, call.error = keep_error(error)
            state = FAILED
        if not run.closing:
            epoch = call.epoch
            if call.memo is not None:
                self._accounting.remember(call)
            if state != OK and has_undone(call):  # nothing that it was told holds for the next who asks
                call.epoch += 1
                self._shared.ask_afresh(call)
            elif state == FAILED and call.ordinals and error is not None and (call.memo is not None or call.share is not None):
                if is_own_failure(error, call.extra().child_errors):
                    self._ask_afresh(call, error)
            if state != OK and call.epoch and call.memo is not None:
                call.memo[epoch_name(call.key)] = call.epoch  # as a resume would find it in the journal
            if not _stands(call, state):
                self._signals.end_call(call, ok=state == OK, afresh=call.epoch > epoch)
                self._record(call, state, record, encoded)
        if run.emit:
            self._emit_ended(call, state, run.wall())
        return state

    def _record(self, call: Call, state: int, error: Error | None, encoded: Encoded | None) -> None:
        run, spec, x, share = self._run, call.spec, call.x, call.share
        account = call.scope.account
        blobs: tuple[Blob, ...] = ()
        head = b""
        if encoded is not None and state == OK:
            head, buffers = encoded
            if buffers:
                blobs = tuple(Blob(digest(buffer), buffer) for buffer in buffers)
            if len(head) > INLINE_BYTES:
                blobs = (Blob(digest(head), head), *blobs)
                head = b""
            call.head = head
            if blobs:
                call.blobs = tuple(blob.digest for blob in blobs)
        asked, asked_blob, written = call.asked, b"", blobs
        if len(asked) > INLINE_BYTES:
            asked, asked_blob = b"", digest(asked)
            written = (*blobs, Blob(asked_blob, call.asked))
        ended = run.wall()
        if state == OK and share is None and account is None and call.place is None and not asked_blob:
            if call.memo is None and not blobs and (x is None or not (x.costs or x.guards)):
                self._record_plain(call, head, ended)
                return
        cost = self._accounting.home_cost(call) if x is not None else {}
        outcome = Outcome(
            task=spec.name,
            label=spec.label(call.args, call.kwargs),
            status=state - OK,  # as in Status
            started=call.started,
            ended=ended,
            attempts=call.attempt,
            value=head,
            version=spec.version,
            pool=spec.pool,
            made=call.made,
            asked=asked,
            params=spec.signature.params,
        )
        if x is not None or share is not None or account is not None or call.inputs or call.blobs or asked_blob or state != OK:
            shared_epoch = self._shared.epoch(share.key) if share is not None and state != OK else 0
            outcome = add_rare_fields(outcome, call, state, cost, error, asked_blob, shared_epoch)
        body = encode_outcome(outcome, call.place)
        kind = _COSTED_OUTCOME if cost or share is not None else _OUTCOME
        cache_key = share.key if share is not None and spec.forever and state == OK else None
        run.append(Row(kind, call.key, call.parent_key, body), written, cache_key)
        if state != CANCELLED:
            self._pass_guards(call)
        if outcome.reason == TOLD and call.memo is not None:
            call.memo[call.key] = Recorded(outcome)
        if state == OK:
            if call.memo is not None or share is not None:
                recorded = Recorded(outcome, tuple(memoryview(blob.data) for blob in blobs))
                if call.memo is not None:
                    call.memo[call.key] = recorded
                if share is not None:
                    share.found[share.key] = recorded
            if spec.pool != "inline" or call.scope.limits:
                self._ready.learn(spec.name, ended - call.started)

    def _record_plain(self, call: Call, head: bytes, ended: float) -> None:
        """Record the outcome of a call that has nothing but a small result, as most have: what `_record` would, from a plain tuple
        of the fields. A run without a store forgets its records, so for one none is made."""
        run, spec = self._run, call.spec
        given = call.inputs
        if not run.journal.forgets:
            label = spec.label(call.args, call.kwargs)
            inputs, edges = (inputs_digest(call), tuple([each.key for each in given])) if given else (b"", ())
            facts = spec.name, label, call.started, ended, call.attempt, head, spec.version, inputs, edges
            body = encode_body(plain_outcome(*facts, spec.pool, call.made, call.asked, spec.signature.params))
            run.append(_new_row((_OUTCOME, call.key, call.parent_key, body)))
        if spec.on_change != "reuse":
            self._pass_guards(call)
        if spec.pool != "inline" or call.scope.limits:
            self._ready.learn(spec.name, ended - call.started)

    def _pass_guards(self, call: Call) -> None:
        """Let the parent's result know which tasks below it make it stale when they change."""
        parent, x = call.parent, call.x
        mine = x.guards if x is not None else None
        if parent is None or (not mine and call.spec.on_change == "reuse"):
            return
        extra = parent.extra()
        if extra.guards is None:
            extra.guards = {}
        if mine:
            extra.guards.update(mine)
        if call.spec.on_change != "reuse":
            extra.guards[call.spec.name] = call.spec.version

    def _emit_ended(self, call: Call, state: int, ended: float) -> None:
        event = events.CallEnded(
            at=ended,
            key=call.key.hex(),
            parent=call.parent_key.hex(),
            task=call.task,
            status=_NAMES[state],
            started=call.started,
            attempts=call.attempt,
            cost=self._accounting.cost(call),
            error="" if call.error is None else describe_error(call.error),
        )
        if self._run.emit:
            self._run.emit(event)

    # --- from the record ---------------------------------------------------------------------------------------------

    def reuse(self, call: Call, recorded: Recorded) -> int:
        """Give the call its recorded outcome. Returns the state in which it ended."""
        run, outcome, spec = self._run, recorded.outcome, call.spec
        call.started = outcome.started
        call.attempt = outcome.attempts
        state = _STATE[outcome.status]
        if state == OK:
            call.head, call.blobs = outcome.value, outcome.blobs
            call.value = MISSING
            if recorded.buffers:
                call.extra().buffers = recorded.buffers
            if (spec.pool != "inline" or call.scope.limits) and outcome.started:
                self._ready.learn(spec.name, outcome.ended - outcome.started)
        elif outcome.error is not None:
            call.error = decode_error(outcome.error)
        if outcome.cost:
            x = call.extra()
            x.costs = {**x.costs, outcome.scope: outcome.cost}
        if outcome.guards:
            call.extra().guards = dict(outcome.guards)
        if state != CANCELLED and (outcome.guards or spec.on_change != "reuse"):
            self._pass_guards(call)
        if self._signals.given.touched:
            self._signals.place(call)
        self._replay.reused += 1
        self._replay.note_answer()
        if run.emit:
            event = events.CallReused(
                at=run.wall(),
                key=call.key.hex(),
                parent=call.parent_key.hex(),
                task=call.task,
                label=outcome.label,
            )
            run.emit(event)
        return state

    def answer(self, call: Call, recorded: Recorded) -> int:
        """Record the result of an equal call as this one's, under its own key: it has not run and has paid nothing for it."""
        run, account = self._run, call.scope.account
        assert call.share is not None
        outcome = msgspec.structs.replace(
            recorded.outcome,
            label=call.spec.label(call.args, call.kwargs),
            started=call.started,
            ended=run.wall(),
            attempts=call.attempt,
            scope=account.key if account is not None else b"",
            cost=self._accounting.home_cost(call),
            inputs=inputs_digest(call),
            edges=tuple([handle.key for handle in call.inputs]),
            made=call.made,
            shared=call.share.key,
        )
        body = encode_outcome(outcome, call.place)
        run.append(Row(_COSTED_OUTCOME, call.key, call.parent_key, body))
        own = Recorded(outcome, recorded.buffers)
        if call.memo is not None:
            call.memo[call.key] = own
        return self.reuse(call, own)

    def value(self, call: Call) -> Any:
        """The result of a call that succeeded; decoded at first use where it came from the journal. Code that asks for a large one
        without having awaited it reads it where it is."""
        if call.value is MISSING:
            call.value = self._decode(call)
        return call.value

    def _decode(self, call: Call) -> Any:
        if not call.blobs:
            return decode(call.head, pickle=call.spec.pickled)
        x = call.extra()
        if x.buffers is None:
            x.buffers = self._run.reader.read_blobs(call)
        if isinstance(x.buffers, StoreError):
            raise x.buffers
        head, buffers = (call.head, x.buffers) if call.head else (bytes(x.buffers[0]), x.buffers[1:])
        value = decode(head, buffers, pickle=call.spec.pickled)
        x.buffers = None
        return value


def _stands(call: Call, state: int) -> bool:
    """Whether an earlier outcome of the call stays recorded: it was stopped while it waited for the inputs that decide whether the
    outcome still holds. Whoever asks next may still get it."""
    return state == CANCELLED and call.x is not None and call.x.recorded is not None


def has_undone(call: Call) -> bool:
    """Whether the code of a call that was stopped has begun to undo what it did."""
    return call.x is not None and call.x.halt is not None and call.x.halt.recorded


def _begin_epoch(call: Call) -> None:
    """The next attempt of the call asks its children afresh."""
    call.epoch += 1
    call.prefix = b""
    if call.share is not None:
        call.share.begin(call.share.epoch + 1)
