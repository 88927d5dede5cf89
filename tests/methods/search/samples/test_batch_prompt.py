"""Many questions in one prompt: what a long prompt costs in accuracy, rounds in new orders give back, and leaving early saves."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from benchmarks.methods.search_samples import BATCHED, Labeller
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate
from headway.methods.search.sample.batch_prompt import cut_evenly, is_settled

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_prompt_errs_more_and_rounds_in_new_orders_with_leaving_early_make_it_good_for_a_third_of_the_tokens(seed):
    alone, long, whole = Labeller(seed), Labeller(seed), Labeller(seed)
    one_by_one = alone.share_right(size=1, rounds=1)
    once = long.share_right(size=32, rounds=1)
    voted = whole.share_right(**BATCHED)
    assert once < one_by_one - 0.05
    assert voted > one_by_one
    assert whole.tokens < 0.4 * alone.tokens
    assert whole.prompts < 0.2 * alone.prompts


@pytest.mark.parametrize("seed", SEEDS)
def test_most_questions_leave_after_two_rounds_and_leaving_costs_little(seed):
    early, late = Labeller(seed), Labeller(seed)
    soon = early.share_right(size=32, rounds=5, agree=2)
    always = late.share_right(size=32, rounds=5, agree=5)
    assert early.answers < 0.62 * late.answers
    assert soon > always - 0.05


@given(st.integers(0, 70), st.integers(1, 40))
def test_prompts_hold_each_question_once_and_are_of_one_length(count, size):
    parts = cut_evenly(range(count), size)
    assert [place for part in parts for place in part] == list(range(count))
    assert len(parts) == -(-count // size)
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_question_leaves_by_equal_answers_in_a_row_that_are_sure():
    def said(*answers: tuple[str | None, float | None]) -> list[Candidate]:
        return [Candidate("", answer, score=score) for answer, score in answers]

    assert not is_settled(said(("a", 0.9)), 2)
    assert not is_settled(said(("a", 0.9), ("b", 0.9)), 2)
    assert is_settled(said(("b", 0.1), ("a", 0.9), ("a", 0.9)), 2, 0.9)
    assert not is_settled(said(("a", 0.9), ("a", 0.8)), 2, 0.9)
    assert not is_settled(said(("a", 0.9), ("a", None)), 2, 0.9)
    assert not is_settled(said((None, 0.9), (None, 0.9)), 2)


def test_each_round_asks_what_is_left_in_a_new_order():
    asked: list[list[int]] = []

    async def label(questions: list[int], index: int) -> list[Candidate]:
        asked.append(list(questions))
        return [Candidate("", question if question < 6 else index) for question in questions]

    found = asyncio.run(search.batch_prompt(range(8), label, size=8, rounds=4, rng=Random(1)))
    assert [sorted(each) for each in asked] == [[*range(8)], [*range(8)], [6, 7], [6, 7]]
    assert asked[0] != asked[1]
    assert [each.answer for each in found[:6]] == [*range(6)]
    assert [len(each.candidates) for each in found] == [2] * 6 + [4] * 2


def test_nothing_is_asked_where_there_are_no_questions():
    async def never(questions: list[str], index: int) -> list[Candidate]:
        raise AssertionError("asked")

    assert asyncio.run(search.batch_prompt([], never)) == []


def test_a_prompt_that_fails_leaves_its_questions_an_answer_less():
    async def label(questions: list[int], index: int) -> list[Candidate]:
        if index == 0:
            raise hw.ModelError("down")
        return [Candidate("", question) for question in questions]

    found = asyncio.run(search.batch_prompt(range(4), label, size=2, rounds=3, agree=2, rng=Random(0)))
    assert [each.answer for each in found] == [0, 1, 2, 3]
    assert sum(len(each.errors) for each in found) == 1

    async def down(questions: list[int], index: int) -> list[Candidate]:
        raise hw.ModelError("down")

    with pytest.raises(hw.ModelError):
        asyncio.run(search.batch_prompt(range(4), down, size=2))


@pytest.mark.parametrize("wrong", [[Candidate("", 1)], [1, 2], None])
def test_a_prompt_that_answers_too_little_is_named(wrong):
    async def label(questions: list[int], index: int) -> list[Candidate]:
        return wrong

    with pytest.raises(hw.UsageError, match=r"it must return a search.Candidate for each of 2 questions"):
        asyncio.run(search.batch_prompt(range(2), label))
