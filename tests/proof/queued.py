"""Workers and a queue on a store that lies: drawn runs, limits, deaths, parking, signals and schedules.

The drivers here are small: a run is a list of steps, and each leaves a row. What is put to the test is what the store and its rules
promise to workers, whatever becomes of them and of their connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from headway.errors import LeaseLost, StoreError, UnknownRun
from headway.journal.records import ENDED, Ending, Row, RunInfo, RunSpec, RunStatus
from headway.journal.shared.outcome import ConnectionLost
from headway.journal.shared.queues import Job, JobState, QueueSettings, Taken, park
from headway.journal.shared.schedules import Overlap, Schedule
from headway.sim.config import SimConfig
from headway.sim.far.lies import Lies
from headway.sim.far.remote import RemoteStore
from headway.sim.history import Violation
from headway.sim.loop import SimLoop
from headway.sim.store import SimStore
from headway.sim.universe import Universe

TTL_S, POLL_S = 30.0, 1.0
LONG_S = 3600.0  # all runs have ended by then
SPEC = RunSpec(run_id="", task="steps")


@dataclass(frozen=True)
class Step:
    kind: str  # "work", "sleep", "signal"
    seconds: float = 0.0


@dataclass
class Service:
    """What there is, and what was seen of it."""

    seed: object
    choice: random.Random
    lies: Lies
    universe: Universe
    store: SimStore
    plans: dict[str, list[Step]] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    remotes: list[RemoteStore] = field(default_factory=list)
    working: defaultdict[str, list[Taken]] = field(default_factory=lambda: defaultdict(list))  # by queue
    prompt: Counter[str] = field(default_factory=Counter)  # signals that are sent while their run is being parked
    fired: Counter[str] = field(default_factory=Counter)
    lives: list[Any] = field(default_factory=list)  # as a history has them, for whoever prints it

    def complain(self, promise: str, what: str) -> None:
        self.found.append(Violation(promise, what))

    def holds(self, taken: Taken) -> bool:
        """Whether the store says that a worker still has a job."""
        run = self.store.run(taken.run.spec.run_id)
        return (run.fence, run.owner) == (taken.lease.fence, taken.lease.owner)

    @contextlib.contextmanager
    def at_work(self, taken: Taken) -> Iterator[None]:
        """While a step computes: those who have a job by the store's word are never more than the limits allow."""
        queue = taken.job.queue
        self.working[queue].append(taken)
        try:
            self.look_at_limits(queue)
            job = self.store._jobs.get(taken.run.uid)
            if self.holds(taken) and (job is None or job.state is not JobState.TAKEN):
                self.complain("who works has a slot", f"run {taken.run.spec.run_id} is driven without one")
            yield
        finally:
            self.working[queue].remove(taken)

    def look_at_limits(self, queue: str) -> None:
        settings = self.store._find_queue(queue).settings
        valid = [taken for taken in self.working[queue] if self.holds(taken)]
        if settings.limit is not None and len(valid) > settings.limit:
            self.complain("no limit is exceeded", f"{len(valid)} runs of queue {queue} work where {settings.limit} may")
        for key, count in Counter(taken.job.key for taken in valid).items():
            if settings.key_limit is not None and count > settings.key_limit:
                self.complain("no limit is exceeded", f"{count} runs of key {key!r} work where {settings.key_limit} may")
        for run_id, count in Counter(taken.run.spec.run_id for taken in valid).items():
            if count > 1:
                self.complain("one driver", f"run {run_id} is driven {count} times")


