"""Collective steps: all ranks take a step or none does. If one fails, all fail at the same step, with its reason.

A rank that raised on its own would leave the others waiting in the next exchange. So every step ends with an exchange in which each
rank sends its result or the reason why it has none.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headway import errors
from headway.checkpoint.process.ranks import Ranks
from headway.errors import CheckpointError, HeadwayError

_KINDS: dict[str, type[HeadwayError]] = {
    each.__name__: each
    for each in (
        errors.CheckpointDamaged,
        errors.CheckpointMismatch,
        errors.CheckpointConflict,
        errors.NoCheckpoint,
        errors.SaveFailed,
        errors.StoreFull,
        errors.LayoutError,
        errors.UsageError,
    )
}


class _Said(msgspec.Struct, frozen=True):
    data: bytes = b""
    failure: str = ""
    kind: str = ""


_decode_said = msgspec.msgpack.Decoder(_Said).decode


def all_or_none(ranks: Ranks, act: Callable[[], bytes]) -> list[bytes]:
    """Do `act` and exchange what it returns. Where it raises on a rank, it raises there what it is, and on the others an exception
    of the same class (CheckpointError for classes of other libraries) that names the rank and the reason."""
    mine: Exception | None = None
    try:
        said = _Said(act())
    except Exception as error:
        mine = error
        failure = ". ".join([str(error) or repr(error), *getattr(error, "__notes__", ())])
        said = _Said(failure=failure, kind=type(error).__name__)
    all_said = [_decode_said(each) for each in ranks.exchange(msgspec.msgpack.encode(said))]
    if mine is not None:
        raise mine
    for rank, each in enumerate(all_said):
        if each.kind:
            kind = _KINDS.get(each.kind)
            named = each.failure if kind is not None else f"{each.kind}: {each.failure}"
            raise (kind or CheckpointError)(f"rank {rank}: {named}")
    return [each.data for each in all_said]
