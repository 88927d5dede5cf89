"""Questions about the countries of an atlas, each with the plan that answers it, and who may see which.

A question belongs to one of three splits by its plan alone, so whatever words it comes in: "train", "choose" (which early weights
to keep) and "test". Its wording is one that training sees, or one that it never sees (`Mix.kept`). And training has lists of at
most six (`LONGER`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from headway.errors import UsageError
from headway.reference.hashing import hash_values
from headway.reference.planner.plans import Step, write_plan
from headway.reference.planner.writer import Lists, Writer

Split: TypeAlias = Literal["train", "choose", "test"]
SPLITS: tuple[Split, ...] = ("train", "choose", "test")
_SIXTEENTHS: dict[int, Split] = {0: "test", 1: "choose"}  # and the rest to train on
_PATIENCE = 1000  # draws in a row without a new question, after which there are no more

SHORT = 4
"""A plan of at most so many steps is called short."""


@dataclass(frozen=True)
class Mix:
    """What questions there are.

    Attributes:
        families: how often each comes, in relation to the others. "single" has one lookup, "hop" and "deep" go from a country to a
            thing of it and on; "each" looks up several things; "whether" compares two, "which" finds the most or least of several;
            "total" adds or averages, "pair" is a difference or a ratio, "nested" one of sums; "filter" keeps those of a list that
            have more than another, "count" counts them; "chosen" asks for something of the most or least of a list.
        lists: how many things a list has, at least and at most.
        kept: whether the wordings are those that training never sees: always of the sentence, and of each phrase in it with a
            chance of a quarter.
    """

    families: tuple[tuple[str, float], ...] = (
        ("single", 1.0),
        ("hop", 1.5),
        ("deep", 1.0),
        ("each", 1.0),
        ("whether", 1.0),
        ("which", 2.0),
        ("total", 1.5),
        ("pair", 1.5),
        ("nested", 1.0),
        ("filter", 1.0),
        ("count", 0.7),
        ("chosen", 1.5),
    )
    lists: tuple[int, int] = (2, 6)
    kept: bool = False


LONGER = Mix(families=(("each", 1.0), ("which", 1.0), ("total", 1.0), ("filter", 1.0), ("count", 1.0)), lists=(7, 8))
"""Lists that are longer than any in training."""


@dataclass(frozen=True)
class Question:
    """A question with its plan.

    Attributes:
        text: the question.
        family: which of the families it is of.
        steps: the plan.
    """

    text: str
    family: str
    steps: tuple[Step, ...]

    @property
    def prompt(self) -> str:
        """What a plan continues."""
        return f"{self.text}\n"

    @property
    def plan(self) -> str:
        """The text of the plan."""
        return write_plan(self.steps)

    @property
    def is_short(self) -> bool:
        """Whether the plan has at most `SHORT` steps."""
        return len(self.steps) <= SHORT


def make_questions(split: Split, seed: int, count: int, mix: Mix | None = None) -> tuple[Question, ...]:
    """Make different questions of a split.

    Raises:
        UsageError: there is no such split, or so many questions of this mix are not found.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split {split!r} of the questions: there are {', '.join(SPLITS)}")
    return _make(split, seed, count, mix or Mix())


@lru_cache(maxsize=16)
def _make(split: Split, seed: int, count: int, mix: Mix) -> tuple[Question, ...]:
    rng = random.Random(f"{split} {seed}")
    found: dict[str, Question] = {}
    again = 0  # draws in a row that brought nothing new
    while len(found) < count:
        question = draw(rng, split, mix)
        again = again + 1 if question.text in found else 0
        if again == _PATIENCE:
            raise UsageError(f"there are only about {len(found)} questions of {mix} in the split {split!r}, and not {count}")
        found[question.text] = question
    return tuple(found.values())


def split_of(steps: tuple[Step, ...]) -> Split:
    """To whom a question belongs: of sixteen one each to test and to choose, the rest to train."""
    return _SIXTEENTHS.get(hash_values(tuple(write_plan(steps).encode())) % 16, "train")


def draw(rng: random.Random, split: Split, mix: Mix) -> Question:
    """A random question of a split."""
    names, shares = zip(*mix.families, strict=True)
    family = rng.choices(names, shares)[0]
    while True:
        text, steps = Writer(rng, Lists(*mix.lists), mix.kept).write(family)
        if split_of(steps) == split:
            return Question(text, family, steps)
