"""A few samples: the one in their middle, evidence that is never returned, a greedy hedge, and a judge that reads once."""

from __future__ import annotations

import asyncio
from statistics import fmean

import pytest
from benchmarks.methods.search_samples import Speaker, measure_checklist, measure_middle, quality
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate
from headway.methods.search.select.consensus import most_similar, overlap

TEXTS = st.lists(st.text("abc ", max_size=12), min_size=1, max_size=6)
SEEDS = (50, 51, 52)  # other ones than the catalogue's


def said(*texts: str | None) -> list[Candidate]:
    return [Candidate(text or "", text) for text in texts]


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_as_alike_whichever_comes_first_and_most_like_themselves(one, other):
    assert overlap(one, other) == overlap(other, one)
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, one) == (1 if one else pytest.approx(overlap(one, one)))


@given(TEXTS)
def test_equal_answers_are_chosen_as_a_vote_would(texts):
    def equal(one: str, other: str) -> float:
        return float(one == other)

    chosen = texts[most_similar(equal)(said(*texts))]
    most = max(map(texts.count, texts))
    assert texts.count(chosen) == most


def test_what_has_no_answer_neither_wins_nor_counts():
    assert most_similar()(said(None, "a dog ran", None, "a dog sat")) == 1
    assert most_similar()(said(None, None)) == 0
    crowd = said("red", "blue", None, None)
    crowd[2:] = [Candidate("blue", None)] * 2
    assert most_similar()(crowd) == 0


def test_evidence_counts_and_is_never_chosen():
    pool = said("the cat sat", "a dog ran")
    assert most_similar(evidence=said("a dog ran off", "the dog ran"))(pool) == 1
    assert most_similar(evidence=said("the cat sat down", None))(pool) == 0


def test_a_similarity_that_is_no_number_is_named():
    for wrong in (float("nan"), "much", True, None):
        with pytest.raises(hw.UsageError, match="give a finite number"):
            most_similar(lambda one, other, wrong=wrong: wrong)(said("a", "b"))


@pytest.mark.parametrize("seed", SEEDS)
def test_evidence_of_a_better_kind_makes_the_choice_better(seed):
    speaker = Speaker(seed)
    extended = asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5, evidence=speaker.foreign, extra=3)))
    alone = asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5)))
    one = asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=1)))
    assert fmean(alone) > fmean(one) + 0.03
    assert fmean(extended) > fmean(alone)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_middle_of_samples_is_better_than_a_vote_where_none_are_equal(seed):
    middle, vote = measure_middle(seed)
    assert middle > vote + 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_a_judge_that_errs_chooses_better_than_the_middle(seed):
    judged, middle = measure_checklist(seed)
    assert judged > middle


@pytest.mark.parametrize("seed", SEEDS)
def test_a_greedy_sample_lifts_the_worst_questions(seed):
    speaker = Speaker(seed)
    hedged = asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5, greedy=speaker.greedy)))
    plain = asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5)))
    tenth = len(plain) // 10
    assert fmean(sorted(hedged)[:tenth]) > fmean(sorted(plain)[:tenth]) + 0.05


def test_a_judge_reads_once_however_many_answers_there_are_and_no_sample_is_asked_for_twice():
    asked: list[object] = []

    async def generate(question: str, index: int) -> Candidate:
        asked.append(index)
        return Candidate(f"{index}", index)

    async def greedy(question: str, index: int) -> Candidate:
        asked.append(f"greedy {index}")
        return Candidate("greedy", "greedy")

    async def write(question: str) -> list[str]:
        asked.append("checklist")
        return ["long"]

    async def judge(question: str, checklist: list[str], values: list[str]) -> list[float]:
        asked.append((checklist, values))
        return [float(value == "3") for value in values]

    found = asyncio.run(search.chops("q", generate, write, judge, n=5, greedy=greedy))
    assert found.answer == 3
    assert asked == ["checklist", "greedy 0", 1, 2, 3, 4, (["long"], ["greedy", "1", "2", "3", "4"])]


@pytest.mark.parametrize("broken", ["write", "judge"])
def test_where_the_judge_fails_the_greedy_answer_is_returned(broken):
    async def generate(question: str, index: int) -> Candidate:
        return Candidate(f"{index}", index)

    async def write(question: str) -> str:
        if broken == "write":
            raise hw.ModelError("down")
        return ""

    async def judge(question: str, checklist: str, values: list[str]) -> list[float]:
        raise hw.ModelError("down")

    found = asyncio.run(search.chops("q", generate, write, judge, n=3))
    assert found.answer == 0
    assert [str(error) for error in found.errors] == ["down"]


def test_a_judge_that_gives_too_few_scores_is_named():
    async def generate(question: str, index: int) -> Candidate:
        return Candidate(f"{index}", index)

    async def write(question: str) -> str:
        return ""

    async def judge(question: str, checklist: str, values: list[str]) -> list[float]:
        return [1.0]

    with pytest.raises(hw.UsageError, match=r"judge.* gave 1 scores for 3 solutions"):
        asyncio.run(search.chops("q", generate, write, judge, n=3))
