"""The messages between the code of a call in a worker and its run.

A question (`Ask`) has a number, and one answer of that number. It stands at a place: a block or a coroutine of the code, which the
run knows by a number too. Number 0 wants no answer, and place 0 is the body itself.
"""

from __future__ import annotations

import msgspec

from headway.journal.records import Amounts, Error
from headway.pools.base import FunctionRef


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


# --- what the code asks --------------------------------------------------------------------------------------------------------


class CallTask(_Message, frozen=True, tag=True):
    """Call a task. `arguments` and `changes` are encoded by the codec; their large buffers come beside the message."""

    task: str
    ref: FunctionRef
    arguments: bytes
    changes: bytes = b""  # options for this call
    carried: bytes = b""  # values of context variables


class AwaitCall(_Message, frozen=True, tag=True):
    call: int


class LookAtCall(_Message, frozen=True, tag=True):
    """Its state and cost."""

    call: int


class EndOfCall(_Message, frozen=True, tag=True):
    """The result of a call that has ended, or the error as a value where that is `wanted`."""

    call: int
    error: bool


class CancelCall(_Message, frozen=True, tag=True):
    call: int
    reason: str


class StopCalls(_Message, frozen=True, tag=True):
    """Cancel and drain."""

    calls: list[int]
    reason: str


class Rest(_Message, frozen=True, tag=True):
    seconds: float


class WaitEvent(_Message, frozen=True, tag=True):
    name: str
    timeout_s: float | None


class Now(_Message, frozen=True, tag=True):
    pass


class Seed(_Message, frozen=True, tag=True):
    """Of a random generator."""


class Remaining(_Message, frozen=True, tag=True):
    unit: str  # or empty


class TimeLeft(_Message, frozen=True, tag=True):
    pass


class OpenBudget(_Message, frozen=True, tag=True):
    limits: Amounts
    wait: bool


class OpenDeadline(_Message, frozen=True, tag=True):
    seconds: float | None
    at: float | None
    raises: bool


class OpenLimit(_Message, frozen=True, tag=True):
    concurrency: int | None
    rate: float | None
    per_s: float
    name: str


class CloseScope(_Message, frozen=True, tag=True):
    """The block at the place of the question is left, with this error. `stopped`: the error says that the code was stopped."""

    error: Error | None
    origins: list[int]
    stopped: bool


class LookAtBudget(_Message, frozen=True, tag=True):
    """What was spent in a block, what is left, and whether it is closed."""

    place: int


class JoinParts(_Message, frozen=True, tag=True):
    """Join calls (by number) and coroutines (by minus their number)."""

    join: str
    parts: list[int]
    may_lose: bool = False  # a race without a winner is no error


class OpenSeries(_Message, frozen=True, tag=True):
    """Calls that are handed out as they end."""

    what: str
    calls: list[int]


class AddToSeries(_Message, frozen=True, tag=True):
    series: int
    call: int


class NextOfSeries(_Message, frozen=True, tag=True):
    series: int


class StopSeries(_Message, frozen=True, tag=True):
    series: int
    reason: str


Question = (
    CallTask
    | AwaitCall
    | LookAtCall
    | EndOfCall
    | CancelCall
    | StopCalls
    | Rest
    | WaitEvent
    | Now
    | Seed
    | Remaining
    | TimeLeft
    | OpenBudget
    | OpenDeadline
    | OpenLimit
    | CloseScope
    | LookAtBudget
    | JoinParts
    | OpenSeries
    | AddToSeries
    | NextOfSeries
    | StopSeries
)


class Ask(_Message, frozen=True, tag=True):
    number: int
    place: int
    question: Question


class Drop(_Message, frozen=True, tag=True):
    """The code that asked this waits no more: stop what answers it."""

    number: int


class Forget(_Message, frozen=True, tag=True):
    """The code holds no handle of these calls any more: number, and how often it was told of the call."""

    calls: list[tuple[int, int]]


class CoroutineEnded(_Message, frozen=True, tag=True):
    """A coroutine that a join had begun has ended. Its value stays where it is."""

    coroutine: int
    error: Error | None = None
    origins: list[int] = []
    stopped: bool = False


# --- what the run says ---------------------------------------------------------------------------------------------------------


class Answer(_Message, frozen=True, tag=True):
    number: int
    value: bytes  # pickled, its large buffers beside the message


class Failure(_Message, frozen=True, tag=True):
    number: int
    error: Error
    origin: int  # the number of the error; minus the number of a coroutine whose error it is


class Stopped(_Message, frozen=True, tag=True):
    """What would have answered was stopped."""

    number: int
    reason: str


class BeginCoroutine(_Message, frozen=True, tag=True):
    coroutine: int
    place: int


class StopCoroutine(_Message, frozen=True, tag=True):
    coroutine: int


FromCode = Ask | Drop | Forget | CoroutineEnded
FromRun = Answer | Failure | Stopped | BeginCoroutine | StopCoroutine

encode = msgspec.msgpack.Encoder().encode
decode_from_code = msgspec.msgpack.Decoder(FromCode).decode
decode_from_run = msgspec.msgpack.Decoder(FromRun).decode
