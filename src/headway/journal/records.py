"""What the journal remembers: a few kinds of record, in the order in which results were used.

A run's journal is a list of rows `(seq, kind, key, parent, body)`. `seq` counts from 1 without gaps, in the order in which
the engine appended; a row never changes. `key` names the call (or the decision) the row is about, `parent` the call that
made it. The body is one of the structs below, or a `Decision` (`decisions`), in msgpack.

    START      a call began an attempt. Written only where its absence would lose something: the call is an effect, or it
               holds a reservation in a budget.
    ATTEMPT    an attempt failed and the call will be tried again at `retry_at`.
    CHARGE     a call spent something before it ended. A `settled` one is all that it spent: its run stopped, and it with it.
    OUTCOME    a call ended: its value, its error, or that it was cancelled.
    DECISION   what a program was told once and must be told again: the winner of a race, an order of completion, a
               time, an event, the absolute time of a deadline, the amounts of a budget, what was taken of them,
               an item of a stream.

The ledger keeps no second account: every row about a call carries the call's whole cost so far (`cost`, cumulative over attempts)
and the budget account it belongs to (`scope`). What an account spent is the sum, over its calls, of the cost in the last row of
each. Reading rows twice, or running a call twice, therefore never counts twice. A call whose last row is a START died with its
reservation: it is counted at `cost + reserved` and shown as assumed.

An OUTCOME with status CANCELLED is not an answer: whoever asks for that call again runs it.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec

KEY_BYTES = 16
NO_PARENT = b"\0" * KEY_BYTES

Amounts = dict[str, float]
"""A vector of compute: unit name to amount, such as `{"tokens": 500.0, "calls": 1.0}`."""

_NO_AMOUNTS: Amounts = {}


class Kind(enum.IntEnum):
    START = 1
    ATTEMPT = 2
    OUTCOME = 3
    DECISION = 4
    CHARGE = 5


BY_HAND = b"by hand"
"""Stands for the inputs of a call whose result a person gave: it holds whatever they are."""

INLINE_BYTES = 16 * 1024
"""What is larger than this is kept as a blob, beside its record."""

COSTED = 16
"""Flag or-ed onto a row's kind when its body has a `scope`, a `cost` or a `shared` name, so that who takes a run up finds these
rows without decoding the others."""


class Status(enum.IntEnum):
    OK = 0
    ERROR = 1
    CANCELLED = 2


class Row(NamedTuple):
    """One record as the store sees it; `seq` is given by the position in the run's journal."""

    kind: int
    key: bytes
    parent: bytes
    body: bytes


class Error(msgspec.Struct, frozen=True, array_like=True):
    """An exception, as text and, where its arguments can be encoded, as data."""

    type: str  # "module:qualname"
    message: str
    args: bytes | None = None  # the codec's head of the tuple of arguments
    trace: str = ""
    fault: bool = False  # a UsageError or another error that a retry cannot mend
    bases: list[str] = []  # the classes that it is a kind of, nearest first, up to Python's own
    lost: list[str] = []  # its attributes that have no encoding
    pinned: bool = False  # made again, it could not say its text by itself
    remote: bool = (
        False  # came from another process without its class loaded here: a RemoteError, even if the class is loaded later
    )


class Start(msgspec.Struct, frozen=True, array_like=True):
    task: str
    label: str
    attempt: int
    epoch: int
    at: float
    scope: bytes = b""
    cost: Amounts = {}
    reserved: Amounts = {}
    effect: bool = False
    asked: bytes = b""  # as in Outcome; empty where it is large
    shared: bytes = b""  # as in Outcome
    params: tuple[str, ...] = ()


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    task: str
    label: str
    attempt: int  # the attempt that failed, counted from 1
    epoch: int  # the epoch of the children of the next attempt
    started: float
    ended: float
    error: Error
    retry_at: float
    scope: bytes = b""
    cost: Amounts = {}
    shared: bytes = b""
    shared_epoch: int = 0  # the epoch of the children of the next attempt under the shared name
    asked: bytes = b""  # as in Outcome; empty where it is large
    params: tuple[str, ...] = ()
    goes_on: bool = False  # in a fork: the call had succeeded before one above it failed, and is found out again from here


class Charge(msgspec.Struct, frozen=True, array_like=True):
    task: str
    scope: bytes
    cost: Amounts
    settled: bool = False  # the unspent part of its reservation is given back


