"""One trial: the engine as it always is, on a virtual clock, with workers that take the drawn time instead of running code.

Making, naming, waiting for inputs, the ready queue and its priorities, retries and ends are the engine's own. What a trial replaces
is outside of it: pools (`workers.py`), programs (`body.py`), the journal (nobody reads it, so nothing is encoded). A call whose
worker failed is started again however often that takes, as a task with enough `retry=` would be.

What calls cost is added up here, not in the ledger: a cost never changes when something runs, and without a bound a ledger only
adds. Every attempt costs what the call costs, lost ones too, as the ledger assumes of an attempt that left no outcome.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import gc
import random
import sys
from asyncio import events as asyncio_events
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.engine.call import Call, Frame, current
from headway.engine.dispatch.launch import Launcher
from headway.engine.dispatch.order import Order
from headway.engine.handle import Handle
from headway.engine.identity.keys import task_part
from headway.engine.identity.signature import Signature
from headway.engine.outcomes.outcomes import Outcomes
from headway.engine.outcomes.retry import Retry
from headway.engine.parts import Parts
from headway.engine.tasks.spec import TaskSpec
from headway.engine.transitions import FINISHING, OK, RUNNING
from headway.errors import WorkerDied
from headway.journal.codec.codec import Encoded
from headway.journal.records import Amounts, Error
from headway.pools.base import Answer, CallFacts, FullPool, Job
from headway.pools.registry import Given
from headway.run import arun
from headway.sim.predict.body import Body
from headway.sim.predict.workers import Room, Workers
from headway.sim.predict.workload import Sample, Workload, draw_all
from headway.sim.universe import Universe
from headway.sim.world import SimWorld
from headway.task import Task

if TYPE_CHECKING:
    from headway.engine.engine import Engine

EVERYTHING = 1 << 40  # calls on the loop that may run at a time: those that wait are no load
_AGAIN = Retry(attempts=1 << 40, delay_s=0.0, jitter=0.0, on=(WorkerDied,))
_NO_FACTS = CallFacts("", "", 1, "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The workers that a workload runs on. `mtbf_s` is a worker's mean time between failures; None: it never fails. `order` says
    which of the calls that wait starts first; None as a run without one."""

    workers: int
    mtbf_s: float | None = None
    repair_s: float = 30.0
    order: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of one trial. Times are virtual seconds."""

    makespan_s: float
    cost: Amounts
    busy_s: float  # workers' time, that spent on lost calls included
    lost: int  # calls that a failing worker took with it


def play(workload: Workload, conditions: Conditions, seed: object) -> Trial:
    """Run a workload once. The same seed gives the same trial; the drawn durations don't depend on the conditions."""
    return _Play(workload, draw_trial(workload, seed), conditions, seed).run()


def draw_trial(workload: Workload, seed: object) -> list[Sample]:
    """What each call takes and costs in the trial of this seed."""
    return draw_all(workload, random.Random(f"durations {seed!r}"))


def play_drawn(workload: Workload, drawn: list[Sample], conditions: Conditions, seed: object = 0) -> Trial:
    """`play`, with what each call takes and costs given."""
    return _Play(workload, drawn, conditions, seed).run()


