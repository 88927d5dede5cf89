"""When to stop thinking: MRT's measured progress on an anytime solver.

Settings of all rules were chosen on seed 11 for about as many tokens: a fixed length of 10 episodes, a threshold of 0.9 on the
chance within 10 episodes, progress of 0.02 an episode over 4.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from benchmarks.methods.row import Pair, Row
from headway.methods import search
from headway.methods.records import Candidate, State

EPISODES = 20


@dataclass
class Anytime:
    """A solver whose chance of a right answer rises with every episode of 50 tokens, up to a bound and for 2 to 16 episodes, as the
    question has it; an answer takes 5 tokens more. A scorer sees the chance, with a normal error of 0.04."""

    seed: int
    tokens: int = 0
    chance: float = 0.0

    def chance_after(self, question: str, episodes: int) -> float:
        draw = random.Random(repr((self.seed, question)))
        bound, needed = draw.choice((0.1, 0.4, 0.7, 0.97)), draw.randint(2, 16)
        return bound * min(1.0, episodes / needed)

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        self.tokens += 50
        return replace(state, value=state.value + ".", tokens=state.tokens + 50)

    async def force(self, question: str, state: State[str], index: int) -> Candidate[str]:
        self.tokens += 5
        return Candidate(state.value, "answer", 5)

    async def score(self, question: str, values: list[str]) -> list[float]:
        noise = [random.Random(repr((self.seed, question, value))).gauss(0, 0.04) for value in values]
        chances = [self.chance_after(question, len(value)) for value in values]
        return [min(1.0, max(0.0, chance + error)) for chance, error in zip(chances, noise, strict=True)]


Rule = Callable[[Anytime, str], Awaitable[int]]
"""Episodes that are thought about a question."""


async def until_stalled(solver: Anytime, question: str) -> int:
    found = await search.stop_when_stalled(question, solver.step, solver.force, solver.score, depth=EPISODES)
    return len(found.candidates)


async def for_10_episodes(solver: Anytime, question: str) -> int:
    solver.tokens += 10 * 50 + 5
    return 10


async def until_sure(solver: Anytime, question: str) -> int:
    state = State("")
    for episodes in range(1, 11):
        state = await solver.step(question, state, 0)
        answer = await solver.force(question, state, episodes)
        if (await solver.score(question, [answer.value]))[0] >= 0.9:
            break
    return episodes


RULES: dict[str, Rule] = {"stalled": until_stalled, "fixed": for_10_episodes, "sure": until_sure}


@cache
def stop(rule: str, seed: int, questions: int = 2000) -> tuple[float, float]:
    """The mean chance of a right answer, and tokens per question."""

    async def ask() -> list[float]:
        return [solver.chance_after(q, await RULES[rule](solver, q)) for q in (f"question {n}" for n in range(questions))]

    solver = Anytime(seed)
    return fmean(asyncio.run(ask())), solver.tokens / questions


def measure_success(seed: int) -> Pair:
    return Pair(stop("stalled", seed)[0], max(stop(rule, seed)[0] for rule in ("fixed", "sure")))


def measure_tokens(seed: int) -> Pair:
    return Pair(stop("stalled", seed)[1], min(stop(rule, seed)[1] for rule in ("fixed", "sure")))


PROGRESS = "tests/methods/search/stop/test_stop.py::test_measured_progress_answers_more_questions_with_as_many_tokens"
ROWS = [
    Row(
        method="MRT",
        function="headway.methods.search.stop_when_stalled",
        item="search",
        claim="1.5x fewer tokens at equal accuracy (by training)",
        shows="more questions are right where measured progress says when to stop",
        baseline="the better of a fixed length and a threshold on the chance, with as many tokens or more",
        unit="mean chance of a right answer (synthetic)",
        measure=measure_success,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=PROGRESS,
    ),
    Row(
        method="MRT",
        function="headway.methods.search.stop_when_stalled",
        item="search",
        claim="1.5x fewer tokens at equal accuracy (by training)",
        shows="no more tokens are spent for that",
        baseline="the cheaper of a fixed length and a threshold on the chance",
        unit="tokens per question, answers asked for included (synthetic)",
        measure=measure_tokens,
        reached=lambda low, high: high <= 1.02,
        test=PROGRESS,
    ),
]
