"""DeepPrune on long sums by the arithmetic model: traces of at least 100 tokens, and a judge that learned on other questions.

The sums begin with large numbers and go on with small ones, and a trace is written at a higher temperature while it begins than
when it goes on. So most traces that differ do so early, which is what DeepPrune lives by. At one temperature slips come all along
a trace, no prefix knows of them, and one trace of a group is not worth its votes.

The judge sees two prefixes: whether they stand at the same number, how often prefixes of this question do, and what the model's
verifier says of each. It learns by logistic regression on questions of the split "verify". The mix, the temperatures, the lines of
a prefix and the threshold were chosen on questions of "choose"; "test" is measured. All methods vote on the same recorded traces.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from benchmarks.methods.keeping import make_once
from benchmarks.methods.row import Pair, Row
from headway.methods import search
from headway.methods.records import Candidate, State
from headway.methods.search.found import Found
from headway.models.base import Request
from headway.reference.arithmetic.expression import answer, steps_of
from headway.reference.arithmetic.questions import EARLY, Question, Split, make_questions
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.measure import auroc

TRACES, LINES, LINE = 16, 3, 4  # of a question; lines of a prefix; tokens of a line
QUESTIONS = 50  # of a seed
BEGINS, GOES_ON = 0.7, 0.2  # temperatures
SURE = 0.3  # how likely groups must come to the same answer to be joined

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Written:
    """A trace: how it begins and goes on, their tokens, and its answer."""

    begun: str
    rest: str
    tokens: tuple[int, int]
    answer: str | None


@dataclass
class Traces:
    """The recorded traces of a question as the parts of a search; counts the tokens that it is asked for."""

    question: Question
    written: Sequence[Written]
    tokens: int = 0

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        """The first lines, then all others."""
        trace, done = self.written[index], bool(state.value)
        made = trace.tokens[done]
        self.tokens += made
        value = state.value + (trace.rest if done else trace.begun)
        return replace(state, value=value, tokens=state.tokens + made, done=done, answer=trace.answer if done else None)

    async def generate(self, question: str, index: int) -> Candidate[str]:
        trace = self.written[index]
        self.tokens += sum(trace.tokens)
        return Candidate(trace.begun + trace.rest, trace.answer, sum(trace.tokens))

    async def alike(self, question: str, pairs: list[tuple[str, str]]) -> list[float]:
        said = features(question, pairs) @ judge()
        return [float(each) for each in 1 / (1 + np.exp(-np.clip(said, -30, 30)))]


@cache
def record(split: Split, seed: int) -> tuple[Traces, ...]:
    """All traces of a seed's questions."""
    questions = make_questions(split, 100 + seed, QUESTIONS, EARLY)
    asked = (ArithmeticModel.shipped().name, EARLY, split, seed, QUESTIONS, TRACES, LINES, BEGINS, GOES_ON)
    written = make_once(asked, list[list[Written]], lambda: write(questions))
    return tuple(Traces(each, of) for each, of in zip(questions, written, strict=True))


def write(questions: Sequence[Question]) -> list[list[Written]]:
    """Sample the traces of questions: all beginnings together, then the rest of each."""
    model = ArithmeticModel.shipped()
    begun = model.sample_batch(
        [
            Request(prompt=each.prompt, n=TRACES, seed=number, max_tokens=LINES * LINE, temperature=BEGINS)
            for number, each in enumerate(questions)
        ]
    )
    texts = [(each, sample) for each, reply in zip(questions, begun, strict=True) for sample in reply.samples]
    ended = model.sample_batch(
        [
            Request(prompt=each.prompt + sample.text, seed=1000 + number, max_tokens=160, temperature=GOES_ON)
            for number, (each, sample) in enumerate(texts)
        ]
    )
    written = [
        Written(begin.text, end.text, (begin.tokens, end.tokens), answer(each.prompt + begin.text + end.text))
        for (each, begin), reply in zip(texts, ended, strict=True)
        for end in reply.samples
    ]
    return [written[at : at + TRACES] for at in range(0, len(written), TRACES)]


# --- the judge -------------------------------------------------------------------------------------------------------


def features(question: str, pairs: Sequence[tuple[str, str]]) -> Array:
    """Of each pair: 1, whether both stand at the same number, how sure the verifier is of both, its product with that, and its
    product with the share of all pairs that stand at the same number."""
    texts = sorted({text for pair in pairs for text in pair})
    values = dict(zip(texts, ArithmeticModel.shipped().values([question + text for text in texts]), strict=True))
    at = {text: stands_at(question + text) for text in texts}
    agreed = sum(at[one] == at[other] for one, other in pairs) / max(1, len(pairs))
    rows = []
    for one, other in pairs:
        same, sure = float(at[one] == at[other]), sum(math.log(max(1e-6, values[text])) for text in (one, other))
        rows.append([1.0, same, sure, same * sure, same * agreed])
    return np.array(rows).reshape(-1, 5)


def stands_at(text: str) -> int | str:
    """The number that a prefix has come to; the text itself where it is none."""
    steps = steps_of(text)
    return steps[-1].result if steps else text


def pairs_of(split: Split, seed: int) -> tuple[Array, list[bool]]:
    """Features of all pairs of traces of the same question, and whether their answers are the same."""
    seen, same = [], []
    for of in record(split, seed):
        pairs = list(combinations(of.written, 2))
        seen.append(features(of.question.prompt, [(one.begun, other.begun) for one, other in pairs]))
        same += [one.answer is not None and one.answer == other.answer for one, other in pairs]
    return np.concatenate(seen), same


