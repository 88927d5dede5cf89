"""DeepPrune on synthetic traces, with a judge of known quality. Settings were chosen on a seed of their own, 11."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from benchmarks.methods.row import Pair, Row
from headway.methods import search
from headway.methods.records import Candidate, State
from headway.methods.search.select.selectors import majority

BEGUN, WHOLE = 25, 100  # tokens of a prefix, and of a trace

# --- a judge of known quality ----------------------------------------------------------------------------------------


@dataclass
class Traces:
    """Traces of 100 tokens whose answer is right with a probability of the question's own, and a judge of a given AUROC that sees
    their first 25: it is told the truth plus a normal error, and turns that into a probability."""

    seed: int = 0
    auroc: float = 0.87
    tokens: int = 0

    def answer(self, question: str, index: int) -> str:
        return draw_answer(self.seed, question, index)

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        made = WHOLE - BEGUN if state.value else BEGUN
        self.tokens += made
        answer = self.answer(question, index) if state.value else None
        value = state.value or f"{index}"
        return replace(state, value=value, tokens=state.tokens + made, done=answer is not None, answer=answer)

    async def alike(self, question: str, pairs: list[tuple[str, str]]) -> list[float]:
        apart = {0.87: 1.593, 0.95: 2.326}[self.auroc]  # of the two normal distributions: sqrt(2) times the quantile of the AUROC
        noise = random.Random(repr((self.seed, "judge", question)))
        found = []
        for one, other in pairs:
            truth = 0.5 if self.answer(question, int(one)) == self.answer(question, int(other)) else -0.5
            found.append(1 / (1 + math.exp(-apart * (apart * truth + noise.gauss(0, 1)))))
        return found

    async def generate(self, question: str, index: int) -> Candidate[str]:
        self.tokens += WHOLE
        return Candidate("", self.answer(question, index), WHOLE)


@cache
def draw_answer(seed: int, question: str, index: int) -> str:
    draw = random.Random(repr((seed, question, index)))
    easy = 0.3 + 0.65 * random.Random(repr((seed, question))).random()
    return "right" if draw.random() < easy else f"wrong {draw.randint(1, 4)}"


class Voted(NamedTuple):
    """The share of right answers, and tokens per question."""

    right: float
    tokens: float


@cache
def pruned(seed: int = 0, auroc: float = 0.87, questions: int = 60, **settings: Any) -> Voted:
    """DeepPrune with 24 traces."""
    traces = Traces(seed, auroc)

    async def ask() -> int:
        found = [await search.deep_prune(f"q{n}", traces.step, traces.alike, n=24, **settings) for n in range(questions)]
        return sum(each.answer == "right" for each in found)

    return Voted(asyncio.run(ask()) / questions, traces.tokens / questions)


@cache
def voted(seed: int, sure: float, questions: int = 60) -> Voted:
    """A majority of up to 24 whole traces."""
    traces = Traces(seed)

    async def ask() -> int:
        found = [await search.majority(f"q{n}", traces.generate, n=24, sure=sure) for n in range(questions)]
        return sum(each.answer == "right" for each in found)

    return Voted(asyncio.run(ask()) / questions, traces.tokens / questions)


def measure_saved(seed: int) -> Pair:
    return Pair(pruned(seed, 0.87, 400).tokens, 24 * WHOLE)


def measure_early(seed: int) -> Pair:
    return Pair(pruned(seed, 0.87, 400).tokens, voted(seed, 0.95, 400).tokens)


def measure_lost(seed: int) -> Pair:
    return Pair(pruned(seed, 0.87, 400).right, voted(seed, 1.0, 400).right)


def measure_weighed(seed: int) -> Pair:
    return Pair(pruned(seed, 0.87, 400).right, pruned(seed, 0.87, 400, select=majority).right)


TESTS = "tests/methods/search/sample/test_deep_prune.py::"
SAVES = f"{TESTS}test_traces_that_agree_are_left_unfinished_at_the_accuracy_of_the_majority"
ABOUT: dict[str, Any] = {"method": "DeepPrune", "function": "headway.methods.search.deep_prune", "item": "search"}
CLAIM = "65.7 to 88.5 % fewer tokens within 3 points, by a judge of AUROC 0.87"
ROWS = [
    Row(
        **ABOUT,
        claim=CLAIM,
        shows="at least 60 % fewer tokens, with a judge of AUROC 0.87",
        baseline="a majority of as many whole traces",
        unit="tokens per question (synthetic)",
        measure=measure_saved,
        reached=lambda low, high: high <= 0.4,
        test=SAVES,
    ),
    Row(
        **ABOUT,
        claim=CLAIM,
        shows="fewer tokens than a vote that stops when it is settled",
        baseline="adaptive consistency, sure at 0.95",
        unit="tokens per question (synthetic)",
        measure=measure_early,
        reached=lambda low, high: high < 1,
        test=SAVES,
    ),
    Row(
        **ABOUT,
        claim=CLAIM,
        shows="within 3 points of the majority, with a judge of AUROC 0.87",
        baseline="a majority of as many whole traces",
        unit="share of questions answered right (synthetic)",
        measure=measure_lost,
        compare="difference",
        reached=lambda low, high: low > -0.03,
        test=SAVES,
    ),
    Row(
        **ABOUT,
        claim="a vote must keep what redundant traces knew",
        shows="a vote weighed by groups is right more often than one vote a group",
        baseline="one vote a group",
        unit="share of questions answered right (synthetic)",
        measure=measure_weighed,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}test_a_vote_of_one_for_each_group_counts_rare_answers_as_much_as_the_frequent_one",
    ),
]
