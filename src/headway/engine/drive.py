"""Drives one run in this process: claims it, runs it to its end, and releases it.

A driver owns the run's lease and everything that lives as long as the run does here: the journal's writer, the pools, the engine,
the event sinks. It ends in one of four ways: the root call ended; the run was cancelled from outside; it was interrupted (Ctrl-C or
SIGTERM: first drain, then stop at once); the journal failed. In each case it leaves no task, thread or process of its own behind,
and the journal holds all finished work. A worker's driver also parks a run that only waits (`waiting/parking`), which is a fifth.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway import events
from headway.engine.call import Call, Frame
from headway.engine.dispatch.order import Order
from headway.engine.engine import Engine
from headway.engine.outcomes.result import result_of
from headway.engine.ports import Hosts
from headway.engine.replay.claim import Claim
from headway.engine.replay.name_claims import Claims
from headway.engine.run_context import RunContext
from headway.engine.scopes.accounting import warn_of_units
from headway.engine.scopes.bounds import UNBOUNDED, Scope
from headway.engine.scopes.desk import Desk
from headway.engine.stopping.interruption import LEAVE_S, Interruption
from headway.engine.stopping.outside import driving
from headway.engine.tasks.spec import TaskSpec
from headway.engine.transitions import CANCELLED, FAILED, OK
from headway.engine.waiting.parking import Park, Parking, RunParked
from headway.engine.world import MACHINE, LogWriter, World
from headway.errors import HeadwayError, RunCancelled, StoreError, StoreFull
from headway.journal.decisions import BudgetOpened, DeadlineOpened, decision_key
from headway.journal.log import Journal, Log, NullJournal
from headway.journal.records import After, Amounts, Ending, Lease, RunInfo, RunStatus, Signal
from headway.journal.recovery.recovered import RecoveredState
from headway.journal.shared.queues import park
from headway.journal.store import Store
from headway.pools.registry import Given, Pools

BROKEN_S = 10.0  # until a run is taken again that could not go on here
OF_RUN = b"run"  # the place of the whole run's bounds, apart from those that the root call opens
_STATUS = {OK: RunStatus.DONE, FAILED: RunStatus.FAILED, CANCELLED: RunStatus.CANCELLED}  # of a run, by the state of its root


@dataclass(frozen=True, slots=True)
class Plan:
    """What to drive, and with what."""

    run_id: str
    spec: TaskSpec
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    salt: bytes
    nonce: bytes
    store: Store | None = None
    claim: Claim | None = None  # the run as it was taken up in the store
    sinks: Sequence[events.Sink] = ()
    pools: Mapping[str, Given] = field(default_factory=dict)
    resources: dict[str, int] = field(default_factory=dict)
    max_active: int = 1024
    order: Order | None = None
    decided: dict[str, str] = field(default_factory=dict)
    budget: Amounts = field(default_factory=dict)
    deadline_s: float | None = None
    new_deadline: bool = False  # it counts from now, whatever was recorded
    retry_failed: bool = False  # retry failures that the program handled, too
    owns_store: bool = False  # the store is closed with the run
    parks: bool = False  # it is given back while it only waits: others take it up then
    world: World = MACHINE
    hosts: Hosts | None = None  # answer what code in workers asks


class Driver:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.has_closed = False  # the store, which it owns
        self._leaving = threading.Lock()
        self._sinks = list(plan.sinks)
        self._lease = plan.claim.lease if plan.claim is not None else None
        self._gave_back = False
        self._log: Log | None = None
        self._writer: LogWriter | None = None
        self._failure: BaseException | None = None
        self._stopped: asyncio.Event | None = None
        self._parking: Parking | None = None
        self._park: Park | None = None
        self._awaited: tuple[str, ...] = ()  # runs whose end wakes it where it is parked
        self.status: RunStatus | None = None  # how the run ended here
        self._root: Call
        self._engine: Engine
        self._interruption: Interruption

    async def drive(self) -> Any:
        """The root's result. Raises its error, RunCancelled, Interrupted or StoreError."""
        with driving(self._plan.run_id):
            return await self._drive()

    async def _drive(self) -> Any:
        plan = self._plan
        self._stopped = asyncio.Event()
        outside = weakref.WeakSet(asyncio.all_tasks())
        known = plan.claim.known if plan.claim is not None else RecoveredState()
        status = RunStatus.INTERRUPTED
        try:
            self._engine = engine = self._make_engine(known)
            self._emit_started(known)
            blobs = plan.store.blob_place if plan.store is not None else ""
            engine.pools.start(self._on_free, self._emit if self._sinks else None, engine.fail, blobs)
            with self._interruption.listen(self.last_words) if plan.world.interruptible else contextlib.nullcontext():
                root = self._root = engine.start_root(plan.spec, plan.args, plan.kwargs, UNBOUNDED)
                root.floor = self._error_floor(known)
                engine.replay.retry_failed = plan.retry_failed
                root.scope = self._root_scope(root)
                root.add_callback(lambda _: engine.run.reader.when_read(root, lambda _: self._stop()))
                engine.admission.admit(root)
                if plan.parks and self._lease is not None:
                    parts = (engine.ready, engine.scopes, engine.signals, engine.waits)
                    self._parking = Parking(engine.run, parts, root, self._park_run, outside)
                    self._parking.start()
                try:
                    await self._stopped.wait()
                except asyncio.CancelledError:  # whoever awaits the run has lost interest
                    await self._wind_down()
                    await engine.stops.close(root)
                    raise
                status = await self._wind_down()
                await engine.stops.close(root)
                if engine.closes_at_once:  # else its last rows must not wait for that
                    status = await self._give_back(status)
                elif root.state >= OK:
                    status = await self._durable(status)
            if root.scope.account is not None:
                warn_of_units(root.scope.account.limits, root.scope.account.spent)
        finally:
            status = self.status = await self._give_back(status)
            if hasattr(self, "_interruption"):
                self._interruption.close()
        if self._park is not None and not isinstance(self._failure, StoreError):
            raise RunParked(plan.run_id, self._park.until)
        return result_of(self._root, status, self._failure, plan.run_id, self._how_to_resume() if plan.store is not None else "")

    # --- making what drives it ---------------------------------------------------------------------------------------

    def _error_floor(self, known: RecoveredState) -> int:
        """Up to which record failures are asked again."""
        if self._plan.retry_failed:
            return known.last_seq
        return self._plan.claim.info.error_floor if self._plan.claim is not None else 0

    def _make_engine(self, known: RecoveredState) -> Engine:
        plan = self._plan
        loop = asyncio.get_running_loop()
        run = RunContext(
            run_id=plan.run_id,
            salt=plan.salt,
            nonce=plan.nonce,
            loop=loop,
            journal=NullJournal(),
            known=known,
            pools=Pools(plan.world.make_pools(plan.pools)),
            world=plan.world,
            store=plan.store,
        )
        run.emit = self._emit if self._sinks else None
        run.on_failure = self._on_failure
        engine = Engine(
            run,
            plan.world.parts(),
            resources=plan.resources,
            max_active=plan.max_active,
            order=plan.order,
            decided=plan.decided,
        )
        if plan.hosts is not None:
            engine.launcher.hosts = plan.hosts
        plan.world.drives(engine)
        how = self._how_to_resume() if plan.store is not None else ""
        self._interruption = Interruption(run, engine.ready, self._stop, how)
        engine.ready.on_parked = self._interruption.look
        if plan.store is not None and self._lease is not None:
            run.journal = self._open_log(plan.store, self._lease, engine, loop)
        return engine

    def _open_log(self, store: Store, lease: Lease, engine: Engine, loop: asyncio.AbstractEventLoop) -> Journal:
        def post(callback: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(callback)

        log = self._log = Log(
            store,
            lease,
            engine.known.last_seq,
            post=post,
            on_room=engine.ready.dispatch,
            on_failure=engine.fail,
            on_commit=self._on_commit if self._sinks else None,
            wall=self._plan.world.wall,
        )
        engine.use_desk(Desk(engine.run, engine.ready, store, log))
        engine.use_claims(Claims(engine.run, engine.waits, store, log))
        engine.use_store(store)
        self._writer = self._plan.world.make_writer(log, self._on_word, engine.scopes.clock_jumped)
        engine.signals.look = self._writer.look
        self._writer.start()
        return log

    def _root_scope(self, root: Call) -> Scope:
        """The bounds of the whole run; those it was started with, where this time names none."""
        plan, engine, frame = self._plan, self._engine, Frame(root, UNBOUNDED)
        opened = engine.decisions.recall(root, decision_key(root.key, 0, "budget", OF_RUN), BudgetOpened)
        limits = plan.budget or (opened.limits if opened is not None else {})
        account = engine.scopes.open_budget(frame, limits, OF_RUN) if limits else None
        deadline, key = None, decision_key(root.key, 0, "deadline", OF_RUN)
        if plan.new_deadline and plan.deadline_s is not None:
            engine.known.decisions.pop(key, None)
        if plan.deadline_s is not None or engine.decisions.recall(root, key, DeadlineOpened) is not None:
            deadline = engine.scopes.open_deadline(frame, engine.wall() + (plan.deadline_s or 0.0), OF_RUN)
        root.ordinals = None
        return engine.scopes.limited(Frame(root, Scope(account, deadline)), plan.spec)

    # --- what happens meanwhile --------------------------------------------------------------------------------------

    def _on_free(self) -> None:
        self._engine.ready.dispatch_soon()
        self._engine.batches.serve()
        self._interruption.look()

    def _on_commit(self, rows: int, seq: int, seconds: float) -> None:
        self._emit(events.Committed(at=self._plan.world.wall(), rows=rows, seq=seq, seconds=seconds))

    def _how_to_resume(self) -> str:
        store = self._plan.store.url if self._plan.store is not None else ""
        return f"headway resume {self._plan.run_id} --store {shlex.quote(store)}"

    def _on_failure(self, error: HeadwayError) -> None:
        self._failure = error
        if isinstance(error, StoreFull):
            error.add_note(f"when there is room again, go on with: {self._how_to_resume()}")
        self._stop()

    def _on_word(self, info: RunInfo, signals: list[Signal]) -> None:
        """Act on a message that another process left in the store."""
        engine = self._engine
        engine.signals.arrive(signals)
        if info.cancel_requested and self._failure is None:
            self._failure = RunCancelled(
                f"run {info.spec.run_id!r} was cancelled; what is finished is journaled: {self._how_to_resume()} goes on with it"
            )
            engine.cancel(self._root, "the run was cancelled")

    def _emit(self, event: events.Event) -> None:
        for sink in tuple(self._sinks):
            try:
                sink(event)
            except (Exception, SystemExit) as error:  # it only listens
                self._sinks.remove(sink)
                warnings.warn(f"headway: event sink {sink!r} failed and gets no more events: {error}", stacklevel=2)
        if not self._sinks:
            self._engine.run.emit = None

    def _emit_started(self, known: RecoveredState) -> None:
        if self._sinks:
            url = self._plan.store.url if self._plan.store is not None else "memory"
            started = events.RunStarted(
                at=self._plan.world.wall(),
                run_id=self._plan.run_id,
                task=self._plan.spec.name,
                store=url,
                recorded=len(known.outcomes),
                resumed=bool(known),
            )
            self._emit(started)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        assert self._stopped is not None
        self._stopped.set()

    def interrupt(self, stop_s: float) -> None:
        """Start no more calls, stop those that run after so many seconds, and give the run back; a second time, stop them now. From
        any thread."""
        if hasattr(self, "_interruption"):
            self._engine.loop.call_soon_threadsafe(self._interruption.interrupt, stop_s)

    def _park_run(self, park: Park) -> None:
        """Stop here, in this very turn: what the program does from now on is not recorded."""
        engine = self._engine
        self._awaited = engine.started.awaited if engine.started is not None else ()
        self._park, engine.run.parked, engine.run.closing, engine.ready.stopped = park, True, True, True
        engine.stops.stop_all(self._root, "the run is parked")
        self._stop()

    def last_words(self) -> None:
        """The process is about to leave without this driver: write what is finished, and give the run back. In another thread."""
        self._engine.run.closing = True
        self._leave(RunStatus.INTERRUPTED)

    async def _wind_down(self) -> RunStatus:
        """The root ended, or the run must stop: leave nothing running, and say how the run ended."""
        engine, root = self._engine, self._root
        if root.state >= OK and self._park is None:
            return self._unless_broken(_STATUS[root.state])
        engine.run.closing = True
        engine.ready.stopped = True
        ended = asyncio.Event()
        root.add_callback(lambda _: ended.set())
        if self._park is None:
            engine.stops.stop_all(root, "the run stops here")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), LEAVE_S)
        return RunStatus.INTERRUPTED

    def _unless_broken(self, status: RunStatus) -> RunStatus:
        """How the run ended, unless something broke it off."""
        return status if self._failure is None or isinstance(self._failure, RunCancelled) else RunStatus.INTERRUPTED

    async def _durable(self, status: RunStatus) -> RunStatus:
        """Wait until everything recorded is on the disk, or the journal has failed; how the run ended."""
        if (log := self._log) is not None and log.failure is None:
            written = asyncio.Event()

            def failed(error: HeadwayError) -> None:
                self._failure = error
                written.set()

            self._engine.run.on_failure = failed
            log.when_durable(log.last_seq, written.set)
            await written.wait()
        return self._unless_broken(status)

    # --- giving it back ----------------------------------------------------------------------------------------------

    async def _give_back(self, status: RunStatus) -> RunStatus:
        """Close what lives as long as the run does here, once; how the run ended."""
        plan = self._plan
        if self._gave_back:
            return status
        self._gave_back = True
        try:
            if hasattr(self, "_engine"):
                self._engine.run.closing = True
                if self._parking is not None:
                    self._parking.close()
                self._engine.scopes.close()
                self._engine.run.reader.close()
                if self._engine.started is not None:
                    self._engine.started.close()
                if self._engine.claims is not None:
                    self._engine.claims.close()
                await self._engine.pools.close()
                if self._engine.desk is not None:
                    await self._engine.desk.close()
        finally:
            if self._lease is not None:
                try:
                    await plan.world.aside(self._leave_for_good, status)
                except asyncio.CancelledError:  # nobody may close the store under it
                    await plan.world.aside(self._leave_for_good, status)
                    raise
            if self._log is not None:
                self._log.hear()  # the last rows may have been too much for the disk
            status = self._unless_broken(status)
        if self._sinks:
            calls, reused = self._engine.calls, self._engine.replay.reused
            self._emit(events.RunEnded(at=plan.world.wall(), run_id=plan.run_id, status=status, calls=calls, reused=reused))
        return status

    def _leave_for_good(self, status: RunStatus) -> None:
        """`_leave`, and close the store where nobody else has it: in one go, for another thread takes longer than closing does."""
        with self._leaving:
            self._leave(status)
            if self._plan.owns_store and self._plan.store is not None:
                self._plan.store.close()
                self.has_closed = True

    def _after(self) -> After | None:
        """When a run of a queue goes on that has not ended: a parked one when it can, one that broke here not at once."""
        if self._park is not None:
            until, heard = self._park
            return park(until=math.inf if until is None else until, seen=heard, runs=self._awaited)
        if self._failure is not None and not isinstance(self._failure, RunCancelled):
            return After(at=self._plan.world.wall() + BROKEN_S)
        return None

    def _leave(self, status: RunStatus) -> None:
        """Write what is queued, and release the run. Runs off the loop."""
        if (log := self._log) is None or self._writer is None:  # nothing could be made that writes
            with contextlib.suppress(StoreError):
                if self._plan.claim is not None and self._plan.store is not None:
                    self._plan.claim.give_up(self._plan.store, self._plan.world.wall())
            return
        log.end(Ending(status, log.last_seq if status in (RunStatus.FAILED, RunStatus.CANCELLED) else None, self._after()))
        self._writer.close()
        log.give_back()