TOLD = "told as an answer"
"""The reason of a failure that somebody was told as an answer: it is not asked for again with those of a run that failed."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    task: str
    label: str  # a short text of the arguments, for people
    status: int
    started: float  # wall clock, seconds since 1970; 0 where the call never started
    ended: float
    attempts: int = 1
    value: bytes = b""  # the codec's head; large buffers are in `blobs`
    blobs: tuple[bytes, ...] = ()  # digests of the value's large buffers, in the head's order
    error: Error | None = None
    scope: bytes = b""
    cost: Amounts = {}
    version: bytes = b""  # the source fingerprint of the task
    inputs: bytes = b""  # digest of the results that came in by handle; empty where none did; BY_HAND
    edges: tuple[bytes, ...] = ()  # keys of the calls whose handles were arguments
    guards: tuple[tuple[str, bytes], ...] = ()  # (task, version) below this call whose change makes this result stale
    pool: str = ""
    reason: str = ""  # why it was cancelled, who gave its result by hand, or TOLD
    made: float = 0.0  # when the program made the call; until `started` it waited for inputs or for room
    epoch: int = 0  # of a failed call: that of its children when it is asked again
    asked: bytes = b""  # what its key was made of: its arguments in canonical form, or its explicit key
    asked_blob: bytes = b""  # the digest of the blob that holds `asked` where it is large
    shared: bytes = b""  # the name that equal calls share: of a cache="forever" task, or of a call below one
    shared_epoch: int = 0  # of a failed call: in which whoever asks next under the shared name asks for its children
    params: tuple[str, ...] = ()  # the names of the arguments in `asked`, as far as they have one by place

    @property
    def named_blobs(self) -> tuple[bytes, ...]:
        """Every blob that this record needs."""
        return (*self.blobs, self.asked_blob) if self.asked_blob else self.blobs


def plain_outcome(
    task: str,
    label: str,
    started: float,
    ended: float,
    attempts: int,
    value: bytes,
    version: bytes,
    inputs: bytes,
    edges: tuple[bytes, ...],
    pool: str,
    made: float,
    asked: bytes,
    params: tuple[str, ...],
) -> tuple[Any, ...]:
    """The fields of the `Outcome` of a call that gave a small result and has nothing else to say. Encoded it is the same, and it is
    made in a fraction of the time."""
    return (
        task, label, 0, started, ended, attempts, value, (), None, b"", _NO_AMOUNTS, version, inputs, edges, (), pool,
        "", made, 0, asked, b"", b"", 0, params,
    )  # fmt: skip


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Which of several equal calls of one parent a call was, and who made it."""

    base: bytes  # the key of the first of them
    ordinal: int  # its number among them, from which its own key is made
    branch: bytes  # the branch that made it; empty for the parent's own code
    turn: int  # its number among the equal calls of that branch
    step: int  # its number among all calls and joins of that branch
    joined: tuple[int, ...] = ()  # the number that each join had, after the outermost, among those of the branch that began it


class PlacedOutcome(Outcome, frozen=True, array_like=True):
    """The outcome of a call that was made in a branch, or after equal calls of branches. Most are not, and do without."""

    place: Place | None = None


class Signal(msgspec.Struct, frozen=True, array_like=True):
    """A value sent to a run from outside; `number` counts per store."""

    number: int
    name: str
    value: bytes  # the codec's head
    at: float


class RunStatus(enum.StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


ENDED = (RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED)
"""Of runs that nothing goes on with unless somebody asks."""


class After(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the job of a run that is given back before it has ended (`shared.queues`)."""

    at: float = 0.0  # not before; of a parked one: woken then at the latest
    parked: bool = False  # woken also by a signal, a cancel, or the end of one of `runs`
    seen: int = 0  # of a parked one: the number of the newest signal that its driver has seen
    runs: tuple[str, ...] = ()  # ids; one that the store does not know has ended


class Ending(NamedTuple):
    """How a driver gives its run back: in this status; `error_floor` says up to which record failures are to be asked again, and is
    left as it is where None. A run of a queue that has not ended goes on `after` that, at once where None."""

    status: RunStatus
    error_floor: int | None = None
    after: After | None = None


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is: fixed when it is created."""

    run_id: str
    task: str  # the task's name in keys, "stem.qualname"
    module: str = ""  # where the task can be found again: module, qualified name, file
    qualname: str = ""
    path: str = ""
    args: bytes | None = None  # the codec's head of (args, kwargs); None where they cannot be stored
    blobs: tuple[bytes, ...] = ()
    root: bytes = b""  # key of the root call
    salt: bytes = b""  # the root's parent key; copied by a fork, so that keys stay equal
    created: float = 0.0
    forked_from: str = ""
    forked_at: bytes = b""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the store knows it now."""

    uid: int  # the store's number for the run; rows refer to it
    spec: RunSpec
    status: RunStatus
    fence: int  # the newest fencing token
    owner: str  # "pid 123 on host", empty when nobody drives it
    owned_since: float
    lease_until: float
    cancel_requested: bool
    error_floor: int  # error outcomes up to this seq are asked again
    ended: float  # 0 while it is not ended
    nrows: int  # the newest seq


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write to a run, until `until` or until somebody takes a higher `fence`."""

    uid: int
    run_id: str
    owner: str
    fence: int
    ttl_s: float
