"""What a copy did, run by run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

Outcome = Literal["copied", "there already", "refused"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CopiedRun:
    """What became of one run.

    Attributes:
        run_id: the run.
        outcome: "copied", "there already" (whole, and verified again), or "refused".
        why: why it was refused, or what of it could not be copied.
        rows: how many records it has.
        blobs: how many large values it names.
        blob_bytes: their bytes.
        signals: how many were sent to it.
        cached: how many results of it, that runs share, the target did not have.
        files: how many files of checkpoints were copied.
        job: how it waits in its queue there: "waiting", "delayed", "parked" or "stuck"; empty where it belongs to no queue.
    """

    run_id: str
    outcome: Outcome
    why: str = ""
    rows: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    signals: int = 0
    cached: int = 0
    files: int = 0
    job: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CopiedCollection:
    """What became of one collection.

    Attributes:
        name: the collection.
        outcome: as of a run.
        why: why it was refused.
        items: how many the source has.
    """

    name: str
    outcome: Outcome
    why: str = ""
    items: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CopiedSchedule:
    """What became of one schedule.

    Attributes:
        name: the schedule.
        outcome: as of a run.
        why: why it was refused.
    """

    name: str
    outcome: Outcome
    why: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did.

    Attributes:
        source: the store that was read.
        target: the store that was written.
        runs: each run that was to be copied.
        collections: each collection that was to be copied.
        cached: how many shared results that belong to no copied run the target did not have.
        schedules: each schedule that was to be copied.
    """

    source: str
    target: str
    runs: tuple[CopiedRun, ...]
    collections: tuple[CopiedCollection, ...]
    cached: int = 0
    schedules: tuple[CopiedSchedule, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything that was to be copied is in the target."""
        everything: list[CopiedRun | CopiedCollection | CopiedSchedule] = [*self.runs, *self.collections, *self.schedules]
        return all(one.outcome != "refused" and not one.why for one in everything)


@dataclasses.dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is.

    Attributes:
        run_id: the run that is being copied.
        done: how many runs are done.
        rows: how many records of this run were looked at, blobs first, then rows, then once more to verify.
    """

    run_id: str
    done: int
    rows: int


OnProgress = Callable[[CopyProgress], object]
