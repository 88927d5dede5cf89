"""Paths that are planned or summarized: OPE on the Countdown model, ParaThinker on a synthetic solver.

Settings were chosen on the puzzles of seed 11; the rows are measured on other held-out puzzles.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import cache
from typing import NamedTuple

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_trees import Parts, on_puzzles
from headway.methods import search
from headway.methods.records import Candidate
from headway.reference.countdown.judge import solves

PATHS, PUZZLES = 8, 240
PLANNED = 32
"""First lines that a plan is made of: the most frequent of them."""


class Reached(NamedTuple):
    """Different answers, and whether one is right."""

    answers: int
    covered: bool


async def plan_lines(parts: Parts, question: str, count: int) -> list[str]:
    """Distinct first lines of a solution, the likeliest first."""
    said = await asyncio.gather(*(parts.say(question, index + 1000, 5, "\n") for index in range(PLANNED)))
    return [f"{line}\n" for line, _ in Counter(sample.text for sample in said).most_common(count)]


async def reach(parts: Parts, question: str, outlined: bool) -> Reached:
    """Follow as many paths, along outlines or without."""

    async def follow(question: str, outline: str, index: int) -> Candidate[str]:
        made = await parts.generate(question + outline, index)
        return Candidate(outline + made.value, made.answer, made.tokens)

    if outlined:
        found = await search.follow_outlines(question, lambda asked, count: plan_lines(parts, asked, count), follow, n=PATHS)
    else:
        found = await search.best_of_n(question, parts.generate, parts.value, n=PATHS)
    answers = {each.answer for each in found.candidates if each.answer is not None}
    return Reached(len(answers), any(solves(question + each.value) for each in found.candidates))


@cache
def reached(seed: int, outlined: bool) -> list[Reached]:
    return on_puzzles(lambda parts, question: reach(parts, question, outlined), seed, PUZZLES)


def measure_answers(seed: int) -> Pair:
    """Different answers per puzzle."""
    return Pair(*(sum(each.answers for each in reached(seed, outlined)) / PUZZLES for outlined in (True, False)))


def measure_covered(seed: int) -> Pair:
    """The share of puzzles of which a path is right."""
    return Pair(*(sum(each.covered for each in reached(seed, outlined)) / PUZZLES for outlined in (True, False)))


class Facts:
    """A question is answered by 5 facts. A path finds each with 60 %, a path of eight times the tokens with 87 %; a summary
    overlooks one that a path found with 4 %."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _candidate(self, facts: list[int], tokens: int) -> Candidate[tuple[int, ...]]:
        return Candidate(tuple(facts), "right" if len(facts) == 5 else repr(facts), tokens)

    def _find(self, question: str, index: int, share: float, tokens: int) -> Candidate[tuple[int, ...]]:
        rng = random.Random(repr((self.seed, question, index)))
        return self._candidate([fact for fact in range(5) if rng.random() < share], tokens)

    async def think(self, question: str, index: int) -> Candidate[tuple[int, ...]]:
        return self._find(question, index, 0.6, 40)

    async def think_long(self, question: str, index: int) -> Candidate[tuple[int, ...]]:
        return self._find(question, index, 1 - 0.4 * 0.85**7, 320)

    async def summarize(self, question: str, paths: list[Candidate[tuple[int, ...]]]) -> Candidate[tuple[int, ...]]:
        rng = random.Random(repr((self.seed, question, "summary")))
        facts = sorted({fact for path in paths for fact in path.value})
        return self._candidate([fact for fact in facts if rng.random() > 0.04], 10)


def measure_summary(seed: int) -> Pair:
    """The share of questions answered right, next to the better of a vote over the same paths and one path of as many tokens."""

    async def shares() -> list[float]:
        facts, right = Facts(seed), [0, 0, 0]
        for number in range(200):
            question = f"question {number}"
            found = (
                await search.para_thinker(question, facts.think, facts.summarize, n=PATHS),
                await search.majority(question, facts.think, n=PATHS, sure=1),
                await search.majority(question, facts.think_long, n=1),
            )
            right = [count + (each.answer == "right") for count, each in zip(right, found, strict=True)]
        return [count / 200 for count in right]

    ours, vote, long = asyncio.run(shares())
    return Pair(ours, max(vote, long))


ROWS = [
    Row(
        method="OPE",
        function="headway.methods.search.follow_outlines",
        item="search",
        claim="27.6 unique answers instead of 23.5",
        shows="as many paths reach more different answers, on the Countdown model",
        baseline="independent samples",
        unit="different answers per puzzle, of 8 paths",
        measure=measure_answers,
        reached=lambda low, high: low > 1,
        test="tests/methods/search/sample/test_outlines.py::test_outlines_reach_more_answers_and_more_right_ones_with_as_many_paths",
    ),
    Row(
        method="OPE",
        function="headway.methods.search.follow_outlines",
        item="search",
        claim="outlines explore more",
        shows="as many paths reach a right answer more often, on the Countdown model",
        baseline="independent samples",
        unit="share of puzzles of which one of 8 paths is right",
        measure=measure_covered,
        compare="difference",
        reached=lambda low, high: low > 0,
        test="tests/methods/search/sample/test_outlines.py::test_outlines_reach_more_answers_and_more_right_ones_with_as_many_paths",
    ),
    Row(
        method="ParaThinker",
        function="headway.methods.search.para_thinker",
        item="search",
        claim="12.3 % (1.5B) and 7.5 % (7B) more accurate with 8 paths, at 7.1 % more latency",
        shows="a summary of 8 paths is right more often than a vote over them, or one path of as many tokens",
        baseline="the better of the two",
        unit="share of questions answered right (synthetic)",
        measure=measure_summary,
        compare="difference",
        reached=lambda low, high: low > 0,
        test="tests/methods/search/sample/test_outlines.py::"
        "test_a_summary_beats_the_vote_and_one_long_path_of_as_many_tokens_in_a_fraction_of_the_time",
    ),
]
