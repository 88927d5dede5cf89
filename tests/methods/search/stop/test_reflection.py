"""Reflection that is suppressed where a model is certain costs less and loses nothing."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solvers import drawn, sure, write

import headway as hw
from headway.methods import search
from headway.methods.search import State, certainty, chance_of_ban
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

PASSAGE = 30


@dataclass
class Doubter:
    """Has a right answer after a passage in 60 % of cases and doubts it for up to 12 passages more. A passage that doubts turns a
    wrong answer into a right one in 20 % of cases, and a right one into a wrong one in 4 %. It is more certain of right answers."""

    seed: int
    tokens: int = 0

    async def write(self, question: str, state: State, banned: tuple[str, ...]) -> State:
        draw = drawn(self.seed, question, state.depth)
        if state.depth and (banned or draw.random() < 0.08 or state.depth > 12):
            return replace(state, done=True, answer=state.value)
        right = draw.random() < (0.6 if not state.depth else 0.96 if state.value == "right" else 0.2)
        self.tokens += PASSAGE
        return replace(state, value="right" if right else "wrong", tokens=state.tokens + PASSAGE)

    async def probe(self, question: str, state: State) -> float:
        draw = drawn(self.seed, "sure", question, state.depth, state.value)
        return min(1.0, max(0.0, draw.gauss(0.95, 0.04) if state.value == "right" else draw.gauss(0.82, 0.06)))


def traced(seed: int, delta: float, bans: float | None = None) -> tuple[float, float]:
    """The share of right answers, and tokens per question."""

    async def ask() -> int:
        right = 0
        for number in range(150):
            draws = Random(f"{seed} {number}")

            async def at_random(question: str, state: State) -> float:
                return bans or 0.0

            probe = doubter.probe if bans is None else at_random
            found = await search.suppress_reflection(f"q{number}", doubter.write, probe, delta=delta, rng=draws)
            right += found.answer == "right"
        return right

    doubter = Doubter(seed)
    return asyncio.run(ask()) / 150, doubter.tokens / 150


def test_bans_by_certainty_shorten_traces_without_loss_and_random_bans_do_not():
    for seed in range(3):
        (share, tokens), (whole, most), (blind, as_many) = traced(seed, 0.9), traced(seed, 0.9, 0.0), traced(seed, 0.0, 0.2)
        assert tokens < 0.7 * most
        assert share > whole - 0.03
        assert as_many > 0.9 * tokens
        assert share > blind + 0.05


def test_the_lower_the_threshold_the_shorter_the_traces_and_at_last_the_worse():
    table = [traced(0, delta) for delta in (0.0, 0.6, 0.9, 0.97)]
    tokens = [each for _, each in table]
    assert tokens == sorted(tokens)
    assert table[0][0] < table[2][0] - 0.1, "who never doubts keeps its mistakes"


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.integers(1, 4))
def test_certainty_is_one_less_the_share_of_the_largest_entropy(weights, count):
    row = [weight / math.fsum(weights) for weight in weights]
    entropy = -math.fsum(share * math.log(share) for share in row)
    assert certainty([row] * count) == pytest.approx(1 - entropy / math.log(len(row)))
    assert certainty([[1 / 3] * 3]) == pytest.approx(0)
    assert certainty([[0.0, 1.0, 0.0]]) == 1


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_bans_begin_at_the_threshold_and_are_sure_at_full_certainty(certain, delta):
    chance = chance_of_ban(certain, delta)
    assert 0 <= chance <= 1
    assert (chance > 0) == (certain > delta)
    assert chance_of_ban(1.0, delta) == 1
    assert chance_of_ban(delta, delta) == 0


def test_words_are_banned_for_one_passage_after_a_certain_one():
    told: list[tuple[str, ...]] = []

    async def write(question: str, state: State, banned: tuple[str, ...]) -> State:
        told.append(banned)
        return replace(state, value=state.value + ".", done=len(told) == 4, answer="a" if len(told) == 4 else None)

    async def probe(question: str, state: State) -> float:
        return 1.0 if state.value == ".." else 0.5

    found = asyncio.run(search.suppress_reflection("q", write, probe, triggers=["Hmm"]))
    assert told == [(), (), ("Hmm",), ()]
    assert (found.answer, found.best.score) == ("a", 0.5)


def test_a_probe_that_fails_bans_nothing_and_one_that_is_no_probability_is_told_so():
    async def write(question: str, state: State, banned: tuple[str, ...]) -> State:
        assert not banned
        return replace(state, value=state.value + ".", done=state.depth == 2, answer="a")

    async def fails(question: str, state: State) -> float:
        raise ValueError("no logits")

    async def percent(question: str, state: State) -> float:
        return 95.0

    found = asyncio.run(search.suppress_reflection("q", write, fails, errors=ValueError))
    assert (found.answer, len(found.errors)) == ("a", 2)
    with pytest.raises(hw.UsageError, match=r"certain=95.0: a number from 0 to 1"):
        asyncio.run(search.suppress_reflection("q", write, percent))


@hw.task
async def doubting() -> search.Found:
    return await search.suppress_reflection("q|", write, sure, delta=0.0)


def test_a_run_that_died_draws_the_same_bans_when_it_goes_on():
    whole = History(1, STEADY)
    undisturbed = whole.live(doubting)
    for share in (0.3, 0.6, 0.9):
        history = History(1, STEADY)
        assert history.live(doubting, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
        assert history.live(doubting).value == undisturbed.value
        assert {row.key for row in history.rows()} == {row.key for row in whole.rows()}, "no passage was written otherwise"
