"""DEPS in a grid world: how far the selector walks, and what an explanation is worth.

The world is synthetic. Things lie on a grid of 20 by 20; a sub-goal is to fetch one, by walking there. In the second world some
things can only be fetched with a tool, which the planner does not know before it is explained.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods import plan
from headway.methods.graph import Add, Edit, Node, Trace, after
from headway.methods.plan import StepFailed, Why
from headway.methods.records import View

TESTS = "tests/methods/plan/test_deps.py"
SIDE, THINGS = 20, 10


class World:
    """Where things lie, in which order the planner names them, and which need a tool."""

    def __init__(self, seed: int, *, tools: int = 0) -> None:
        rng = random.Random(f"world {seed}")
        self.at = {f"thing {number}": (rng.randrange(SIDE), rng.randrange(SIDE)) for number in range(THINGS)}
        self.needs = {thing: f"tool {rng.randrange(3)}" for thing in rng.sample(sorted(self.at), tools)}
        self.at |= {f"tool {number}": (rng.randrange(SIDE), rng.randrange(SIDE)) for number in range(3)}

    def steps(self, a: str, b: str) -> int:
        (x, y), (z, w) = (self.at.get(each, (0, 0)) for each in (a, b))
        return abs(x - z) + abs(y - w)


def walked(world: World, order: list[str]) -> int:
    """How many steps it takes to fetch things in this order."""
    return sum(world.steps(a, b) for a, b in zip(["home", *order], order, strict=False))


@hw.task
async def fetch_all(seed: int) -> list[str]:
    """The order in which the selector fetches them."""
    world = World(seed)

    @hw.task(name="bench.fetch")
    async def fetch(does: str, given: dict[str, Any]) -> str:
        return does

    async def planner(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
        for thing in world.at:
            if thing.startswith("thing"):
                yield Add(Node(thing, thing))

    def predict(id: str, view: View) -> float:
        return world.steps(view.ended[-1].step if view.ended else "home", id)

    return list((await plan.deps("all", planner, fetch, predict=predict)).results)


def selector_against_random(seed: int) -> Pair:
    """Steps in the order of the selector, and in a random one (the mean of 20)."""
    world = World(seed)
    order = testing.run(fetch_all, seed, store=None, clock=testing.VirtualClock())
    rng = random.Random(seed)
    drawn = [walked(world, rng.sample(order, len(order))) for _ in range(20)]
    return Pair(walked(world, order), sum(drawn) / len(drawn))


@hw.task
async def fetch_with_tools(seed: int, explained: bool, replans: int) -> int:
    """How many things are fetched, where some need a tool."""
    world = World(seed, tools=3)

    @hw.task(name="bench.fetch_with")
    async def fetch(does: tuple[str, bool], given: dict[str, Any]) -> str:
        thing, has_tool = does
        if thing in world.needs and not has_tool:
            raise StepFailed(f"{world.needs[thing]} is needed for {thing}")
        return thing

    async def planner(goal: str, trace: Trace[Any], why: Why) -> AsyncIterator[Edit[Any]]:
        turn = len(trace.failures)
        told = dict(each.split(" is needed for ")[::-1] for each in why.explanation.split("; ") if each)
        for thing in world.at:
            if thing.startswith("thing") and not any(id.partition("/")[0] == thing for id in trace.results):
                tool = f"{told[thing]} for {thing}/{turn}" if thing in told else ""
                if tool:
                    yield Add(Node(tool, (told[thing], False)))
                yield Add(Node(f"{thing}/{turn}", (thing, bool(tool)), after(tool) if tool else ()))

    async def explain(goal: str, trace: Trace[Any]) -> str:
        return "; ".join(said.partition(": ")[2] for said in trace.failures.values()) if explained else ""

    def predict(id: str, view: View) -> float:
        here, there = (each.partition("/")[0].partition(" for ")[0] for each in (view.ended[-1].step if view.ended else "", id))
        return world.steps(here, there)

    ran = await plan.deps("all", planner, fetch, predict=predict, explain=explain, replans=replans, errors=StepFailed)
    return sum(id.startswith("thing") for id in ran.results)


def explained_against_blind(seed: int) -> Pair:
    """The share of things that are fetched with three new plans, explained and not."""
    clock = testing.VirtualClock
    return Pair(*(testing.run(fetch_with_tools, seed, how, 3, store=None, clock=clock()) / THINGS for how in (True, False)))


_DEPS: dict[str, Any] = {"method": "DEPS", "function": "headway.methods.plan.deps.deps", "item": "plan"}

ROWS: list[Row | Held] = [
    Row(
        **_DEPS,
        claim="the selector reaches nearer sub-goals first, and nearly doubles success over 70 tasks",
        shows="fewer steps in a grid world than in a random order (synthetic)",
        baseline="a random order of the sub-goals, the mean of 20",
        unit="steps walked for 10 things",
        measure=selector_against_random,
        reached=lambda low, high: high < 1,
        seeds=20,
        test=f"{TESTS}::test_the_nearest_sub_goal_is_next_one_at_a_time",
    ),
    Row(
        **_DEPS,
        claim="describing and explaining a failure makes better new plans",
        shows="more things fetched with three new plans that are explained (synthetic)",
        baseline="three new plans that are not",
        unit="share of 10 things, of which 3 need a tool",
        measure=explained_against_blind,
        compare="difference",
        reached=lambda low, high: low > 0,
        seeds=20,
        test=f"{TESTS}::test_after_a_failure_what_has_not_begun_is_taken_back_and_the_planner_is_told_why",
    ),
    Held(
        item="plan",
        promise="DEPS: at most so many new plans, each told why, and nothing that has begun is taken back",
        tests=(
            f"{TESTS}::test_it_plans_anew_so_often_and_no_more",
            f"{TESTS}::test_after_a_failure_what_has_not_begun_is_taken_back_and_the_planner_is_told_why",
        ),
    ),
]
