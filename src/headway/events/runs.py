"""What happens to a run: its beginning and end, its budgets and deadlines, its batches and workers, its journal."""

from __future__ import annotations

from headway.events.base import Event
from headway.journal.records import Amounts


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


class Warned(Event, frozen=True):
    """A warning, which does not end the run.

    Attributes:
        message: the warning, for people.
    """

    message: str
