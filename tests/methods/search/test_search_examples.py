"""The examples of the search methods run, with parts that add."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
import random

import pytest

from headway.methods import search
from headway.methods.search import Candidate, Context, State, Verdict
from headway.methods.search.select.selectors import weighted_vote

MODULES = [module.name for module in pkgutil.walk_packages(search.__path__, "headway.methods.search.") if not module.ispkg]


def total(question: str) -> str:
    return str(sum(map(int, question.rstrip("=").split("+"))))


async def sample(question: str, index: int) -> Candidate[str]:
    wrong = random.Random(f"{question}{index}").random() < 0.3
    text = str(int(total(question)) + wrong)
    return Candidate(text, text, 2)


async def next_digit(question: str, state: State[str], index: int) -> State[str]:
    draw = random.Random(f"{question}{state.value}{index}")
    right = total(question)
    digit = right[len(state.value)] if draw.random() < 0.7 else str(draw.randint(0, 9))
    text = state.value + digit
    done = len(text) == len(right)
    return State(text, len(text), done=done, answer=text if done else None)


async def value(question: str, values: list[str]) -> list[float]:
    return [0.9 if total(question).startswith(text) else 0.1 for text in values]


async def embed(question: str, values: list[str]) -> list[list[float]]:
    return [[float(text[0] == digit) for digit in "0123456789"] for text in values]


async def proof(question: str, candidate: Candidate[str], index: int) -> Verdict:
    return Verdict(candidate.value == total(question))


async def label(questions: list[str], index: int) -> list[Candidate[str]]:
    return [Candidate(total(question), total(question)) for question in questions]


async def points(question: str) -> list[str]:
    return ["it is a number", "it is the sum"]


async def judge(question: str, checklist: list[str], values: list[str]) -> list[float]:
    return await value(question, values)


async def look_up(question: str, count: int) -> list[str]:
    return [f"{question} {total(question)}"][:count]


async def read(question: str, context: Context[str], index: int) -> Candidate[str]:
    text = context.documents[0].split()[-1]
    return Candidate(text, text)


PARTS = {
    "asyncio": asyncio,
    "search": search,
    "sample": sample,
    "next_digit": next_digit,
    "value": value,
    "weighted_vote": weighted_vote,
    "embed": embed,
    "proof": proof,
    "glance": proof,
    "label": label,
    "points": points,
    "judge": judge,
    "look_up": look_up,
    "read": read,
    "mbr": search.mbr,
    "chops": search.chops,
}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    assert not doctest.testmod(importlib.import_module(name), extraglobs=PARTS).failed


def test_every_method_has_an_example_that_says_what_it_found():
    methods = [name for name, value in vars(search).items() if asyncio.iscoroutinefunction(value)]
    silent = {"attempts", "first_accepted", "tree_search"}
    for name in set(methods) - silent:
        assert f"{name}(" in (getattr(search, name).__doc__ or "").partition("Example:")[2], name
