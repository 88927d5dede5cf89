"""The handle: one call, as its program holds it and as the engine moves it.

A million calls may be alive at once, so a call is one object with slots; what only some calls need (a timer, a reservation,
who awaits what) lives in `Extra`, made when first needed. Names without underscore are for users; the rest belongs to the engine.
A handle never runs anything by itself: it is moved by the engine, on the engine's thread, through

    WAITING  (for handles among its arguments)  ->  READY  (for a slot)  ->  STARTING  (for the disk: effects)
    ->  RUNNING  ->  FINISHING  (its body ended, children still run)  ->  OK | FAILED | CANCELLED
    RUNNING  ->  RESTING  (until the next attempt)  ->  READY
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from headway.errors import CallCancelled, ForeignHandle, HeadwayError, StoreError
from headway.journal.records import NO_PARENT, Amounts, Place

if TYPE_CHECKING:
    from headway.engine.dispatch.batch import Batch
    from headway.engine.engine import Engine
    from headway.engine.identity.siblings import Siblings
    from headway.engine.identity.spec import TaskSpec
    from headway.engine.scopes.bounds import Held, Scope
    from headway.journal.codec.codec import Encoded
    from headway.journal.recovery.recovered import Recorded
    from headway.pools.base import Job

T_co = TypeVar("T_co", covariant=True)

WAITING, READY, STARTING, RUNNING, RESTING, FINISHING, OK, FAILED, CANCELLED = range(9)
STATES = ("waiting", "ready", "starting", "running", "resting", "finishing", "ok", "failed", "cancelled")
MISSING: Any = object()


class Frame(NamedTuple):
    """Where code runs: inside which call, under which scope, in which of its attempts, for which batch, and in which branch.
    Coroutines that a call joins side by side are branches of it (`siblings`); the branch of the call's own code is empty."""

    call: Handle[Any]
    scope: Scope
    attempt: int = 0
    batch: Batch | None = None
    branch: bytes = b""

    def must_go_on(self) -> None:
        """Raises CancelledError, again and again, in code that was left behind."""
        if self.attempt and self.batch is None and self.over:
            raise asyncio.CancelledError(f"this attempt of {self.call.describe()} is over")

    @property
    def over(self) -> bool:
        """Whether the code that asks was left behind: its call or its run has ended, or the call makes another attempt."""
        call = self.call
        if call._state >= OK or call._engine.stops.over:
            return True
        return self.attempt > 0 and (self.attempt != call._attempt or call._state not in (RUNNING, FINISHING))

    @property
    def plans(self) -> bool:
        """Whether this is async code that decides which calls to make, so that it must be told again what it was told. A thread and
        a batch do work themselves, and so does a call that says what it costs."""
        on_loop = threading.get_ident() == self.call._engine.thread
        return on_loop and self.batch is None and not self.call._spec.cost


current: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("headway_frame", default=None)


class Share:
    """The second name of a call of a `cache="forever"` task, or of one below: the same whoever asks. It names what is below as a
    handle does. `found` holds what is known of calls below by their shared names: results, and effects that have begun."""

    __slots__ = ("_epoch", "_ordinals", "_prefix", "found", "key")

    def __init__(self, key: bytes, epoch: int, found: dict[bytes, Any]) -> None:
        self.key = key
        self.found = found
        self.begin(epoch)

    def begin(self, epoch: int) -> None:
        """Name what is below from the first on, in this epoch."""
        self._epoch = epoch
        self._prefix = b""
        self._ordinals: dict[bytes, int] | None = None


