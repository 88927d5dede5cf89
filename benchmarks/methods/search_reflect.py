"""CGRS: reflection that is suppressed where a model is certain, by the Countdown model's own certainty.

A trace is one attempt after another: after each, the model goes on ("Wait") with a probability of 0.85, and its answer is that of
the last attempt. The mean surprisal of what it wrote stands in for the entropy of its logits, of which it is the expectation.
`DELTA` is the paper's; `BANS` was chosen on seed 11, so that random bans leave traces of the same length.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_trees import Parts, on_puzzles
from headway.methods import search
from headway.methods.protocols import Generator
from headway.methods.records import Candidate, State
from headway.reference.countdown.judge import solves

WORDS = 1012  # of the Countdown model's vocabulary
DELTA = 0.9
BANS = 0.3
GOES_ON = 0.85
MOST = 16  # passages


class Trace(NamedTuple):
    """What a trace came to: whether its answer is right, and its tokens."""

    right: bool
    tokens: int


async def trace_attempts(
    generate: Generator[str],
    question: str,
    *,
    seed: int,
    delta: float,
    bans: float | None = None,
    words: int = WORDS,
    solves: Callable[[str], bool] = solves,
) -> Trace:
    """Attempts at a question until nothing goes on; with `bans`, doubt is banned at random instead."""
    rng = random.Random(repr((question, seed)))
    certain = 0.0
    last = Candidate("", None)

    async def write(question: str, state: State[str], banned: tuple[str, ...]) -> State[str]:
        nonlocal certain, last
        goes_on = rng.random() < GOES_ON
        if state.depth and (banned or not goes_on):
            return replace(state, done=True, answer=last.answer)
        last = await generate(question, state.depth)
        certain = max(0.0, 1 + (last.logprob or 0.0) / max(1, last.tokens) / math.log(words))
        return replace(state, value=last.value, tokens=state.tokens + last.tokens)

    async def probe(question: str, state: State[str]) -> float:
        return certain if bans is None else bans

    draws = random.Random(repr((question, seed, "bans")))
    found = await search.suppress_reflection(question, write, probe, delta=delta if bans is None else 0.0, rng=draws, depth=MOST)
    return Trace(solves(question + last.value), found.sequential_tokens)


@cache
def traced(seed: int, delta: float, bans: float | None = None) -> list[Trace]:
    def trace(parts: Parts, question: str) -> Awaitable[Trace]:
        return trace_attempts(parts.generate, question, seed=parts.seed, delta=delta, bans=bans)

    return on_puzzles(trace, seed)


def tokens_of(traces: list[Trace]) -> float:
    return fmean(trace.tokens for trace in traces)


def right_of(traces: list[Trace]) -> float:
    return fmean(trace.right for trace in traces)


def measure_tokens(seed: int) -> Pair:
    """Tokens per puzzle, with bans by certainty and without bans."""
    return Pair(tokens_of(traced(seed, DELTA)), tokens_of(traced(seed, DELTA, 0.0)))


def measure_loss(seed: int) -> Pair:
    """The share solved, with bans by certainty and without bans."""
    return Pair(right_of(traced(seed, DELTA)), right_of(traced(seed, DELTA, 0.0)))


def measure_random(seed: int) -> Pair:
    """The share solved, with bans by certainty and with random ones that leave traces as long."""
    return Pair(right_of(traced(seed, DELTA)), right_of(traced(seed, DELTA, BANS)))


TESTS = "tests/methods/search/stop/test_reflection.py::"
ABOUT: dict[str, Any] = {
    "method": "CGRS",
    "function": "headway.methods.search.suppress_reflection",
    "item": "search",
    "claim": "18.5 to 41.9 % fewer tokens at equal accuracy",
}
ROWS = [
    Row(
        **ABOUT,
        shows="traces of the Countdown model have at least 18.5 % fewer tokens",
        baseline="the same traces without bans",
        unit="tokens per puzzle",
        measure=measure_tokens,
        reached=lambda low, high: high <= 0.815,
        test=f"{TESTS}test_bans_by_certainty_shorten_traces_without_loss_and_random_bans_do_not",
    ),
    Row(
        **ABOUT,
        shows="as many puzzles are solved, within 3 points",
        baseline="the same traces without bans",
        unit="share of puzzles solved",
        measure=measure_loss,
        compare="difference",
        reached=lambda low, high: low > -0.03,
        test=f"{TESTS}test_bans_by_certainty_shorten_traces_without_loss_and_random_bans_do_not",
    ),
    Row(
        **ABOUT,
        shows="more puzzles are solved than with random bans that leave traces as long",
        baseline="random bans",
        unit="share of puzzles solved",
        measure=measure_random,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}test_bans_by_certainty_shorten_traces_without_loss_and_random_bans_do_not",
    ),
]
