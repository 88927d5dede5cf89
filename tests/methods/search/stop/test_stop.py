"""Measured progress says when more thought helps no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from benchmarks.methods.search_stop import stop
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, Progress, State

CHANCES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_measured_progress_answers_more_questions_with_as_many_tokens():
    """Next to a fixed length and a threshold on the chance that take more tokens."""
    rules = {rule: [stop(rule, seed, 300) for seed in range(3)] for rule in ("stalled", "fixed", "sure")}
    share, tokens = ({rule: sum(each[at] for each in of) / 3 for rule, of in rules.items()} for at in (0, 1))
    assert share["stalled"] > max(share["fixed"], share["sure"])
    assert tokens["stalled"] < 0.95 * min(tokens["fixed"], tokens["sure"])


@given(CHANCES)
def test_bonuses_add_up_to_the_chance_and_regret_is_what_is_lacking(chances):
    seen, bonuses = Progress(), 0.0
    for chance in chances:
        seen = seen.observe(chance)
        bonuses += seen.bonus
    assert bonuses == pytest.approx(chances[-1])
    assert seen.regret() == pytest.approx(len(chances) - sum(chances))
    assert seen.regret(0.5) == pytest.approx(seen.regret() - 0.5 * len(chances))


@given(st.floats(0, 0.5), st.floats(-0.05, 0.05), st.integers(2, 6))
def test_the_slope_of_a_line_is_its_slope(start, rise, window):
    line = [min(1.0, max(0.0, start + 0.25 + rise * place)) for place in range(8)]
    seen = Progress((0.9, 0.1, *line))
    if all(0 < chance < 1 for chance in line):
        assert seen.slope(window) == pytest.approx(rise)
        assert seen.is_stalled(window, 0.02) == (seen.slope(window) <= 0.02)


def thinking(chances: list[float], ends_after: int | None = None) -> tuple[search.Found, list[str]]:
    """Think with these chances of success, one after each episode."""
    asked: list[str] = []

    async def step(question: str, state: State, index: int) -> State:
        value = state.value + "."
        done = len(value) == ends_after
        return replace(state, value=value, tokens=state.tokens + 10, done=done, answer=value if done else None)

    async def force(question: str, state: State, index: int) -> Candidate:
        asked.append(state.value)
        return Candidate(state.value, state.value, 2)

    async def score(question: str, values: list[str]) -> list[float]:
        return [chances[len(value) - 1] for value in values]

    return asyncio.run(search.stop_when_stalled("q", step, force, score, window=3, depth=len(chances))), asked


def test_thinking_goes_on_while_chances_rise_and_ends_when_they_do_not():
    found, _ = thinking([0.1, 0.3, 0.5, 0.7, 0.7, 0.7, 0.7, 0.9])
    assert found.answer == "......"
    assert [candidate.score for candidate in found.candidates] == [0.1, 0.3, 0.5, 0.7, 0.7, 0.7]
    assert (found.stopped, found.sequential_tokens) == ("done", 6 * 10 + 6 * 2)
    assert len(thinking([0.1] * 8)[1]) == 3, "what does not rise from the start ends as soon as it can be seen"
    assert len(thinking([0.1 * chance for chance in range(1, 9)])[1]) == 8


def test_an_episode_that_ends_with_an_answer_ends_the_thinking_and_needs_no_other():
    found, asked = thinking([0.1, 0.3, 0.5, 0.9], ends_after=3)
    assert (found.answer, asked) == ("...", [".", ".."])


def test_a_chance_that_is_no_probability_is_refused():
    with pytest.raises(hw.UsageError, match="give a number from 0 to 1"):
        thinking([1.5])
    with pytest.raises(hw.UsageError, match="chance=nan"):
        Progress().observe(float("nan"))
    with pytest.raises(hw.UsageError, match="episodes=1: a whole number, at least 2"):
        Progress((0.5,)).slope(2)


def test_an_answer_that_fails_says_nothing_about_progress():
    async def step(question: str, state: State, index: int) -> State:
        return replace(state, value=state.value + ".")

    async def force(question: str, state: State, index: int) -> Candidate:
        if index == 1:
            raise ValueError("no answer")
        return Candidate(state.value, state.value)

    async def score(question: str, values: list[str]) -> list[float]:
        return [0.5 for _ in values]

    found = asyncio.run(search.stop_when_stalled("q", step, force, score, window=3, errors=ValueError))
    assert [candidate.value for candidate in found.candidates] == [".", "...", "...."]
    assert len(found.errors) == 1
