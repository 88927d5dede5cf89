"""The one stream of what the runtime does. Progress, the JSONL sink and later traces and the page are built on it.

Events are small frozen structs with a wall-clock time `at`. They are made only while somebody listens. `key` and `parent` are
hexadecimal call keys. A sink is any callable that takes an event; it must not block, and an exception it raises ends its
subscription with a warning, never the run.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headway.journal.records import Amounts


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    at: float


class RunStarted(Event, frozen=True):
    run_id: str
    task: str
    store: str
    recorded: int  # outcomes that the journal already had
    resumed: bool


class RunEnded(Event, frozen=True):
    run_id: str
    status: str
    calls: int
    reused: int


class CallSpawned(Event, frozen=True):
    key: str
    parent: str
    task: str
    label: str


class CallReused(Event, frozen=True):
    key: str
    parent: str
    task: str
    label: str


class CallStarted(Event, frozen=True):
    key: str
    task: str
    attempt: int
    pool: str


class CallRetrying(Event, frozen=True):
    key: str
    task: str
    attempt: int  # the attempt that failed
    error: str
    delay_s: float


class CallCharged(Event, frozen=True):
    key: str
    task: str
    amounts: Amounts


class CallProgress(Event, frozen=True):
    """How far a call is, as it says itself: `done` of `total` (None where it can't know), and what else it wants to be seen."""

    key: str
    task: str
    done: float
    total: float | None
    numbers: dict[str, float]


class CallWaits(Event, frozen=True):
    """A call waits for a signal from outside (`hw.wait_event`), or no longer does (`over`).

    With `budget` it waits for others to settle, and `name` is the unit that lacks.
    """

    key: str
    task: str
    name: str
    until: float | None
    over: bool = False
    budget: bool = False


class CancelRequested(Event, frozen=True):
    key: str
    task: str
    reason: str


class CallEnded(Event, frozen=True):
    key: str
    parent: str
    task: str
    status: str  # "ok", "error" or "cancelled"
    started: float
    attempts: int
    cost: Amounts
    error: str = ""


class BudgetOpened(Event, frozen=True):
    scope: str
    parent: str
    limits: Amounts


class BudgetChanged(Event, frozen=True):
    scope: str
    spent: Amounts
    reserved: Amounts
    closed: bool


class DeadlineOpened(Event, frozen=True):
    key: str
    deadline: float  # wall clock


class BatchStarted(Event, frozen=True):
    task: str
    size: int


class WorkerStarted(Event, frozen=True):
    pool: str
    worker: int
    pid: int


class WorkerEnded(Event, frozen=True):
    pool: str
    worker: int
    pid: int
    why: str


class Committed(Event, frozen=True):
    rows: int
    seq: int
    seconds: float


class CheckpointEvent(Event, frozen=True, kw_only=True):
    """Something about the checkpoint of a step. `key` is the call's, empty outside of a run; `rank`: the process's in its gang."""

    root: str
    step: int
    key: str = ""
    rank: int = 0


class CheckpointPhase(CheckpointEvent, frozen=True, kw_only=True):
    """A part of a save or load has ended: plan, copy, guard wait, hash, write, commit, read or scatter."""

    phase: str
    began: float
    seconds: float
    nbytes: int = 0


class CheckpointSaved(CheckpointEvent, frozen=True, kw_only=True):
    """It is durable. `blocked_s` is the time that the caller lost, `lag_s` the time from the call of save until now."""

    id: str
    nbytes: int
    blocked_s: float
    lag_s: float


class CheckpointSkipped(CheckpointEvent, frozen=True, kw_only=True):
    why: str


class CheckpointFailed(CheckpointEvent, frozen=True, kw_only=True):
    why: str


class CheckpointDiffers(CheckpointEvent, frozen=True, kw_only=True):
    """Ranks began to have different values under these names. The checkpoint has the first rank's."""

    names: tuple[str, ...]
    why: str


class CheckpointLoaded(CheckpointEvent, frozen=True, kw_only=True):
    id: str
    nbytes: int
    seconds: float


class Warned(Event, frozen=True):
    message: str


Sink = Callable[[Event], None]

AnyEvent = (
    RunStarted
    | RunEnded
    | CallSpawned
    | CallReused
    | CallStarted
    | CallRetrying
    | CallCharged
    | CallProgress
    | CancelRequested
    | CallEnded
    | BudgetOpened
    | BudgetChanged
    | DeadlineOpened
    | BatchStarted
    | WorkerStarted
    | WorkerEnded
    | Committed
    | CheckpointPhase
    | CheckpointSaved
    | CheckpointSkipped
    | CheckpointFailed
    | CheckpointDiffers
    | CheckpointLoaded
    | Warned
)
