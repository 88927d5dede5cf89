"""Workers of the service as they are, `service/worker.py` and all, in a world that one seed decides: drawn runs that compute, pay,
sleep, wait for signals and start other runs; workers that are killed at any commit, stopped, cut off, told to leave once or twice.

A program is data: `follow` does what its plan says, so what it must return is known beforehand. What is paid is counted outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import headway as hw
from headway.context import encode_signal
from headway.engine.call import current
from headway.errors import UnknownRun
from headway.journal.off_loop import as_beside
from headway.journal.records import COSTED, ENDED, Kind, RunInfo, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.shared.queues import Job, JobState, QueueSettings
from headway.service.asking import ask_for
from headway.service.results import end_of
from headway.service.taken import DriveOptions, Ended, TakenRun
from headway.service.worker import Said, Worker, WorkerOptions
from headway.sim.config import SimConfig
from headway.sim.far.lies import Lies
from headway.sim.far.remote import RemoteStore
from headway.sim.history import Violation
from headway.sim.loop import SimLoop
from headway.sim.store import SimStore
from headway.sim.universe import Deadlock, Endless, Universe

Plan = list[tuple[str, int, Any]]
LONG_S = 6 * 3600.0  # all runs have ended by then
LEFT_S = 300.0  # and a worker that was told to leave has left
HOWS = ("killed", "killed", "killed at a commit", "killed at a commit", "stopped", "cut off", "left", "told twice")


@dataclass
class Workplace:
    """What there is, and what was seen of it."""

    seed: object
    choice: random.Random
    lies: Lies
    universe: Universe
    store: SimStore
    client: SimLoop  # who enqueues
    plans: dict[str, Plan] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    remotes: list[RemoteStore] = field(default_factory=list)
    hands: list[Hand] = field(default_factory=list)
    lives: list[Any] = field(default_factory=list)  # as a history has them, for whoever prints it

    def complain(self, promise: str, what: str) -> None:
        self.found.append(Violation(promise, what))

    def look_at_call(self, *, effect: bool) -> None:
        """A body begins: nothing of it is recorded, its run has a slot, and an effect's start is durable."""
        frame = current.get()
        assert frame is not None
        engine, key = frame.call.engine, frame.call.key
        run = self.store.run(engine.run_id)
        rows = self.store.history(run.uid)
        if effect and not any(row.kind & ~COSTED == Kind.START and row.key == key for row in rows):
            self.complain(
                "effects wait for the disk", f"{frame.call.key.hex()[:8]} of {engine.run_id} began, its start is not there"
            )
        if run.fence != engine.journal.lease.fence or not run.owner:
            return  # it was overtaken and does not know
        if any(row.kind & ~COSTED == Kind.OUTCOME and row.key == key and _is_success(row.body) for row in rows):
            self.complain("no work twice", f"{key.hex()[:8]} of {engine.run_id} is recorded and began again")
        job = self.store._jobs.get(run.uid)
        if job is None or job.state is not JobState.TAKEN:
            self.complain("who works has a slot", f"run {engine.run_id} is driven without one")
        for queue in self.store._queues.values():
            limit = queue.settings.limit
            taken = sum(job.state is JobState.TAKEN and job.job.queue == queue.settings.name for job in self.store._jobs.values())
            if limit is not None and taken > limit:
                self.complain("no limit is exceeded", f"{taken} runs of queue {queue.settings.name} are taken where {limit} may be")


def _is_success(body: bytes) -> bool:
    return decode_outcome(body).status == Status.OK


_here: Workplace


@hw.task
async def step(x: int) -> int:
    _here.look_at_call(effect=False)
    await asyncio.sleep(0.2 * (x % 4))
    return x * x


async def _look_in_till(x: int) -> hw.Happened | None:
    return hw.Happened(x) if _here.paid[hw.call().idempotency_key] else None


@hw.task(effect=True, verify=_look_in_till)
async def pay(x: int) -> int:
    _here.look_at_call(effect=True)
    await asyncio.sleep(0.1)
    _here.paid[hw.call().idempotency_key] += 1
    await asyncio.sleep(0.1)
    return x


@hw.task
async def follow(plan: Plan) -> int:
    total = 0
    for what, x, below in plan:
        if what == "steps":
            total += sum(await hw.gather(*(step(x + k) for k in range(3))))
        elif what == "pay":
            total += await pay(x)
        elif what == "sleep":
            await hw.sleep(x)
        elif what == "signal":
            total += await hw.wait_event("word")
        else:
            total += sum(await hw.gather(*(hw.start(follow, each, queue="r") for each in below)))
    return total


