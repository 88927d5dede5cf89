"""UFO³ Galaxy: a plan over devices, which a planner edits whenever steps have ended.

Devices differ in what they can do, do a few steps at a time, and may be lost. While the planner edits, nothing new is started, and
what ends meanwhile is told in one go the next time. So a planner never edits a step that starts under its hands, and ten steps that
end together cost one round of editing.

All of it is done by the executor of plans (`plan.execute`). This module says which devices a step may run on, how the four kinds of
lines between steps are written as needs, and how parallel a plan was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.edits import When
from headway.methods.graph import EditRefused, Graph, Need
from headway.methods.plan.asking import Test
from headway.methods.plan.executor import AnyPlanner, execute
from headway.methods.plan.records import Executed
from headway.methods.protocols import Policy
from headway.methods.records import Action, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors

Q = TypeVar("Q")
W = TypeVar("W")
T = TypeVar("T")

LineKind = Literal["unconditional", "conditional", "success-only", "completion-only"]


@dataclass(frozen=True, slots=True)
class Device:
    """Something that does steps.

    Attributes:
        name: what tells it from others.
        can: what it can do.
        at_once: how many steps it does at a time.

    Raises:
        UsageError: it has no name, or does no whole number of steps.

    Example:
        >>> Device("phone", {"camera", "browser"}).at_once
        1
    """

    name: str
    can: Collection[str] = frozenset()
    at_once: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"Device({self.name!r:.40}): the name of a device is a text that is not empty")
        where = f"Device({self.name!r:.40})"
        settings.at_least_one(where, at_once=self.at_once)
        if isinstance(self.can, str):
            raise UsageError(f"{where}: can={self.can!r:.40}: a set of names, not one text")
        settings.several(where, str, can=self.can)
        object.__setattr__(self, "can", frozenset(self.can))


def line(step: str, kind: LineKind = "unconditional", test: str = "") -> Need:
    """A line of UFO³ between two steps, as a need of the later one.

    Args:
        step: the id of the earlier step.
        kind: "success-only" waits for its success; "unconditional" and "completion-only" for its end, however it ends;
            "conditional" for a result that a test holds for.
        test: the name of the test of a conditional line, one of those that `galaxy` is given.

    Returns:
        The need.

    Raises:
        UsageError: there is no such kind; a conditional line without a test, or another one with a test.

    Example:
        >>> line("1", "conditional", "is_long")
        Need(step='1', on='success', test='is_long')
    """
    if kind not in _ENDS:
        raise UsageError(f"line: kind={kind!r:.40}: one of {', '.join(_ENDS)}")
    if bool(test) != (kind == "conditional"):
        raise UsageError(f"line: a {kind} line {'takes no test' if test else 'needs test=, the name of a test'}")
    return Need(step, _ENDS[kind], test)


_ENDS: Mapping[str, When] = {
    "unconditional": "end",
    "conditional": "success",
    "success-only": "success",
    "completion-only": "end",
}


@dataclass(frozen=True)
class LeastBusy:
    """Give each ready step to a free device that can do it: the one that has done and does the fewest steps.

    Steps are taken in the order of the plan; one that finds no free device waits, and those behind it do not wait for it. What a
    step can be done with is what `View.choices` names for it.

    Attributes:
        at_once: how many steps a device does at a time, by its name; 1 for those that are not named.

    Raises:
        UsageError: a number of steps is no whole number from 1 on.

    Example:
        >>> view = View(ready=("a", "b", "c"), choices={"a": ("phone", "laptop"), "b": ("phone",), "c": ("phone", "laptop")})
        >>> [(action.step, action.choice) for action in LeastBusy()(view, Random(1))]
        [('a', 'phone'), ('c', 'laptop')]
    """

    at_once: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for device, number in self.at_once.items():
            settings.at_least_one("LeastBusy", **{f"at_once[{device!r}]": number})

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        busy = Counter(running.action.choice for running in view.running)
        done = Counter(seen.choice for seen in view.ended) + busy
        actions: list[Action] = []
        for step in view.ready:
            free = [device for device in view.choices.get(step, ("",)) if busy[device] < self.at_once.get(device, 1)]
            if free:
                device = min(free, key=lambda device: (done[device], busy[device]))
                busy[device] += 1
                done[device] += 1
                actions.append(Action(step, device, why=f"{device} is the least busy" if device else ""))
        return actions


async def galaxy(
    step: Callable[..., Awaitable[T]],
    devices: Sequence[Device],
    *,
    goal: Q | None = None,
    planner: AnyPlanner[Q, W] | Sequence[AnyPlanner[Q, W]] = (),
    graph: Graph[W] | None = None,
    asks: Callable[[W], Collection[str]] = lambda does: (),
    rounds: int = 8,
    hold: bool = True,
    policy: Policy | None = None,
    tests: Mapping[str, Test] | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Executed[W, T]:
    """Execute a plan over devices, and let its planner edit it whenever steps have ended.

    A step runs on one device from its start to its end. While a planner speaks, no step is assigned; what ends meanwhile is told in
    one go the next time. A step that raises `plan.DeviceLost` takes its device out of the plan: all that ran on it is stopped and
    done again by other devices, and fails with the reason where no other one can do it. Give the planner a `timeout=`: one that
    runs into it is cut off there, and the plan goes on.

    It departs in that a device is chosen when a step starts, not when it is planned, so nobody waits for a busy device beside a
    free one; in that what can't be applied is refused with a reason that the planner is told; and in that a device which was lost
    stays lost.

    Args:
        step: does a step: `step(does, given, device)`, with the name of the device; see `plan.execute`. Usually a task.
        devices: what there is.
        goal: what planners are told.
        planner: edits the plan; see `plan.execute`.
        graph: the plan that is there to begin with.
        asks: what a device must be able to do for a step, from what the step does.
        rounds: how often planners are asked at most.
        hold: the assignment lock: whether no step starts while a planner speaks.
        policy: which ready step starts on which free device; `LeastBusy` by default.
        tests: what the tests of conditional lines mean: functions of a result.
        errors: what a step, or a planner, may fail with without failing the program.

    Returns:
        Results and failures by step, the plan as it was in the end, and what happened; `measure_parallelism` reads it.

    Raises:
        UsageError: no devices, two of one name, a step that no device can do, and what `plan.execute` refuses.
        Exception: what a step or a planner raises that `errors` does not name; the rest is stopped.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Node
        >>> @hw.task
        ... async def act(does: str, given: dict[str, str], device: str) -> str:
        ...     if device == "old phone":
        ...         raise plan.DeviceLost("its battery is empty")
        ...     return f"{does} by {device}"
        >>> @hw.task
        ... async def program() -> str:
        ...     devices = [plan.Device("old phone", {"camera"}), plan.Device("phone", {"camera"}), plan.Device("laptop")]
        ...     photo = Graph((Node("1", "photo"),))
        ...     return (await plan.galaxy(act, devices, graph=photo, asks=lambda does: {"camera"})).results["1"]
        >>> hw.run(program, store=None)
        'photo by phone'

    Source:
        UFO³: Zhang et al., arXiv 2511.11332; lines, metrics and the loop after the authors' code.
    """
    settings.function("galaxy", step=step, asks=asks)
    _check_devices(devices)

    def able(does: W) -> tuple[str, ...]:
        wanted = frozenset(asks(does))
        found = tuple(device.name for device in devices if wanted <= set(device.can))
        if not found:
            raise EditRefused(f"no device can do {does!r:.80}: it asks for {', '.join(sorted(wanted))}")
        return found

    return await execute(
        step,
        graph=graph,
        goal=goal,
        planner=planner,
        replan="step",
        rounds=rounds,
        policy=policy or LeastBusy({device.name: device.at_once for device in devices}),
        choices=able,
        tests=tests,
        errors=errors,
        hold=hold,
    )


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How parallel a plan was.

    Attributes:
        work_s: how long its steps took together, in seconds.
        path_s: the longest chain of steps, in seconds: no number of devices is faster.
        width: the most steps on one level of the plan.
    """

    work_s: float
    path_s: float
    width: int

    @property
    def ratio(self) -> float:
        """How many devices could be kept busy: work by path; 0 of a plan that took no time."""
        return self.work_s / self.path_s if self.path_s else 0.0


def measure_parallelism(ran: Executed[Any, Any], seconds: Mapping[str, float]) -> Parallelism:
    """Measure how parallel a plan was, as UFO³ does.

    Args:
        ran: the plan as it ran.
        seconds: how long each step took, by id; `plan.seconds_of` reads it from the journal. Steps that are not there took none.

    Returns:
        Work, critical path and width.

    Example:
        >>> from headway.methods.graph import Node, after
        >>> ran = Executed(Graph((Node("a", ""), Node("b", ""), Node("c", "", after("a", "b")))), {"a": 1, "b": 1, "c": 1})
        >>> measure_parallelism(ran, {"a": 2.0, "b": 1.0, "c": 3.0}).ratio
        1.2
    """
    path_s, _ = ran.graph.critical_path(lambda node: seconds.get(node.id, 0.0))
    return Parallelism(sum(seconds.values()), path_s, max(map(len, ran.graph.rounds()), default=0))


def _check_devices(devices: object) -> None:
    if not isinstance(devices, list | tuple) or not devices or not all(isinstance(device, Device) for device in devices):
        raise UsageError(f"galaxy: devices={devices!r:.80}: a list of at least one plan.Device")
    names = [device.name for device in devices]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"galaxy: two devices are called {twice!r}")
