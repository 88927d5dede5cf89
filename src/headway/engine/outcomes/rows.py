"""What the rows of a call say: that an attempt began, that one failed, how the call ended.

Each function puts a record together from the call and what it is given besides, and asks nobody. `outcomes` decides when there is
something to record, and what is queued with it.
"""

from __future__ import annotations

import msgspec

from headway.engine.call import Call
from headway.engine.replay.lookup import inputs_digest
from headway.engine.transitions import CANCELLED, OK
from headway.journal.codec.codec import decode_error, encode_error
from headway.journal.records import INLINE_BYTES, TOLD, Amounts, Attempt, Error, Outcome, Place, PlacedOutcome, Start
from headway.journal.recovery.recovered import encode_body


def make_start(call: Call, *, at: float, cost: Amounts, shared: bytes) -> Start:
    """That an attempt begins. `shared`: the name of its effect, where other runs may ask for the same one."""
    account = call.scope.account
    return Start(
        task=call.spec.name,
        label=call.spec.label(call.args, call.kwargs),
        attempt=call.attempt,
        epoch=call.epoch,
        at=at,
        scope=account.key if account else b"",
        cost=cost,
        reserved=dict(call.x.reserved) if call.x is not None else {},
        effect=call.spec.effect,
        asked=call.asked if len(call.asked) <= INLINE_BYTES else b"",
        shared=shared,
        params=call.spec.signature.params,
    )


def make_attempt(call: Call, error: BaseException, *, ended: float, retry_at: float, cost: Amounts) -> Attempt:
    """That an attempt failed, and in which epoch the call asks its children next."""
    account, share = call.scope.account, call.share
    return Attempt(
        task=call.spec.name,
        label=call.spec.label(call.args, call.kwargs),
        attempt=call.attempt,
        epoch=call.epoch,
        started=call.started,
        ended=ended,
        error=encode_error(error),
        retry_at=retry_at,
        scope=account.key if account else b"",
        cost=cost,
        shared=share.key if share is not None else b"",
        shared_epoch=share.epoch if share is not None else 0,
        asked=call.asked if len(call.asked) <= INLINE_BYTES else b"",
        params=call.spec.signature.params,
    )


def add_rare_fields(
    outcome: Outcome, call: Call, state: int, cost: Amounts, error: Error | None, asked_blob: bytes, shared_epoch: int
) -> Outcome:
    """The outcome with the fields that most outcomes leave empty."""
    x, share, account = call.x, call.share, call.scope.account
    return msgspec.structs.replace(
        outcome,
        blobs=call.blobs,
        error=error,
        scope=account.key if account is not None else b"",
        cost=cost,
        inputs=inputs_digest(call) if call.inputs else b"",
        edges=tuple([each.key for each in call.inputs]),
        guards=tuple(x.guards.items()) if x is not None and x.guards else (),
        reason=_reason(call, state, error),
        epoch=call.epoch if state != OK else 0,
        asked_blob=asked_blob,
        shared=share.key if share is not None else b"",
        shared_epoch=shared_epoch,
    )


def _reason(call: Call, state: int, error: Error | None) -> str:
    """Why a call was cancelled, or that its failure is an answer."""
    if state == CANCELLED:
        return call.x.stop_reason if call.x is not None else ""
    tells = call.spec.tells
    return TOLD if error is not None and tells is not None and tells(decode_error(error)) else ""


def encode_outcome(outcome: Outcome, place: Place | None) -> bytes:
    """An outcome's row, with the call's place among its equals where that matters."""
    return encode_body(outcome if place is None else PlacedOutcome(*msgspec.structs.astuple(outcome), place))  # type: ignore[call-arg]
