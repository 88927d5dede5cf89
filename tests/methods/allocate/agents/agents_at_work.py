"""Worlds for the tests of agents that choose how to spend: what an agent finds hangs on what it is asked alone."""

from __future__ import annotations

import asyncio
from random import Random

import headway as hw
from headway.methods.allocate import agents
from headway.methods.records import Candidate, State, Verdict
from headway.methods.search import Found

BEGAN: list[tuple[object, ...]] = []  # bodies that began


def drawn(*what: object) -> Random:
    return Random(repr(what))


# --- a tree in which one digs or pivots ------------------------------------------------------------------------------

DEEP = 3  # steps to an answer, the first included


def clue(question: str, branch: str) -> float:
    """How likely a branch ends in the right answer."""
    return drawn(question, branch).betavariate(0.5, 1.5)


@hw.task(cost={"digs": 1})
async def dig(question: str, state: State[str], index: int) -> State[str]:
    BEGAN.append((question, state.value, index))
    await asyncio.sleep(0.5 + drawn(question, state.value, index).random())
    hw.charge(digs=1)
    branch = state.value or f"{index}"
    done = state.depth + 1 == DEEP
    return State(branch, state.tokens + 1, done=done, answer=branch if done else None)


@hw.task
async def promise(question: str, values: list[str]) -> list[float]:
    return [clue(question, value) for value in values]


@hw.task
async def check(question: str, candidate: Candidate[str], index: int) -> Verdict:
    right = drawn("right", question, candidate.value).random() < clue(question, candidate.value)
    return Verdict(right if right or drawn(question, candidate.value).random() < 0.8 else None)


@hw.task
async def search_tree(question: str, digs: float, seconds: float = 1e6) -> Found[str]:
    with hw.budget(digs=digs), hw.deadline(seconds=seconds):
        return await agents.bats(question, dig, promise, check)
