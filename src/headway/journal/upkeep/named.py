"""Which blobs a row names: what must be kept, and be whole, as long as the row is there."""

from __future__ import annotations

import msgspec

from headway.errors import StoreDamaged
from headway.journal.decisions import Item, decode_decision, is_told
from headway.journal.records import COSTED, Kind, Outcome, Row

_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


def blobs_of(row: Row) -> tuple[bytes, ...]:
    """The blobs that a row names: an outcome's, or those of an item of a stream. Raises StoreDamaged for a body of these that
    cannot be understood."""
    kind = row.kind & ~COSTED
    try:
        if kind == Kind.OUTCOME:
            return _decode_outcome(row.body).named_blobs
        if kind == Kind.DECISION and is_told(row.body, Item) and isinstance(item := decode_decision(row.body).told, Item):
            return item.blobs
    except (msgspec.MsgspecError, ValueError) as error:
        call, what = (row.key, "outcome") if kind == Kind.OUTCOME else (row.parent, "stream")
        raise StoreDamaged(f"the {what} of call {call.hex()} cannot be read ({error}): run `headway doctor`") from error
    return ()
