"""What searches are compared on: a model, questions that it was not trained on, and what is an answer to them.

Countdown: an answer that follows the rules is right in 577 of 578 cases, so "has an answer" is as good as an oracle, and methods
that wait for one look alike. Arithmetic: a wrong answer looks like a right one, only a learned verifier tells them apart, and it
errs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from headway.errors import UsageError
from headway.reference.arithmetic import expression, judge, questions, tokens
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.countdown import judge as puzzle_judge
from headway.reference.countdown import puzzle
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.sampling import SmallModel

Use: TypeAlias = Literal["choose", "test"]
"""What questions are for: to choose settings and fit tables on, or to measure on. Never both."""


@dataclass(frozen=True)
class Sizes:
    """Tokens of a question and its solution.

    Attributes:
        prompt: of the question.
        steps: lines of a solution.
        line: tokens of a line, at most.
        step: what is allowed for writing one.
        written: what is allowed for writing a whole solution.
    """

    prompt: int
    steps: int
    line: int
    step: int
    written: int

    @property
    def answer(self) -> int:
        """What a whole answer costs at most, read and written.

        >>> Sizes(prompt=6, steps=3, line=4, step=5, written=16).answer
        22
        """
        return self.prompt + self.written

    @property
    def path(self) -> int:
        """What a solution step by step costs at most: each step reads what is there.

        >>> Sizes(prompt=6, steps=3, line=4, step=5, written=16).path
        45
        """
        return self.steps * (self.prompt + self.step) + self.line * (self.steps - 1) * self.steps // 2


@dataclass(frozen=True)
class Workload:
    """Questions of one kind with a model for them.

    Attributes:
        name: how it is called on a command line.
        title: how it is called on a page.
        model: the model.
        questions: prompts for a use, so many; none of them was trained on, and none serves two uses.
        sizes: of a question.
        answer: what equal solutions have in common, of a text with its question; None where there is none.
        is_legal: whether a text ends with a line and breaks no rule that can be seen without knowing the answer.
        is_whole: whether a legal text is a whole solution.
        solves: whether a text is right, as reasoning-gym's scorer decides.
        budgets: tokens per question that are compared.
    """

    name: str
    title: str
    model: type[SmallModel]
    questions: Callable[[Use, int], tuple[str, ...]]
    sizes: Callable[[str], Sizes]
    answer: Callable[[str], str | None]
    is_legal: Callable[[str], bool]
    is_whole: Callable[[str], bool]
    solves: Callable[[str], bool]
    budgets: tuple[int, ...]

    def open(self, weights: str) -> SmallModel:
        """The model of a file of weights, or the one that comes with Headway where there is none."""
        return self.model.load(weights) if weights else self.model.shipped()


ANSWER_TOKENS = 16  # of a solution of a puzzle, at most
_COUNTDOWN_SIZES = Sizes(prompt=6, steps=3, line=4, step=5, written=ANSWER_TOKENS)  # of a puzzle of 4 numbers


def _puzzles(use: Use, count: int) -> tuple[str, ...]:
    return tuple(each.prompt for each in make_held_out_puzzles(2 if use == "test" else 1, count))


def _is_legal_puzzle(text: str) -> bool:
    steps = puzzle.steps_of(text)
    return text.endswith("\n") and steps is not None and puzzle.apply_steps(puzzle.parse(text), steps) is not None


def _is_whole_puzzle(text: str) -> bool:
    return text.count("\n") == len(puzzle.parse(text).numbers)


COUNTDOWN = Workload(
    name="countdown",
    title="Countdown",
    model=CountdownModel,
    questions=_puzzles,
    sizes=lambda question: _COUNTDOWN_SIZES,
    answer=puzzle.answer,
    is_legal=_is_legal_puzzle,
    is_whole=_is_whole_puzzle,
    solves=puzzle_judge.solves,
    budgets=(22, 44, 88, 176, 352, 704, 1408),
)


def _questions(use: Use, count: int) -> tuple[str, ...]:
    return tuple(each.prompt for each in questions.make_questions(use, 0, count, questions.MEASURED))


def _sizes(question: str) -> Sizes:
    steps, line = expression.count_operations(question), tokens.LINE
    return Sizes(len(tokens.encode(question)), steps, line, line, steps * line + 1)


def _is_legal(text: str) -> bool:
    return text.endswith("\n") and expression.steps_of(text) is not None


def _is_whole(text: str) -> bool:
    return text.count("\n") > expression.count_operations(text)


ARITHMETIC = Workload(
    name="arithmetic",
    title="Arithmetic",
    model=ArithmeticModel,
    questions=_questions,
    sizes=_sizes,
    answer=expression.answer,
    is_legal=_is_legal,
    is_whole=_is_whole,
    solves=judge.solves,
    budgets=(75, 150, 300, 600),
)

WORKLOADS: Mapping[str, Workload] = {each.name: each for each in (COUNTDOWN, ARITHMETIC)}


def workload_of(model: SmallModel) -> Workload:
    """The workload that a model was made for.

    Raises:
        UsageError: there is none.
    """
    found = WORKLOADS.get(model.language.name)
    if found is None:
        raise UsageError(f"there is no workload for {model.language.what}: there are {', '.join(WORKLOADS)}")
    return found