class Extra:
    """What only some calls need."""

    __slots__ = (
        "awaiting",
        "batch",
        "begun",
        "buffers",
        "charged",
        "child_errors",
        "costs",
        "cut",
        "dependents",
        "ended",
        "failures",
        "functions",
        "granted",
        "guards",
        "held",
        "job",
        "lent",
        "members",
        "parked_at",
        "parked_on",
        "parked_s",
        "parks",
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
        self.cut = False  # a child that nobody awaited any more was cancelled because this call was asked to stop
        self.functions: dict[bytes, bytes] = {}  # which function of several of one name was asked what
        self.failures: list[Handle[Any]] = []  # failed children that nobody has awaited yet
        self.child_errors: list[BaseException] = []  # errors that children gave this attempt
        self.ended: tuple[Any, BaseException | None, Encoded | None] = (None, None, None)  # its body's end, until its children end
        self.awaiting: list[Handle[Any]] = []  # handles of other calls that the body waits for now
        self.dependents: list[Handle[Any]] = []  # calls that got this handle as an argument
        self.job: Job | None = None
        self.batch: Any = None
        self.begun = False  # its code runs in this attempt, so that it counts in the rates that it started under
        self.timer: asyncio.TimerHandle | None = None
        self.reserved: Amounts = {}  # what is still promised for this attempt
        self.recharged: dict[bytes, Amounts] = {}  # charged before a crash and not charged again yet, by account
        self.charged: set[str] = set()  # units it charged in this attempt
        self.costs: dict[bytes, Amounts] = {}  # cumulative cost by budget account; b"" without one
        self.held: list[Held] = []  # limits and resources it holds
        self.guards: dict[str, bytes] | None = None
        self.members: dict[int | str, Any] = {}  # what its arguments held, where its key does not say
        self.seen: Any = MISSING  # what its result was when it was first handed to a call
        self.recorded: Recorded | None = None  # an earlier outcome, to be reused if the inputs are the same
        self.buffers: tuple[memoryview, ...] | StoreError | None = None  # of a recorded result; () while it is read
        self.parked_on: list[asyncio.Future[None]] = []
        self.parks = 0
        self.lent = False  # its thread's slot is lent to others while it waits
        self.granted = False  # it has its limits again but has not gone on yet
        self.parked_at = 0.0
        self.parked_s = 0.0
        self.started_attempt: float | None = None


class Handle(Generic[T_co]):
    """The awaitable future of a call. As an argument of another call it is a dependency.

    Await it to get the call's result or its error. A handle may be awaited any number of times, from any call of its run.

    Raises (on await): the exception that the call's function raised; `CallTimeout`, `DeadlineExceeded`, `BudgetExceeded`,
    `WorkerDied`, `InputFailed`; `CallCancelled` if it was cancelled; `ForeignHandle` in another run; `CycleError` if the two
    calls would wait for each other.

    Example:
        >>> async def program():
        ...     handle = search("why is the sky blue?")   # runs now
        ...     pages = await handle
    """

    __slots__ = (
        "__weakref__",
        "_args",
        "_asked",
        "_asyncio_task",
        "_attempt",
        "_awaited",
        "_blobs",
        "_branch",
        "_callbacks",
        "_children",
        "_context",
        "_engine",
        "_epoch",
        "_error",
        "_floor",
        "_head",
        "_inputs",
        "_kwargs",
        "_made",
        "_memo",
        "_number",
        "_ordinals",
        "_parent",
        "_place",
        "_prefix",
        "_scope",
        "_share",
        "_siblings",
        "_spec",
        "_started",
        "_state",
        "_value",
        "_x",
        "key",
    )
    __headway_handle__ = True

    key: bytes
    _branch: bytes  # the coroutine that made it, of those that its parent has joined

    def __init__(
        self,
        engine: Engine,
        spec: TaskSpec,
        key: bytes,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        parent: Handle[Any] | None,
        scope: Scope,
        number: int,
        asked: bytes = b"",
    ) -> None:
        self.key = key
        self._asked = asked  # what the key was made of
        self._engine = engine
        self._spec = spec
        self._args = args
        self._kwargs = kwargs
        self._parent = parent
        self._scope = scope
        self._number = number
        self._state = WAITING
        self._awaited = False
        self._callbacks: Any = None
        self._children: dict[Handle[Any], None] | None = None
        self._ordinals: dict[bytes, int] | None = None
        self._siblings: Siblings | None = None
        self._place: Place | None = None
        self._context: contextvars.Context | None = None
        self._asyncio_task: asyncio.Task[None] | None = None
        self._inputs: tuple[Handle[Any], ...] = ()
        self._prefix = b""  # what its children's keys begin with
        self._attempt = 0
        self._epoch = 0
        self._made = engine.wall()
        self._started = 0.0
        self._value: Any = None
        self._error: BaseException | None = None
        self._head = b""
        self._blobs: tuple[bytes, ...] = ()
        self._x: Extra | None = None
        self._share: Share | None = None
        if parent is None:
            self._floor = 0
            self._memo: dict[bytes, Any] | None = None
        else:
            self._floor = parent._floor
            self._memo = parent._memo

    # --- for users ---------------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """The name of the task that was called."""
        return self._spec.name

    @property
    def state(self) -> str:
        """waiting, ready, starting, running, resting, finishing, ok, failed or cancelled."""
        return STATES[self._state]

    @property
    def cost(self) -> Amounts:
        """What the call has cost so far, all attempts together: unit to amount. Its children's costs are theirs."""
        return self._engine.cost_of(self)

    def done(self) -> bool:
        """Whether the call has ended, in any way."""
        return self._state >= OK

    def cancelled(self) -> bool:
        """Whether the call has ended cancelled. A call that was only asked to stop has not."""
        return self._state == CANCELLED

    def result(self) -> T_co:
        """The result of a call that has ended; raises its error, or HeadwayError while it still runs."""
        if self._state == OK:
            value = self._value
            return value if value is not MISSING else self._engine.value_of(self)  # type: ignore[no-any-return]
        if self._state < OK:
            raise HeadwayError(f"{self!r} has not ended yet: await it first")
        self._awaited = True
        raise self._engine.error_for_awaiter(self)

    def exception(self) -> BaseException | None:
        """The error of a call that has ended, CallCancelled if it was cancelled, None if it succeeded."""
        if self._state < OK:
            raise HeadwayError(f"{self!r} has not ended yet: await it first")
        self._awaited = True
        return self._error if self._state != CANCELLED else self.cancellation()

    def cancel(self, reason: str = "") -> None:
        """Ask the call to stop, with everything under it. Returns at once; await the handle to see it stopped."""
        self._engine.on_loop(self._engine.cancel, self, reason or "cancelled by the program")

    def __await__(self) -> Generator[Any, Any, T_co]:
        frame = current.get()
        self._awaited = True
        if frame is None or frame.call._engine is not self._engine:
            raise self.foreign()
        if self._state < OK:
            if frame.attempt != frame.call._attempt or frame.call._state != RUNNING:
                frame.must_go_on()
            yield from self._engine.waits.wait_for(frame.call, self)
        elif (x := frame.call._x) is not None and x.stop is not None:
            raise asyncio.CancelledError(x.stop_reason)
        deadline = frame.scope.deadline
        if deadline is not None and self._state != OK:
            yield from self._engine.waits.for_stopped(frame, self)
        return self.result()

    def __repr__(self) -> str:
        return f"<{self.describe()} {self.state} {self.key.hex()[:8]}>"

    # --- for the engine ----------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """`task(arguments)`, short, for messages."""
        return f"{self._spec.name}({self._spec.label(self._args, self._kwargs)})"

    @property
    def parent_key(self) -> bytes:
        return self._parent.key if self._parent is not None else NO_PARENT

    def cancellation(self) -> CallCancelled:
        reason = self._x.stop_reason if self._x is not None else ""
        return CallCancelled(f"{self.describe()} was cancelled" + (f": {reason}" if reason else ""))

    def foreign(self) -> ForeignHandle:
        return ForeignHandle(
            f"handle of {self.describe()} belongs to run {self._engine.run_id!r}, which is not the run that uses it: "
            "pass its result instead, or make the call in this run"
        )

    def extra(self) -> Extra:
        if self._x is None:
            self._x = Extra()
        return self._x

    def add_callback(self, callback: Callable[[Handle[Any]], None]) -> None:
        """Call back, on the engine's thread, when the call has ended; at once if it has."""
        if self._state >= OK:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = callback
        elif type(self._callbacks) is list:
            self._callbacks.append(callback)
        else:
            self._callbacks = [self._callbacks, callback]

    def remove_callback(self, callback: Callable[[Handle[Any]], None]) -> None:
        if type(self._callbacks) is list:
            self._callbacks.remove(callback)
        elif self._callbacks == callback:
            self._callbacks = None