def draw_plan(choice: random.Random, depth: int = 0) -> Plan:
    kinds, weights = ("steps", "pay", "sleep", "signal", "start"), (4, 2, 1, 0 if depth else 1, 0 if depth > 1 else 1.5)
    plan: Plan = []
    for what in choice.choices(kinds, weights, k=choice.randint(1, 4)):
        x = choice.choice((1, 30, 400)) if what == "sleep" else choice.randrange(1000)
        below = [draw_plan(choice, depth + 1) for _ in range(choice.randint(1, 3))] if what == "start" else None
        plan.append((what, x, below))
    return plan


def value_of(plan: Plan) -> int:
    """What a plan returns. Each signal is worth 7."""
    worth: dict[str, Callable[[int, Any], int]] = {
        "steps": lambda x, _: sum((x + k) ** 2 for k in range(3)),
        "pay": lambda x, _: x,
        "sleep": lambda x, _: 0,
        "signal": lambda x, _: 7,
        "start": lambda _, below: sum(map(value_of, below)),
    }
    return sum(worth[what](x, below) for what, x, below in plan)


def steps_of(plan: Plan, kind: str) -> int:
    """How many steps of a kind there are, in the runs that it starts as well."""
    return sum((what == kind) + sum(steps_of(each, kind) for each in below or ()) for what, _, below in plan)


# --- workers ---------------------------------------------------------------------------------------------------------


class OnALoop:
    """Drives a run on a loop of its own, as a worker's thread does: nothing else is on it. It lives and dies with its worker."""

    def __init__(self, hand: Hand, run: TakenRun, on_end: Callable[[Ended], None]) -> None:
        self._hand, self._run, self._on_end = hand, run, on_end
        worker = hand.process
        self.process: SimLoop = worker.universe.process(f"{worker.name}, {run.run_id}")
        self.process.owner, self.process.skew_s, self.process.drift = worker.owner, worker.skew_s, worker.drift
        self.process.world.is_far = True
        self.remote = hand.connect(self.process)
        run._store = self.remote
        hand.runs.append(self)
        self.process.start(run.drive()).add_done_callback(self._end)

    @property
    def run_id(self) -> str:
        return self._run.run_id

    def interrupt(self, stop_s: float) -> None:
        self._run.interrupt(stop_s)

    def leave(self) -> None:
        self._run.leave()

    def _end(self, main: asyncio.Task[Ended]) -> None:
        if not main.cancelled() and not self.process.dead:
            self._on_end(main.result())
            universe = self.process.universe
            universe.at(universe.now + 5.0, self._look_and_bury, waking=False)

    def _look_and_bury(self) -> None:
        if not self.process.dead and (left := [repr(task.get_coro()) for task in self.process.unfinished()]):
            self._hand.place.complain("nothing left running", f"{self.process.name} left {left} behind")
        self.bury()

    def bury(self) -> None:
        self.remote.close()
        if self.process in self.process.universe.processes:
            self.process.universe.remove(self.process)
        if self in self._hand.runs:
            self._hand.runs.remove(self)


