"""The engine of one run: makes its parts and takes in the program's calls.

A call's way: `spawn` names it; `admission` answers it from the journal or waits for the handles among its arguments; `ready` gives
it room; `lifecycle` reserves its budget, has it launched in the loop or a pool, waits for its children, and has it recorded; then
whoever waits for it is told. A call never goes backwards. Each part is made here, with what it needs from the run (`run_context`)
and from other parts.

Everything happens on one thread, the event loop's, in callbacks that never block; other threads come in through `on_loop`. The
engine must never let a dependent see an outcome that is not in the journal's queue, and never leave a call behind: a call ends
only when its children have ended.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import Any

from headway import events
from headway.engine.call import Call, Frame, check_stop, must_stop
from headway.engine.collecting import Collecting
from headway.engine.decisions import Decisions
from headway.engine.dispatch.batch import Batches
from headway.engine.dispatch.order import Order
from headway.engine.identity.argument_changes import note_members
from headway.engine.identity.inputs import PLAIN, handles_in
from headway.engine.identity.keys import call_key
from headway.engine.identity.naming import Names
from headway.engine.lifecycle import Lifecycle
from headway.engine.parts import Parts
from headway.engine.replay.admission import Admission
from headway.engine.replay.lookup import Replay
from headway.engine.replay.name_claims import Claims
from headway.engine.replay.shared import Shared
from headway.engine.run_context import RunContext
from headway.engine.scopes.accounting import Accounting
from headway.engine.scopes.bounds import Scope
from headway.engine.scopes.budget_line import BudgetLine
from headway.engine.scopes.desk import Desk
from headway.engine.scopes.scopes import Scopes
from headway.engine.stopping.shields import Shields
from headway.engine.stopping.stops import Stops
from headway.engine.streaming.streams import Streams
from headway.engine.tasks.spec import RIVALS, TaskSpec
from headway.engine.transitions import FINISHING, RUNNING
from headway.engine.waiting.signals import Signals
from headway.engine.waiting.started import StartedRuns
from headway.engine.waiting.waits import Waits
from headway.errors import HeadwayError, UsageError
from headway.journal.log import Journal
from headway.journal.store import Store

_NO_NAMES: Mapping[str, Any] = {}


class Engine:
    """One run in this process."""

    def __init__(
        self,
        run: RunContext,
        parts: Parts,
        *,
        resources: dict[str, int],
        max_active: int,
        order: Order | None = None,
        decided: Mapping[str, str] | None = None,
    ) -> None:
        self.run = run
        self.run_id, self.loop, self.thread, self.wall = run.run_id, run.loop, run.thread, run.wall
        self.world, self.store, self.pools, self.known = run.world, run.store, run.pools, run.known
        self.calls = 0  # calls made in this process
        self.root: Call | None = None
        self.desk: Desk | None = None  # of limits that processes share; none without a store
        self.claims: Claims | None = None  # on results that runs share; none without a store
        self.started: StartedRuns | None = None  # runs that this one waits for; none without a store
        self.lifecycle = lifecycle = Lifecycle(run)
        self.cancel = lifecycle.cancel
        self.replay = Replay(run, decided or {})
        self.decisions = Decisions(run, self.replay)
        self.names = Names(run.known, self.decisions)
        self.accounting = Accounting(run, self.decisions)
        self.ready = parts.ready(run, lifecycle, resources, max_active, order)
        self.accounting.line = self.ready.line = BudgetLine(run, lifecycle, self.ready)
        self.waits = Waits(run, lifecycle, self.ready)
        self.stops = Stops(run, lifecycle, self.ready)
        self.scopes = Scopes(run, self.decisions, self.accounting, self.replay, lifecycle, self.waits)
        self.signals = Signals(run, self.decisions, self.scopes, self.replay)
        self.shared = Shared(run, self.names, self.replay, self.waits)
        self.outcomes = parts.outcomes(run, self.accounting, self.shared, self.signals, self.replay, self.ready)
        self.launcher = parts.launcher(run, lifecycle, self.ready, self.accounting, self.shared, self.stops, self.outcomes.value)
        self.collecting = Collecting(run)
        self.batches = Batches(run, lifecycle, self.ready, self.accounting, self.stops, self.launcher)
        self.admission = Admission(run, lifecycle, self.ready, self.replay, self.accounting, self.shared, self.signals)
        self.streams = Streams(run, self.decisions, self.replay, lifecycle, self.waits)
        self.shields = Shields(run, self.decisions, self.replay, self.waits, lifecycle, self.stops, self.launcher, self.streams)
        self.admission.shields = self.shields
        self.launcher.batches = self.batches
        self.launcher.streams = self.streams
        self.shared.answers = self.admission
        lifecycle.connect(
            accounting=self.accounting,
            ready=self.ready,
            launcher=self.launcher,
            outcomes=self.outcomes,
            replay=self.replay,
            streams=self.streams,
            shields=self.shields,
        )

    def use_desk(self, desk: Desk) -> None:
        """Let limits be shared with other processes."""
        self.desk = self.ready.desk = self.scopes.desk = desk

    def use_claims(self, claims: Claims) -> None:
        """Let equal calls of other runs wait for each other's results."""
        self.claims = self.shared.claims = claims

    def use_store(self, store: Store) -> None:
        """Let calls start runs."""
        self.started = StartedRuns(self.run, self.scopes, store)

    # --- coming in ---------------------------------------------------------------------------------------------------

    def on_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function on the engine's thread and return its result, from whatever thread this is."""
        if threading.get_ident() == self.thread:
            return function(*args)
        if self.run.closing or self.loop.is_closed():
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
        stopping = parent.x is not None and parent.x.stop is not None and must_stop(parent)
        if stopping and not parent.extra().halting().replays:
            check_stop(parent)
        if spec.limit is not None:
            scope = self.scopes.limited(frame, spec)
        if frame.batch is not None:
            raise UsageError(
                f"batch task {parent.task} can't call {spec.name}: it works for several calls at once, and none could own it. "
                "Make the calls where the batch's results are used"
            )
        if parent.spec.leaf:
            raise UsageError(
                f"{parent.describe()} was given secrets and can't call {spec.name}, whose arguments are recorded: call its plain "
                "function (`.fn`), or make the call where no secret is filled in"
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
        if not kwargs:
            kwargs = _NO_NAMES  # most calls: not an empty dictionary for each
        if spec.name in RIVALS:
            self.names.check_rivals(spec, asked, parent)
        key, place = self.names.name(spec, asked, parent, frame.path)
        self.calls = number = self.calls + 1
        call: Call = Call(self, spec, key, args, kwargs, parent, scope, number, asked)
        call.branch = frame.branch
        if place is not None:
            call.place = place
        if spec.forever or parent.share is not None:
            if not spec.streams:  # what others have recorded of an equal call holds no items
                call.share = self.shared.name(call, inputs)
        call.inputs = inputs
        told_again = not stopping or self.shields.lets_ask(parent, call)
        if self.run.resumed and self.admission.answer_at_once(call):
            return call
        call.made = self.wall()
        if spec.key is not None:
            note_members(call)
        if parent.children is None:
            parent.children = {call: None}
        else:
            parent.children[call] = None
        call.context = context
        self.admission.admit(call, None if told_again else parent.extra().stop_reason)
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

    def start_root(self, spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any], scope: Scope) -> Call:
        """Make the run's first call."""
        args, kwargs = spec.signature.bind(args, kwargs)
        asked = spec.canonical(args, kwargs)
        key = call_key(self.run.salt, 0, spec.identity, asked)
        self.calls = 1
        root = self.root = Call(self, spec, key, args, kwargs, None, scope, 1, asked, self.wall())
        root.branch = b""
        if spec.key is not None:
            note_members(root)
        return root

    # --- what others may ask -----------------------------------------------------------------------------------------

    @property
    def journal(self) -> Journal:
        return self.run.journal

    @property
    def emit(self) -> Callable[[events.Event], None] | None:
        """The listener for events; None while there is none."""
        return self.run.emit

    @property
    def closes_at_once(self) -> bool:
        """Whether nothing has to be closed that may take time: no task wanted a pool, no limit is shared with other processes."""
        return not self.pools.were_wanted and (self.desk is None or not self.desk.has_limits)

    @property
    def closing(self) -> bool:
        """Whether the run stops here to go on another time: ends are no longer recorded."""
        return self.run.closing

    def fail(self, error: HeadwayError) -> None:
        """The journal, or a pool, can't go on: stop everything, record nothing more."""
        self.ready.stopped = True
        self.run.fail(error)
