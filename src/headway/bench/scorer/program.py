"""The rating as a program: every item is a call, so a killed rating goes on.

Items come from a file, or from Countdown: the small model that comes with Headway samples answers to held-out puzzles, and
reasoning-gym's scorer says which are right. Of each puzzle that has both, an item is made; and of all puzzles it is counted how
often the answer of the best score is right, which is what a scorer is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.bench.scorer.items import load_scorer
from headway.bench.scorer.rating import Item, Rating, Scored, overall, rate
from headway.bench.search.solver import Solver, judge
from headway.errors import UsageError
from headway.methods.search.parts import scores_of
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

COUNTDOWN = "countdown"
SEED = 3  # of the puzzles
WRONG = 3  # answers of an item
_AT_A_TIME = 64


@dataclass(frozen=True)
class Answers:
    """Sampled answers to a puzzle, and whether each is right."""

    prompt: str
    texts: tuple[str, ...]
    right: tuple[bool, ...]


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
async def rate_on_countdown(scorer: str, puzzles: int, n: int) -> Report:
    """Rate a scorer on puzzles with `n` sampled answers each."""
    asked = [(number, puzzles, n) for number in range(puzzles)]
    answers = [each async for each in hw.map(sample_answers, asked, window=_AT_A_TIME)]
    report = await rate_on_items(scorer, make_items(answers))
    chosen: list[float] = []
    async for scores in hw.map(score_answers, [(scorer, each) for each in answers], window=_AT_A_TIME):
        chosen.append(best_right(answers[len(chosen)], scores))
    one = sum(sum(each.right) / n for each in answers) / puzzles
    best_of = BestOf(n, one, sum(chosen) / puzzles, sum(any(each.right) for each in answers) / puzzles)
    return Report(scorer, report.ratings, best_of)


@hw.task
async def sample_answers(asked: tuple[int, int, int]) -> Answers:
    """Answers to a puzzle: its number, of how many, and how many answers."""
    number, puzzles, n = asked
    prompt = make_held_out_puzzles(SEED, puzzles)[number].prompt
    solver = Solver(CountdownModel.shipped(), seed=number)
    made = await hw.gather(*(solver.generate(prompt, index) for index in range(n)))
    right = await hw.gather(*(judge(prompt + each.value) for each in made))
    return Answers(prompt, tuple(each.value for each in made), tuple(right))


@hw.task
async def score_item(asked: tuple[str, Item]) -> Scored:
    """What a scorer gives the answers of an item, all at once."""
    scorer, item = asked
    scores = await _score(scorer, item.prompt, [*item.chosen, *item.rejected])
    return Scored(item, tuple(scores[: len(item.chosen)]), tuple(scores[len(item.chosen) :]))


@hw.task
async def score_answers(asked: tuple[str, Answers]) -> list[float]:
    """What a scorer gives the answers to a puzzle."""
    scorer, answers = asked
    return await _score(scorer, answers.prompt, list(answers.texts))


def make_items(answers: Sequence[Answers]) -> list[Item]:
    """An item of each puzzle that has a right answer and enough different wrong ones.

    Raises:
        UsageError: no puzzle has.
    """
    items: list[Item] = []
    for number, each in enumerate(answers):
        right = [text for text, ok in zip(each.texts, each.right, strict=True) if ok]
        wrong = list(dict.fromkeys(text for text, ok in zip(each.texts, each.right, strict=True) if not ok))
        if right and len(wrong) >= WRONG:
            items.append(Item(f"{number}", each.prompt, (right[0],), tuple(wrong[:WRONG]), COUNTDOWN))
    if not items:
        raise UsageError(f"no puzzle has a right answer and {WRONG} wrong ones: take more --puzzles or more --samples")
    return items


def best_right(answers: Answers, scores: Sequence[float]) -> float:
    """How likely the answer with the best score is right: 0 or 1, or the share of right ones among those that share it."""
    top = max(scores)
    tied = [right for right, score in zip(answers.right, scores, strict=True) if score == top]
    return sum(tied) / len(tied)


async def _score(scorer: str, prompt: str, answers: list[str]) -> list[float]:
    score = Solver(CountdownModel.shipped()).value if scorer == COUNTDOWN else load_scorer(scorer)

    async def asked(question: str, values: list[str]) -> list[float]:
        given = score(question, values)
        return await given if inspect.isawaitable(given) else given

    asked.__qualname__ = scorer
    return await scores_of(asked, prompt, answers)
