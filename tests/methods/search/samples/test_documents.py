"""Answers from documents: look-ups on the way, the formula that chooses a size, and halves of a test that are equally hard."""

from __future__ import annotations

import asyncio
from statistics import fmean

import pytest
from benchmarks.methods.search_documents import (
    LARGE,
    SIZES,
    Library,
    documents_alone,
    fit_small,
    make_profiles,
    measure_halves,
    tokens_of,
)
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.bench.search.halves import split_halves
from headway.methods.search import Candidate, Context, RagScaling, RagSize, RagTrial, answer_from_documents, fit_rag

SEEDS = (0, 1, 2)


def answers(library: Library, *sizes: RagSize) -> list[float]:
    async def shares() -> list[float]:
        return [await library.share_right(size, 120) for size in sizes]

    return asyncio.run(shares())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_size_chosen_by_the_formula_beats_documents_alone_at_four_times_the_tokens_it_was_fitted_on(seed):
    able = [size for size in SIZES if tokens_of(size) <= LARGE]
    chosen = fit_small(seed, 60).choose(able, tokens_of, LARGE)
    assert tokens_of(chosen) <= LARGE
    ours, alone = answers(Library(f"test {seed}"), chosen, documents_alone(LARGE))
    assert ours > alone + 0.05


def test_more_documents_shots_and_iterations_each_are_right_more_often():
    one, documents, shots, iterations = answers(Library(7), RagSize(4, 0, 2), RagSize(32, 0, 2), RagSize(4, 8, 2), RagSize(4, 0, 5))
    assert min(documents, shots, iterations) > one


def test_what_is_asked_on_the_way_is_looked_up_and_read_with_what_was_there():
    seen: list[Context[str]] = []

    async def retrieve(question: str, count: int) -> list[str]:
        return [f"{question} {number}" for number in range(9)]

    async def read(question: str, context: Context[str], index: int) -> Candidate[str]:
        seen.append(context)
        return Candidate(f"more {index}", "42" if context.last else None, 3)

    found = asyncio.run(answer_from_documents("q", retrieve, read, RagSize(2, 1, 3), examples=["one", "two"]))
    assert found.answer == "42"
    assert found.sequential_tokens == 9
    assert [context.documents for context in seen] == [
        ("q 0", "q 1"),
        ("q 0", "q 1", "more 0 0", "more 0 1"),
        ("q 0", "q 1", "more 0 0", "more 0 1", "more 1 0", "more 1 1"),
    ]
    assert [context.asked for context in seen] == [(), ("more 0",), ("more 0", "more 1")]
    assert {context.shots for context in seen} == {("one",)}


def test_a_look_up_that_fails_leaves_the_question_to_what_is_there():
    async def retrieve(question: str, count: int) -> list[str]:
        raise hw.ModelError("down")

    async def read(question: str, context: Context[str], index: int) -> Candidate[str]:
        return Candidate("", len(context.documents))

    found = asyncio.run(answer_from_documents("q", retrieve, read, RagSize(2)))
    assert found.answer == 0
    assert [str(error) for error in found.errors] == ["down"]


def test_too_few_examples_are_refused_before_anything_is_looked_up():
    async def never(*_: object) -> None:
        raise AssertionError("asked")

    with pytest.raises(hw.UsageError, match=r"has 3 shots, examples= only 1"):
        asyncio.run(answer_from_documents("q", never, never, RagSize(1, 3), examples=["one"]))


COEFFICIENT = st.floats(-1, 1)


@given(st.tuples(COEFFICIENT, COEFFICIENT, COEFFICIENT), st.tuples(COEFFICIENT, COEFFICIENT), COEFFICIENT)
def test_the_formula_is_found_again_from_what_it_predicts_for_kinds_it_was_not_fitted_on(base, by_gain, start):
    planted = RagScaling(base, by_gain, start)
    kinds = [(0.0, 0.1), (0.3, 0.0), (0.5, 0.4)]
    sizes = [RagSize(k, m, n) for k in (1, 2, 4) for m in (0, 2) for n in (1, 2)]
    fitted = fit_rag([RagTrial(size, planted.predict(size, kind), kind) for size in sizes for kind in kinds])
    for size in (RagSize(6, 4, 3), RagSize(1, 0, 1)):
        assert fitted.predict(size, (0.4, 0.2)) == pytest.approx(planted.predict(size, (0.4, 0.2)), abs=0.02)


def test_the_size_is_the_best_that_the_budget_allows():
    scaling = RagScaling((1.0, 0.0, 0.0), (0.0, 0.0), 0.0)
    sizes = [RagSize(k, m) for k in (1, 2, 4, 8) for m in (0, 1)]
    assert scaling.choose(sizes, lambda size: size.documents + size.shots, 5) == RagSize(4, 0)
    with pytest.raises(hw.UsageError, match=r"no size reads at most 0\.5 tokens: the smallest reads 1"):
        scaling.choose(sizes, lambda size: size.documents, 0.5)
    with pytest.raises(hw.UsageError, match="there are no sizes"):
        scaling.choose([], tokens_of, 5)


# --- halves --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_halves_are_as_hard_as_each_other_for_solvers_that_they_were_not_made_with(seed):
    ours, at_random = measure_halves(seed)
    assert ours < 0.8 * at_random


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_every_question_is_in_one_half_and_the_halves_are_of_one_size(profiles):
    one, other = split_halves(profiles)
    assert len(one) == len(other) == len(profiles) // 2
    assert len({*one, *other}) == 2 * len(one)


def test_a_half_says_what_the_whole_says_of_two_methods():
    profiles = make_profiles(3, 80, (-1.0, 0.0, 1.0, 0.2, 0.9))
    halves = split_halves([profile[:3] for profile in profiles])
    whole = fmean(profile[4] - profile[3] for profile in profiles)
    for half in halves:
        assert fmean(profiles[place][4] - profiles[place][3] for place in half) == pytest.approx(whole, abs=0.04)


@pytest.mark.parametrize("wrong", [[], [[0.5]], [[0.5], [0.5, 0.6]], [[0.5], [1.5]], [[0.5], [float("nan")]], [[], []]])
def test_profiles_that_are_none_are_refused(wrong):
    with pytest.raises(hw.UsageError, match=r"split_halves: .*give"):
        split_halves(wrong)
