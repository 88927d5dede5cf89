"""The same as the model, played: real workers on a virtual clock, real rules of queues, and a server and drivers that take time.

A worker is `headway.service.worker.Worker`, as it always is. The store is the simulated one: it goes by the rules of claims, leases
and parked runs that all stores go by. What a statement costs is served by the server's cores, first come first served,
exponentially distributed; what a call costs by the one core of its driver. Runs are small: they make rounds of calls that wait,
commit their rows, and are parked.
"""

from __future__ import annotations

import asyncio
import bisect
import functools
import heapq
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from benchmarks.scale_out.model import LINGER_S, RENEWED_S, Figures, Fleet, Load
from headway.journal.off_loop import as_beside
from headway.journal.records import Ending, Lease, Row, RunSpec, RunStatus
from headway.journal.shared.queues import Job, Taken, WorkerInfo, park
from headway.journal.shared.schedules import Fired, Make
from headway.service.taken import PARKED, Ended, TakenRun
from headway.service.worker import Said, Worker, WorkerOptions
from headway.sim.loop import SimLoop
from headway.sim.store import SimStore
from headway.sim.universe import Universe
from headway.sim.world import SimWorld

T = TypeVar("T")
WARM = 3  # turns of each run before those that are counted: all began at once
PATIENCE_S = 600.0  # of virtual time, after which nobody will take what a killed worker had
SPEC = types.SimpleNamespace(name="steps")
ROW_KEY, ROW_PARENT = b"k" * 16, b"p" * 16


class Station:
    """Cores that serve whoever came first."""

    def __init__(self, universe: Universe, cores: int = 1) -> None:
        self._universe = universe
        self._free_at = [0.0] * cores

    async def serve(self, mean_s: float, besides_s: float = 0.0) -> None:
        """Wait until it was one's turn and what one asks for is done, and so long besides."""
        universe = self._universe
        begins = max(universe.now, heapq.heappop(self._free_at))
        ends = begins + universe.lasts(mean_s)
        heapq.heappush(self._free_at, ends)
        await asyncio.sleep(ends - universe.now + besides_s)


class Counted:
    """The store as one worker has it. What its requests cost is added up, to be waited for."""

    def __init__(self, store: SimStore, figures: Figures) -> None:
        self._store, self._figures = store, figures
        self.taken: dict[str, Taken] = {}
        self.due_s = 0.0
        self.statements = 0

    def pay(self) -> tuple[float, int]:
        """What is due, which is due no more."""
        due, self.due_s, self.statements = (self.due_s, self.statements), 0.0, 0
        return due

    def _cost(self, seconds: float) -> None:
        self.due_s += seconds
        self.statements += 1

    def data_version(self, uid: int) -> int:
        return 0  # nobody says that a time has come

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        self._cost(self._figures.commit_s)
        self._store.see_worker(worker, now)

    def forget_worker(self, owner: str) -> None:
        self._cost(self._figures.commit_s)
        self._store.forget_worker(owner)

    def sweep_jobs(self, now: float, most: int = 100) -> Sequence[Any]:
        self._cost(self._figures.look_s / 2)
        return self._store.sweep_jobs(now, most)

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        return []

    def take_jobs(self, owner: str, queues: Sequence[str], tasks: Any, most: int, ttl_s: float, now: float, **named: Any) -> Any:
        taken = self._store.take_jobs(owner, queues, tasks, most, ttl_s, now, **named)
        self._cost(self._figures.look_s / 2 + len(taken) * self._figures.claim_s)
        self.taken.update((each.run.spec.run_id, each) for each in taken)
        return taken

    def renew(self, lease: Lease, now: float) -> None:
        self._cost(self._figures.commit_s)
        self._store.renew(lease, now)

    def commit(self, lease: Lease, first_seq: int, rows: Sequence[Row], now: float, *, ending: Ending | None = None) -> None:
        self._cost(self._figures.commit_s + len(rows) * self._figures.row_s)
        self._store.commit(lease, first_seq, rows, now, ending=ending)


class PaidWorld(SimWorld):
    """A world in which what talks to the store waits for the server."""

    server: Station
    store: Counted
    reply_s: float

    async def aside(self, function: Callable[..., T], /, *args: Any) -> T:
        with as_beside():
            done = function(*args)
        cost_s, statements = self.store.pay()
        if statements:
            await self.server.serve(cost_s, statements * self.reply_s)
        return done


