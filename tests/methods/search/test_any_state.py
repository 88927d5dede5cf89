"""A solution may be anything: moves, an array, a program. Only its parts look inside, and `equal=` says what is the same."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any

import numpy
import pytest

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, State, Verdict
from headway.methods.search.select.equality import Classes
from headway.methods.search.select.selectors import borda, weighted_vote
from headway.methods.search.select.selectors import majority as most_frequent

Moves = tuple[str, ...]
START: State[Moves] = State(())


def reached(moves: Moves) -> int:
    at = 1
    for name in moves:
        at = at * 2 if name == "double" else at + 1
    return at


@hw.task
async def move(target: int, state: State[Moves], index: int) -> State[Moves]:
    name = random.Random(f"{target} {state.value} {index}").choice(("double", "add"))
    moves = (*state.value, name)
    at = reached(moves)
    return State(moves, state.tokens + 1, done=at >= target, answer=at if at == target else None)


@hw.task
async def closeness(target: int, values: list[Moves]) -> list[float]:
    return [1 - abs(target - reached(moves)) / target for moves in values]


@hw.task
async def is_there(target: int, candidate: Candidate[Moves], index: int) -> Verdict:
    return Verdict(reached(candidate.value) == target)


@hw.task
async def directions(target: int, values: list[Moves]) -> list[list[float]]:
    return [[float(moves[0] == "add"), float(moves[0] == "double")] for moves in values]


METHODS: dict[str, Any] = {
    "a_star": lambda: search.a_star(13, move, closeness, start=START, n=200),
    "beam_search": lambda: search.beam_search(13, move, closeness, start=START, n=64, width=16),
    "dvts": lambda: search.dvts(13, move, closeness, start=START, n=24),
    "rebase": lambda: search.rebase(13, move, closeness, start=START, n=24),
    "dora": lambda: search.dora(13, move, closeness, directions, start=START, n=24),
    "solve_detect_verify": lambda: search.solve_detect_verify(
        13, move, is_there, is_there, start=START, rounds=60, revise=lambda target, candidate, feedback: target
    ),
}


@hw.task
async def find(method: str) -> search.Found[Moves]:
    return await METHODS[method]()  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS)
def test_a_search_over_moves_finds_the_way_and_finds_it_again_in_the_journal(go, method):
    found = go(find, method)
    assert found.answer == 13
    assert reached(found.best.value) == 13
    assert go(find, method) == found


def test_a_state_without_a_hash_or_an_equality_of_its_own_needs_equal():
    async def step(question: str, state: State[Any], index: int) -> State[Any]:
        grown = numpy.append(state.value, index % 2)
        return State(grown, done=len(grown) == 4, answer=grown if len(grown) == 4 else None)

    async def score(question: str, values: list[Any]) -> list[float]:
        return [float(value.mean()) for value in values]

    asked = partial(search.a_star, "q", step, score, start=State(numpy.zeros(0)), n=30)
    found = asyncio.run(asked(equal=numpy.array_equal))
    assert found.best is not None
    assert found.best.value.tolist() == [1, 1, 1, 1]
    assert len({tuple(candidate.value) for candidate in found.candidates}) == len(found.candidates), "each once"
    with pytest.raises(hw.UsageError, match=r"equal=.* gave array\(.*give equal= a function that returns True"):
        asyncio.run(asked())


def close(one: float, other: float) -> bool:
    return abs(one - other) < 0.01


ANSWERS = [Candidate("a", 0.5, score=0.9), Candidate("b", 0.333, score=0.5), Candidate("c", 1 / 3, score=0.6), Candidate("d", None)]


@pytest.mark.parametrize(
    "select", [partial(most_frequent, equal=close), partial(weighted_vote, equal=close), borda(0.0, equal=close)]
)
def test_votes_count_answers_that_are_the_same(select):
    assert select(ANSWERS) == 2, "the better of the two that are close"


def test_a_majority_is_settled_by_answers_that_are_the_same():
    asked: list[int] = []

    async def sample(question: str, index: int) -> Candidate[float]:
        asked.append(index)
        value = 0.333 + index / 10_000
        return Candidate(value, value, 1)

    found = asyncio.run(search.majority("q", sample, n=40, equal=close))
    assert len(asked) == 4, "four that agree are sure enough"
    assert len(found.candidates) == 4
    asyncio.run(search.majority("q", sample, n=40))
    assert len(asked) == 4 + 40, "no two are equal"


def test_an_equality_that_is_none_still_gives_each_value_one_class():
    classes = Classes(lambda one, other: abs(one - other) <= 1)
    assert [classes.number(value) for value in (0, 1, 2, 3, 4)] == [0, 0, 1, 1, 2]


def test_values_with_and_without_a_hash_are_told_apart():
    classes = Classes()
    assert [classes.number(value) for value in ("a", [1], "a", [1], [2], 1, True)] == [0, 1, 0, 1, 2, 3, 3]


@pytest.mark.parametrize("rule", ["revise", "hesitation"])
def test_rules_for_texts_are_refused_for_what_is_none_before_anything_is_asked(rule):
    async def never(*_: object) -> Any:
        raise AssertionError("asked")

    rules = {"revise": lambda question, candidate, feedback: question, "hesitation": lambda before, after: True}
    del rules[rule]
    with pytest.raises(hw.UsageError, match=rf"{rule}= is needed where .* is no text"):
        asyncio.run(search.solve_detect_verify(13, never, never, never, detect=never, start=START, **rules))