class _Play:
    def __init__(self, workload: Workload, drawn: list[Sample], conditions: Conditions, seed: object) -> None:
        self._workload = workload
        self._drawn = drawn
        self._conditions = conditions
        self._clock = _Clock(f"trial {seed!r}")
        self._process = self._clock.process("prediction")
        self._cost: Amounts = {}
        self._handles: list[Handle[Any] | None] = [None] * len(workload.calls)
        self._unmade: dict[int, list[Callable[[], None]]] = {}  # makings that need the handle of a call that is not made yet
        self._stopped: set[int] = set()
        self._context = contextvars.Context()  # one for all calls in pools: none of them looks into it
        self._pools = self._make_pools()
        self._specs: dict[tuple[int, str, bool], TaskSpec] = {}

    def run(self) -> Trial:
        self._process.world = _World(self._process, self._pools)
        root, order = self._root(), self._conditions.order
        main = self._process.start(arun(root, 0, store=None, progress=False, max_active=EVERYTHING, order=order))
        try:
            self._clock.run(self._clock.end_of(self._process))
            main.result()
        finally:
            makespan_s = self._clock.now
            self._clock.remove(self._process)
        workers = self._pools["workers"]
        return Trial(makespan_s=makespan_s, cost=self._cost, busy_s=workers.busy_s, lost=workers.lost)

    # --- what the engine is given ------------------------------------------------------------------------------------

    def _make_pools(self) -> dict[str, Room]:
        """The workers, and for each other pool the room that it has."""
        conditions, process = self._conditions, self._process
        workers: Room
        if conditions.mtbf_s is None:
            workers = Room(process, "workers", conditions.workers, self._begin)
        else:
            workers = Workers(
                process,
                "workers",
                conditions.workers,
                self._begin,
                mtbf_s=conditions.mtbf_s,
                repair_s=conditions.repair_s,
                calls=len(self._workload.calls),
            )
        room = self._workload.room
        others = {pool: Room(process, pool, room.get(pool), self._begin) for pool in ("process", "thread", "loop")}
        pools = {"workers": workers, **others}
        for pool in pools.values():
            pool.caller = self._call_in_pool
        return pools

    def _spec(self, number: int) -> TaskSpec:
        """The task of a call, as the engine sees it."""
        call = self._workload.calls[number]
        key = (call.task, call.pool, call.program is None)
        if (spec := self._specs.get(key)) is None:
            inline = call.program is not None and call.pool == "inline"
            pool = "workers" if call.pool == self._workload.pool else "loop" if call.pool == "inline" else call.pool
            self._specs[key] = spec = self._new_spec(call.task, "inline" if inline else pool)
        return spec

    def _new_spec(self, task: int, pool: str) -> TaskSpec:
        name = self._workload.tasks[task]
        return TaskSpec(
            name=name,
            fn=self._call_on_loop,
            signature=_TAKES_NUMBER,
            is_async=True,
            pool=pool,
            retry=_AGAIN if pool == "workers" and self._conditions.mtbf_s is not None else None,
            version_text="simulated",
            plain=pool == "inline",
            name_part=task_part(name),
        )

    def _root(self) -> Task[..., None]:
        async def root(number: int) -> None:
            frame = current.get()
            assert frame is not None
            self._handles[0] = Handle(frame.call)
            await self._call_on_loop(number)

        own = self._workload.calls[0]
        spec = self._new_spec(own.task, "inline")
        if own.program is not None:
            return Task(dataclasses.replace(spec, fn=root))
        return Task(self._spec(0))  # a run of one call

    # --- what the calls do -------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> float | None:
        """An attempt begins: pay for it. Its seconds, or None for a caller."""
        number = job.args[0]
        drawn = self._drawn[number]
        self._pay(drawn.cost)
        return drawn.seconds if self._workload.calls[number].program is None else None

    def _pay(self, cost: Mapping[str, float]) -> None:
        for unit, amount in cost.items():
            self._cost[unit] = self._cost.get(unit, 0.0) + amount

    async def _call_on_loop(self, number: int, *inputs: object) -> None:
        """The body of a caller that runs on the loop."""
        frame, program = current.get(), self._workload.calls[number].program
        assert frame is not None
        assert program is not None
        self._pay(self._drawn[number].cost)
        done = asyncio.get_running_loop().create_future()

        def end() -> None:
            if not done.done():  # it may have been cancelled
                done.set_result(None)

        Body(self, frame, program, end).begin()
        await done

    def _call_in_pool(self, job: Job, turns: Callable[[int], None], done: Callable[[], None]) -> None:
        """The body of a caller in a pool: it has a slot while it works, and lends it while it waits."""
        program = self._workload.calls[job.args[0]].program
        assert program is not None
        Body(self, job.kwargs["frame"], program, done, turns).begin()

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> object:
        if seconds > 0.0:
            return self._process.call_later(seconds, function, *args)
        return self._process.call_soon(function, *args)

    def make(self, maker: Frame, number: int, ended: Callable[[int], None]) -> None:
        """Make a call through the engine, when the calls whose handles it gets have been made."""
        parent = maker.call
        if parent.state >= FINISHING or (parent.x is not None and parent.x.stop is not None):
            return
        inputs = []
        for other in self._workload.calls[number].inputs:
            handle = self._handles[other]
            if handle is None:
                self._unmade.setdefault(other, []).append(lambda: self.make(maker, number, ended))
                return
            inputs.append(handle)
        spec = self._spec(number)
        context = self._context if spec.pool != "inline" else None
        call = parent.engine.spawn(spec, (number, *inputs), {}, maker, context)
        handle = self._handles[number] = Handle(call)
        call.add_callback(lambda _: ended(number))
        if number in self._stopped:
            self._cancel(handle)
        for waiting in self._unmade.pop(number, ()):
            waiting()

    def task_of(self, number: int) -> int:
        return self._workload.calls[number].task

    def stop(self, number: int) -> None:
        self._stopped.add(number)
        if (handle := self._handles[number]) is not None:
            self._cancel(handle)

    def _cancel(self, handle: Handle[Any]) -> None:
        handle._call.engine.cancel(handle._call, "another call ended first")


