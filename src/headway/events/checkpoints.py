"""What happens to checkpoints: saves, loads, and what goes wrong with them."""

from __future__ import annotations

from headway.events.base import Event


class CheckpointEvent(Event, frozen=True, kw_only=True):
    """Something about the checkpoint of a step.

    Attributes:
        root: where its checkpoints are kept.
        step: the step.
        key: the call's key, hexadecimal; empty outside of a run.
        rank: the rank of the process in its gang.
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
