"""DeepPrune on long sums by the arithmetic model: traces of at least 100 tokens, and a judge that learned on other questions.

The judge sees two prefixes: whether they stand at the same number, and what the model's verifier says of each. It learns by
logistic regression on questions of the split "verify"; its AUROC is taken on "choose", and the method is measured on "test". The
threshold is the method's default; nothing was chosen on these questions.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_trees import Together
from headway.methods import search
from headway.methods.records import State
from headway.models.base import Request
from headway.reference.arithmetic.expression import answer, steps_of
from headway.reference.arithmetic.questions import LONG, Question, make_questions
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.measure import auroc

TRACES, LINES, LINE = 16, 7, 4  # of a question; lines of a prefix; tokens of a line
QUESTIONS = {"verify": 6, "choose": 5, "test": 8}
TEMPERATURE = 0.5


class Sums:
    """The parts of a search on long sums, for all questions at once; counts the tokens written."""

    def __init__(self) -> None:
        self.model, self.written = ArithmeticModel.shipped(), 0
        self.sample = Together(self.model.sample_batch)

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        """The first lines, then all others."""
        most, seed = (160, index + 1000) if state.value else (LINES * LINE, index)
        said = (
            await self.sample(Request(prompt=question + state.value, max_tokens=most, seed=seed, temperature=TEMPERATURE))
        ).samples[0]
        self.written += said.tokens
        text, done = state.value + said.text, bool(state.value)
        return replace(
            state, value=text, tokens=state.tokens + said.tokens, done=done, answer=answer(question + text) if done else None
        )

    def features(self, question: str, pairs: list[tuple[str, str]]) -> np.ndarray[Any, Any]:
        """Of each pair: 1, whether they stand at the same number, how sure the verifier is of both, and their product."""
        sure = {text: self._log_value(question + text) for text in {text for pair in pairs for text in pair}}
        rows = []
        for one, other in pairs:
            same, both = float(stands_at(question + one) == stands_at(question + other)), sure[one] + sure[other]
            rows.append([1.0, same, both, same * both])
        return np.array(rows).reshape(-1, 4)

    def _log_value(self, text: str) -> float:
        return math.log(max(1e-6, self.model.values([text])[0])) if steps_of(text) else math.log(1e-6)


def stands_at(text: str) -> int | str:
    """The number that a prefix has come to; the text itself where it is none."""
    steps = steps_of(text)
    return steps[-1].result if steps else text


class Traced(NamedTuple):
    """Whole traces of a question: their prefixes and their answers."""

    question: str
    prefixes: list[str]
    answers: list[str | None]


async def trace(sums: Sums, question: Question) -> Traced:
    async def one(index: int) -> tuple[str, Any]:
        begun = await sums.step(question.prompt, State(""), index)
        return begun.value, (await sums.step(question.prompt, begun, index)).answer

    traces = await asyncio.gather(*(one(index) for index in range(TRACES)))
    return Traced(question.prompt, [begun for begun, _ in traces], [end for _, end in traces])


def pairs_of(split: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features of all pairs of traces of the same question, and whether their answers are the same."""

    async def trace_all() -> list[Traced]:
        return await asyncio.gather(*(trace(sums, each) for each in make_questions(split, 1, QUESTIONS[split], LONG)))

    sums = Sums()
    seen, same = [], []
    for of in asyncio.run(trace_all()):
        pairs = list(combinations(range(TRACES), 2))
        seen.append(sums.features(of.question, [(of.prefixes[i], of.prefixes[j]) for i, j in pairs]))
        same += [of.answers[i] is not None and of.answers[i] == of.answers[j] for i, j in pairs]
    return np.concatenate(seen), np.array(same)


@cache
def judge() -> np.ndarray[Any, Any]:
    """The weights of a logistic regression, by Newton's method with a little shrinkage."""
    seen, same = pairs_of("verify")
    weights = np.zeros(seen.shape[1])
    for _ in range(30):
        said = 1 / (1 + np.exp(-np.clip(seen @ weights, -30, 30)))
        slope = seen.T @ (said - same) + 0.1 * weights
        bend = (seen * (said * (1 - said))[:, None]).T @ seen + 0.1 * np.eye(seen.shape[1])
        weights -= np.linalg.solve(bend, slope)
    return weights


@cache
def votes(seed: int, sure: float) -> tuple[float, float]:
    """The share of questions answered right, and tokens per question, with groups joined at this belief; above 1, none are."""
    sums, weights = Sums(), judge()

    async def alike(question: str, pairs: list[tuple[str, str]]) -> list[float]:
        said = sums.features(question, pairs) @ weights
        return [float(each) for each in 1 / (1 + np.exp(-np.clip(said, -30, 30)))] if sure < 1 else [0.0 for _ in pairs]

    async def ask(question: Question) -> bool:
        found = await search.deep_prune(question.prompt, sums.step, alike, n=TRACES, sure=min(1.0, sure))
        return found.answer == question.answer

    async def ask_all() -> list[bool]:
        asked = make_questions("test", 100 + seed, QUESTIONS["test"], LONG)
        return await asyncio.gather(*(ask(question) for question in asked))

    return sum(asyncio.run(ask_all())) / QUESTIONS["test"], sums.written / QUESTIONS["test"]


def measure_tokens(seed: int) -> Pair:
    return Pair(votes(seed, 0.5)[1], votes(seed, 2.0)[1])


def measure_right(seed: int) -> Pair:
    return Pair(votes(seed, 0.5)[0], votes(seed, 2.0)[0])


@cache
def measure_judge(seed: int) -> Pair:
    """The AUROC of the judge, and of the better of chance and of standing at the same number alone."""
    seen, same = pairs_of("choose")
    if same.all() or not same.any():
        return Pair(0.5, 0.5)  # there is nothing to tell apart
    right = [bool(each) for each in same]
    ours, alone = (auroc([float(each) for each in said], right) for said in (seen @ judge(), seen[:, 1]))
    return Pair(ours, max(0.5, alone))


TEST = "tests/methods/search/sample/test_deep_prune.py::"
SAVES = f"{TEST}test_traces_that_agree_are_left_unfinished_at_the_accuracy_of_the_majority"
ABOUT: dict[str, Any] = {
    "method": "DeepPrune",
    "function": "headway.methods.search.deep_prune",
    "item": "search",
    "claim": "65.7 to 88.5 % fewer tokens within 3 points",
    "seeds": 3,
    "slow": True,
}
ROWS = [
    Row(
        **ABOUT,
        shows="at least 60 % fewer tokens on sums of 27 to 30 numbers, by the arithmetic model",
        baseline="a majority of 16 whole traces",
        unit="tokens per question",
        measure=measure_tokens,
        reached=lambda low, high: high <= 0.4,
        test=SAVES,
    ),
    Row(
        **ABOUT,
        shows="within 3 points of the majority on sums of 27 to 30 numbers, by the arithmetic model",
        baseline="a majority of 16 whole traces",
        unit="share of questions answered right",
        measure=measure_right,
        compare="difference",
        reached=lambda low, high: low > -0.03,
        test=SAVES,
    ),
    Row(
        **{**ABOUT, "seeds": 1},
        exact=True,
        shows="the judge of two prefixes of 28 tokens learned something",
        baseline="the better of chance and whether both stand at the same number",
        unit="AUROC on questions it has not seen",
        measure=measure_judge,
        compare="difference",
        reached=lambda low, high: low > 0,
        reason="all traces of the questions it was tried on came to the same answer, so there was nothing to tell apart",
        test=SAVES,
    ),
]