class Hand:
    """One process with a worker."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.process: SimLoop = place.universe.process(f"worker {len(place.hands)}")
        self.process.world.is_far = True
        self.runs: list[OnALoop] = []
        self.remote = self.connect(self.process)
        place.hands.append(self)
        self.worker: Worker | None = None
        self.told = False
        choice = place.choice
        self.options = WorkerOptions(
            queues=("q", "r"), slots=choice.randint(1, 4), grace_s=choice.choice((0.5, 20.0)), drive=DriveOptions()
        )
        self.process.start(self.work())

    def connect(self, process: SimLoop) -> RemoteStore:
        """A connection to the store."""
        remote = RemoteStore(self.place.store, process, self.place.lies, self.place.struck)
        self.place.remotes.append(remote)
        return remote

    async def work(self) -> None:
        tasks = {follow.spec.name: follow.spec}
        self.worker = Worker(self.remote, tasks, self.options, self.process.world, self.hear, begin=self.begin)  # type: ignore[arg-type]
        await self.worker.work()

    def begin(self, run: TakenRun, on_end: Callable[[Ended], None]) -> OnALoop:
        return OnALoop(self, run, on_end)

    def hear(self, said: Said) -> None:
        place = self.place
        if said.what == "swept":
            place.struck["a worker took back what a dead one had"] += 1
        elif said.what == "handing over":
            place.struck["a worker handed its runs over"] += 1
        elif said.ended is not None:
            place.struck[f"a worker's run was {said.ended.how}"] += 1
            if said.ended.how == "failed":
                place.complain("equal result", f"run {said.run_id} failed: {said.ended.error!r}")

    @property
    def is_over(self) -> bool:
        main = self.process.main
        return self.process.dead or main is None or main.done()

    def leave(self, times: int) -> None:
        if self.worker is not None and not self.is_over:
            self.told = True
            with self.place.universe.inside(self.process):
                for _ in range(times):
                    self.worker.leave()

    def kill(self) -> None:
        """It and all that it drives die at once."""
        for each in [*self.runs, self]:
            self.place.universe.remove(each.process)

    def bury(self) -> None:
        """Take its process out, and look how it ended."""
        main = self.process.main
        assert main is not None
        if main.done() and not main.cancelled() and main.exception() is not None:
            self.place.complain("nothing swallowed", f"{self.process.name} ended with {main.exception()!r}")
        self.remote.close()
        for run in list(self.runs):
            run.bury()
        if self.process in self.place.universe.processes:
            self.place.universe.remove(self.process)


def make_workplace(seed: object, choice: random.Random) -> Workplace:
    """Queues with drawn limits, and runs in them."""
    config = SimConfig(
        shuffle=0.3, clock_jumps_s=choice.choice((0.0, 3600.0)), clock_drift=choice.choice((0.0, 1e-4)), any_order=True
    )
    universe = Universe(seed, config)
    universe.most_steps = 2_000_000
    store = SimStore(universe)
    store.is_remote = choice.random() < 0.7
    place = Workplace(seed, choice, Lies.draw(choice), universe, store, universe.process("client"))
    for name in ("q", "r"):
        limit = choice.choice((None, 1, 2))
        store.put_queue(QueueSettings(name=name, limit=limit, deaths=1000, backoff_s=0.5, longest_backoff_s=5.0))
    for number in range(choice.randint(1, 4)):
        run_id, plan = f"run{number}", draw_plan(choice)
        place.plans[run_id] = plan
        at = choice.random() * 10
        universe.at(at, _enqueue(place, run_id))
        for _ in range(steps_of(plan, "signal")):
            universe.at(at + choice.random() * 100, _send(place, run_id))
    return place


def _enqueue(place: Workplace, run_id: str) -> Callable[[], None]:
    def enqueue() -> None:
        asked = ask_for(follow, (place.plans[run_id],), {}, run_id, "the proof", place.client.world)
        with as_beside():
            for name, buffer in asked.blobs:
                place.store.put_blob(name, buffer)
            place.store.enqueue(asked.spec, Job(queue="q"), place.store.clock())

    return enqueue


def _send(place: Workplace, run_id: str) -> Callable[[], None]:
    def send() -> None:
        with contextlib.suppress(UnknownRun):
            place.store.send_signal(run_id, "word", encode_signal(7), place.store.clock())

    return send


# --- what is done to them --------------------------------------------------------------------------------------------


def strike(place: Workplace) -> None:
    """Something happens to a worker, at a drawn commit; another comes where one has ended."""
    choice, universe, store = place.choice, place.universe, place.store
    how, commits = choice.choice(HOWS), len(store.commits) + choice.randint(1, 12)
    late = universe.now + choice.choice((5.0, 60.0, 600.0))
    passed: list[bool] = []
    universe.at(late, lambda: passed.append(True))
    universe.run(lambda: len(store.commits) >= commits or bool(passed))
    there = [hand for hand in place.hands if not hand.is_over and not hand.told]
    if there:
        hand = choice.choice(there)
        if how == "killed at a commit":
            owner = store.by_uid(store.commits[-1].uid).owner if store.commits else ""
            hand = next((one for one in there if owner and one.process.world.owner() == owner), hand)
        elif how == "killed":  # a few steps later, wherever it is then
            stop = universe.steps + choice.randint(0, 40)
            universe.run(lambda: universe.steps >= stop or bool(passed) or hand.is_over)
        if not hand.is_over:
            do(place, hand, how)
    replace_the_gone(place)


def do(place: Workplace, hand: Hand, how: str) -> None:
    place.struck[f"a working worker was {how}"] += 1
    seconds = place.choice.choice((1.0, 20.0, 90.0))
    if how.startswith("killed"):
        hand.kill()
    elif how == "stopped":
        for each in (hand, *hand.runs):
            place.universe.freeze(each.process, seconds)
    elif how == "cut off":
        for each in (hand, *hand.runs):
            each.remote.cut_off(seconds)
    else:
        hand.leave(2 if how == "told twice" else 1)


def replace_the_gone(place: Workplace) -> None:
    for hand in [hand for hand in place.hands if hand.is_over]:
        hand.bury()
        place.hands.remove(hand)
    while sum(not hand.told for hand in place.hands) < 2:
        Hand(place)


def is_over(place: Workplace) -> bool:
    """Whether every run has ended."""
    runs = place.store._runs
    return place.plans.keys() <= runs.keys() and all(run.status in ENDED for run in runs.values())


def look(seed: object, choice: random.Random) -> Workplace:
    """Workers and runs from the beginning until all have ended. What was found is in `found`."""
    global _here
    place = _here = make_workplace(seed, choice)
    universe = place.universe
    replace_the_gone(place)
    try:
        for _ in range(choice.randint(0, 12)):
            strike(place)
            if is_over(place):
                break
        late: list[bool] = []
        universe.at(universe.now + LONG_S, lambda: late.append(True))
        while not is_over(place) and not late:
            universe.run(lambda: is_over(place) or bool(late) or any(hand.is_over for hand in place.hands))
            replace_the_gone(place)
        send_home(place)
    except (Deadlock, Endless) as error:
        place.complain("no deadlock", str(error))
    for hand in place.hands:
        hand.bury()
    judge(place)
    return place


def send_home(place: Workplace) -> None:
    """Tell all workers to leave; they do."""
    place.universe.run(lambda: all(hand.worker is not None for hand in place.hands))
    for hand in place.hands:
        hand.leave(1)
    late: list[bool] = []
    place.universe.at(place.universe.now + LEFT_S, lambda: late.append(True))
    place.universe.run(lambda: bool(late) or all(hand.is_over for hand in place.hands))
    for hand in place.hands:
        if not hand.is_over:
            place.complain("a worker that is told to leave does", f"{hand.process.name} is there {LEFT_S:g} s later")
        elif left := [repr(task.get_coro()) for task in hand.process.unfinished()]:
            place.complain("nothing left running", f"{hand.process.name} left {left} behind")


# --- the verdict -----------------------------------------------------------------------------------------------------


def judge(place: Workplace) -> None:
    store = place.store
    for run in sorted(store.runs(), key=lambda run: run.uid):
        for promise, what in judge_run(place, run):
            place.complain(promise, f"run {run.spec.run_id}: {what}")
    for run_id, plan in place.plans.items():
        if (what := _differs(store, run_id, value_of(plan))) is not None:
            place.complain("equal result", f"run {run_id} {what}")
    if is_over(place) and len(place.paid) != (expected := sum(steps_of(plan, "pay") for plan in place.plans.values())):
        place.complain("equal result", f"{len(place.paid)} payments instead of {expected}")
    for remote in place.remotes:
        for group in remote.groups:
            rows = store.history(group.lease.uid)[group.first_seq - 1 : group.first_seq - 1 + len(group.rows)]
            if group.told == "durable" and rows != group.rows:
                place.complain("acknowledged means kept", f"row {group.first_seq} of run {group.lease.run_id} is another")
            if group.accepted > 1:
                place.complain("no row twice", f"row {group.first_seq} of run {group.lease.run_id} was taken twice")
    newest: dict[int, int] = {}
    for commit in store.commits:
        if commit.fence < newest.get(commit.uid, 0):
            place.complain("late writers rejected", f"fence {commit.fence} wrote after fence {newest[commit.uid]}")
        newest[commit.uid] = commit.fence


def _differs(store: SimStore, run_id: str, expected: int) -> str | None:
    """What is wrong with the end of a run; None where nothing is, or there is none yet."""
    try:
        ended = end_of(store, run_id)
        found = ended() if ended is not None else expected
    except UnknownRun:
        return None
    except Exception as error:
        return f"ended with {type(error).__name__}: {error}"
    return None if found == expected else f"ended with {found} instead of {expected}"


def judge_run(place: Workplace, run: RunInfo) -> Iterator[tuple[str, str]]:
    store = place.store
    rows, job = store.history(run.uid), store._jobs.get(run.uid)
    if run.status not in ENDED:
        yield "every queued run ends or is shown as stuck", f"it has {len(rows)} rows, its job is {job.state if job else 'gone'}"
    elif job is not None:
        yield "what has ended is over", f"its job is {job.state}"
    succeeded = Counter(row.key for row in rows if row.kind & ~COSTED == Kind.OUTCOME and _is_success(row.body))
    for key, times in succeeded.items():
        if times > 1:
            yield "recorded once", f"the success of {key.hex()[:8]} is recorded {times} times"
