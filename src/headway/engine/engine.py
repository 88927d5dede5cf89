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
from headway.engine.call import (
    CANCELLED,
    FAILED,
    FINISHING,
    OK,
    RESTING,
    RUNNING,
    STARTING,
    WAITING,
    Call,
    Frame,
    Share,
)
from headway.engine.collecting import Collecting
from headway.engine.decisions import Decisions
from headway.engine.dispatch.batch import Batches
from headway.engine.dispatch.launch import Launcher
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
    ) -> Call:
        """Make a call. Raises WrongArguments, NoCanonicalForm, ForeignHandle and CycleError, before anything is recorded."""
        parent, scope = frame.call, frame.scope
        if parent.state != RUNNING or frame.attempt != parent.attempt:
            self._refuse_late(spec, frame)
        if parent.x is not None and parent.x.stop is not None:
            raise asyncio.CancelledError(parent.x.stop_reason)
        if frame.batch is not None:
            raise UsageError(
                f"batch task {parent.task} can't call {spec.name}: it works for several calls at once, and none could own it. "
                "Make the calls where the batch's results are used"
            )
        args, kwargs = spec.signature.bind(args, kwargs)
        inputs: tuple[Call, ...] = ()
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
        call: Call = Call(self, spec, key, args, kwargs, parent, scope, number, asked)
        call.branch = frame.branch
        if place is not None:
            call.place = place
        if spec.forever or parent.share is not None:
            call.share = self.shared.name(call, inputs)
        if self.resumed and not inputs and scope.deadline is None:
            recorded = self.replay.find(call)
            if recorded is not None:
                if self.emit:
                    self.emit_spawned(call)
                self.outcomes.reuse(call, recorded)
                return call
        call.inputs = inputs
        if spec.key is not None:
            note_members(call)
        if parent.children is None:
            parent.children = {call: None}
        else:
            parent.children[call] = None
        call.context = context
        self.admission.admit(call)
        return call

    def _refuse_late(self, spec: TaskSpec, frame: Frame) -> None:
        """Raises UsageError where the code that makes a call outlived its own, CancelledError where its attempt left it behind."""
        parent = frame.call
        if parent.state >= FINISHING:
            raise UsageError(
                f"{parent.describe()} has ended and can't call {spec.name} any more: "
                "await what it starts with asyncio before it returns"
            )
        frame.must_go_on()

    def name(self, spec: TaskSpec, asked: bytes, parent: Call, branch: bytes) -> tuple[bytes, Place | None]:
        """The key of a call: what it asks, of whom, and its place among equal siblings; the place where it must be remembered."""
        prefix = parent.prefix
        if not prefix:
            prefix = parent.prefix = call_prefix(parent.key, parent.epoch)
        key = hash_key(prefix + spec.name_part + asked)
        if branch or parent.siblings is not None or key in self._placed:
            return self.siblings_of(parent).place(key, branch)
        ordinals = parent.ordinals
        if ordinals is None:
            parent.ordinals = {key: 1}
            return key, None
        ordinal = ordinals.setdefault(key, 0)
        ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal) if ordinal else key, None

    def _check_rivals(self, spec: TaskSpec, asked: bytes, parent: Call) -> None:
        """Raises UsageError where another function of the name was asked the same: each could get the other's answers."""
        functions = self._functions if spec.forever else parent.extra().functions
        if functions.setdefault(hash_key(spec.name_part + asked), spec.source) != spec.source:
            where = "this run" if spec.forever else parent.describe()
            raise UsageError(
                f"{where} calls two functions of the name {spec.name} with the same arguments, and each could be given what is "
                "recorded for the other: give one of them a name= of its own, or pass as an argument what they differ in"
            )

    def shared_name(self, call: Call, asked: bytes, above: Share) -> bytes:
        """The name of a call below one with a shared name: it has the same place among its equals as in its own key."""
        if not above.prefix:
            above.prefix = call_prefix(above.key, above.epoch)
        key = hash_key(above.prefix + call.spec.name_part + asked)
        if call.place is not None:
            return sibling_key(key, call.place.ordinal)
        if above.ordinals is None:
            above.ordinals = {}
        ordinal = above.ordinals.get(key, 0)
        above.ordinals[key] = ordinal + 1
        return sibling_key(key, ordinal)

    def siblings_of(self, parent: Call) -> Siblings:
        """Which of the calls of one parent is which, where it has branches."""
        if parent.siblings is None:
            parent.siblings = Siblings(parent)
        return parent.siblings

    def start_root(self, spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any], scope: Scope) -> Call:
        """Make the run's first call."""
        args, kwargs = spec.signature.bind(args, kwargs)
        asked = spec.canonical(args, kwargs)
        key = call_key(self.salt, 0, spec.identity, asked)
        self.calls = 1
        root: Call = Call(self, spec, key, args, kwargs, None, scope, 1, asked)
        root.branch = b""
        if spec.key is not None:
            note_members(root)
        return root

    # --- starting ----------------------------------------------------------------------------------------------------

    def begin(self, call: Call) -> None:
        """There is room: reserve the budget, note the start where the journal must know it, launch."""
        deadline = call.scope.deadline
        if deadline is not None and deadline.left_s <= 0 and not self.replay.goes_on(call):
            self.ready.release(call)
            self.conclude(call, None, deadline.error(call.describe()))
            return
        spec = call.spec
        if spec.plain and call.x is None and call.scope.account is None:
            call.attempt = 1
            call.state = STARTING
            self.ready.active += 1
            self.launcher.run_plain(call)
            return
        if spec.cost or call.scope.account is not None:
            if (refused := self.books.reserve(call)) is not None:
                self.ready.release(call)
                self.conclude(call, None, refused)
                return
        call.attempt += 1
        call.state = STARTING
        if spec.pool == "inline" and not spec.batch:
            self.ready.active += 1
        if spec.effect or (call.x is not None and call.x.reserved):
            seq = self.outcomes.note_start(call)
            if spec.effect:
                self.launcher.when_durable(call, seq)
                return
        self.launcher.launch(call)

    def timed_out(self, call: Call) -> None:
        """The timer of the task's timeout."""
        if call.state in (STARTING, RUNNING, FINISHING) and (call.x is None or call.x.stop is None):
            timeout_s = call.spec.timeout_s
            error = CallTimeout(f"{call.describe()} took longer than its timeout of {timeout_s:g} s")
            self.stop(call, "timed out", error)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def cancel(self, call: Call, reason: str, error: BaseException | None = None) -> None:
        """Ask a call to stop, with everything under it. `error` is what it ends with instead of being cancelled."""
        if call.state >= OK:
            return
        x = call.extra()
        if x.stop is None or (error is None and not isinstance(x.stop, asyncio.CancelledError)):
            self.stop(call, reason, error or asyncio.CancelledError(reason))

    def stop(self, call: Call, reason: str, why: BaseException) -> None:
        x = call.extra()
        x.stop, x.stop_reason = why, reason
        if self.emit:
            self.emit(events.CancelRequested(at=self.wall(), key=call.key.hex(), task=call.task, reason=reason))
        if call.state < RUNNING or call.state == RESTING:
            self.body_ended(call, None, why)
        elif call.state == FINISHING:
            for child in list(call.children or ()):
                self.cancel(child, f"{call.describe()} is stopping")
        else:
            self.launcher.interrupt(call)

    # --- ending ------------------------------------------------------------------------------------------------------

    def body_ended(self, call: Call, value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """The call's own code has ended; its children may not have."""
        if call.state >= FINISHING:
            return
        x = call.x
        fixed = self.closing or cannot_change(call)
        if not fixed and error is None:
            error = unless_changed(call, value, None)
        if x is None and error is None and call.spec.plain and not call.children and not self.closing:
            call.asyncio_task = None
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
        if call.children:
            call.state = FINISHING
            call.extra().ended = (value, error, encoded)
            if error is not None:
                for child in list(call.children):
                    self.cancel(child, f"{call.describe()} ended without it")
            return
        self.conclude(call, value, error, encoded)

    def children_ended(self, call: Call) -> None:
        """The last child of a call that was waiting for it has ended."""
        if call.state != FINISHING or call.children:
            return
        x = call.extra()
        value, error, encoded = x.ended
        x.ended = (None, None, None)
        if error is None and x.stop is not None:  # one that was only asked to stop keeps its result, if its children kept theirs
            if not isinstance(x.stop, asyncio.CancelledError) or x.cut or any(not child.awaited for child in x.failures):
                error = x.stop
        self.conclude(call, value, error, encoded)

    def conclude(self, call: Call, value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """A call and its children have ended: settle, try again, or end it for good."""
        if call.state == WAITING and (call.x is None or not call.x.costs):  # what it has cost before is not forgotten
            self.books.take_over(call)
        x = call.x
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

    def try_again(self, call: Call, delay: float) -> None:
        """Forget the failed attempt and rest before the next."""
        x = call.extra()
        x.failures.clear()
        x.functions.clear()
        x.child_errors.clear()
        x.stop, x.stop_reason = None, ""
        x.recharged.clear()
        x.parks, x.parked_s, x.granted, x.cut = 0, 0.0, False, False
        call.ordinals = None
        if call.siblings is not None:
            call.siblings.begin_again()
        if call.share is not None:
            call.share.ordinals = None
        self.rest(call, delay)

    def rest(self, call: Call, delay: float) -> None:
        call.state = RESTING
        call.extra().timer = self.loop.call_later(delay, self._rested, call)

    def _rested(self, call: Call) -> None:
        if call.state == RESTING:
            call.extra().timer = None
            self.ready.push(call)

    def deliver(self, call: Call, state: int) -> None:
        """The outcome is on its way to the journal: tell whoever waits for it."""
        call.state = state
        call.context = None
        call.ordinals = None
        call.siblings = None
        call.children = None
        parent = call.parent
        if call.scope.deadline is not None:
            call.scope.deadline.ended(call)
        if parent is not None:
            if state == FAILED:
                x = parent.extra()
                if not call.awaited or is_unseen(call):
                    x.failures.append(call)
                keeps = parent.spec.retry is not None or parent.memo is not None or parent.share is not None
                if keeps and call.error is not None:
                    x.child_errors.append(call.error)
            elif state == CANCELLED and parent.state == FINISHING and parent.x is not None and parent.x.stop is not None:
                parent.x.cut = True
            children = parent.children
            if children is not None:
                children.pop(call, None)
                if not children:
                    parent.children = None  # a dictionary keeps the size it once had
                    if parent.state == FINISHING:
                        self.loop.call_soon(self.children_ended, parent)
        callbacks = call.callbacks
        if callbacks is not None:
            call.callbacks = None
            if type(callbacks) is list:
                for callback in callbacks:
                    callback(call)
            else:
                callbacks(call)

    # --- answers for handles -----------------------------------------------------------------------------------------

    def value_of(self, call: Call) -> Any:
        return self.outcomes.value(call)

    def error_for_awaiter(self, call: Call) -> BaseException:
        if call.state == CANCELLED:
            return call.cancellation()
        assert call.error is not None
        return call.error

    def cost_of(self, call: Call) -> Amounts:
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

    def emit_spawned(self, call: Call) -> None:
        assert self.emit is not None
        event = events.CallSpawned(
            at=self.wall(),
            key=call.key.hex(),
            parent=call.parent_key.hex(),
            task=call.task,
            label=call.spec.label(call.args, call.kwargs),
        )
        self.emit(event)