@cache
def judge() -> Array:
    """The weights of a logistic regression, by Newton's method with a little shrinkage."""
    seen, same = pairs_of("verify", 0)
    weights = np.zeros(seen.shape[1])
    for _ in range(30):
        said = 1 / (1 + np.exp(-np.clip(seen @ weights, -30, 30)))
        slope = seen.T @ (said - np.array(same)) + 0.1 * weights
        bend = (seen * (said * (1 - said))[:, None]).T @ seen + 0.1 * np.eye(seen.shape[1])
        weights -= np.linalg.solve(bend, slope)
    return weights


# --- what is measured ------------------------------------------------------------------------------------------------


class Voted(NamedTuple):
    """The share of questions answered right, and tokens per question."""

    right: float
    tokens: float


def ask(way: Callable[[Traces], Awaitable[Found[str]]], split: Split, seed: int) -> Voted:
    """Ask all questions of a seed in one way."""

    async def all_of() -> Voted:
        traces = [replace(each, tokens=0) for each in record(split, seed)]
        right = [(await way(each)).answer == each.question.answer for each in traces]
        return Voted(sum(right) / QUESTIONS, sum(each.tokens for each in traces) / QUESTIONS)

    return asyncio.run(all_of())


@cache
def pruned(seed: int, split: Split = "test") -> Voted:
    return ask(lambda of: search.deep_prune(of.question.prompt, of.step, of.alike, n=TRACES, sure=SURE), split, seed)


@cache
def voted(seed: int, n: int = TRACES, split: Split = "test") -> Voted:
    """A majority of `n` whole traces."""

    async def whole(of: Traces) -> Found[str]:
        candidates = tuple([await of.generate(of.question.prompt, index) for index in range(n)])
        return await search.majority(of.question.prompt, of.generate, n=n, given=candidates)

    return ask(whole, split, seed)


@cache
def settled(seed: int, split: Split = "test") -> Voted:
    """A majority that stops when it is settled."""
    return ask(lambda of: search.majority(of.question.prompt, of.generate, n=TRACES, sure=0.95), split, seed)


def measure_tokens(seed: int) -> Pair:
    return Pair(pruned(seed).tokens, voted(seed).tokens)


def measure_right(seed: int) -> Pair:
    return Pair(pruned(seed).right, voted(seed).right)


def measure_settled(seed: int) -> Pair:
    return Pair(pruned(seed).tokens, settled(seed).tokens)


def measure_fewer(seed: int) -> Pair:
    """Against a majority of whole traces, so many of them that DeepPrune's tokens pay for; between two numbers, by their share."""
    ours = pruned(seed)
    n = min(TRACES - 1.0, max(1.0, TRACES * ours.tokens / voted(seed).tokens))
    few, many = voted(seed, int(n)).right, voted(seed, int(n) + 1).right
    return Pair(ours.right, few + (n - int(n)) * (many - few))


def measure_judge(seed: int) -> Pair:
    """The AUROC of the judge, and of the better of chance and of standing at the same number alone."""
    seen, same = pairs_of("test", seed)
    ours, alone = (auroc([float(each) for each in said], same) for said in (seen @ judge(), seen[:, 1]))
    return Pair(ours, max(0.5, alone))


SAVES = "tests/methods/search/sample/test_deep_prune.py::test_traces_that_agree_are_left_unfinished_at_the_accuracy_of_the_majority"
WHERE = "on long sums, by the arithmetic model"
ABOUT: dict[str, Any] = {
    "method": "DeepPrune",
    "function": "headway.methods.search.deep_prune",
    "item": "search",
    "claim": "65.7 to 88.5 % fewer tokens within 3 points",
    "test": SAVES,
    "seeds": 10,
    "slow": True,
}
ROWS = [
    Row(
        **ABOUT,
        shows=f"at least 60 % fewer tokens {WHERE}",
        baseline="a majority of 16 whole traces",
        unit="tokens per question",
        measure=measure_tokens,
        reached=lambda low, high: high <= 0.4,
        reason="the mean saves more than that, its interval does not: seeds differ in how far the beginnings of traces scatter",
    ),
    Row(
        **ABOUT,
        shows=f"within 3 points of the majority {WHERE}",
        baseline="a majority of 16 whole traces",
        unit="share of questions answered right",
        measure=measure_right,
        compare="difference",
        reached=lambda low, high: low > -0.03,
    ),
    Row(
        **ABOUT,
        shows=f"fewer tokens than a vote that stops when it is settled {WHERE}",
        baseline="adaptive consistency, sure at 0.95",
        unit="tokens per question",
        measure=measure_settled,
        reached=lambda low, high: high < 1,
    ),
    Row(
        **ABOUT,
        shows=f"right more often than the vote of fewer traces {WHERE}",
        baseline="a majority of as many whole traces as the same tokens pay for",
        unit="share of questions answered right",
        measure=measure_fewer,
        compare="difference",
        reached=lambda low, high: low > 0,
        reason="six whole traces vote as well as sixteen here, so there is nothing to win by knowing how all sixteen begin",
    ),
    Row(
        **ABOUT,
        shows=f"the judge of two prefixes of {LINES * LINE} tokens learned something",
        baseline="the better of chance and whether both stand at the same number",
        unit="AUROC on questions it has not seen",
        measure=measure_judge,
        compare="difference",
        reached=lambda low, high: low > 0,
    ),
]
