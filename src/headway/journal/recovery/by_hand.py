"""The rows that give a call a result by hand: the call's, and those of the calls around it, which were made without it.

A call that is recorded keeps all that is known of it, but for how it ended. What it had spent stays spent, and what it had reserved
counts as spent. The calls around it are recorded as cancelled: whoever asks for them again runs them, and they find the result.
This file only reads rows and makes rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from headway.errors import UsageError
from headway.journal.records import (
    BY_HAND,
    COSTED,
    Attempt,
    Kind,
    Outcome,
    PlacedOutcome,
    Row,
    Start,
    Status,
)
from headway.journal.recovery.ledger import Ledger
from headway.journal.recovery.recovered import decode_attempt, decode_placed, decode_start, encode_body

_KIND = COSTED - 1


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A result and who gave it."""

    value: bytes  # the codec's head; empty where it is the first of `blobs`
    blobs: tuple[bytes, ...]
    by: str
    at: float
    version: bytes | None = None  # of the task, where the program knows it


def last_rows(rows: Iterable[tuple[int, Row]]) -> dict[bytes, Row]:
    """The last word about each call that says which call it is."""
    return {row.key: row for _, row in rows if row.kind & _KIND in (Kind.OUTCOME, Kind.ATTEMPT, Kind.START)}


def task_of(row: Row) -> str:
    """The task of a call, from its last word."""
    kind = row.kind & _KIND
    decode = decode_placed if kind == Kind.OUTCOME else decode_start if kind == Kind.START else decode_attempt
    return decode(row.body).task


def rows_by_hand(last: Mapping[bytes, Row], ledger: Ledger, key: bytes, given: Given, *, force: bool) -> list[Row]:
    """What has to be appended to a run whose call `key` gets its result by hand.

    Raises UsageError where the call has a result and `force` does not say that it is to be replaced, and where a call around it
    shares its result with other runs.
    """
    row = last[key]
    made = [_with_result(row, ledger, given, force=force)]
    parent = row.parent
    while (above := last.get(parent)) is not None:
        if above.kind & _KIND == Kind.OUTCOME:
            made.append(_ask_again(above, task_of(row), given))
        parent = above.parent
    return made


def _with_result(row: Row, ledger: Ledger, given: Given, *, force: bool) -> Row:
    kind = row.kind & _KIND
    if kind == Kind.OUTCOME:
        known = decode_placed(row.body)
        if known.status == Status.OK and not force:
            name = f"{row.key.hex()[:8]} {known.task}({known.label})"
            raise UsageError(f"call {name} has a result already: give force=True (--force) to replace it")
    else:
        known = _make_outcome(decode_start(row.body) if kind == Kind.START else decode_attempt(row.body))
    ended = msgspec.structs.replace(
        known,
        status=int(Status.OK),
        ended=given.at,
        value=given.value,
        blobs=given.blobs,
        error=None,
        version=known.version if given.version is None else given.version,
        inputs=BY_HAND,
        guards=(),
        reason=f"given by {given.by}",
        cost=ledger.cost_of(row.key, known.scope),
        epoch=0,
        shared=b"",
        shared_epoch=0,
    )
    return _row(row, ended)


def _make_outcome(body: Start | Attempt) -> PlacedOutcome:
    """What a call that began and has not ended is known by."""
    return PlacedOutcome(
        task=body.task,
        label=body.label,
        status=int(Status.OK),
        started=body.at if isinstance(body, Start) else body.started,
        ended=0.0,
        attempts=body.attempt,
        scope=body.scope,
        asked=body.asked,
        params=body.params,
    )


def _ask_again(row: Row, task: str, given: Given) -> Row:
    known = decode_placed(row.body)
    if known.shared:
        raise UsageError(
            f'{known.task}({known.label}), around the call, shares its result with other runs (cache="forever"): fork the run at '
            "the call instead"
        )
    reason = f"{task} below it was given a result by {given.by}"
    ended = msgspec.structs.replace(known, status=int(Status.CANCELLED), value=b"", blobs=(), error=None, guards=(), reason=reason)
    return _row(row, ended)


def _row(row: Row, ended: PlacedOutcome) -> Row:
    body = ended if ended.place is not None else Outcome(*msgspec.structs.astuple(ended)[:-1])
    kind = Kind.OUTCOME | COSTED if ended.cost or ended.scope or ended.shared else Kind.OUTCOME
    return Row(int(kind), row.key, row.parent, encode_body(body))
