"""Whether going back or beginning again pays hangs on the task, and a few questions tell which."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from benchmarks.methods.search_backtrack import solved
from hypothesis import given
from hypothesis import strategies as st
from solvers import RIGHT

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, State, Verdict, which_pays
from headway.methods.search.select.which_pays import sign_test


def test_restarts_pay_on_countdown_and_backtracking_on_sudoku():
    gains = {
        task: [which_pays(solved(task, seed, False, 12), solved(task, seed, True, 12)).gain for seed in range(3)]
        for task in ("countdown", "sudoku")
    }
    assert sum(gains["countdown"]) / 3 < -0.15, gains
    assert min(gains["sudoku"]) > 0.4, gains


def test_the_choice_from_a_few_puzzles_is_right_for_others():
    def tried(task: str, restart: bool) -> list[bool]:
        return [each for seed in range(3) for each in solved(task, seed, restart, 12)]

    assert which_pays(tried("countdown", False), tried("countdown", True)).choice == "restart"
    assert which_pays(tried("sudoku", False), tried("sudoku", True)).choice == "backtrack"


class Letters:
    """States are texts; continuation k adds the k-th letter. A text of three letters is whole, and right if it is the question."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def step(self, question: str, state: State, index: int) -> State:
        value = state.value + "abc"[index % 3]
        self.seen.append(value)
        return replace(state, value=value, tokens=state.tokens + 1, done=len(value) == 3, answer=value if len(value) == 3 else None)

    async def judge(self, question: str, candidate: Candidate, index: int) -> Verdict:
        return Verdict(candidate.value == question)


def test_a_dead_end_goes_back_to_the_last_state_that_can_be_continued():
    letters = Letters()
    found = asyncio.run(search.backtrack("abb", letters.step, letters.judge, width=2))
    assert letters.seen == ["a", "aa", "aaa", "aab", "ab", "aba", "abb"]
    assert found.answer == "abb"
    assert found.sequential_tokens == 7
    assert asyncio.run(search.backtrack("ccc", Letters().step, letters.judge, width=2)).stopped == "done", "all was tried"


def test_a_width_of_its_own_for_each_state():
    letters = Letters()
    asyncio.run(search.backtrack("ccc", letters.step, letters.judge, width=lambda state: 1 if state.value else 2))
    assert letters.seen == ["a", "aa", "aaa", "b", "ba", "baa"]


def test_a_restart_continues_every_state_by_the_number_of_the_attempt():
    letters = Letters()
    found = asyncio.run(search.backtrack("bbb", letters.step, letters.judge, restart=True))
    assert letters.seen == ["a", "aa", "aaa", "b", "bb", "bbb"]
    assert [candidate.score for candidate in found.candidates] == [0.0, 1.0]


def test_the_first_answer_ends_a_search_without_a_judge_and_steps_are_bounded():
    letters = Letters()
    assert asyncio.run(search.backtrack("q", letters.step)).answer == "aaa"
    letters.seen.clear()
    assert asyncio.run(search.backtrack("ccc", letters.step, letters.judge, n=5)).best.value == "aaa"
    assert len(letters.seen) == 5


def test_a_step_that_fails_is_a_dead_end():
    async def step(question: str, state: State, index: int) -> State:
        if index == 0:
            raise ValueError("no step")
        return replace(state, value="x", done=True, answer=RIGHT)

    found = asyncio.run(search.backtrack("q", step, errors=ValueError))
    assert (found.answer, len(found.errors)) == (RIGHT, 1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_two_ways_are_treated_alike(pairs):
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = which_pays(one, other), which_pays(other, one)
    assert (there.gain, there.low, there.high) == pytest.approx((-back.gain, -back.high, -back.low))
    turned = {"backtrack": "restart", "restart": "backtrack", "undecided": "undecided"}
    assert there.choice == turned[back.choice]
    assert there.low <= there.gain <= there.high


def test_a_sign_test_is_that_of_fair_coins():
    assert sign_test(0, 0) == 1.0
    assert sign_test(9, 1) == pytest.approx(2 * 11 / 1024)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([], [], "give both for the same questions, at least one"),
        ([1], [1, 0], "1 questions with backtracking and 2 with restarts"),
        ([float("nan")], [1], "backtracked=nan: a number from 0 to 1"),
        ([1], [75], "restarted=75.0: a number from 0 to 1"),
    ],
)
def test_questions_that_cannot_be_compared_are_refused(one, other, said):
    with pytest.raises(hw.UsageError, match=said):
        which_pays(one, other)
