"""The engine: moves every call of one run from its making to its end.

A call's way: `spawn` names it; `admit` answers it from the journal or waits for the handles among its arguments; `ready` gives it
room; `begin` reserves its budget (and, for an effect, waits for the disk); `launch` hands it to the loop or a pool; `body_ended`
waits for its children; `conclude` encodes its value, tries again or ends it; `deliver` tells whoever waits. One direction.

Everything happens on one thread, the event loop's, in callbacks that never block; other threads come in through `on_loop`. The
engine must never let a dependent see an outcome that is not in the journal's queue, and never leave a call behind: a call ends
only when its children have ended.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import Any

from headway import events
from headway.engine.admission import Admission
from headway.engine.collecting import Collecting
from headway.engine.decisions import Decisions
from headway.engine.dispatch.batch import Batches
from headway.engine.dispatch.launch import Launcher
from headway.engine.handle import (
    CANCELLED,
    FAILED,
    FINISHING,
    OK,
    RESTING,
    RUNNING,
    STARTING,
    WAITING,
    Frame,
    Handle,
    Share,
)
from headway.engine.identity.changed import cannot_change, is_unseen, note_members, unless_changed
from headway.engine.identity.keys import call_key, call_prefix, hash_key, sibling_key
from headway.engine.identity.siblings import Siblings
from headway.engine.identity.spec import RIVALS, TaskSpec
from headway.engine.inputs import PLAIN, handles_in
from headway.engine.outcome import Outcomes
from headway.engine.replay.lookup import Replay
from headway.engine.replay.reader import StoreReader
from headway.engine.replay.shared import Shared
from headway.engine.scopes.accounting import Books
from headway.engine.scopes.bounds import Scope
from headway.engine.scopes.desk import Desk
from headway.engine.scopes.scopes import Scopes
from headway.engine.stopping.stops import Stops
from headway.engine.waiting.signals import Signals
from headway.engine.waiting.waits import Waits
from headway.engine.world import World
from headway.errors import CallTimeout, HeadwayError, StoreError, UsageError
from headway.journal.codec.codec import Encoded
from headway.journal.log import Blob, Journal
from headway.journal.records import Amounts, Place, Row
from headway.journal.recovery.recovered import Known
from headway.journal.store import Store
from headway.pools.base import Pool


class Engine:
    """One run in this process."""

    def __init__(
        self,
        *,
        run_id: str,
        salt: bytes,
        nonce: bytes,
        loop: asyncio.AbstractEventLoop,
        journal: Journal,
        known: Known,
        pools: dict[str, Pool],
        resources: dict[str, int],
        max_active: int,
        world: World,
        store: Store | None = None,
        decided: Mapping[str, str] | None = None,
    ) -> None:
        self.run_id = run_id
        self.salt = salt
        self.nonce = nonce  # makes idempotency keys of this run its own
        self.loop = loop
        self.journal = journal
        self.known = known
        self.pools = pools
        self.store = store
        files = store.files(run_id) if store is not None else None
        self.files = str(files.absolute()) if files is not None else ""
        self.world = world
        self.wall = world.wall
        self.emit: Callable[[events.Event], None] | None = None
        self.thread = threading.get_ident()
        self.waits = Waits(self)
        self.books = Books(self)
        self.ready = world.make_ready(self, resources, max_active)
        self.replay = Replay(self, known, decided or {})
        self.outcomes = Outcomes(self)
        self.decisions = Decisions(self)
        self.launcher = Launcher(self)
        self.batches = Batches(self)
        self.admission = Admission(self)
        self.reader = StoreReader(self)
        self.shared = Shared(self)
        self.scopes = Scopes(self)
        self.stops = Stops(self)
        self.calls = 0  # calls made in this process
        self.closing = False  # ends are no longer recorded: the run stops here and goes on another time
        self.on_parked: Callable[[], None] | None = None
        self.signals = Signals(self)
        self.collecting = Collecting(self)
        self.desk: Desk | None = None  # of limits that processes share; none without a store
        self.resumed = bool(known)
        self._placed = known.places.ordinals
        self._functions: dict[bytes, bytes] = {}  # which function of several of one name was asked what, where all ask alike

    # --- coming in ---------------------------------------------------------------------------------------------------

    def on_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function on the engine's thread and return its result, from whatever thread this is."""
        if threading.get_ident() == self.thread:
            return function(*args)
        if self.closing or self.loop.is_closed():
            raise HeadwayError(f"run {self.run_id!r} has ended; the thread that still works for it can't go on")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def step() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_soon_threadsafe(step)
        return self.world.wait(future)

    def spawn(
        self,
        spec: TaskSpec,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        frame: Frame,
        context: contextvars.Context | None = None,
    ) -> Handle[Any]:
        """Make a call. Raises WrongArguments, NoCanonicalForm, ForeignHandle and CycleError, before anything is recorded."""
        parent, scope = frame.call, frame.scope
        if parent._state != RUNNING or frame.attempt != parent._attempt:
            self._refuse_late(spec, frame)
        if parent._x is not None and parent._x.stop is not None:
            raise asyncio.CancelledError(parent._x.stop_reason)
        if frame.batch is not None:
            raise UsageError(
                f"batch task {parent.task} can't call {spec.name}: it works for several calls at once, and none could own it. "
                "Make the calls where the batch's results are used"
            )
        args, kwargs = spec.signature.bind(args, kwargs)
        inputs: tuple[Handle[Any], ...] = ()
        for value in args:
            if type(value) not in PLAIN:
                inputs = handles_in(args, kwargs)
                break
        else:
            if kwargs:
                inputs = handles_in(args, kwargs)
        if inputs:
            self.waits.check_inputs(parent, inputs, lambda: f"{spec.name}({spec.label(args, kwargs)})")
        asked = spec.canonical(args, kwargs)
        if spec.name in RIVALS:
            self._check_rivals(spec, asked, parent)
        key, place = self.name(spec, asked, parent, frame.branch)
        self.calls = number = self.calls + 1
        call: Handle[Any] = Handle(self, spec, key, args, kwargs, parent, scope, number, asked)
        call._branch = frame.branch
        if place is not None:
            call._place = place
        if spec.forever or parent._share is not None:
            call._share = self.shared.name(call, inputs)
        if self.resumed and not inputs and scope.deadline is None:
            recorded = self.replay.find(call)
            if recorded is not None and not recorded.is_elsewhere:
                if self.emit:
                    self.emit_spawned(call)
                self.outcomes.reuse(call, recorded)
                return call
            if recorded is not None:
                call.extra().recorded = recorded
        call._inputs = inputs
        if spec.key is not None:
            note_members(call)
        if parent._children is None:
            parent._children = {call: None}
        else:
            parent._children[call] = None
        call._context = context
        self.admission.admit(call)
        return call

    def _refuse_late(self, spec: TaskSpec, frame: Frame) -> None:
        """Raises UsageError where the code that makes a call outlived its own, CancelledError where its attempt left it behind."""
        parent = frame.call
        if parent._state >= FINISHING:
            raise UsageError(
                f"{parent.describe()} has ended and can't call {spec.name} any more: "
                "await what it starts with asyncio before it returns"
            )
        frame.must_go_on()

    def name(self, spec: TaskSpec, asked: bytes, parent: Handle[Any], branch: bytes) -> tuple[bytes, Place | None]:
        """The key of a call: what it asks, of whom, and its place among equal siblings; the place where it must be remembered."""
        prefix = parent._prefix
        if not prefix:
            prefix = parent._prefix = call_prefix(parent.key, parent._epoch)
        key = hash_key(prefix + spec.name_part + asked)
        if branch or parent._siblings is not None or key in self._placed:
            return self.siblings_of(parent).place(key, branch)
        ordinals = parent._ordinals
        if ordinals is None:
            parent._ordinals = {key: 1}
            return key, None
        ordinal = ordinals.setdefault(key, 0)
        ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal) if ordinal else key, None

    def _check_rivals(self, spec: TaskSpec, asked: bytes, parent: Handle[Any]) -> None:
        """Raises UsageError where another function of the name was asked the same: each could get the other's answers."""
        functions = self._functions if spec.forever else parent.extra().functions
        if functions.setdefault(hash_key(spec.name_part + asked), spec.source) != spec.source:
            where = "this run" if spec.forever else parent.describe()
            raise UsageError(
                f"{where} calls two functions of the name {spec.name} with the same arguments, and each could be given what is "
                "recorded for the other: give one of them a name= of its own, or pass as an argument what they differ in"
            )

    def shared_name(self, call: Handle[Any], asked: bytes, above: Share) -> bytes:
        """The name of a call below one with a shared name: it has the same place among its equals as in its own key."""
        if not above._prefix:
            above._prefix = call_prefix(above.key, above._epoch)
        key = hash_key(above._prefix + call._spec.name_part + asked)
        if call._place is not None:
            return sibling_key(key, call._place.ordinal)
        if above._ordinals is None:
            above._ordinals = {}
        ordinal = above._ordinals.get(key, 0)
        above._ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal)

    def siblings_of(self, parent: Handle[Any]) -> Siblings:
        """Which of the calls of one parent is which, where it has branches."""
        if parent._siblings is None:
            parent._siblings = Siblings(parent)
        return parent._siblings

    def start_root(self, spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any], scope: Scope) -> Handle[Any]:
        """Make the run's first call."""
        args, kwargs = spec.signature.bind(args, kwargs)
        asked = spec.canonical(args, kwargs)
        key = call_key(self.salt, 0, spec.identity, asked)
        self.calls = 1
        root: Handle[Any] = Handle(self, spec, key, args, kwargs, None, scope, 1, asked)
        root._branch = b""
        if spec.key is not None:
            note_members(root)
        return root

    # --- starting ----------------------------------------------------------------------------------------------------

    def begin(self, call: Handle[Any]) -> None:
        """There is room: reserve the budget, note the start where the journal must know it, launch."""
        deadline = call._scope.deadline
        if deadline is not None and deadline.left_s <= 0 and not self.replay.goes_on(call):
            self.ready.release(call)
            self.conclude(call, None, deadline.error(call.describe()))
            return
        spec = call._spec
        if spec.plain and call._x is None and call._scope.account is None:
            call._attempt = 1
            call._state = STARTING
            self.ready.active += 1
            self.launcher.run_plain(call)
            return
        if spec.cost or call._scope.account is not None:
            if (refused := self.books.reserve(call)) is not None:
                self.ready.release(call)
                self.conclude(call, None, refused)
                return
        call._attempt += 1
        call._state = STARTING
        if spec.pool == "inline" and not spec.batch:
            self.ready.active += 1
        if spec.effect or (call._x is not None and call._x.reserved):
            seq = self.outcomes.note_start(call)
            if spec.effect:
                self.launcher.when_durable(call, seq)
                return
        self.launcher.launch(call)

    def timed_out(self, call: Handle[Any]) -> None:
        """The timer of the task's timeout."""
        if call._state in (STARTING, RUNNING, FINISHING) and (call._x is None or call._x.stop is None):
            timeout_s = call._spec.timeout_s
            error = CallTimeout(f"{call.describe()} took longer than its timeout of {timeout_s:g} s")
            self.stop(call, "timed out", error)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def cancel(self, call: Handle[Any], reason: str, error: BaseException | None = None) -> None:
        """Ask a call to stop, with everything under it. `error` is what it ends with instead of being cancelled."""
        if call._state >= OK:
            return
        x = call.extra()
        if x.stop is None or (error is None and not isinstance(x.stop, asyncio.CancelledError)):
            self.stop(call, reason, error or asyncio.CancelledError(reason))

    def stop(self, call: Handle[Any], reason: str, why: BaseException) -> None:
        x = call.extra()
        x.stop, x.stop_reason = why, reason
        if self.emit:
            self.emit(events.CancelRequested(at=self.wall(), key=call.key.hex(), task=call.task, reason=reason))
        if call._state < RUNNING or call._state == RESTING:
            self.body_ended(call, None, why)
        elif call._state == FINISHING:
            for child in list(call._children or ()):
                self.cancel(child, f"{call.describe()} is stopping")
        else:
            self.launcher.interrupt(call)

    # --- ending ------------------------------------------------------------------------------------------------------

    def body_ended(self, call: Handle[Any], value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """The call's own code has ended; its children may not have."""
        if call._state >= FINISHING:
            return
        x = call._x
        fixed = self.closing or cannot_change(call)
        if not fixed and error is None:
            error = unless_changed(call, value, None)
        if x is None and error is None and call._spec.plain and not call._children and not self.closing:
            call._asyncio_task = None
            self.ready.freed()
            encoded, error = self.outcomes.encode(call, value)
            self.outcomes.end(call, value, error, encoded)
            return
        self.launcher.leave(call)
        if x is not None and x.stop is not None and issubclass(type(error), asyncio.CancelledError):
            error = x.stop
        elif error is not None:
            error = self.outcomes.as_exception(call, error)
        if not fixed and error is not None:
            error = unless_changed(call, value, error)
        if call._children:
            call._state = FINISHING
            call.extra().ended = (value, error, encoded)
            if error is not None:
                for child in list(call._children):
                    self.cancel(child, f"{call.describe()} ended without it")
            return
        self.conclude(call, value, error, encoded)

    def children_ended(self, call: Handle[Any]) -> None:
        """The last child of a call that was waiting for it has ended."""
        if call._state != FINISHING or call._children:
            return
        x = call.extra()
        value, error, encoded = x.ended
        x.ended = (None, None, None)
        if error is None and x.stop is not None:  # one that was only asked to stop keeps its result, if its children kept theirs
            if not isinstance(x.stop, asyncio.CancelledError) or x.cut or any(not child._awaited for child in x.failures):
                error = x.stop
        self.conclude(call, value, error, encoded)

    def conclude(self, call: Handle[Any], value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """A call and its children have ended: settle, try again, or end it for good."""
        if call._state == WAITING and (call._x is None or not call._x.costs):  # what it has cost before is not forgotten
            self.books.take_over(call)
        x = call._x
        if x is not None:
            if x.timer is not None:
                x.timer.cancel()
                x.timer = None
            self.books.settle(call, self.launcher.seconds(call))
            if error is None and x.failures:
                error = self.outcomes.unawaited(call)
        if error is None and encoded is None and not self.closing:
            encoded, error = self.outcomes.encode(call, value)
        if error is not None:
            try:
                if self.outcomes.tries_again(call, error):
                    return
            except UsageError as wrong:  # what the task's retry asks has failed
                error = wrong
        self.outcomes.end(call, value, error, encoded)

    def try_again(self, call: Handle[Any], delay: float) -> None:
        """Forget the failed attempt and rest before the next."""
        x = call.extra()
        x.failures.clear()
        x.functions.clear()
        x.child_errors.clear()
        x.stop, x.stop_reason = None, ""
        x.recharged.clear()
        x.parks, x.parked_s, x.granted, x.cut = 0, 0.0, False, False
        call._ordinals = None
        if call._siblings is not None:
            call._siblings.begin_again()
        if call._share is not None:
            call._share._ordinals = None
        self.rest(call, delay)

    def rest(self, call: Handle[Any], delay: float) -> None:
        call._state = RESTING
        call.extra().timer = self.loop.call_later(delay, self._rested, call)

    def _rested(self, call: Handle[Any]) -> None:
        if call._state == RESTING:
            call.extra().timer = None
            self.ready.push(call)

    def deliver(self, call: Handle[Any], state: int) -> None:
        """The outcome is on its way to the journal: tell whoever waits for it."""
        call._state = state
        call._context = None
        call._ordinals = None
        call._siblings = None
        call._children = None
        parent = call._parent
        if call._scope.deadline is not None:
            call._scope.deadline.ended(call)
        if parent is not None:
            if state == FAILED:
                x = parent.extra()
                if not call._awaited or is_unseen(call):
                    x.failures.append(call)
                keeps = parent._spec.retry is not None or parent._memo is not None or parent._share is not None
                if keeps and call._error is not None:
                    x.child_errors.append(call._error)
            elif state == CANCELLED and parent._state == FINISHING and parent._x is not None and parent._x.stop is not None:
                parent._x.cut = True
            children = parent._children
            if children is not None:
                children.pop(call, None)
                if not children:
                    parent._children = None  # a dictionary keeps the size it once had
                    if parent._state == FINISHING:
                        self.loop.call_soon(self.children_ended, parent)
        callbacks = call._callbacks
        if callbacks is not None:
            call._callbacks = None
            if type(callbacks) is list:
                for callback in callbacks:
                    callback(call)
            else:
                callbacks(call)

    # --- answers for handles -----------------------------------------------------------------------------------------

    def value_of(self, call: Handle[Any]) -> Any:
        return self.outcomes.value(call)

    def error_for_awaiter(self, call: Handle[Any]) -> BaseException:
        if call._state == CANCELLED:
            return call.cancellation()
        assert call._error is not None
        return call._error

    def cost_of(self, call: Handle[Any]) -> Amounts:
        return self.books.cost(call)

    def parked(self) -> None:
        if self.on_parked is not None:
            self.on_parked()

    # --- small things ------------------------------------------------------------------------------------------------

    def append(self, row: Row, blobs: tuple[Blob, ...] = (), cache_key: bytes | None = None) -> int:
        """Queue a row, unless the run is being stopped to go on later."""
        if self.closing:
            return 0
        return self.journal.append(row, blobs, cache_key)

    def broken(self, error: BaseException) -> None:
        """The engine itself failed: end the run instead of leaving it to hang."""
        fault = StoreError(f"run {self.run_id!r}: the runtime failed ({type(error).__name__}: {error}); please report this")
        fault.__cause__ = error
        self.fail(fault)

    def fail(self, error: StoreError) -> None:
        """The journal can't go on: stop everything, record nothing more."""
        self.ready.stopped = True
        self.closing = True
        if self.on_failure is not None:
            self.on_failure(error)

    on_failure: Callable[[StoreError], None] | None = None

    def emit_spawned(self, call: Handle[Any]) -> None:
        assert self.emit is not None
        event = events.CallSpawned(
            at=self.wall(),
            key=call.key.hex(),
            parent=call.parent_key.hex(),
            task=call.task,
            label=call._spec.label(call._args, call._kwargs),
        )
        self.emit(event)
