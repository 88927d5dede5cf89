"""Where code runs, as the engine sees it: a pool takes jobs, one per free slot, and answers each exactly once.

The engine keeps the queue and the order; a pool keeps only slots. Every method and callback runs on the event loop's
thread. A pool is honest about cancelling: it says at once what it can do (`cancel` returns True where the code really
stops, False where it can only be abandoned), answers the job as cancelled, gives the slot back no earlier than the code
has ended, and then says so of one that was abandoned (`on_left`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headway.journal.codec.codec import Encoded
from headway.journal.records import Amounts


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """How another process finds a function: by module and qualified name, or by a program's file."""

    module: str
    qualname: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """A process's place in its gang, and the file by which the members find each other."""

    rank: int
    size: int
    meeting: str


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What `hw.call()` and `hw.remaining()` answer inside a worker."""

    key: str
    task: str
    attempt: int
    idempotency_key: str
    run_id: str
    deadline: float | None = None  # wall clock
    allowance: Amounts = field(default_factory=dict)  # what was left in the budgets when the call started
    files: str = ""  # the folder of what the call keeps beside its result; empty where the store has no place for it
    seat: Seat | None = None  # in a gang


@dataclass(slots=True, eq=False)
class Job:
    """One attempt of one call (or of a batch), to be run once."""

    fn: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    facts: CallFacts
    on_done: Callable[[Answer], None]
    on_charge: Callable[[Amounts, int | None], None]  # what was spent, and for which item of a batch
    ref: FunctionRef | None = None
    context: contextvars.Context | None = None
    pickled: bool = False  # the task stores its result with pickle
    processes: int = 1  # of a gang
    items: int | None = None  # of a batch
    on_left: Callable[[], None] | None = None  # set for a job that is abandoned: called when its code has ended after all


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended: a value, or an error. `encoded` where the pool had to encode the value anyway."""

    value: Any = None
    error: BaseException | None = None
    encoded: Encoded | None = None
    cancelled: bool = False


class Pool(Protocol):
    name: str
    size: int

    @property
    def free(self) -> int:
        """Slots that can take a job now."""

    def submit(self, job: Job) -> None:
        """Start the job. Call only while `free` > 0. Never calls back from inside."""

    def cancel(self, job: Job) -> bool:
        """Stop the job, or abandon it. Its `on_done` is called later, with `cancelled=True` in either case."""

    def announce_end(self) -> None:
        """Tell the code of jobs in other processes that the run was told to end, and stops them soon (`run_is_ending`)."""

    def lend(self, slots: int) -> None:
        """Let others use the slots of jobs that only wait for other jobs; take them back with a negative number. Nothing where
        jobs can't wait for others."""

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None) -> None:
        """Bind to the running loop. `on_free` is called whenever a slot becomes free; `emit` takes events."""

    async def close(self) -> None:
        """End every worker. No process and no busy slot survives, except threads that can't be stopped."""
