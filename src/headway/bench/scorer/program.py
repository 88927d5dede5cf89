"""The rating as a program: every item is a call, so a killed rating goes on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import headway as hw
from headway.bench.scorer.items import load_scorer
from headway.bench.scorer.rating import Item, Rating, Scored, overall, rate
from headway.methods.search.parts import scores_of

COUNTDOWN = "countdown"
"""The name of the value head of the small model that comes with Headway."""
_AT_A_TIME = 64


@dataclass(frozen=True)
class BestOf:
    """What choosing by score gives on Countdown: the shares of puzzles of which one answer, the answer with the best score, and any
    of `n` is right."""

    n: int
    one: float
    best: float
    some: float


@dataclass(frozen=True)
class Report:
    """A scorer's ratings, and on Countdown what best-of-n gives with it."""

    scorer: str
    ratings: list[Rating]
    best_of: BestOf | None = None

    @property
    def score(self) -> float:
        """The mean over subsets."""
        return overall(self.ratings)


@hw.task
async def rate_on_items(scorer: str, items: Sequence[Item]) -> Report:
    """Rate a scorer on items."""
    scored: list[Scored] = []
    async for each in hw.map(score_item, [(scorer, item) for item in items], window=_AT_A_TIME):
        scored.append(each)
        hw.progress(len(scored), len(items))
    return Report(scorer, rate(scored))


@hw.task
async def score_item(asked: tuple[str, Item]) -> Scored:
    """What a scorer gives the answers of an item, all at once."""
    scorer, item = asked
    scores = await ask_scorer(scorer, item.prompt, [*item.chosen, *item.rejected])
    return Scored(item, tuple(scores[: len(item.chosen)]), tuple(scores[len(item.chosen) :]))


async def ask_scorer(scorer: str, prompt: str, answers: list[str]) -> list[float]:
    """What a scorer gives answers, one number for each."""
    score = _find(scorer)

    async def asked(question: str, values: list[str]) -> list[float]:
        given = score(question, values)
        scores: list[float] = await given if inspect.isawaitable(given) else given
        return scores

    asked.__qualname__ = scorer
    return await scores_of(asked, prompt, answers)


def _find(scorer: str) -> Callable[[str, list[str]], Any]:
    if scorer != COUNTDOWN:
        return load_scorer(scorer)
    from headway.bench.search.solver import Solver  # it needs the extras torch and solve, which a scorer of one's own does not
    from headway.reference.countdown.sampling import CountdownModel

    return Solver(CountdownModel.shipped()).value
