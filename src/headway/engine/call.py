"""The engine's record of a call, which is one use of a task in a run. Programs hold a `Handle` to it (`handle`).

A million calls may be alive at once, so a call is one object with slots; what only some calls need (a timer, a reservation)
lives in `Extra`, made when first needed. Only `lifecycle` moves a call, on the engine's thread, as `transitions` says.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.engine.scopes.bounds import Held, Limit, Resource, Scope
from headway.engine.stopping.halt import Halt
from headway.engine.transitions import CANCELLED, FINISHING, OK, RUNNING, STATES, WAITING
from headway.errors import CallCancelled, ForeignHandle, HeadwayError, StoreError
from headway.journal.records import NO_PARENT, Amounts, Place

if TYPE_CHECKING:
    from headway.engine.streaming.feed import Feed
    from headway.engine.tasks.spec import TaskSpec
    from headway.journal.codec.codec import Encoded
    from headway.journal.recovery.recovered import Recorded
    from headway.pools.base import Job

MISSING: Any = object()
NO_ITEMS: Any = ()
NO_ENTRIES: Any = MappingProxyType({})
"""What stands in `Extra` for a container that is empty. Neither can be changed: whoever has something to put in makes one."""


class Frame(NamedTuple):
    """Where code runs: in which call, scope, attempt, batch and branch. Coroutines that a call joins are its branches; that of its
    own code is empty. Names go by the path, the branch with the blocks of `hw.anytime` that the code is in (`branch_siblings`)."""

    call: Call
    scope: Scope
    attempt: int = 0
    batch: Batch | None = None
    branch: bytes = b""
    path: bytes = b""

    def must_go_on(self) -> None:
        """Raise CancelledError, each time, in code that was left behind."""
        if self.attempt and self.batch is None and self.over:
            raise asyncio.CancelledError(f"this attempt of {self.call.describe()} is over")

    @property
    def over(self) -> bool:
        """Whether the code that asks was left behind: its call or its run has ended, or the call makes another attempt."""
        call = self.call
        if call.state >= OK or call.engine.stops.over:
            return True
        return self.attempt > 0 and (self.attempt != call.attempt or call.state not in (RUNNING, FINISHING))

    @property
    def plans(self) -> bool:
        """Whether this is async code that decides which calls to make, so that it must be told again what it was told. A thread and
        a batch do work themselves, and so does a call that says what it costs."""
        on_loop = threading.get_ident() == self.call.engine.thread
        return on_loop and self.batch is None and not self.call.spec.cost


current: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("headway_frame", default=None)


def must_stop(me: Call) -> bool:
    """Whether the code that asks, which is the call's, has to stop: the call was asked to, and no open block shields this code."""
    x = me.x
    if x is None or x.stop is None:
        return False
    frame = current.get()
    return frame is None or (shield := frame.scope.shield) is None or not shield.covers(me)


def check_stop(me: Call) -> None:
    """Raise CancelledError in code that has to stop."""
    if must_stop(me):
        x = me.extra()
        if x.halt is not None and x.halt.replays:
            x.halt.hear(me.asyncio_task, x.stop_reason)
        raise asyncio.CancelledError(x.stop_reason)


def hear_stop(me: Call, until: float | None = None) -> None:
    """The code asks for what no earlier life told it: here it hears of a stop that waited for this. Raises CancelledError. `until`:
    it asks for a time of the wall clock, which had come in the earlier life, or had not."""
    halt = me.x.halt if me.x is not None else None
    if halt is not None and halt.replays and (until is None or until > halt.heard):
        check_stop(me)


def is_told_again(me: Call, target: Call) -> bool:
    """Whether a call that was asked to stop is told an end again that an earlier life told it before it heard of the stop."""
    halt = me.x.halt if me.x is not None else None
    return halt is not None and halt.replays and target.key not in halt.untold


class Share:
    """The second name of a call of a `cache="forever"` task, or of one below: the same whoever asks. It names what is below as a
    handle does. `found` holds what is known of calls below by their shared names: results, and effects that have begun."""

    __slots__ = ("epoch", "found", "key", "ordinals", "prefix")

    def __init__(self, key: bytes, epoch: int, found: dict[bytes, Any]) -> None:
        self.key = key
        self.found = found
        self.begin(epoch)

    def begin(self, epoch: int) -> None:
        """Start numbering the calls below afresh, in this epoch."""
        self.epoch = epoch
        self.prefix = b""
        self.ordinals: dict[bytes, int] | None = None


BodyEnd = tuple[Any, BaseException | None, "Encoded | None"]
"""How a call's code has ended: its value, its error, its value encoded where a worker has done so. Plain: every call makes one."""


