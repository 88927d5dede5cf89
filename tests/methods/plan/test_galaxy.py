"""UFO³: devices that differ and are lost, edits in batches behind the assignment lock, four kinds of lines."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from typing import Any

import pytest
from benchmarks.plans.galaxy import measure_errands, measure_rounds

import headway as hw
from headway.methods import plan
from headway.methods.graph import Add, Edit, Graph, Need, Node, Replace, Trace, after
from headway.methods.plan import Device, Executed, Parallelism, line, measure_parallelism
from headway.methods.records import Action, Observation, Running, View

PHONE, LAPTOP, PRINTER = Device("phone", {"camera"}), Device("laptop"), Device("printer", {"print"})
DID: list[tuple[str, str]] = []


class Broken(Exception):
    """What a step fails with that a plan may go on after."""


@pytest.fixture(autouse=True)
def _clear() -> None:
    DID.clear()


@hw.task
async def act(does: str, given: dict[str, Any], device: str) -> str:
    """Takes a second. `!` fails; `off` loses the device; `stuck` would take for ever where it is started first."""
    DID.append((does, device))
    await asyncio.sleep(1)
    if does.endswith("!"):
        raise Broken(does)
    if does == "off" and device == "phone":
        raise plan.DeviceLost("its battery is empty")
    if does == "stuck" and device == "phone":
        await asyncio.sleep(1e9)
    return f"{does} by {device}"


def asks(does: str) -> set[str]:
    return {"print"} if does.startswith("print") else set()


def running(devices: list[Device], **options: Any) -> Any:
    @hw.task(name="program")
    async def program() -> Executed[str, str]:
        return await plan.galaxy(act, devices, asks=asks, errors=Broken, **options)

    return program


def plan_of(*does: str) -> Graph[str]:
    return Graph(tuple(Node(str(place), each) for place, each in enumerate(does)))


def test_what_ran_on_a_lost_device_is_done_again_by_another(go):
    ran = go(running([Device("phone", at_once=2), LAPTOP], graph=plan_of("off", "x", "stuck", "y", "z")))
    assert ran.results["0"] == "off by laptop"
    assert ran.results["2"] == "stuck by laptop"
    assert len(ran.results) == 5
    (lost,) = (each for each in ran.log if isinstance(each, plan.Lost))
    assert (lost.choice, lost.why, lost.steps) == ("phone", "its battery is empty", ("0", "2"))
    after_it = ran.log[ran.log.index(lost) :]
    assert {each.choice for each in after_it if isinstance(each, plan.Started)} == {"laptop"}


def test_a_step_that_no_device_is_left_for_fails_and_says_why(go):
    graph = Graph((Node("a", "off"), Node("mend", "print it", after("a", on="failure")), Node("b", "x", after("a"))))
    ran = go(
        running([PHONE, PRINTER], graph=graph, policy=lambda view, rng: [Action(id, view.choices[id][0]) for id in view.ready])
    )
    assert ran.results["a"] == "off by printer"
    DID.clear()
    ran = go(running([PHONE], graph=plan_of("off", "x")), run_id="alone")
    assert ran.failures["0"] == "DeviceLost: all that it can be done with is lost: phone (its battery is empty)"
    assert ran.failures.keys() == {"0", "1"}
    assert not ran.skipped


def test_a_step_that_never_had_a_device_is_refused_and_the_planner_is_told(go):
    told: list[tuple[str, ...]] = []

    @hw.task(name="hopeful")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        told.append(trace.refused)
        if not trace.started:
            yield Add(Node("a", "x"))
            yield Add(Node("b", "print"))
            yield Add(Node("c", "y"))
            yield Replace("c", "print too")

    ran = go(running([LAPTOP], goal="g", planner=planner))
    assert ran.results == {"a": "x by laptop", "c": "y by laptop"}
    assert list(told[1]) == [
        "no device can do 'print': it asks for print",
        "no device can do 'print too': it asks for print",
    ]
    with pytest.raises(hw.UsageError, match="no device can do 'print'"):
        go(running([LAPTOP], graph=plan_of("print")), run_id="known")


def test_what_ends_while_the_planner_edits_is_told_in_one_go():
    rounds, ended = measure_rounds(3)
    assert (rounds, ended) == (2, 15)


def test_no_step_is_assigned_while_the_planner_edits(go):
    @hw.task(name="slow")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        if not trace.started:
            yield Add(Node("a", "x"))
            await asyncio.sleep(3)
            yield Replace("a", "z")
        await asyncio.sleep(3)

    ran = go(running([LAPTOP], goal="g", planner=planner))
    assert DID == [("z", "laptop")]
    assert ran.results == {"a": "z by laptop"}


def test_a_planner_that_runs_into_its_timeout_is_cut_off_and_the_plan_goes_on(go):
    @hw.task(name="lost in thought", timeout=5)
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "x"))
        yield Add(Node("b", "y", after("never said")))
        await asyncio.sleep(1e9)

    @hw.task(name="program")
    async def program() -> Executed[str, str]:
        return await plan.galaxy(act, [LAPTOP], goal="g", planner=planner, rounds=1)

    ran = go(program)
    assert ran.results == {"a": "x by laptop"}
    assert [each.error[:11] for each in ran.log if isinstance(each, plan.Planned)] == ["CallTimeout"]


def test_the_four_kinds_of_lines_wait_as_they_say(go):
    graph = Graph(
        (
            Node("good", "x"),
            Node("bad", "x!"),
            Node("unconditional", "a", (line("bad"),)),
            Node("completion", "b", (line("bad", "completion-only"),)),
            Node("success", "c", (line("bad", "success-only"),)),
            Node("yes", "d", (line("good", "conditional", "is short"),)),
            Node("no", "e", (line("good", "conditional", "is long"),)),
        )
    )
    tests = {"is short": lambda result: len(result) < 20, "is long": lambda result: len(result) > 20}
    ran = go(running([LAPTOP], graph=graph, tests=tests))
    assert set(ran.results) == {"good", "unconditional", "completion", "yes"}
    assert ran.skipped == ("success", "no")


def test_devices_work_side_by_side():
    for seed in range(100, 103):
        together, one_by_one = measure_errands(seed, "one by one")
        assert together < 0.69 * one_by_one


def test_a_busy_device_is_not_waited_for_beside_a_free_one(go):
    ran = go(running([PHONE, LAPTOP], graph=plan_of("x", "y", "z")))
    assert [each.choice for each in ran.log if isinstance(each, plan.Started)] == ["phone", "laptop", "phone"]
    assert [type(each) for each in ran.log[:3]] == [plan.Started, plan.Started, plan.Ended], "the third waits for a device"


def test_the_least_busy_device_is_the_one_that_has_done_least():
    ended = (Observation("a", "phone"), Observation("b", "phone"), Observation("c", "laptop"))
    both = {"d": ("phone", "laptop"), "e": ("phone", "laptop"), "f": ("laptop",)}
    view = View(("d", "e", "f"), both, (), ended)
    policy = plan.LeastBusy()
    assert [(one.step, one.choice) for one in policy(view, None)] == [("d", "laptop"), ("e", "phone")]
    view = View(("d", "f"), both, (Running(Action("x", "laptop")),), ended)
    assert [(one.step, one.choice) for one in policy(view, None)] == [("d", "phone")]
    assert [one.choice for one in plan.LeastBusy({"laptop": 3})(view, None)] == ["phone", "laptop"]


def test_it_works_outside_of_a_run():
    ran = asyncio.run(plan.galaxy(_plain, [Device("phone", at_once=2), LAPTOP], graph=plan_of("off", "x", "stuck")))
    assert {id: result[-6:] for id, result in ran.results.items()} == {"0": "laptop", "1": "laptop", "2": "laptop"}


async def _plain(does: str, given: dict[str, Any], device: str) -> str:
    if device == "phone":
        if does == "off":
            raise plan.DeviceLost("its battery is empty")
        await asyncio.sleep(3600)
    return f"{does} by {device}"


def test_parallelism_is_work_by_path_and_width_that_of_the_widest_level():
    ran = Executed(Graph((Node("a", ""), Node("b", ""), Node("c", ""), Node("d", "", after("a", "b")))), {})
    found = measure_parallelism(ran, {"a": 2.0, "b": 1.0, "c": 1.0, "d": 2.0})
    assert (found, found.ratio) == (Parallelism(6.0, 4.0, 3), 1.5)
    assert measure_parallelism(Executed(Graph(), {}), {}).ratio == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Device(""), "the name of a device is a text"),
        (lambda: Device("a", "camera"), "a set of names, not one text"),
        (lambda: Device("a", {3}), "can="),
        (lambda: Device("a", at_once=0), "at_once=0"),
        (lambda: plan.LeastBusy({"a": 0}), "at_once"),
        (lambda: line("a", "sometimes"), "one of unconditional"),
        (lambda: line("a", "conditional"), "needs test="),
        (lambda: line("a", "success-only", "t"), "takes no test"),
        (lambda: asyncio.run(plan.galaxy(_plain, [])), "at least one plan.Device"),
        (lambda: asyncio.run(plan.galaxy(_plain, [LAPTOP, LAPTOP])), "two devices are called 'laptop'"),
        (lambda: asyncio.run(plan.galaxy("act", [LAPTOP])), "step='act'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(wrong, said):
    with pytest.raises(hw.UsageError, match=said):
        wrong()


def test_a_line_is_a_need():
    assert line("a", "conditional", "t") == Need("a", "success", "t")


# --- the picture -----------------------------------------------------------------------------------------------------


def test_a_plan_is_drawn_as_it_ran(go, tmp_path):
    @hw.task(name="planner")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Any]:
        if trace.started:
            return
        yield Add(Node("a", "off"))
        await asyncio.sleep(2)
        yield [Add(Node("b", "x!")), Add(Node("c", "y", after("b")))]
        yield Add(Node("gone", "z", after("b")))
        yield Replace("nowhere", "w")
        yield plan_remove("gone")

    def plan_remove(id: str) -> Any:
        from headway.methods.graph import Remove

        return Remove(id)

    ran = go(running([PHONE, LAPTOP], goal="g", planner=planner, hold=False))
    view = hw.view("run", store=tmp_path / "store")
    svg = ET.fromstring(plan.draw(ran, view))
    said = "\n".join(each.text or "" for each in svg.iter("{http://www.w3.org/2000/svg}title"))
    for part in (
        "a: off\ndone, 1.00 s",
        "on laptop",
        "b: x!\nfailed, 1.00 s",
        "c: y\nskipped, never started; planned at 2.0",
        "gone: z\nremoved, never started",
        "refused: replace nowhere: there is no such step",
        "phone is lost: its battery is empty",
        "a planner spoke for 2.0",
    ):
        assert part in said, said
    assert plan.seconds_of(ran, view) == pytest.approx({"a": 1.0, "b": 1.0}, abs=0.01)
    go(running([LAPTOP], graph=plan_of("x")), run_id="other")
    with pytest.raises(hw.UsageError, match="did not run in <run 'other'"):
        plan.draw(ran, hw.view("other", store=tmp_path / "store"))
