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
from headway.reference.planner.computing import COMPUTING
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


TOOLS = [lookup, *COMPUTING]


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
