"""What happens to calls. `key` and `parent` are hexadecimal call keys."""

from __future__ import annotations

from headway.events.base import Event
from headway.journal.records import Amounts


class CallSpawned(Event, frozen=True):
    """A call was made.

    Attributes:
        key: its key, hexadecimal.
        parent: the key of the call that made it; empty for the root.
        task: its task.
        label: what tells it from others of its task.
    """

    key: str
    parent: str
    task: str
    label: str


class CallReused(Event, frozen=True):
    """A call was made, and answered from the journal.

    Attributes:
        key: its key, hexadecimal.
        parent: the key of the call that made it; empty for the root.
        task: its task.
        label: what tells it from others of its task.
    """

    key: str
    parent: str
    task: str
    label: str


class CallStarted(Event, frozen=True):
    """An attempt of a call has begun.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        attempt: the number of the attempt, from 1.
        pool: where it runs.
    """

    key: str
    task: str
    attempt: int
    pool: str


class CallRetrying(Event, frozen=True):
    """An attempt failed and another will follow.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        attempt: the number of the attempt that failed, from 1.
        error: what it ended with, as text.
        delay_s: how long the call rests before the next one, in seconds.
    """

    key: str
    task: str
    attempt: int
    error: str
    delay_s: float


class CallCharged(Event, frozen=True):
    """A call has booked what it spent.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        amounts: how much, by unit.
    """

    key: str
    task: str
    amounts: Amounts


class CallProgress(Event, frozen=True):
    """How far a call is, as it says itself (`hw.progress`).

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        done: how much is done.
        total: of how much; None where it can't know.
        numbers: further numbers to show, by name.
    """

    key: str
    task: str
    done: float
    total: float | None
    numbers: dict[str, float]


class CallWaits(Event, frozen=True):
    """A call waits for a signal from outside (`hw.wait_event`) or for a budget (`hw.budget(…, wait=True)`), or no longer does.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        name: the name of the signal, or the unit of which too little is left.
        until: when it stops waiting, in seconds since 1970; None where it waits without end.
        over: whether the wait has ended.
        budget: whether it waits for a budget.
    """

    key: str
    task: str
    name: str
    until: float | None
    over: bool = False
    budget: bool = False


class CancelRequested(Event, frozen=True):
    """A call was asked to stop.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        reason: why.
    """

    key: str
    task: str
    reason: str


class CallEnded(Event, frozen=True):
    """A call has ended.

    Attributes:
        key: its key, hexadecimal.
        parent: the key of the call that made it; empty for the root.
        task: its task.
        status: "ok", "error" or "cancelled".
        started: when its first attempt began, in seconds since 1970.
        attempts: how many there were.
        cost: what it cost, by unit, without its children.
        error: what it ended with, as text; empty where it succeeded.
    """

    key: str
    parent: str
    task: str
    status: str
    started: float
    attempts: int
    cost: Amounts
    error: str = ""
