"""Rates a scorer on Countdown: held-out puzzles that the small model answers, and reasoning-gym's word on which answers are right.

Of each puzzle that has both right and wrong answers, an item is made; and of all puzzles it is counted how often the answer of the
best score is right, which is what a scorer is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.bench.scorer.program import COUNTDOWN, BestOf, Report, ask_scorer, rate_on_items
from headway.bench.scorer.rating import Item
from headway.bench.search.solver import Solver, judge
from headway.errors import UsageError
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel

SEED = 3  # of the puzzles
WRONG = 3  # answers of an item
_AT_A_TIME = 64


@dataclass(frozen=True)
class Answers:
    """Sampled answers to a puzzle, and whether each is right."""

    prompt: str
    texts: tuple[str, ...]
    right: tuple[bool, ...]


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
async def score_answers(asked: tuple[str, Answers]) -> list[float]:
    """What a scorer gives the answers to a puzzle."""
    scorer, answers = asked
    return await ask_scorer(scorer, answers.prompt, list(answers.texts))


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
