"""Plans and planners that make no sense: one clear error or a lawful outcome, and never a hang."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import headway as hw
from headway.methods import plan
from headway.methods.graph import Add, Edit, EditRefused, Graph, Node, Trace, after

DID: list[str] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    DID.clear()


@hw.task(timeout=50)
async def step(does: str, given: dict[str, Any]) -> str:
    DID.append(does)
    await asyncio.sleep(1e9 if does == "for ever" else 1)
    return does


def executing(**options: Any) -> Any:
    @hw.task(name="program")
    async def program() -> Any:
        return await plan.execute(options.pop("step", step), **options)

    return program


def planning(*said: Any) -> Any:
    """A planner that says this, and then nothing more."""

    @hw.task(name="planner")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Any]:
        for each in said if not trace.started else ():
            yield each

    return planner


def test_a_plan_with_a_cycle_is_refused_before_anything_runs(go):
    with pytest.raises(EditRefused, match="a cycle"):
        go(executing(graph=Graph((Node("a", "x", after("b")), Node("b", "y", after("a"))))))
    assert not DID


def test_what_needs_a_refused_step_is_refused_too(go):
    planner = planning(Add(Node("a", "x", after("nowhere"))), Add(Node("b", "y", after("a"))), Add(Node("c", "z")))
    ran = go(executing(goal="g", planner=planner))
    assert ran.results == {"c": "z"}
    assert [each.why.partition(".")[0] for each in ran.log if isinstance(each, plan.Refused)] == [
        "a needs nowhere: there is no such step",
        "b needs a: there is no such step",
    ]


def test_a_step_that_never_ends_fails_by_its_timeout_and_the_plan_goes_on(go):
    graph = Graph((Node("a", "for ever"), Node("b", "x"), Node("c", "y", after("b")), Node("d", "z", after("a"))))
    ran = go(executing(graph=graph))
    assert ran.results == {"b": "x", "c": "y"}
    assert ran.failures["a"].startswith("CallTimeout")
    assert ran.skipped == ("d",)


def test_a_step_that_never_ends_ends_with_the_deadline(go):
    @hw.task
    async def patient(does: str, given: dict[str, Any]) -> str:
        await asyncio.sleep(1e9)
        return does

    @hw.task
    async def program() -> float:
        began = hw.now()
        with pytest.raises(hw.DeadlineExceeded), hw.deadline(seconds=20):
            await plan.execute(patient, graph=Graph((Node("a", "x"),)))
        return hw.now() - began

    assert go(program) == pytest.approx(20, abs=1)


def test_a_planner_that_hangs_is_cut_off_by_its_timeout(go):
    @hw.task(name="planner", timeout=5)
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "x"))
        await asyncio.sleep(1e9)

    ran = go(executing(goal="g", planner=planner))
    assert ran.results == {"a": "x"}
    with pytest.raises(plan.PlanFailed, match="the planner failed: CallTimeout"):
        ran.check()


@pytest.mark.parametrize("nonsense", ["2. search(", None, ["a"], [Add(Node("b", "y")), 3], Node("b", "y")], ids=repr)
def test_a_planner_that_says_what_is_no_edit_ends_the_plan_with_one_error(go, nonsense):
    with pytest.raises(hw.UsageError, match="is no edit"):
        go(executing(goal="g", planner=planning(Add(Node("a", "x")), nonsense)))


def test_a_planner_that_never_stops_is_stopped_by_the_size_of_the_plan(go):
    @hw.task(name="planner")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        for number in itertools.count():
            yield Add(Node(str(number), "x"))

    with pytest.raises(hw.UsageError, match="grown past 30 steps"):
        go(executing(goal="g", planner=planner, most_steps=30))


def test_a_planner_that_never_changes_anything_is_asked_a_few_times_at_most(go):
    asked: list[int] = []

    @hw.task(name="planner")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        asked.append(len(trace.refused))
        yield Add(Node("a", "x", after("nowhere")))

    ran = go(executing(goal="g", planner=planner, replan="done", rounds=4))
    assert (ran.results, asked) == ({}, [0, 1, 1, 1])


def test_each_of_two_planners_is_told_of_its_own_refusals(go):
    told: dict[str, tuple[str, ...]] = {}

    def make(name: str, does: str) -> Any:
        @hw.task(name=name)
        async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
            if trace.started:
                told[name] = trace.refused
            else:
                yield Add(Node("same", does))

        return planner

    ran = go(executing(goal="g", planner=[make("one", "x"), make("two", "y")], replan="done"))
    assert len(ran.results) == 1
    assert sorted(map(len, told.values())) == [0, 1]


def test_what_one_planner_needs_another_may_still_say(go):
    @hw.task(name="slow")
    async def slow(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        await asyncio.sleep(10)
        yield Add(Node("a", "x"))

    ran = go(executing(goal="g", planner=[planning(Add(Node("b", "y", after("a")))), slow]))
    assert ran.results == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"graph": [1]}, "graph="),
        ({"planner": lambda goal, trace: []}, "an async generator of edits"),
        ({"replan": "always"}, '"never", "done" or "step"'),
        ({"rounds": 0}, "rounds=0"),
        ({"most_steps": 0}, "most_steps=0"),
        ({"policy": "fast"}, "policy='fast'"),
        ({"errors": "all"}, "an exception class"),
        ({"choices": ()}, "at least one name"),
        ({"choices": {"a": "fast"}}, "choices='fast' of step 'a': a list of names"),
        ({"choices": {"a": ()}}, "choices= has no way to do it"),
        ({"graph": Graph((Node("a", "x"), Node("b", "y", after("a", test="t"))))}, "tests= has: none"),
        ({"policy": lambda view, rng: [plan_action("b")]}, "step 'b' is not ready"),
        ({"policy": lambda view, rng: [plan_action("a", 2)]}, "2 samples of step 'a': a step of a plan is done once"),
        ({"step": lambda does, given: asyncio.sleep(0)}, "no call of a task: decorate it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_sense_is_refused_before_anything_runs(go, options, said):
    with pytest.raises(hw.UsageError, match=said):
        go(executing(**{"graph": Graph((Node("a", "x"),)), **options}))
    assert not DID


def plan_action(step: str, count: int = 1) -> Any:
    from headway.methods.records import Action

    return Action(step, count=count)


def test_a_policy_that_starts_nothing_leaves_its_steps_and_does_not_hang(go):
    ran = go(executing(graph=Graph((Node("a", "x"),)), policy=lambda view, rng: []))
    assert (ran.results, ran.skipped) == ({}, ("a",))