async def _takes_number(number: int, *inputs: object) -> None:
    """The signature of every simulated call: its number, and the handles that it gets."""


_TAKES_NUMBER = Signature(_takes_number, "simulated")


# --- the place it happens in ---------------------------------------------------------------------------------------------


class _World(SimWorld):
    """A world whose pools take the drawn times."""

    def __init__(self, process: Any, pools: dict[str, Room]) -> None:
        super().__init__(process)
        self._pools = pools

    def make_pools(self, given: Mapping[str, Given]) -> dict[str, FullPool]:
        return dict(self._pools)

    def parts(self) -> Parts:
        return super().parts()._replace(launcher=_Unasked, outcomes=_Unrecorded)

    def drives(self, engine: Engine) -> None:
        pass


class _Unasked(Launcher):
    """Hands calls to workers that ask nothing about them."""

    def _submit(self, call: Call) -> None:
        self._ends.body_begun(call)
        attempt, ready = call.attempt, self._ready

        def done(answer: Answer) -> None:
            ready.in_pools -= 1
            if call.attempt == attempt and call.state == RUNNING:
                self._ends.body_ended(call, None, asyncio.CancelledError() if answer.cancelled else answer.error)

        frames = {"frame": Frame(call, call.scope)}
        job = Job(call.spec.fn, call.args, frames, _NO_FACTS, done, _nothing_is_charged)
        call.extra().job = job
        ready.in_pools += 1
        self._run.pools[call.spec.pool].submit(job)


def _nothing_is_charged(amounts: Amounts, item: int | None) -> None:
    pass


class _Unrecorded(Outcomes):
    """Ends of calls that are in no journal: nothing is encoded. What the ready queue learns from them stays."""

    def encode(self, call: Call, value: Any) -> tuple[Encoded | None, BaseException | None]:
        return None, None

    def _record(self, call: Call, state: int, error: Error | None, encoded: Encoded | None) -> None:
        if state == OK and call.spec.pool != "inline":
            self._ready.learn(call.spec.name, self._run.wall() - call.started)


class _Clock(Universe):
    """A universe of one process in which only what is simulated takes time, so that times are exact."""

    def run(self, until: Callable[[], bool]) -> None:
        hooks = sys.get_asyncgen_hooks()
        collecting = gc.isenabled()
        gc.disable()
        before = asyncio_events._get_running_loop()
        (process,) = self.processes
        soon = process.soon
        try:
            self._enter(process)
            while not until():
                if not soon:
                    self._jump()
                    continue
                self.steps += 1
                handle = soon.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            self.running = None
            asyncio_events._set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)
            if collecting:
                gc.enable()
