"""Outlines reach more answers with as many paths; a summary puts together what no path has alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from solvers import RIGHT, accuracy, by_hash, drawn

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate
from headway.methods.search.sample.outlines import distinct
from headway.methods.search.select.selectors import majority

# --- outlines ----------------------------------------------------------------------------------------------------------


@dataclass
class Ways:
    """A question has 12 ways to go, of which the k-th is taken with a probability of about 1 / k, and any may be the right one. A
    plan names the likeliest ways; it leaves out one in ten."""

    seed: int

    def way(self, question: str, index: int) -> int:
        return drawn(self.seed, "way", question, index).choices(range(12), [1 / (k + 1) for k in range(12)])[0]

    def candidate(self, question: str, way: int) -> Candidate:
        right = int(12 * by_hash(self.seed, "right", question))
        return Candidate(f"{way}", RIGHT if way == right else f"wrong {way}", 10, score=1.0 if way == right else 0.2)

    async def generate(self, question: str, index: int) -> Candidate:
        return self.candidate(question, self.way(question, index))

    async def plan(self, question: str, count: int) -> list[int]:
        return [way for way in range(12) if by_hash(self.seed, "plan", question, way) > 0.1][:count]

    async def follow(self, question: str, outline: int, index: int) -> Candidate:
        return self.candidate(question, outline)


async def ways_reached(ways: Ways, outlined: bool) -> tuple[float, float]:
    """The share of questions of which a path is right, and the number of different answers, with 8 paths each."""
    covered, different = 0, 0
    for number in range(100):
        question = f"q{number}"
        if outlined:
            found = await search.follow_outlines(question, ways.plan, ways.follow, n=8)
        else:
            found = await search.majority(question, ways.generate, n=8, sure=1)
            found = search.Found(found.best, tuple([await ways.generate(question, index) for index in range(8)]))
        answers = {each.answer for each in found.candidates}
        covered += RIGHT in answers
        different += len(answers)
    return covered / 100, different / 100


def test_outlines_reach_more_answers_and_more_right_ones_with_as_many_paths():
    for seed in range(3):
        ours, plain = (asyncio.run(ways_reached(Ways(seed), outlined)) for outlined in (True, False))
        assert ours[0] > plain[0] + 0.1
        assert ours[1] > plain[1] * 1.3


def test_fewer_outlines_than_paths_are_followed_in_turn_and_equal_ones_once():
    async def plan(question: str, count: int) -> list[str]:
        return ["a", "b", "a"]

    async def follow(question: str, outline: str, index: int) -> Candidate:
        return Candidate(f"{outline}{index}", outline)

    found = asyncio.run(search.follow_outlines("q", plan, follow, n=5))
    assert [each.value for each in found.candidates] == ["a0", "b1", "a2", "b3", "a4"]
    assert distinct("plan", ["A", "b", "a "], lambda one, other: one.strip().lower() == other.strip().lower()) == ["A", "b"]


@pytest.mark.parametrize("given", [[], None, "outline", ("a",)])
def test_a_plan_without_outlines_is_told_so(given):
    async def plan(question: str, count: int) -> object:
        return given

    async def never(*_: object) -> Candidate:
        raise AssertionError("a path was followed")

    with pytest.raises(hw.UsageError, match=r"the plan .* gave .*: give a list with at least one outline"):
        asyncio.run(search.follow_outlines("q", plan, never))


# --- a summary -------------------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """A question is answered by 5 facts. A path of 40 tokens finds each with 60 %; one that goes on finds a fact that it lacks with
    15 % in 40 more tokens. A summary of 10 tokens overlooks a fact that a path found with 4 %."""

    seed: int

    def found_by(self, question: str, index: int, share: float = 0.6) -> str:
        return "".join(str(fact) for fact in range(5) if by_hash(self.seed, question, index, fact) < share)

    async def think(self, question: str, index: int) -> Candidate:
        facts = self.found_by(question, index)
        return Candidate(facts, RIGHT if len(facts) == 5 else facts, 40)

    async def summarize(self, question: str, paths: list[Candidate]) -> Candidate:
        facts = sorted(set("".join(path.value for path in paths)))
        kept = [fact for fact in facts if by_hash(self.seed, "summary", question, fact) > 0.04]
        return Candidate("".join(kept), RIGHT if len(kept) == 5 else "".join(kept), 10)

    async def think_long(self, question: str, index: int) -> Candidate:
        facts = self.found_by(question, 0, 1 - 0.4 * 0.85**7)
        return Candidate(facts, RIGHT if len(facts) == 5 else facts, 330)


def test_a_summary_beats_the_vote_and_one_long_path_of_as_many_tokens_in_a_fraction_of_the_time():
    for seed in range(3):
        facts = Facts(seed)
        ours = asyncio.run(accuracy(lambda q, f=facts: search.para_thinker(q, f.think, f.summarize, n=8), 150))
        vote = asyncio.run(accuracy(lambda q, f=facts: search.majority(q, f.think, n=8, sure=1), 150))
        long = asyncio.run(accuracy(lambda q, f=facts: search.majority(q, f.think_long, n=1), 150))
        assert ours > max(vote, long) + 0.15
        found = asyncio.run(search.para_thinker("q", facts.think, facts.summarize, n=8))
        assert found.sequential_tokens == 50
        assert sum(each.tokens for each in found.candidates) == 330


def test_paths_are_voted_on_where_the_summary_fails_or_has_no_answer():
    async def think(question: str, index: int) -> Candidate:
        return Candidate(f"{index}", "a" if index else "b")

    async def fails(question: str, paths: list[Candidate]) -> Candidate:
        raise ValueError("too long")

    async def silent(question: str, paths: list[Candidate]) -> Candidate:
        return Candidate("", None)

    found = asyncio.run(search.para_thinker("q", think, fails, n=3, errors=ValueError))
    assert (found.answer, len(found.candidates), [str(error) for error in found.errors]) == ("a", 3, ["too long"])
    found = asyncio.run(search.para_thinker("q", think, silent, n=3))
    assert (found.answer, len(found.candidates)) == ("a", 4)


def test_a_summary_that_is_no_candidate_is_told_so_and_none_is_asked_for_without_paths():
    async def think(question: str, index: int) -> Candidate:
        return Candidate("", "a")

    async def text(question: str, paths: list[Candidate]) -> str:
        return "a"

    with pytest.raises(hw.UsageError, match=r"returned 'a': it must return a search.Candidate"):
        asyncio.run(search.para_thinker("q", think, text, n=2))
    assert asyncio.run(search.para_thinker("q", think, text, n=0, select=majority)).best is None
