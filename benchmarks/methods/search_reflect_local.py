"""CGRS on a model in a GGUF file: Gemma 3 with 270 million parameters (extra `local`) adds a digit to a number, by examples.

A trace is made as in `search_reflect`: one attempt after another, the answer is that of the last. The log-probabilities that the
model shows of its own tokens stand in for the entropy of its logits, of which they are the expectation. Nothing was chosen: the
threshold is the paper's, the rest that of `search_reflect`.
"""

from __future__ import annotations

import asyncio
import random
from functools import cache, partial
from typing import Any

import headway as hw
from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_reflect import ABOUT, DELTA, Trace, right_of, tokens_of, trace_attempts
from headway.methods.records import Candidate

EXAMPLES = ((3, 4), (25, 3), (6, 9), (347, 2), (8, 7), (40, 5), (9, 5), (120, 6))
SHOTS = "".join(f"{a}+{b}={a + b}\n" for a, b in EXAMPLES)
WORDS = 262_144  # of Gemma's vocabulary
QUESTIONS = 24


@cache
def _model() -> Any:
    from headway import models

    return models.Local(slots=1, context=256, threads=1)


_made: dict[tuple[str, int], Candidate[str]] = {}
"""Attempts, each drawn once: traces with and without bans share them."""


async def _attempt(question: str, seed: int) -> Candidate[str]:
    from headway import models

    @hw.task
    async def sample() -> Candidate[str]:
        made = (await models.sample(_model(), SHOTS + question, max_tokens=5, stop="\n", seed=seed, logprobs=True)).samples[0]
        text = made.text.strip()
        return Candidate(text, text if text.isdigit() else None, made.tokens, made.logprob)

    if (question, seed) not in _made:
        _made[question, seed] = await hw.arun(sample, store=None, progress=False)
    return _made[question, seed]


def solves(text: str) -> bool:
    """Whether a sum with its answer is right."""
    a, b, answer = text.replace("=", "+").split("+")
    return answer.strip() == str(int(a) + int(b))


@cache
def traced(seed: int, delta: float, bans: float | None = None, questions: int = QUESTIONS) -> list[Trace]:
    """A trace for each question of a seed."""
    draw = random.Random(f"sums {seed}")
    asked = [f"{draw.randint(10 ** (at % 3), 10 ** (at % 3 + 1) - 1)}+{draw.randint(1, 9)}=" for at in range(questions)]

    async def generate(question: str, index: int) -> Candidate[str]:
        return await _attempt(question, seed * 1000 + index)

    trace = partial(trace_attempts, generate, seed=seed, delta=delta, bans=bans, words=WORDS, solves=solves)
    return [asyncio.run(trace(question)) for question in asked]


def measure_tokens(seed: int) -> Pair:
    """Tokens per sum, with bans by certainty and without bans."""
    return Pair(tokens_of(traced(seed, DELTA)), tokens_of(traced(seed, DELTA, 0.0)))


def measure_loss(seed: int) -> Pair:
    """The share of right sums, with bans by certainty and without bans."""
    return Pair(right_of(traced(seed, DELTA)), right_of(traced(seed, DELTA, 0.0)))


TEST = "tests/methods/search/stop/test_reflection_local.py::test_bans_by_certainty_shorten_traces_of_a_model_in_a_file"
ROWS = [
    Row(
        **ABOUT,
        shows="traces of a GGUF model have at least 18.5 % fewer tokens",
        baseline="the same traces without bans",
        unit="tokens per sum",
        measure=measure_tokens,
        reached=lambda low, high: high <= 0.815,
        reason="shorter on each seed, but three seeds of 24 sums leave a wide interval",
        seeds=3,
        slow=True,
        test=TEST,
    ),
    Row(
        **ABOUT,
        shows="as many sums of a GGUF model are right, within 3 points",
        baseline="the same traces without bans",
        unit="share of sums that are right",
        measure=measure_loss,
        compare="difference",
        reached=lambda low, high: low > -0.03,
        reason="three seeds of 24 sums are too few to tell three points",
        seeds=3,
        slow=True,
        test=TEST,
    ),
]
