"""Questions to the atlas, planned by the trained planner and run by LLMCompiler on a virtual clock: lookups take drawn times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import headway as hw
from headway import models, testing, tools
from headway.methods import plan
from headway.methods.plan.policies import one_by_one
from headway.methods.protocols import Policy
from headway.reference.planner import facts
from headway.reference.planner.facts import Fact, Found
from headway.reference.planner.questions import Mix, Question, make_questions

TOKENS = 256
COUNT = 6  # questions of a seed


@tools.tool
async def lookup(entity: Fact | str, field: str) -> Fact:
    """A field of a country, or of a thing that was looked up before. It takes about a second."""
    name = entity.subject if isinstance(entity, Fact) else entity
    await hw.sleep(random.Random(f"{name} {field}").lognormvariate(0, 0.7))
    return facts.lookup(name, field)


@tools.tool
async def compare(a: Fact | float, b: Fact | float) -> bool:
    """Whether the first has more than the second."""
    return facts.compare(a, b)


@tools.tool
async def largest(of: list[Fact]) -> Fact:
    """The one with the largest value."""
    return facts.largest(*of)


@tools.tool
async def smallest(of: list[Fact]) -> Fact:
    """The one with the smallest value."""
    return facts.smallest(*of)


@tools.tool
async def above(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have more than a limit."""
    return facts.above(limit, *of)


@tools.tool
async def below(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have less than a limit."""
    return facts.below(limit, *of)


@tools.tool
async def count(of: list[Fact]) -> float:
    """How many there are."""
    return facts.count(of)


@tools.tool
async def add(of: list[Fact | float]) -> float:
    """The sum."""
    return facts.add(*of)


@tools.tool
async def average(of: list[Fact | float]) -> float:
    """The mean."""
    return facts.average(*of)


@tools.tool
async def difference(a: Fact | float, b: Fact | float) -> float:
    """The first less the second."""
    return facts.difference(a, b)


@tools.tool
async def ratio(a: Fact | float, b: Fact | float) -> float:
    """The first over the second."""
    return facts.ratio(a, b)


TOOLS = [lookup, compare, largest, smallest, above, below, count, add, average, difference, ratio]


@cache
def planner() -> Any:
    return models.open("planner")


def draw_questions(seed: int) -> Sequence[Question]:
    """Questions that the planner was not trained on, with more than one step."""
    return [each for each in make_questions("test", seed, 4 * COUNT, Mix()) if len(each.steps) > 1][:COUNT]


def bare(so_far: plan.SoFar, offered: Sequence[tools.Tool]) -> str:
    """What the planner was trained on: the question alone."""
    return f"{so_far.question}\n"


@hw.task
async def answer_all(questions: Sequence[str], policy_name: str) -> list[tuple[Found | list[Found] | None, float]]:
    """The answers, and how long each took."""
    policy: Policy | None = one_by_one if policy_name else None
    found = []
    for question in questions:
        begun = hw.now()
        ran = await plan.llm_compiler(
            question,
            planner(),
            TOOLS,
            join=plan.last_result,
            max_replans=0,
            prompt=bare,
            policy=policy,
            sampling={"temperature": 0.0, "max_tokens": TOKENS},
        )
        found.append((ran.answer, hw.now() - begun))
    return found


def run_questions(questions: Sequence[Question], policy_name: str = "") -> list[tuple[Any, float]]:
    """The same on a virtual clock, where the planner's own time is none."""
    asked = [question.text for question in questions]
    return testing.run(answer_all, asked, policy_name, store=None, clock=testing.VirtualClock())


def gold(question: Question) -> Any:
    """What the right plan finds."""
    found = facts.run_plan(question.steps, facts.lookup)
    return found[0] if len(found) == 1 else found