class Batch:
    """Calls of a batch task that run together."""

    __slots__ = ("calls", "job", "left", "over", "spec", "task")

    def __init__(self, spec: TaskSpec, calls: list[Call]) -> None:
        self.spec = spec
        self.calls = calls
        self.left = len(calls)  # calls that still wait for the batch
        self.over = False
        self.task: asyncio.Task[None] | None = None
        self.job: Job | None = None

    def wants(self, item: int) -> bool:
        """Whether the call of an item still waits for the batch."""
        call = self.calls[item]
        return call.x is not None and call.x.batch is self


class Extra:
    """What only some calls need. Every call that waits for others has one, so its containers are made when something is put in:
    a dozen empty ones cost more than all the rest of such a call, most of it in Python's search for cycles."""

    __slots__ = (
        "awaiting",
        "batch",
        "begun",
        "buffers",
        "charged",
        "child_errors",
        "costs",
        "cut",
        "ended",
        "failures",
        "feed",
        "functions",
        "granted",
        "guards",
        "halt",
        "held",
        "job",
        "lent",
        "members",
        "parked_at",
        "parked_on",
        "parked_s",
        "parks",
        "readers",
        "recharged",
        "recorded",
        "reserved",
        "seen",
        "started_attempt",
        "stop",
        "stop_reason",
        "timer",
    )

    def __init__(self) -> None:
        self.stop: BaseException | None = None  # why it must stop: CancelledError or an error such as CallTimeout
        self.stop_reason = ""
        self.halt: Halt | None = None  # how the stop comes to its code, where it does not come at once
        self.cut = False  # a child that nobody awaited any more was cancelled because this call was asked to stop
        self.functions: dict[bytes, bytes] = NO_ENTRIES  # which of several functions of one name made which call
        self.failures: list[Call] = NO_ITEMS  # failed children that nobody has awaited yet
        self.child_errors: list[BaseException] = NO_ITEMS  # errors that children gave this attempt
        self.ended: BodyEnd | None = None  # its body's end, until its children end
        self.awaiting: list[Call] = NO_ITEMS  # handles of other calls that the body waits for now
        self.feed: Feed | None = None  # the items of a stream
        self.job: Job | None = None
        self.batch: Any = None
        self.begun = False  # its code runs in this attempt, so that it counts in the rates that it started under
        self.timer: asyncio.TimerHandle | None = None
        self.reserved: Amounts = NO_ENTRIES  # what is still promised for this attempt
        self.recharged: dict[bytes, Amounts] = NO_ENTRIES  # charged before a crash and not charged again yet, by account
        self.charged: set[str] = NO_ITEMS  # units it charged in this attempt
        self.costs: dict[bytes, Amounts] = NO_ENTRIES  # cumulative cost by budget account; b"" without one
        self.held: list[Held] = NO_ITEMS  # limits and resources it holds
        self.guards: dict[str, bytes] | None = None
        self.members: dict[int | str, Any] = NO_ENTRIES  # what its arguments held, where its key does not say
        self.seen: Any = MISSING  # what its result was when it was first handed to a call
        self.recorded: Recorded | None = None  # an earlier outcome, to be reused if the inputs are the same
        self.buffers: tuple[memoryview, ...] | StoreError | None = None  # of a recorded result, once they were read
        self.readers: list[Callable[[Call], None]] | None = None  # who waits for them; None while they are not being read
        self.parked_on: list[asyncio.Future[None]] = NO_ITEMS  # where its code is a job of a pool
        self.parks = 0
        self.lent = False  # its thread's slot is lent to others while it waits
        self.granted = False  # it has its limits again but has not gone on yet
        self.parked_at = 0.0
        self.parked_s = 0.0
        self.started_attempt: float | None = None

    def halting(self) -> Halt:
        """How the stop comes to its code; made when first asked for."""
        if self.halt is None:
            self.halt = Halt()
        return self.halt


