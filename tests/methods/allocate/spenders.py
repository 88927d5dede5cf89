"""Plans, attempts and policies for the tests of allocation. What an attempt does hangs on what it is asked alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import Ran
from headway.methods.graph import Graph, Node, after
from headway.methods.records import Action, View

BEGAN: list[tuple[str, str, int]] = []  # attempts whose body began
ASKED: list[View] = []  # what `watching` was shown

PLAN = Graph((Node("a", "x"), Node("b", "yy", after("a")), Node("c", "z", after("a")), Node("d", "w", after("b", "c"))))
RATES = {"small": 0.4, "large": 0.8}
PRICES = {"small": 10, "large": 30}


def drawn(*what: object) -> Random:
    return Random(repr(what))


@hw.task(cost={"tokens": 30})
async def attempt(work: str, choice: str, index: int, given: dict[str, str]) -> str | None:
    """It succeeds, lasts and costs as drawn; never more than it reserves."""
    BEGAN.append((work, choice, index))
    draw = drawn(work, choice, index)
    await asyncio.sleep(0.2 + 2 * draw.random())
    hw.charge(tokens=PRICES[choice] * (0.5 + draw.random() / 2))
    return f"{work}{index}" if draw.random() < RATES[choice] else None


@hw.task(cost={"tokens": 30})
async def alone(item: str, choice: str, index: int) -> str | None:
    return await attempt.fn(item, choice, index, {})


def watching(view: View, rng: Random) -> list[Action]:
    """Start what is ready, one sample each, with a choice that is drawn; keep what was seen."""
    ASKED.append(view)
    return [Action(step, rng.choice(view.choices[step]), why=f"drawn, {len(view.ended)} seen") for step in view.ready]


def steady(view: View, rng: Random) -> Sequence[Action]:
    """Two cheap samples at a time, always; keep what was seen. A run under it is always the same."""
    ASKED.append(view)
    return allocate.Seq("small", 2)(view, rng)


def greedy(view: View, rng: Random) -> list[Action]:
    """Start a hundred of everything, whatever is left."""
    return [Action(step, choice, 100) for step in view.ready for choice in view.choices[step]]


def fickle(view: View, rng: Random) -> list[Action]:
    """Start some of what is ready, or nothing while something runs."""
    return [
        Action(step, rng.choice(view.choices[step]), rng.choice((1, 2, 3, 9)))
        for step in view.ready
        if rng.random() < 0.6 or not view.running
    ]


POLICIES = {
    "watching": watching,
    "greedy": greedy,
    "fickle": fickle,
    "seq": allocate.Seq("small", 2),
    "steady": steady,
}


@hw.task
async def spend(policy: str, tokens: float, seconds: float) -> Ran[str, str]:
    with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
        return await allocate.run_plan(PLAN, attempt, policy=POLICIES[policy], choices=("small", "large"))
