"""Plans that run while they are being planned: order, edits, failures, planners that are asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import headway as hw
from headway.methods import plan
from headway.methods.graph import Add, Edit, Graph, Need, Node, Remove, Replace, Rewire, Trace, after
from headway.sim.history import History
from headway.sim.store import Crash

DID: list[str] = []


class Broken(Exception):
    """What a step fails with that a plan may go on after."""


@pytest.fixture(autouse=True)
def _clear() -> None:
    DID.clear()


@hw.task
async def step(does: str, given: dict[str, Any]) -> str:
    """Works as many seconds as its text has characters; a text that ends in ! fails."""
    await asyncio.sleep(len(does))
    DID.append(does)
    if does.endswith("!"):
        raise Broken(does)
    return does.upper() + "".join(f"<{value.error if isinstance(value, plan.Failure) else value}>" for value in given.values())


DIAMOND = Graph((Node("a", "x"), Node("b", "yy", after("a")), Node("c", "zzzz", after("a")), Node("d", "w", after("b", "c"))))


def executing(**options: Any) -> Any:
    @hw.task(name="program")
    async def program() -> Any:
        began = hw.now()
        ran = await plan.execute(step, errors=Broken, **options)
        return ran, hw.now() - began

    return program


def test_a_plan_takes_as_long_as_its_longest_chain(go):
    ran, took = go(executing(graph=DIAMOND))
    assert ran.results == {"a": "X", "b": "YY<X>", "c": "ZZZZ<X>", "d": "W<YY<X>><ZZZZ<X>>"}
    assert took == pytest.approx(1 + 4 + 1, abs=0.1)
    assert (ran.failures, ran.skipped) == ({}, ())


def test_steps_start_while_the_planner_still_speaks(go):
    @hw.task(name="slow planner")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        for number in range(5):
            await asyncio.sleep(10)
            yield Add(Node(str(number), "t" * 20))

    ran, took = go(executing(goal="g", planner=planner))
    assert len(ran.results) == 5
    assert took == pytest.approx(5 * 10 + 20, abs=0.1)


def test_what_a_failed_step_leads_to_is_skipped_and_nothing_hangs(go):
    graph = Graph((Node("a", "x!"), Node("b", "y", after("a")), Node("c", "z", after("b")), Node("other", "o")))
    ran, _ = go(executing(graph=graph))
    assert ran.results == {"other": "O"}
    assert ran.failures == {"a": "Broken: x!"}
    assert ran.skipped == ("b", "c")
    with pytest.raises(plan.PlanFailed, match=r"step a failed: Broken: x!; 2 steps did not begin: b, c"):
        ran.check()


def test_a_step_can_need_another_to_fail_or_only_to_end(go):
    graph = Graph(
        (
            Node("a", "x!"),
            Node("mend", "m", after("a", on="failure")),
            Node("note", "n", after("a", on="end")),
            Node("never", "o", after("note", on="failure")),
        )
    )
    ran, _ = go(executing(graph=graph))
    assert ran.results == {"mend": "M<Broken: x!>", "note": "N<Broken: x!>"}
    assert ran.skipped == ("never",)
    ran.check()


def test_a_condition_decides_by_the_result(go):
    graph = Graph(
        (Node("a", "x"), Node("yes", "y", after("a", test="is short")), Node("no", "n", (Need("a", "success", "is long"),)))
    )
    tests = {"is short": lambda value: len(value) < 2, "is long": lambda value: len(value) > 2}
    ran, _ = go(executing(graph=graph, tests=tests))
    assert set(ran.results) == {"a", "yes"}
    assert ran.skipped == ("no",)


def test_an_error_that_is_not_named_stops_the_plan(go):
    @hw.task(name="fails")
    async def fails(does: str, given: dict[str, Any]) -> str:
        if does == "bad":
            raise ZeroDivisionError(does)
        await asyncio.sleep(100)
        return does

    @hw.task
    async def program() -> float:
        began = hw.now()
        with pytest.raises(ZeroDivisionError):
            await plan.execute(fails, graph=Graph((Node("a", "bad"), Node("b", "good"))))
        return hw.now() - began

    assert go(program) < 5


def test_an_edit_waits_for_the_step_that_it_needs(go):
    @hw.task(name="backwards")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("c", "z", after("b")))
        yield Add(Node("b", "y", after("a")))
        yield Add(Node("a", "x"))

    ran, _ = go(executing(goal="g", planner=planner))
    assert ran.results["c"] == "Z<Y<X>>"


def test_an_edit_that_needs_what_never_comes_is_refused_and_told(go):
    told: list[tuple[str, ...]] = []

    @hw.task(name="dreamer")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        told.append(trace.refused)
        if not trace.refused:
            yield Add(Node("a", "x"))
            yield Add(Node("b", "y", after("nowhere")))

    ran, _ = go(executing(goal="g", planner=planner, replan="done"))
    assert ran.results == {"a": "X"}
    assert told[0] == ()
    assert "nowhere" in told[1][0]


def test_what_has_started_can_not_be_edited_and_the_rest_goes_on(go):
    @hw.task(name="late")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "xxxx"))
        await asyncio.sleep(1)
        yield Replace("a", "other")
        yield Remove("a")
        yield [Add(Node("b", "y")), Rewire("b", after("a"))]

    ran, _ = go(executing(goal="g", planner=planner))
    assert ran.results == {"a": "XXXX", "b": "Y<XXXX>"}
    assert [type(each).__name__ for each in ran.log if isinstance(each, plan.Refused)] == ["Refused", "Refused"]
    assert all("it has started" in each.why for each in ran.log if isinstance(each, plan.Refused))


def test_a_cycle_is_refused_and_named(go):
    @hw.task(name="circular")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Any]:
        yield [Add(Node("a", "x", after("b"))), Add(Node("b", "y", after("a")))]
        yield Add(Node("c", "z"))

    ran, _ = go(executing(goal="g", planner=planner))
    assert ran.results == {"c": "Z"}
    assert "a cycle" in next(each.why for each in ran.log if isinstance(each, plan.Refused))


def test_a_planner_is_asked_again_when_nothing_is_left_until_it_adds_nothing(go):
    @hw.task(name="growing")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        if len(trace.ended) < 3:
            yield Add(Node(str(len(trace.ended)), "x" * (1 + len(trace.ended))))

    ran, _ = go(executing(goal="g", planner=planner, replan="done"))
    assert ran.results == {"0": "X", "1": "XX", "2": "XXX"}
    asked = [each for each in ran.log if isinstance(each, plan.Asked)]
    assert [each.fresh for each in asked] == [(), ("0",), ("1",), ("2",)]


def test_ends_that_come_while_a_planner_speaks_are_told_together(go):
    @hw.task(name="thinker")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        if not trace.ended:
            for number in range(6):
                yield Add(Node(str(number), "x" * (1 + number)))
        await asyncio.sleep(10)

    ran, _ = go(executing(goal="g", planner=planner, replan="step"))
    asked = [each.fresh for each in ran.log if isinstance(each, plan.Asked)]
    assert asked == [(), ("0", "1", "2", "3", "4", "5")]


def test_nothing_starts_while_a_planner_holds_the_plan(go):
    @hw.task(name="holder")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "x"))
        await asyncio.sleep(5)
        yield Remove("a")
        yield Add(Node("b", "y"))

    ran, _ = go(executing(goal="g", planner=planner, hold=True))
    assert ran.results == {"b": "Y"}
    assert DID == ["y"]


def test_two_planners_edit_at_once_and_what_clashes_is_refused(go):
    async def first(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "x"))

    async def second(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "other"))
        yield Add(Node("b", "y", after("a")))

    ran, _ = go(executing(goal="g", planner=[first, second]))
    assert set(ran.results) == {"a", "b"}
    assert sum(isinstance(each, plan.Refused) for each in ran.log) == 1


def test_a_planner_that_fails_leaves_what_it_planned(go):
    @hw.task(name="broken off")
    async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        yield Add(Node("a", "x"))
        raise Broken("in the middle")

    ran, _ = go(executing(goal="g", planner=planner))
    assert ran.results == {"a": "X"}
    with pytest.raises(plan.PlanFailed, match="the planner failed: Broken: in the middle"):
        ran.check()


@hw.task
async def planned(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
    for number in range(3):
        await asyncio.sleep(hw.random().random() * 4)
        id = f"{len(trace.ended)}.{number}"
        yield Add(Node(id, "x" * (1 + number), after(*trace.results)))
    if len(trace.ended) >= 6:
        return
    yield Rewire(f"{len(trace.ended)}.2", after(f"{len(trace.ended)}.0"))


@hw.task
async def grown() -> dict[str, str]:
    ran = await plan.execute(step, goal="g", planner=planned, replan="done", rounds=3)
    return dict(ran.results)


@pytest.mark.parametrize("seed", range(2))
def test_a_plan_ends_as_it_would_have_wherever_it_is_killed(seed):
    whole = History(seed)
    expected = whole.live(grown).value
    whole.check()
    for after_row in range(0, len(whole.rows()), 4):
        history = History(seed)
        history.live(grown, crash=Crash(after_row, "after"))
        last = history.live(grown)
        history.check()
        assert last.how == "returned"
        assert set(last.value) == set(expected)
