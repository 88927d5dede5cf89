"""How a call moves: a table of (state, event) -> state and effect, and nothing else.

    WAITING  (for handles among its arguments)  ->  READY  (for a slot)  ->  STARTING  (for the disk: effects)
    ->  RUNNING  ->  FINISHING  (its body ended, children still run)  ->  CONCLUDING  ->  OK | FAILED | CANCELLED
    CONCLUDING  ->  RESTING  (until the next attempt)  ->  READY

Events come in, an effect goes out; who feeds events and carries effects out is `lifecycle`. A pair that is not in the table is
refused: it would be a fault of the engine. Two rules can be read off the table, and nothing else has to keep them: a call ends from
CONCLUDING alone, or from WAITING where a record answers it; and it comes to CONCLUDING only when its body has ended and no child
runs (`BODY_ENDED`, or `CHILDREN_ENDED` after `BODY_LEFT`), or when it has never begun.

States and events are plain integers: the table is asked five times for every call.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from headway.errors import HeadwayError

WAITING, READY, STARTING, RUNNING, RESTING, FINISHING, CONCLUDING, OK, FAILED, CANCELLED = range(10)
STATES = ("waiting", "ready", "starting", "running", "resting", "finishing", "finishing", "ok", "failed", "cancelled")
"""By state, for people."""


class Event(enum.IntEnum):
    """What happens to a call."""

    QUEUED = 0  # its inputs are there and no record answers it, or its rest is over
    POSTPONED = 1  # an earlier process recorded when its next attempt begins, and that is still to come
    ADMITTED = 2  # there is room for it, and its budget is reserved
    BEGUN = 3  # its code begins
    REFUSED = 4  # it will not be started: an input failed, a bound forbids it
    STOPPED = 5  # it is asked to stop
    BODY_ENDED = 6  # its code has ended or will never run, and no child runs
    BODY_LEFT = 7  # its code has ended well, and children still run
    BODY_BROKE = 8  # its code has ended otherwise, and children still run
    CHILDREN_ENDED = 9  # so has the last of them
    RETRIED = 10  # it failed and is tried again
    SUCCEEDED = 11  # it ends: by itself, or as a record says
    FAILED = 12
    CANCELLED = 13


class Effect(enum.IntEnum):
    """What the engine does about it."""

    NOTHING = 0
    ENQUEUE = 1  # put it into the ready queue
    REST = 2  # wake it when its next attempt begins
    LAUNCH = 3  # begin an attempt
    END_UNRUN = 4  # end it, for its code does not run
    INTERRUPT = 5  # ask its code to stop, as its pool can
    STOP_CHILDREN = 6  # ask its children to stop
    CONCLUDE = 7  # settle it; then try it again or end it
    TRY_AGAIN = 8  # forget the attempt, and rest before the next
    DELIVER = 9  # tell whoever waits for it


class Move(NamedTuple):
    state: int
    effect: int


class IllegalEvent(HeadwayError):
    """An event reached a call that can't happen in its state. Always a fault of the engine."""


def _table() -> tuple[tuple[Move | None, ...], ...]:
    on, do = Event, Effect
    ends = {on.SUCCEEDED: Move(OK, do.DELIVER), on.FAILED: Move(FAILED, do.DELIVER), on.CANCELLED: Move(CANCELLED, do.DELIVER)}
    unrun = {on.BODY_ENDED: Move(CONCLUDING, do.CONCLUDE)}
    left = {on.BODY_BROKE: Move(FINISHING, do.STOP_CHILDREN)}  # code of an earlier attempt, or a `verify`, may have made calls
    refused = {on.REFUSED: Move(CONCLUDING, do.CONCLUDE)}
    moves: dict[int, dict[Event, Move]] = {
        WAITING: {
            on.QUEUED: Move(READY, do.ENQUEUE),
            on.POSTPONED: Move(RESTING, do.REST),
            on.STOPPED: Move(WAITING, do.END_UNRUN),
            **refused,
            **unrun,
            **ends,
        },
        READY: {
            on.ADMITTED: Move(STARTING, do.LAUNCH),
            on.STOPPED: Move(READY, do.END_UNRUN),
            **refused,
            **unrun,
            **left,
        },
        STARTING: {
            on.BEGUN: Move(RUNNING, do.NOTHING),
            on.STOPPED: Move(STARTING, do.END_UNRUN),
            on.BODY_LEFT: Move(FINISHING, do.NOTHING),
            **unrun,
            **left,
        },
        RUNNING: {
            on.STOPPED: Move(RUNNING, do.INTERRUPT),
            on.BODY_LEFT: Move(FINISHING, do.NOTHING),
            **unrun,
            **left,
        },
        RESTING: {
            on.QUEUED: Move(READY, do.ENQUEUE),
            on.STOPPED: Move(RESTING, do.END_UNRUN),
            **unrun,
            **left,
        },
        FINISHING: {
            on.STOPPED: Move(FINISHING, do.STOP_CHILDREN),
            on.CHILDREN_ENDED: Move(CONCLUDING, do.CONCLUDE),
        },
        CONCLUDING: {
            on.STOPPED: Move(CONCLUDING, do.NOTHING),
            on.RETRIED: Move(RESTING, do.TRY_AGAIN),
            **ends,
        },
        OK: {},
        FAILED: {},
        CANCELLED: {},
    }
    plain = {state: {event: Move(move.state, int(move.effect)) for event, move in row.items()} for state, row in moves.items()}
    return tuple(tuple(plain[state].get(event) for event in Event) for state in range(len(STATES)))


TABLE = _table()
"""By state and event; None where the event is refused."""


def move(state: int, event: int) -> Move:
    """What an event does to a call in this state. Raises IllegalEvent."""
    found = TABLE[state][event]
    if found is None:
        raise refusal(state, event)
    return found


def refusal(state: int, event: int) -> IllegalEvent:
    """The error of an event that is not in the table."""
    return IllegalEvent(f"a call that is {STATES[state]} can't be told {Event(event).name}; please report this")


def end_of_body(*, failed: bool, has_children: bool) -> Event:
    """The event that says that a call's code has ended."""
    if not has_children:
        return Event.BODY_ENDED
    return Event.BODY_BROKE if failed else Event.BODY_LEFT
