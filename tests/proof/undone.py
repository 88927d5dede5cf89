"""What stopped calls of a random program did, and must have undone."""

from __future__ import annotations

from collections.abc import Iterator

from headway.journal.codec.codec import decode
from headway.journal.records import COSTED, Kind, Outcome, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.history import History


def left_booked(history: History) -> Iterator[str]:
    """What is booked still though the trip that it is part of was cancelled. Not of a trip that is asked for no more, or whose code
    was not let run for all of its grace: that may be left behind with what it did."""
    left_behind = {what for life in history.lives if life.engine is not None for what in life.engine.stops._warned}
    taken_over = len(history.lives[0].before) if history.lives else 0  # rows of another history, whose stops it doesn't know
    booked: dict[bytes, list[tuple[int, str]]] = {}
    unbooked: set[str] = set()
    last: dict[bytes, tuple[int, Outcome]] = {}
    for number, row in enumerate(history.rows()):
        if row.kind & ~COSTED != Kind.OUTCOME:
            continue
        outcome = decode_outcome(row.body)
        if number < taken_over:
            last.pop(row.key, None)
        else:
            last[row.key] = number, outcome
        if outcome.status == Status.OK and outcome.task == "leaves.books":
            booked.setdefault(row.parent, []).append((number, str(decode(outcome.value, ()))))
        elif outcome.status == Status.OK and outcome.task == "leaves.unbooks":
            unbooked.add(str(decode(outcome.value, ())))
    for trip, bookings in booked.items():
        ended, end = last.get(trip, (0, None))
        if end is None or end.status != Status.CANCELLED or f"{end.task}({end.label})" in left_behind:
            continue
        if left := [each for number, each in bookings if number < ended and each not in unbooked]:
            yield f"{end.label} ended {Status(end.status).name} ({end.reason}) and left {len(left)} of {len(bookings)} booked"