class Driven:
    """A run in a slot; nobody interrupts it."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def interrupt(self, stop_s: float) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        raise NotImplementedError


class Service:
    """Workers and their server. `ends` are the times at which turns were over."""

    def __init__(self, figures: Figures, load: Load, fleet: Fleet, seed: int) -> None:
        self.figures, self.load = figures, load
        self.universe = Universe(("capacity", seed))
        self.universe.most_steps = 1 << 40
        self.store = SimStore(self.universe)
        self.store.is_remote = True
        self.server = Station(self.universe, figures.cores)
        self.ends: list[float] = []
        for number in range(load.runs):
            at = self.store.clock() + self.universe.lasts(load.parked_s)
            self.store.enqueue(RunSpec(run_id=f"run{number}", task="steps"), Job(queue="q", at=at), self.store.clock())
        self.add(fleet.slots, fleet.workers)

    def add(self, slots: int, workers: int) -> None:
        """Start some more workers."""
        for number in range(len(self.universe.processes), len(self.universe.processes) + workers):
            self._start(self.universe.process(f"worker {number}"), slots)

    def _start(self, process: SimLoop, slots: int) -> None:
        world = PaidWorld(process)
        process.world = world
        world.server, world.reply_s = self.server, self.figures.reply_s
        world.store = Counted(self.store, self.figures)
        core = Station(self.universe)

        def begin(run: TakenRun, on_end: Callable[[Ended], None]) -> Driven:
            process.create_task(self._drive(run.run_id, world, core, on_end))
            return Driven(run.run_id)

        async def work() -> None:
            options = WorkerOptions(queues=("q",), slots=slots)
            store: Any = world.store
            tasks: Any = {"steps": SPEC}
            await Worker(store, tasks, options, world, _say_nothing, begin).work()

        process.start(work())

    async def _drive(self, run_id: str, world: PaidWorld, core: Station, on_end: Callable[[Ended], None]) -> None:
        universe, load, figures, store = self.universe, self.load, self.figures, world.store
        taken = store.taken.pop(run_id)
        seq = taken.run.nrows
        renewing = asyncio.get_running_loop().create_task(_renew(world, taken.lease))
        try:
            await core.serve(figures.turn_s)
            for number in range(load.rounds):
                await core.serve(load.wide * figures.call_s)
                began, ends = universe.now, sorted(universe.lasts(load.lasts_s) for _ in range(load.wide))
                done = 0
                while done < load.wide:  # as the journal's writer does: a group gathers for a moment, but for the last one
                    await _sleep_until(universe, began + min(ends[done] + LINGER_S, ends[-1]))
                    ended = bisect.bisect_right(ends, universe.now - began + 1e-9)
                    ending = None
                    if ended == load.wide and number == load.rounds - 1:
                        until = world.wall() + universe.lasts(load.parked_s)
                        ending = Ending(RunStatus.INTERRUPTED, after=park(until=until))
                    rows = [Row(3, ROW_KEY, ROW_PARENT, b"")] * (ended - done)
                    await world.aside(functools.partial(_commit, world, taken.lease, seq + 1, rows, ending))
                    seq, done = seq + len(rows), ended
        finally:
            renewing.cancel()
        self.ends.append(universe.now)
        on_end(Ended(run_id, "steps", PARKED))

    def kill_one(self, at: float, lost: int) -> float:
        """Kill the first worker at a time, when it drives so many runs. Seconds until the last of them was taken by another."""
        universe, (killed, *_) = self.universe, list(self.universe.processes)
        came: list[bool] = []
        universe.at(at, lambda: came.append(True))
        universe.run(lambda: bool(came))
        held = [run.spec.run_id for run in self.store.runs() if run.owner == killed.world.owner()]
        if len(held) != lost:
            raise RuntimeError(f"it drove {len(held)} runs")
        universe.remove(killed)

        def is_over() -> bool:
            return all(self.store.run(run_id).owner not in ("", killed.world.owner()) for run_id in held)

        universe.run(lambda: is_over() or universe.now > at + PATIENCE_S)
        if not is_over():
            raise RuntimeError(f"{PATIENCE_S:.0f} s later they are still nobody's")
        taken = max(self.store.run(run_id).owned_since for run_id in held)
        for process in list(universe.processes):
            universe.remove(process)
        return taken - universe.start - at

    def count(self, turns: int) -> float:
        """Turns a second, counted over so many."""
        warm = WARM * self.load.runs
        self.universe.run(lambda: len(self.ends) >= warm + turns)
        for process in list(self.universe.processes):
            self.universe.remove(process)
        return turns / (self.ends[warm + turns - 1] - self.ends[warm - 1])


def _commit(world: PaidWorld, lease: Lease, seq: int, rows: Sequence[Row], ending: Ending | None) -> None:
    world.store.commit(lease, seq, rows, world.wall(), ending=ending)


async def _sleep_until(universe: Universe, when: float) -> None:
    if when > universe.now:
        await asyncio.sleep(when - universe.now)


async def _renew(world: PaidWorld, lease: Lease) -> None:
    while True:
        await asyncio.sleep(RENEWED_S)
        await world.aside(lambda: world.store.renew(lease, world.wall()))


def _say_nothing(said: Said) -> None:
    if said.what == "trouble":
        raise AssertionError(said.text)


def simulate(figures: Figures, load: Load, fleet: Fleet, *, turns: int, seed: int) -> float:
    """How many turns a second a simulated fleet makes."""
    return Service(figures, load, fleet, seed).count(turns)


def recover(figures: Figures, lost: int, seed: int) -> float:
    """Seconds from the death of a worker that drove so many runs until others, on other machines, have taken all of them."""
    load = Load(runs=lost, rounds=1, lasts_s=1e6)
    service = Service(figures, load, Fleet(workers=1, slots=lost), seed)
    service.universe.at(5.0, lambda: service.add(lost // 2, 3))
    return service.kill_one(60.0 + 10.0 * service.universe.draw(), lost)
