"""The messages between the trainer and its helper process.

The trainer chooses the buffer for each save, and the helper only keeps the memory. So a save into an existing buffer does not wait
for an answer from a process that may not get a core for a while.
"""

from __future__ import annotations

import msgspec

from headway.checkpoint.files.manifest import Head, Json, Object, Phase, PlannedFragment
from headway.errors import CheckpointConflict, CheckpointError, NoCheckpoint, SaveFailed, StoreFull

_ERRORS = {each.__name__: each for each in (CheckpointConflict, SaveFailed, StoreFull, NoCheckpoint)}


class CommitPlan(msgspec.Struct, frozen=True):
    """What the coordinator's helper makes the manifest from. `basis` is what HEAD must be (None: there is none yet); `parent` is
    the id of the checkpoint that the state came from. Either may be a save that is still in flight in this helper: should that one
    fail, what it followed itself takes its place."""

    writers: tuple[str, ...]
    objects: dict[str, Object]
    values: dict[str, Json]
    created: float
    basis: Head | None = None
    parent: str = ""
    metrics: dict[str, float] = {}
    layout: dict[str, Json] = {}
    provenance: dict[str, Json] = {}


class WriterPlan(msgspec.Struct, frozen=True):
    """One writer's part of a save. `root` is a backend's URL or an absolute path. Within `deadline_s` of this writer's segment,
    all others must be there (coordinator) or the manifest must be (the others). The file is the first `file_nbytes` of the buffer
    (all of it, where that is 0). `still` is in the rest: what is expected to be as it was in the checkpoint before, and is written
    only if it is not."""

    root: str
    id: str
    step: int
    writer: str
    nbytes: int
    header_nbytes: int
    fragments: tuple[PlannedFragment, ...]
    commit: CommitPlan | None = None
    deadline_s: float = 600.0
    file_nbytes: int = 0
    still: tuple[PlannedFragment, ...] = ()
    share: bool = False

    @property
    def of_file_nbytes(self) -> int:
        return self.file_nbytes or self.nbytes


# --- to the helper ---------------------------------------------------------------------------------------------------


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Have at least so much memory in this buffer."""

    buffer: int
    nbytes: int


class Begin(msgspec.Struct, frozen=True, tag=True):
    plan: WriterPlan
    buffer: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    """The first `copied` bytes of the file are in the buffer and stay as they are."""

    id: str
    copied: int


class Staged(msgspec.Struct, frozen=True, tag=True):
    """All bytes are in the buffer, and they are the state of one moment. `phases`: what the trainer's side did for it."""

    id: str
    phases: tuple[Phase, ...] = ()


class Abandon(msgspec.Struct, frozen=True, tag=True):
    id: str
    reason: str


Order = Prepare | Begin | Progress | Staged | Abandon

# --- from the helper -------------------------------------------------------------------------------------------------


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """The memory is there. The file descriptor of a fresh buffer comes along; otherwise the one that was sent before has grown."""

    buffer: int
    nbytes: int


class CannotPrepare(msgspec.Struct, frozen=True, tag=True):
    buffer: int
    message: str


class Written(msgspec.Struct, frozen=True, tag=True):
    """The data file and its segment are durable, the buffer is free. `phases` says when it was hashed and written; `hash_s` and
    `write_s` are the seconds of that spent working, `wait_s` those in which the disk waited for bytes to be copied. Of `nbytes` in
    all, `shared_nbytes` were there already, in files of earlier checkpoints. `unchanged`: what was written and was there as
    well."""

    id: str
    nbytes: int
    hash_s: float
    write_s: float
    wait_s: float
    phases: tuple[Phase, ...] = ()
    shared_nbytes: int = 0
    unchanged: tuple[str, ...] = ()


class Durable(msgspec.Struct, frozen=True, tag=True):
    """The checkpoint exists. `cpu_s`: processor time of the helper since this save began. `serial` is 0 where another commits."""

    id: str
    serial: int
    parent: str
    commit: Phase
    cpu_s: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The save is over and this writer's files are gone. `kind` is the name of an error class."""

    id: str
    kind: str
    message: str

    def error(self) -> CheckpointError | StoreFull:
        return _ERRORS.get(self.kind, SaveFailed)(self.message)

    @classmethod
    def of(cls, id: str, error: BaseException, what: str) -> Failed:
        """Make it from an exception. One that is not ours gets `what` was being done in front."""
        kind = type(error).__name__
        if kind in _ERRORS:
            return cls(id, kind, str(error))
        return cls(id, SaveFailed.__name__, f"{what}: {kind}: {error}; the checkpoints before it are as they were")


Happened = Written | Durable | Failed
Report = Prepared | CannotPrepare | Happened
