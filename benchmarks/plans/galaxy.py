"""UFO³ on drawn worlds: devices that differ and are lost, planners that edit at once, steps that fail.

A world is drawn from a seed and runs on a virtual clock. Planners add, remove, exchange and rewire steps at drawn moments; some of
what they say makes no sense, such as edits of steps that run. Devices are lost at drawn moments: some steps on them notice it at
once, the others after a minute, unless they are stopped before. `find_violations` reads the log of what happened, and what the
steps saw themselves, and knows nothing of how the executor works.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods import plan
from headway.methods.graph import Add, Edit, Graph, Need, Node, Remove, Replace, Rewire, Trace, after
from headway.methods.plan import Asked, Device, Edited, Ended, Lost, Planned, Started

SKILLS = ("camera", "browser", "print")
LONGEST_S = 10_000.0  # a world that is not done by then hangs
NOTICED_S = 60.0  # after so long without an answer, a device counts as lost
SCHEDULES = 2_000  # for each seed of the row


class Fails(Exception):
    """What a step of a world may fail with."""


@dataclass(frozen=True)
class Work:
    """What a step does: which it is, what it asks of a device, how long it takes, and whether it fails."""

    number: int
    skill: str
    seconds: float
    fails: bool = False


@dataclass
class World:
    """A world, and what its steps have seen."""

    seed: int
    devices: tuple[Device, ...]
    lost_at: dict[str, float]
    hold: bool
    planners: int
    began: float = math.nan
    saw: list[tuple[str, Work, str]] = field(default_factory=list)  # "begins" or "ends", the work, the device


def draw_world(seed: int) -> World:
    draw = random.Random(f"world {seed}")
    number = draw.randint(2, 4)
    skills = [{skill for skill in SKILLS if draw.random() < 0.5} for _ in range(number)]
    for skill in SKILLS:
        draw.choice(skills).add(skill)
    devices = tuple(Device(f"d{place}", skills[place], draw.randint(1, 2)) for place in range(number))
    lost_at = {device.name: draw.uniform(0, 25) for device in devices if draw.random() < 0.35}
    return World(seed, devices, lost_at, draw.random() < 0.6, draw.choice((1, 1, 2)))


def draw_work(draw: random.Random) -> Work:
    return Work(draw.randrange(10**6), draw.choice(SKILLS), round(draw.lognormvariate(0.5, 0.8), 3), draw.random() < 0.15)


def draw_needs(draw: random.Random, ids: Sequence[str]) -> tuple[Need, ...]:
    found = []
    for id in draw.sample(ids, min(len(ids), draw.choice((0, 1, 1, 2, 3)))):
        kind = draw.choice(("success-only", "success-only", "unconditional", "conditional", "failure"))
        test = "is even" if kind == "conditional" else ""
        found.append(Need(id, "failure") if kind == "failure" else plan.line(id, kind, test))
    return tuple(found)


def draw_edits(draw: random.Random, ids: list[str], turn: str) -> list[Edit[Work] | list[Edit[Work]]]:
    """What a planner says in one turn. `ids`: the steps it knows of, and then also those that it has added."""
    said: list[Edit[Work] | list[Edit[Work]]] = []
    for number in range(draw.randint(1, 5)):
        kind, new = draw.random(), f"{turn}.{number}"
        known = [*ids, "nowhere"] if draw.random() < 0.1 else ids
        old = draw.choice(known) if known else "nowhere"
        if kind < 0.55 or not ids:
            edit: Edit[Work] | list[Edit[Work]] = Add(Node(new, draw_work(draw), draw_needs(draw, ids)))
            ids.append(new)
        elif kind < 0.65:
            edit = Remove(old)
        elif kind < 0.75:
            edit = Replace(old, draw_work(draw))
        elif kind < 0.87:
            edit = Rewire(old, draw_needs(draw, [id for id in known if id != old]))
        else:  # together: a step between two others, which may close a cycle
            edit = [Add(Node(new, draw_work(draw), draw_needs(draw, ids))), Rewire(old, after(new))]
            ids.append(new)
        said.append(edit)
    return said


async def run_world(world: World) -> plan.Executed[Work, int]:
    """Run a world, in a run of Headway."""

    @hw.task(name="act")
    async def act(work: Work, given: dict[str, int | plan.Failure], device: str) -> int:
        world.saw.append(("begins", work, device))
        try:
            left = world.lost_at.get(device, math.inf) - (asyncio.get_running_loop().time() - world.began)
            if left <= work.seconds:
                await asyncio.sleep(max(0.0, left))
                if left > 0 and work.number % 3 == 0:
                    await asyncio.sleep(NOTICED_S)
                raise plan.DeviceLost(f"{device} is off")
            await asyncio.sleep(work.seconds)
            if work.fails:
                raise Fails(str(work.number))
            return work.number
        finally:
            world.saw.append(("ends", work, device))

    def make_planner(place: int) -> hw.Task[[str, Trace[Work]], AsyncIterator[Edit[Work]]]:
        @hw.task(name=f"edit {place}")
        async def edit(goal: str, trace: Trace[Work]) -> AsyncIterator[Edit[Work] | list[Edit[Work]]]:
            draw = random.Random(f"{world.seed} {place} {len(trace.ended)} {len(trace.graph)}")
            for each in draw_edits(draw, [node.id for node in trace.graph], f"{place}.{len(trace.ended)}.{len(trace.graph)}"):
                await asyncio.sleep(draw.choice((0.0, 0.1, 1.0)) * draw.random())
                yield each

        return edit

    world.began = asyncio.get_running_loop().time()
    return await plan.galaxy(
        act,
        world.devices,
        goal="g",
        planner=[make_planner(place) for place in range(world.planners)],
        asks=lambda work: {work.skill},
        tests={"is even": lambda number: number % 2 == 0},
        errors=Fails,
        hold=world.hold,
        rounds=6,
    )


def play(seed: int) -> tuple[World, plan.Executed[Work, int]]:
    """Run the world of a seed. Raises TimeoutError where it hangs."""
    world = draw_world(seed)

    kept: list[plan.Executed[Work, int]] = []

    @hw.task(name="world")
    async def program() -> None:
        kept.append(await run_world(world))

    testing.run(program, store=None, clock=testing.VirtualClock(most_s=LONGEST_S))
    return world, kept[0]


class _Judge:
    """Goes through a log and says what should not have happened."""

    def __init__(self, world: World, ran: plan.Executed[Work, int]) -> None:
        self.world, self.ran = world, ran
        self.devices = {device.name: device for device in world.devices}
        self.nodes: dict[str, Node[Work]] = {}
        self.runs: dict[str, str] = {}  # the device of each step that runs
        self.stopped: dict[str, str] = {}  # those whose device was lost under them
        self.ended: dict[str, bool] = {}
        self.begun: set[str] = set()
        self.lost: set[str] = set()
        self.speaking: set[int] = set()
        self.found: list[str] = []
        self.works: Counter[tuple[Work, str]] = Counter()

    def judge(self) -> list[str]:
        for each in self.ran.log:
            match each:
                case Asked(planner):
                    self.expect(planner not in self.speaking, f"planner {planner} is asked while it speaks")
                    self.speaking.add(planner)
                case Planned(planner):
                    self.speaking.discard(planner)
                case Edited(_, edits):
                    self.edit(edits)
                case Started(step, device):
                    self.start(step, device)
                case Ended(step, error):
                    self.end(step, error)
                case Lost(device, _, steps):
                    self.expect(device not in self.lost, f"{device} is lost twice")
                    self.lost.add(device)
                    on_it = {step for step, other in self.runs.items() if other == device}
                    self.expect(on_it == set(steps), f"{device} is lost with {steps}, where {on_it} ran on it")
                    self.stopped.update(dict.fromkeys(on_it, device))
                    for step in on_it:
                        del self.runs[step]
        self.judge_end()
        self.judge_steps()
        return self.found

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.found.append(otherwise)

    def edit(self, edits: Sequence[Edit[Work]]) -> None:
        for edit in edits:
            if isinstance(edit, Add):
                self.expect(edit.node.id not in self.nodes, f"{edit.node.id} is added twice")
                self.nodes[edit.node.id] = edit.node
                continue
            self.expect(edit.id in self.nodes and edit.id not in self.begun, f"{edit} of a step that began or is not there")
            node = self.nodes.pop(edit.id, None)
            if node is not None and isinstance(edit, Replace):
                self.nodes[edit.id] = Node(edit.id, edit.does, node.needs)
            elif node is not None and isinstance(edit, Rewire):
                self.nodes[edit.id] = Node(edit.id, node.does, edit.needs)
        for node in self.nodes.values():
            self.expect(all(need.step in self.nodes for need in node.needs), f"{node.id} needs a step that is not there")
        self.expect(not self.has_cycle(), f"a cycle after {edits}")

    def has_cycle(self) -> bool:
        left = {id: {need.step for need in node.needs} & self.nodes.keys() for id, node in self.nodes.items()}
        while free := [id for id, needs in left.items() if not needs & left.keys()]:
            for id in free:
                del left[id]
        return bool(left)

    def start(self, step: str, device: str) -> None:
        self.expect(step in self.nodes, f"{step} starts and is not in the plan")
        self.expect(step not in self.runs and step not in self.ended, f"{step} starts again")
        self.expect(step not in self.begun or step in self.stopped, f"{step} starts twice")
        self.expect(device not in self.lost, f"{step} starts on {device}, which is lost")
        self.expect(not (self.world.hold and self.speaking), f"{step} starts while a planner speaks")
        if step in self.nodes:
            node = self.nodes[step]
            self.expect(node.does.skill in self.devices[device].can, f"{step} starts on {device}, which can't do it")
            self.expect(all(self.is_met(need) for need in node.needs), f"{step} starts before what it needs")
            self.works[node.does, device] += 1
        self.stopped.pop(step, None)
        self.begun.add(step)
        self.runs[step] = device
        busy = sum(other == device for other in self.runs.values())
        self.expect(busy <= self.devices[device].at_once, f"{device} does {busy} steps at a time")

    def is_met(self, need: Need) -> bool:
        if need.step not in self.ended:
            return False
        ok = self.ended[need.step]
        as_it_must = need.on == "end" or ok == (need.on == "success")
        return as_it_must and (not need.test or (ok and self.ran.results.get(need.step, 1) % 2 == 0))

    def end(self, step: str, error: str) -> None:
        if error.startswith("DeviceLost"):
            self.expect(step in self.nodes and step not in self.runs, f"{step} is given up while it runs")
            able = {device.name for device in self.world.devices if self.nodes[step].does.skill in device.can}
            self.expect(able <= self.lost, f"{step} is given up, where {able - self.lost} could do it")
        else:
            self.expect(step in self.runs or step in self.stopped, f"{step} ends and did not run")
            self.expect(bool(error) == self.nodes[step].does.fails, f"{step} ends with {error!r}")
        self.expect(step not in self.ended, f"{step} ends twice")
        self.runs.pop(step, None)
        self.stopped.pop(step, None)
        self.begun.add(step)
        self.ended[step] = not error

    def judge_end(self) -> None:
        ran = self.ran
        self.expect(not self.runs and not self.stopped, f"{[*self.runs, *self.stopped]} never ended")
        self.expect(set(ran.graph) == set(self.nodes.values()), "the plan is not what its edits made")
        self.expect(set(ran.results) == {id for id, ok in self.ended.items() if ok}, "results are not those of what succeeded")
        self.expect(set(ran.failures) == {id for id, ok in self.ended.items() if not ok}, "failures are not those of what failed")
        self.expect(set(ran.skipped) == set(self.nodes) - set(self.ended), "what is skipped is not what never ended")
        for id in ran.skipped:
            self.expect(not all(self.is_met(need) for need in self.nodes[id].needs), f"{id} is skipped and could start")

    def judge_steps(self) -> None:
        """What the steps saw: each of them ran as often as it was started, on one device at a time."""
        now: Counter[Work] = Counter()
        began: Counter[tuple[Work, str]] = Counter()
        for what, work, device in self.world.saw:
            now[work] += 1 if what == "begins" else -1
            began[work, device] += what == "begins"
            self.expect(now[work] <= 1, f"{work} runs twice at a time")
        # a call that is stopped before its body has begun is started and never seen
        self.expect(not began - self.works, f"{began - self.works} ran and was not started")


def find_violations(seed: int) -> list[str]:
    """What should not have happened in the world of a seed."""
    try:
        world, ran = play(seed)
    except TimeoutError as error:
        return [f"it hangs: {error}"]
    return _Judge(world, ran).judge()


def judge(world: World, ran: plan.Executed[Work, int]) -> list[str]:
    """What should not have happened, from what is said to have happened."""
    return _Judge(world, ran).judge()


def measure_violations(seed: int) -> Pair:
    """How many of 2,000 worlds had a violation; none may."""
    return Pair(float(sum(bool(find_violations(world)) for world in range(seed * SCHEDULES, (seed + 1) * SCHEDULES))), 0.0)


# --- rounds of editing, and how parallel a plan is ---------------------------------------------------------------------

ENDING, THINKS_S = 12, 5.0


@hw.task
async def wait(does: float, given: dict[str, float], device: str) -> float:
    await asyncio.sleep(does)
    return does


@hw.task
async def think(goal: int, trace: Trace[float]) -> AsyncIterator[list[Edit[float]]]:
    """Plan steps that end shortly after each other, then think about each of those that have ended."""
    if not trace.started:
        yield [Add(Node(str(number), 10 + number * THINKS_S / (2 * goal))) for number in range(goal)]
    await asyncio.sleep(THINKS_S)
    yield [Add(Node(f"after {id}", 1.0, after(id))) for id in trace.fresh if " " not in id]


@hw.task
async def edit_rounds(seed: int) -> tuple[int, int]:
    """How often the planner edited after steps had ended, and how many had."""
    devices = [Device("phone", at_once=2 * ENDING)]
    goal = ENDING + seed
    ran = await plan.galaxy(wait, devices, goal=goal, planner=think, rounds=100)
    ran.check()
    asked = [each for each in ran.log if isinstance(each, Asked) and any(" " not in id for id in each.fresh)]
    return len(asked), goal


def measure_rounds(seed: int) -> Pair:
    """Rounds of editing for steps that end while the planner thinks, against one for each step."""
    return Pair(*map(float, testing.run(edit_rounds, seed, store=None)))


def draw_errands(seed: int) -> Graph[Work]:
    """Errands for devices, some of which only one device can do."""
    draw = random.Random(f"errands {seed}")
    nodes: list[Node[Work]] = []
    for number in range(20):
        before = [node.id for node in nodes[-6:]]
        needs = draw.sample(before, min(len(before), draw.randrange(3)))
        nodes.append(Node(str(number), Work(number, draw.choice(SKILLS), draw.lognormvariate(0, 0.7)), after(*needs)))
    return Graph(tuple(nodes))


@hw.task
async def run_errands(graph: Graph[Work], how: str) -> float:
    """Seconds that errands take: assigned when they start ("late"), when they are planned in turn ("early"), or one by one."""

    @hw.task(name="errand")
    async def errand(work: Work, given: dict[str, int], device: str) -> int:
        await asyncio.sleep(work.seconds)
        return work.number

    began = hw.now()
    devices = [Device("d0", {"camera", "browser"}), Device("d1", {"browser", "print"}), Device("d2", {"camera", "print"})]
    turn = {node.does.number: place for place, node in enumerate(graph)}

    def assign(work: Work) -> list[str]:
        able = [device.name for device in devices if work.skill in device.can]
        return able if how == "late" else [able[turn[work.number] % len(able)]]

    policy = plan.one_by_one if how == "one by one" else plan.LeastBusy()
    if how == "late":
        ran = await plan.galaxy(errand, devices, graph=graph, asks=lambda work: {work.skill})
    else:
        ran = await plan.execute(errand, graph=graph, choices=assign, policy=policy)
    ran.check()
    return hw.now() - began


def measure_errands(seed: int, baseline: str) -> Pair:
    graph = draw_errands(seed)
    late, other = (testing.run(run_errands, graph, how, store=None) for how in ("late", baseline))
    return Pair(late, other)


_TESTS = "tests/methods/plan/"
_WORLDS = f"{_TESTS}test_worlds.py"
_GALAXY = f"{_TESTS}test_galaxy.py"
_FUNCTION = "headway.methods.plan.galaxy"

ROWS: list[Row | Held] = [
    Row(
        method="UFO³",
        function=_FUNCTION,
        item="plan",
        claim="safe dispatch while the plan is edited: one device a step, no cycle, no edit of what runs",
        shows="no invariant broken in 10,000 worlds of edits, ends and lost devices (2,000 a seed)",
        baseline="none",
        unit="worlds with a violation",
        measure=measure_violations,
        reached=lambda low, high: low == high == 0,
        compare="difference",
        test=f"{_WORLDS}::test_no_invariant_is_broken_in_drawn_worlds",
        slow=True,
    ),
    Row(
        method="UFO³",
        function=_FUNCTION,
        item="plan",
        claim="what ends during an edit is queued and edited in one batch",
        shows="steps that end while the planner edits are edited in one round (two with that of the first)",
        baseline="a round of editing for each step",
        unit="rounds",
        measure=measure_rounds,
        reached=lambda low, high: high <= 0.2,
        test=f"{_GALAXY}::test_what_ends_while_the_planner_edits_is_told_in_one_go",
    ),
    Row(
        method="UFO³",
        function=_FUNCTION,
        item="plan",
        claim="31 % less latency than one by one",
        shows="at least 31 % less time than one by one, on three devices that differ",
        baseline="one step at a time",
        unit="seconds",
        measure=lambda seed: measure_errands(seed, "one by one"),
        reached=lambda low, high: high <= 0.69,
        test=f"{_GALAXY}::test_devices_work_side_by_side",
        seeds=10,
    ),
    Row(
        method="UFO³",
        function=_FUNCTION,
        item="plan",
        claim="devices are assigned in turn when the plan is made",
        shows="a device chosen when a step starts takes no longer than one chosen in turn",
        baseline="devices in turn, when the plan is made",
        unit="seconds",
        measure=lambda seed: measure_errands(seed, "early"),
        reached=lambda low, high: high < 1,
        test=f"{_GALAXY}::test_a_busy_device_is_not_waited_for_beside_a_free_one",
        seeds=20,
    ),
    Held(
        item="plan",
        promise="UFO³: a lost device takes its running steps with it; others do them again, or they fail and say why",
        tests=(
            f"{_GALAXY}::test_what_ran_on_a_lost_device_is_done_again_by_another",
            f"{_GALAXY}::test_a_step_that_no_device_is_left_for_fails_and_says_why",
            f"{_GALAXY}::test_a_step_that_never_had_a_device_is_refused_and_the_planner_is_told",
        ),
    ),
    Held(
        item="plan",
        promise="UFO³: four kinds of lines, and no step is assigned while a planner edits",
        tests=(
            f"{_GALAXY}::test_the_four_kinds_of_lines_wait_as_they_say",
            f"{_GALAXY}::test_no_step_is_assigned_while_the_planner_edits",
        ),
    ),
    Held(
        item="plan",
        promise="UFO³: who judges drawn worlds finds what is broken",
        tests=(f"{_WORLDS}::test_the_judge_finds_what_is_broken",),
    ),
]