class Call:
    """One use of a task in a run: its place, what it asks, how far it is, how it ended. Lives on the engine's thread."""

    __slots__ = (
        "args",
        "asked",
        "asyncio_task",
        "attempt",
        "awaited",
        "blobs",
        "branch",
        "callbacks",
        "children",
        "context",
        "dependents",
        "engine",
        "epoch",
        "error",
        "floor",
        "head",
        "inputs",
        "key",
        "kwargs",
        "made",
        "memo",
        "number",
        "ordinals",
        "parent",
        "place",
        "prefix",
        "scope",
        "share",
        "siblings",
        "spec",
        "started",
        "state",
        "value",
        "x",
    )

    branch: bytes  # the coroutine that made it, of those that its parent has joined

    def __init__(
        self,
        engine: Any,
        spec: TaskSpec,
        key: bytes,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        parent: Call | None,
        scope: Scope,
        number: int,
        asked: bytes = b"",
        made: float = 0.0,
    ) -> None:
        self.key = key
        self.asked = asked  # what the key was made of
        self.engine = engine  # an Engine: where the program comes in again. Nothing inside of the engine goes this way
        self.spec = spec
        self.args = args
        self.kwargs = kwargs
        self.parent = parent
        self.scope = scope
        self.number = number
        self.state = WAITING
        self.awaited = False
        self.callbacks: Any = None
        self.dependents: list[Call] | None = None  # calls that got its handle as an argument
        self.children: dict[Call, None] | None = None
        self.ordinals: dict[bytes, int] | None = None
        self.siblings: Any = None  # which of its calls is which, where it has branches; kept by `identity/naming`
        self.place: Place | None = None
        self.context: contextvars.Context | None = None
        self.asyncio_task: asyncio.Task[None] | None = None
        self.inputs: tuple[Call, ...] = ()
        self.prefix = b""  # what its children's keys begin with
        self.attempt = 0
        self.epoch = 0
        self.made = made
        self.started = 0.0
        self.value: Any = None
        self.error: BaseException | None = None
        self.head = b""
        self.blobs: tuple[bytes, ...] = ()
        self.x: Extra | None = None
        self.share: Share | None = None
        if parent is None:
            self.floor = 0
            self.memo: dict[bytes, Any] | None = None
        else:
            self.floor = parent.floor
            self.memo = parent.memo

    @property
    def task(self) -> str:
        """The name of its task."""
        return self.spec.name

    @property
    def state_name(self) -> str:
        """Its state, for people."""
        return STATES[self.state]

    def __repr__(self) -> str:
        return f"<{self.describe()} {self.state_name} {self.key.hex()[:8]}>"

    @property
    def unread(self) -> bool:
        """Whether it has a result whose blobs nobody has read from the store yet (`StoreReader.when_read`)."""
        return self.value is MISSING and bool(self.blobs) and (self.x is None or self.x.buffers is None)

    def done(self) -> bool:
        """Whether it has ended, in any way."""
        return self.state >= OK

    def result(self) -> Any:
        """The result of a call that has ended; raises its error, or HeadwayError while it still runs."""
        if self.state == OK:
            value = self.value
            return value if value is not MISSING else self.engine.outcomes.value(self)
        if self.state < OK:
            raise HeadwayError(f"{self!r} has not ended yet: await it first, or in a plain def call hw.wait on it")
        self.awaited = True
        if self.state == CANCELLED:
            raise self.cancellation()
        assert self.error is not None
        raise self.error

    def exception(self) -> BaseException | None:
        """The error of a call that has ended, CallCancelled if it was cancelled, None if it succeeded."""
        if self.state < OK:
            raise HeadwayError(f"{self!r} has not ended yet: await it first, or in a plain def call hw.wait on it")
        self.awaited = True
        return self.error if self.state != CANCELLED else self.cancellation()

    def describe(self) -> str:
        """`task(arguments)`, short, for messages."""
        return f"{self.spec.name}({self.spec.label(self.args, self.kwargs)})"

    @property
    def parent_key(self) -> bytes:
        return self.parent.key if self.parent is not None else NO_PARENT

    def cancellation(self) -> CallCancelled:
        reason = self.x.stop_reason if self.x is not None else ""
        return CallCancelled(f"{self.describe()} was cancelled" + (f": {reason}" if reason else ""))

    def foreign(self) -> ForeignHandle:
        return ForeignHandle(
            f"handle of {self.describe()} belongs to run {self.engine.run_id!r}, which is not the run that uses it: "
            "pass its result instead, or make the call in this run"
        )

    def extra(self) -> Extra:
        if self.x is None:
            self.x = Extra()
        return self.x

    def amount_held(self, source: Limit | Resource) -> int:
        """How much of a limit or resource the call holds."""
        return sum(held.amount for held in self.x.held if held.source is source) if self.x is not None else 0

    def add_callback(self, callback: Callable[[Call], None]) -> None:
        """Call back, on the engine's thread, when the call has ended; at once if it has."""
        if self.state >= OK:
            callback(self)
        elif self.callbacks is None:
            self.callbacks = callback
        elif type(self.callbacks) is list:
            self.callbacks.append(callback)
        else:
            self.callbacks = [self.callbacks, callback]

    def remove_callback(self, callback: Callable[[Call], None]) -> None:
        if type(self.callbacks) is list:
            self.callbacks.remove(callback)
        elif self.callbacks == callback:
            self.callbacks = None
