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
    """Something that happened, at the wall-clock time `at` (seconds since 1970)."""

    at: float


class RunStarted(Event, frozen=True):
    """A driver has taken a run up.

    Attributes:
        run_id: the run.
        task: its task.
        store: where it is kept.
        recorded: outcomes that the journal already had.
        resumed: whether it was driven before.
    """

    run_id: str
    task: str
    store: str
    recorded: int
    resumed: bool


class RunEnded(Event, frozen=True):
    """A driver has let go of a run.

    Attributes:
        run_id: the run.
        status: "done", "failed", "cancelled" or "interrupted".
        calls: how many calls this driver has seen.
        reused: how many of them were answered from the journal.
    """

    run_id: str
    status: str
    calls: int
    reused: int


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
        numbers: what else it wants to be seen, by name.
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
        name: the name of the signal, or the unit that lacks.
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


class BudgetOpened(Event, frozen=True):
    """A budget was opened.

    Attributes:
        scope: its key, hexadecimal.
        parent: the key of the budget around it; empty where there is none.
        limits: what it bounds, by unit.
    """

    scope: str
    parent: str
    limits: Amounts


class BudgetChanged(Event, frozen=True):
    """Something was reserved in a budget or settled.

    Attributes:
        scope: its key, hexadecimal.
        spent: what is spent, by unit.
        reserved: what calls that run have set aside, by unit.
        closed: whether more was spent than allowed, so that nothing starts inside any more.
    """

    scope: str
    spent: Amounts
    reserved: Amounts
    closed: bool


class DeadlineOpened(Event, frozen=True):
    """A deadline was opened.

    Attributes:
        key: its key, hexadecimal.
        deadline: when it passes, in seconds since 1970.
    """

    key: str
    deadline: float


class BatchStarted(Event, frozen=True):
    """A batch of calls has begun.

    Attributes:
        task: their task.
        size: how many there are.
    """

    task: str
    size: int


class WorkerStarted(Event, frozen=True):
    """A worker process has started.

    Attributes:
        pool: the pool that it works for.
        worker: its number there.
        pid: its process id.
    """

    pool: str
    worker: int
    pid: int


class WorkerEnded(Event, frozen=True):
    """A worker process has ended.

    Attributes:
        pool: the pool that it worked for.
        worker: its number there.
        pid: its process id.
        why: what ended it.
    """

    pool: str
    worker: int
    pid: int
    why: str


class Committed(Event, frozen=True):
    """Rows of the journal are durable.

    Attributes:
        rows: how many.
        seq: the number of the last one, from 1.
        seconds: how long the commit took.
    """

    rows: int
    seq: int
    seconds: float


class CheckpointEvent(Event, frozen=True, kw_only=True):
    """Something about the checkpoint of a step.

    Attributes:
        root: where its checkpoints are kept.
        step: the step.
        key: the call's key, hexadecimal; empty outside of a run.
        rank: the process's in its gang.
    """

    root: str
    step: int
    key: str = ""
    rank: int = 0


class CheckpointPhase(CheckpointEvent, frozen=True, kw_only=True):
    """A part of a save or a load has ended.

    Attributes:
        phase: plan, copy, guard wait, hash, write, commit, read or scatter.
        began: when it began, in seconds since 1970.
        seconds: how long it took.
        nbytes: how much it moved.
    """

    phase: str
    began: float
    seconds: float
    nbytes: int = 0


class CheckpointSaved(CheckpointEvent, frozen=True, kw_only=True):
    """A checkpoint is durable.

    Attributes:
        id: its id.
        nbytes: how much was written.
        blocked_s: the time that the caller lost, in seconds.
        lag_s: the time from the call of `save` until now, in seconds.
    """

    id: str
    nbytes: int
    blocked_s: float
    lag_s: float


class CheckpointSkipped(CheckpointEvent, frozen=True, kw_only=True):
    """A save was skipped, because earlier ones were still being written.

    Attributes:
        why: the reason, for people.
    """

    why: str


class CheckpointFailed(CheckpointEvent, frozen=True, kw_only=True):
    """A save has failed. Earlier checkpoints are as they were.

    Attributes:
        why: the reason, for people.
    """

    why: str


class CheckpointDiffers(CheckpointEvent, frozen=True, kw_only=True):
    """Ranks began to have different values where they should have the same. The checkpoint has the first rank's.

    Attributes:
        names: the names of the values.
        why: how they differ, for people.
    """

    names: tuple[str, ...]
    why: str


class CheckpointLoaded(CheckpointEvent, frozen=True, kw_only=True):
    """A checkpoint was loaded.

    Attributes:
        id: its id.
        nbytes: how much was read.
        seconds: how long it took.
    """

    id: str
    nbytes: int
    seconds: float


class Warned(Event, frozen=True):
    """Something that somebody should know, and that does not end the run.

    Attributes:
        message: what, for people.
    """

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