class Worker:
    """Polls, sweeps, fires schedules, and drives what it takes."""

    def __init__(self, service: Service, number: int) -> None:
        self.service = service
        self.process: SimLoop = service.universe.process(f"worker {number}")
        self.process.world.is_far = True
        self.remote = RemoteStore(service.store, self.process, service.lies, service.struck)
        service.remotes.append(self.remote)
        self.owner = self.process.world.owner()
        self.slots = service.choice.randint(1, 4)
        self.busy: set[asyncio.Task[None]] = set()

    async def ask(self, method: Any, *args: Any, **named: Any) -> Any:
        return await self.process.world.aside(lambda: method(*args, **named))

    def now(self) -> float:
        return self.process.world.wall()

    async def work(self) -> None:
        while True:
            with contextlib.suppress(ConnectionLost):
                await self.poll()
            await asyncio.sleep(POLL_S)

    async def poll(self) -> None:
        remote, now = self.remote, self.now()
        for swept in await self.ask(remote.sweep_jobs, now, 10):
            self.service.struck["a job was swept"] += 1
            self.service.struck["a job is stuck"] += swept.stuck
        for fired in await self.ask(remote.fire_schedules, self.now(), make_spec):
            self.service.fired[fired.run_id] += bool(fired.run_id)
        free = self.slots - len(self.busy)
        if free > 0:
            for taken in await self.ask(remote.take_jobs, self.owner, ("q", "r"), None, free, TTL_S, self.now()):
                task = asyncio.get_running_loop().create_task(self.drive(taken))
                self.busy.add(task)
                task.add_done_callback(self.busy.discard)

    async def drive(self, taken: Taken) -> None:
        """One run, from where its rows end. Gives up where the store says so or can't be reached."""
        renews = asyncio.get_running_loop().create_task(self.renew(taken))
        try:
            await self.steps(taken)
        except LeaseLost:
            self.service.struck["a driver was fenced"] += 1
        except ConnectionLost:
            pass
        except StoreError as error:
            self.service.complain("lies are seen through", f"{taken.run.spec.run_id}: {type(error).__name__}: {error}")
        finally:
            renews.cancel()

    async def renew(self, taken: Taken) -> None:
        with contextlib.suppress(StoreError):
            while True:
                await asyncio.sleep(TTL_S / 3)
                await self.ask(self.remote.renew, taken.lease, self.now())

    async def steps(self, taken: Taken) -> None:
        service, lease, run_id = self.service, taken.lease, taken.run.spec.run_id
        if taken.run.status in ENDED:
            service.complain("what has ended is over", f"run {run_id} was taken and had ended")
        rows: list[Row] = [row for _, row in await self.ask(lambda: list(self.remote.rows(lease.uid)))]
        plan = service.plans.get(run_id, [Step("work", 1.0)])
        while len(rows) < 2 * len(plan):
            step, begins = plan[len(rows) // 2], len(rows) % 2 == 0
            body, ending = f"{step.kind} {len(rows)}", None
            seen = self.heard(rows)
            if begins and step.kind == "sleep":  # its row says until when, and the run is parked in the same commit
                until = self.service.store.clock() + step.seconds  # clocks of runs are agreed upon elsewhere
                body = f"until {until}"
                ending = Ending(RunStatus.INTERRUPTED, after=park(until=until, seen=seen))
            elif step.kind == "sleep" and (until := float(rows[-1].body.split()[1])) > self.service.store.clock():
                await self.ask(self.remote.release, lease, RunStatus.INTERRUPTED, self.now(), after=park(until=until, seen=seen))
                return
            elif not begins and step.kind == "signal":
                new = await self.ask(self.remote.signals, lease.uid, after=seen)
                if not new:
                    if service.prompt[run_id]:
                        service.prompt[run_id] -= 1
                        send_later(service, run_id, service.universe.now + service.universe.lasts(0.05))
                    await self.ask(self.remote.release, lease, RunStatus.INTERRUPTED, self.now(), after=park(seen=seen))
                    service.struck["a run was parked"] += 1
                    return
                body = f"heard {new[0].number}"
            elif not begins:
                with service.at_work(taken):
                    await asyncio.sleep(step.seconds)
            if len(rows) + 1 == 2 * len(plan):
                ending = Ending(RunStatus.DONE)
            row = Row(3, b"k" * 16, b"p" * 16, body.encode())
            await self.ask(self.remote.commit, lease, len(rows) + 1, [row], self.now(), ending=ending)
            rows.append(row)
            if ending is not None:
                service.struck["a run was parked"] += ending.status is RunStatus.INTERRUPTED
                return

    @staticmethod
    def heard(rows: list[Row]) -> int:
        """The newest signal that the rows speak of."""
        return max((int(row.body.split()[1]) for row in rows if row.body.startswith(b"heard")), default=0)


def make_spec(schedule: Schedule, run_id: str, due: float) -> RunSpec:
    return RunSpec(run_id=run_id, task="steps", created=due)


def draw_plan(choice: random.Random) -> list[Step]:
    kinds = choice.choices(("work", "sleep", "signal"), (3, 1, 1), k=choice.randint(1, 4))
    return [Step(kind, choice.choice((0.5, 5.0, 40.0))) for kind in kinds]


def make_service(seed: object, choice: random.Random) -> Service:
    """Queues with drawn limits, and runs in them."""
    config = SimConfig(
        shuffle=0.3, clock_jumps_s=choice.choice((0.0, 3600.0)), clock_drift=choice.choice((0.0, 1e-4)), any_order=True
    )
    universe = Universe(seed, config)
    store = SimStore(universe)
    store.is_remote = True
    service = Service(seed, choice, Lies.draw(choice), universe, store)
    for name in ("q", "r"):
        limit, key_limit = choice.choice((None, 1, 1, 2)), choice.choice((None, 1, 2))
        store.put_queue(QueueSettings(name=name, limit=limit, key_limit=key_limit, deaths=choice.choice((1, 2, 8)), backoff_s=2.0))
    for number in range(choice.randint(3, 8)):
        run_id = f"run{number}"
        service.plans[run_id] = draw_plan(choice)
        job = Job(queue=choice.choice("qr"), key=choice.choice("ab"), priority=choice.choice((0, 0, 5)))
        at = choice.random() * 20
        for again in range(choice.choice((1, 1, 2))):  # somebody enqueues it once more

            def enqueue(run_id: str = run_id, job: Job = job) -> None:
                store.enqueue(RunSpec(run_id=run_id, task="steps"), job, store.clock())

            universe.at(at + again, enqueue)
        for step in service.plans[run_id]:
            if step.kind == "signal" and choice.random() < 0.5:
                service.prompt[run_id] += 1
            elif step.kind == "signal":
                send_later(service, run_id, at + choice.random() * 200)
    if choice.random() < 0.3:
        schedule = Schedule(name="each", cron="* * * * *", spec=SPEC, job=Job(queue="q"), overlap=choice.choice(list(Overlap)))
        store.put_schedule(schedule, store.clock())
        universe.at(200.0, lambda: store.pause_schedule("each", True, store.clock()))
    return service


def send_later(service: Service, run_id: str, at: float) -> None:
    def send() -> None:
        with contextlib.suppress(UnknownRun):
            service.store.send_signal(run_id, "go", b"", service.store.clock())

    service.universe.at(at, send)


def trouble_workers(service: Service, workers: list[Worker]) -> None:
    """Kill, stop and cut off some of them, and put another in the place of the dead."""
    choice, universe = service.choice, service.universe
    for number in range(choice.choice((0, 1, 2, 4))):
        worker, how = choice.choice(workers), choice.choice(("killed", "stopped", "cut off"))

        def strike(worker: Worker = worker, how: str = how, number: int = number, seconds: float = choice.uniform(5, 90)) -> None:
            if worker.process.dead:
                return
            service.struck[f"a worker was {how}"] += 1
            worker.remote.was_away = True
            if how == "stopped":
                universe.freeze(worker.process, seconds)
            elif how == "cut off":
                worker.remote.cut_off(seconds)
            else:
                universe.remove(worker.process)
                another = Worker(service, 10 + number)
                another.process.start(another.work())

        universe.at(choice.random() * 150, strike)


def is_over(service: Service) -> bool:
    """Whether every run has ended or is shown as stuck."""
    jobs = service.store._jobs
    return len(service.store._runs) >= len(service.plans) and all(
        run.status in ENDED or ((one := jobs.get(run.uid)) is not None and one.state is JobState.STUCK)
        for run in service.store._runs.values()
    )


def look(seed: object, choice: random.Random) -> Service:
    """One service from its beginning until all its runs have ended. What was found is in `found`."""
    service = make_service(seed, choice)
    universe = service.universe
    workers = [Worker(service, number) for number in range(choice.randint(1, 3))]
    for worker in workers:
        worker.process.start(worker.work())
    trouble_workers(service, workers)
    universe.most_steps = 400_000
    late: list[bool] = []
    universe.at(250.0, lambda: late.append(False))
    universe.run(lambda: bool(late))  # by then the schedule is paused, and all signals were sent
    universe.at(universe.now + LONG_S, lambda: late.append(True))
    universe.run(lambda: is_over(service) or True in late)
    for process in list(universe.processes):
        universe.remove(process)
    judge(service)
    return service


def judge(service: Service) -> None:
    store = service.store
    for run in sorted(store.runs(), key=lambda run: run.uid):
        judge_run(service, run)
    for remote in service.remotes:
        for group in remote.groups:
            rows = store.history(group.lease.uid)[group.first_seq - 1 : group.first_seq - 1 + len(group.rows)]
            if group.told == "durable" and rows != group.rows:
                service.complain("acknowledged means kept", f"row {group.first_seq} of run {group.lease.run_id} is another")
            if group.accepted > 1:
                service.complain("no row twice", f"row {group.first_seq} of run {group.lease.run_id} was taken twice")
    newest: dict[int, int] = {}
    for commit in store.commits:
        if commit.fence < newest.get(commit.uid, 0):
            service.complain("late writers rejected", f"fence {commit.fence} wrote after fence {newest[commit.uid]}")
        newest[commit.uid] = commit.fence
    for run_id, times in service.fired.items():
        service.struck["a schedule fired"] += 1
        if times > 1 and not service.lies.swallowed:
            service.complain("a due time is one run", f"{run_id} was fired {times} times")


def judge_run(service: Service, run: RunInfo) -> None:
    store, run_id, rows = service.store, run.spec.run_id, service.store.history(run.uid)
    job = store.job(run_id, store.clock())
    if run.status not in ENDED and (job is None or job.state is not JobState.STUCK):
        state = job.state if job is not None else "gone"
        service.complain("every queued run ends or is shown as stuck", f"run {run_id} has {len(rows)} rows, its job is {state}")
    if run.status in ENDED and job is not None:
        service.complain("what has ended is over", f"run {run_id} has ended and its job is {job.state}")
    settings = store._find_queue(job.job.queue).settings if job is not None else None
    if job is not None and settings is not None and job.deaths > settings.deaths:
        service.complain("stuck after so many deaths", f"run {run_id} died {job.deaths} times of {settings.deaths}")
    heard = [int(row.body.split()[1]) for row in rows if row.body.startswith(b"heard")]
    if heard != sorted(set(heard)):
        service.complain("a signal is told once and in its order", f"run {run_id} heard {heard}")
    if run.status == RunStatus.DONE and run_id in service.plans and len(rows) != 2 * len(service.plans[run_id]):
        service.complain("done means recorded", f"run {run_id} is done with {len(rows)} rows")
