"""Questions for the arithmetic model, made by reasoning-gym, and who may see which.

A question belongs to one of four splits, by its text alone: "train", "verify" (what the verifier is fitted on), "choose" (settings
and tables) and "test". So no question that is measured on was seen by the model, its verifier or whoever chose a setting.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.reference.arithmetic.expression import Step, is_within, parse, solve
from headway.reference.arithmetic.tokens import encode
from headway.reference.hashing import hash_values

Split: TypeAlias = Literal["train", "verify", "choose", "test"]
SPLITS: tuple[Split, ...] = ("train", "verify", "choose", "test")
_SIXTEENTHS: dict[int, Split] = {0: "test", 1: "choose", 2: "verify"}  # and the rest to train on
_PATIENCE = 200  # draws in a row without a new question, after which there are no more
_SEEDS = 2**40  # reasoning-gym makes a question from its seed and its number


@dataclass(frozen=True)
class Mix:
    """What questions there are.

    Attributes:
        mixed: the share with + - * and parentheses (reasoning-gym's basic_arithmetic); the others are sums (its chain_sum).
        terms: the numbers of a question with parentheses, at least and at most.
        sums: the numbers of a sum, at least and at most.
        one_digit: the share of questions whose numbers have one digit; the others have up to two.
        short: how much more often sums are short than long; with 1 all lengths are alike.
        opening: how many numbers at the beginning of a sum of one-digit numbers have two digits.
    """

    mixed: float = 0.35
    terms: tuple[int, int] = (2, 4)
    sums: tuple[int, int] = (2, 30)
    one_digit: float = 0.5
    short: float = 3.0
    opening: int = 0


MEASURED = Mix(mixed=0.3, terms=(3, 4), sums=(4, 16), one_digit=0.2, short=1.0)
"""What methods are compared on."""

LONG = Mix(mixed=0.0, sums=(27, 30), one_digit=1.0, short=1.0)
"""Sums of 27 to 30 small numbers: a solution has more than 100 tokens."""

EARLY = Mix(mixed=0.0, sums=(27, 30), one_digit=1.0, short=1.0, opening=3)
"""Long sums that begin with three large numbers: a solution that goes wrong mostly does so early."""


@dataclass(frozen=True)
class Question:
    """A question as reasoning-gym made it, and as the model reads it.

    Attributes:
        text: reasoning-gym's sentence.
        prompt: the line that a solution continues.
        steps: how many operations there are.
        answer: what is right.
    """

    text: str
    prompt: str
    steps: int
    answer: str


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
        drawn = draw(rng, split, mix).question
        again = again + 1 if drawn.prompt in found else 0
        if again == _PATIENCE:
            raise UsageError(f"there are only about {len(found)} questions of {mix} in the split {split!r}, and not {count}")
        found[drawn.prompt] = drawn
    return tuple(found.values())


@dataclass(frozen=True)
class Drawn:
    """A question with its solution."""

    question: Question
    solution: list[Step]


def draw(rng: random.Random, split: Split, mix: Mix) -> Drawn:
    """A random question of a split."""
    is_mixed = rng.random() < mix.mixed
    least, most = mix.terms if is_mixed else mix.sums
    terms = least + int((most - least + 1) * rng.random() ** (1.0 if is_mixed else mix.short))
    digits = 1 if rng.random() < mix.one_digit else 2
    opening = mix.opening if digits == 1 and not is_mixed else 0
    while True:
        made = _made(_source(is_mixed, terms - opening, digits)[rng.randrange(_SEEDS)])
        if opening:
            made = _made(_source(False, opening, 2)[rng.randrange(_SEEDS)]).plus(made)
        if split_of(made.expression) != split:
            continue
        solution = solve(parse(made.expression))
        if solution and is_within(solution):
            return Drawn(Question(made.text, f"{made.expression}\n", len(solution), str(made.answer)), solution)


@dataclass(frozen=True)
class _Made:
    """A question of reasoning-gym: its sentence, the expression in it, and what that comes to."""

    text: str
    expression: str
    answer: int

    def plus(self, other: _Made) -> _Made:
        """The sum of two sums, as one question."""
        return _Made(
            self.text.replace(" =", f" + {other.expression} ="), f"{self.expression}+{other.expression}", self.answer + other.answer
        )


def _made(entry: Any) -> _Made:
    return _Made(str(entry["question"]), "".join(entry["metadata"]["expression"].split()), int(entry["answer"]))


def split_of(expression: str) -> Split:
    """To whom a question belongs: of sixteen one each to test, to choose and to verify, the rest to train."""
    return _SIXTEENTHS.get(hash_values(tuple(encode(expression))) % 16, "train")


@lru_cache(maxsize=128)
def _source(is_mixed: bool, terms: int, digits: int) -> Any:
    """One of reasoning-gym's data sets, all of whose questions are of one size."""
    with explain_missing("questions of arithmetic", "solve"):
        import reasoning_gym
    sizes = {"min_terms": terms, "max_terms": terms, "min_digits": digits, "max_digits": digits, "seed": 0, "size": _SEEDS}
    if not is_mixed:
        return reasoning_gym.create_dataset("chain_sum", **sizes)
    return reasoning_gym.create_dataset("basic_arithmetic", operators=("+", "-", "*"), allow_negation=False, **sizes)
