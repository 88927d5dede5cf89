"""Countdown, written as steps: combine all the numbers with + - * / so that they give the target.

    25 8 7 3 -> 82
    25*3=75
    75+8=83
    ...

A puzzle is its numbers and its target; a solution is a line for each step, which takes two of the numbers that are left and puts
their result in their place. Only whole numbers above zero and up to `LARGEST` are made. The first number of a step is never the
smaller one. Everything here is a pure function: the text is the state, so a search can hold, compare and record it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from headway.reference.hashing import hash_values

LARGEST = 999
_QUESTION = re.compile(r"(\d+(?: \d+)+) -> (\d+)\n")
_STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
_NUMBERS = re.compile(r"\d+(?:, \d+)+")


@dataclass(frozen=True)
class Puzzle:
    """The numbers, largest first, and the target."""

    numbers: tuple[int, ...]
    target: int

    @property
    def prompt(self) -> str:
        """The first line of the text that a solution continues.

        >>> Puzzle((25, 8, 7, 3), 82).prompt
        '25 8 7 3 -> 82\\n'
        """
        return f"{' '.join(map(str, self.numbers))} -> {self.target}\n"


@dataclass(frozen=True)
class Step:
    """Two numbers, what is done with them, and what is said to come out."""

    a: int
    operator: str
    b: int
    result: int

    def __str__(self) -> str:
        return f"{self.a}{self.operator}{self.b}={self.result}\n"


def parse(question: str) -> Puzzle:
    """The puzzle in a question: a prompt of ours, or one of reasoning-gym's sentences.

    >>> parse("Calculate 220 using all of these numbers: 33, 71, 12.\\nEach number may be used at most once.")
    Puzzle(numbers=(71, 33, 12), target=220)
    >>> parse("25 8 7 3 -> 82\\n25*3=75\\n")
    Puzzle(numbers=(25, 8, 7, 3), target=82)

    Raises:
        ValueError: there is no puzzle in it.
    """
    if ours := _QUESTION.match(question):
        numbers, target = ours[1].split(" "), int(ours[2])
    else:
        task = "\n".join(question.split("\n")[:2])
        lists = _NUMBERS.findall(task)
        rest = re.findall(r"\d+", task.replace(lists[0], "")) if lists else []
        if len(lists) != 1 or len(rest) != 1:
            raise ValueError(f"no Countdown puzzle in {question[:80]!r}: write one as '25 8 7 3 -> 82' and a line end")
        numbers, target = lists[0].split(", "), int(rest[0])
    return Puzzle(tuple(sorted(map(int, numbers), reverse=True)), target)


def steps_of(text: str) -> list[Step] | None:
    """The steps after the prompt of a text; None where a complete line is not one. A line that has no end yet is left out.

    >>> [str(step) for step in steps_of("25 8 7 3 -> 82\\n25*3=75\\n75+")]
    ['25*3=75\\n']
    """
    found = []
    for line in text.split("\n")[1:-1]:
        step = _STEP.fullmatch(line)
        if step is None:
            return None
        found.append(Step(int(step[1]), step[2], int(step[3]), int(step[4])))
    return found


def result(a: int, operator: str, b: int) -> int | None:
    """What a step makes, None where the rules don't allow it.

    >>> result(8, "/", 4), result(4, "-", 8), result(8, "/", 3)
    (2, None, None)
    """
    if operator == "+":
        made = a + b
    elif operator == "-":
        made = a - b
    elif operator == "*":
        made = a * b
    else:
        made = a // b if b and a % b == 0 else 0
    return made if a >= b and 0 < made <= LARGEST else None


def apply_steps(puzzle: Puzzle, steps: list[Step]) -> tuple[int, ...] | None:
    """Return the numbers that are left after the steps, largest first; None where one of them breaks the rules.

    >>> apply_steps(Puzzle((25, 8, 7, 3), 82), [Step(25, "*", 3, 75)])
    (75, 8, 7)
    """
    numbers = list(puzzle.numbers)
    for step in steps:
        if result(step.a, step.operator, step.b) != step.result:
            return None
        for used in (step.a, step.b):
            if used not in numbers:
                return None
            numbers.remove(used)
        numbers.append(step.result)
    return tuple(sorted(numbers, reverse=True))


def _all_steps(text: str) -> list[Step] | None:
    """The steps of a whole solution; None where they break the rules, end early or have something after them."""
    puzzle, steps = parse(text), steps_of(text)
    if steps is None or len(steps) != len(puzzle.numbers) - 1 or apply_steps(puzzle, steps) is None or not text.endswith("\n"):
        return None
    return steps


def expression(text: str) -> str | None:
    """The steps of a text as one expression, which reasoning-gym's scorer reads; None where they break the rules, end
    early or have something after them.

    >>> expression("25 8 7 3 -> 82\\n25*3=75\\n8+7=15\\n75+15=90\\n")
    '((25*3)+(8+7))'
    """
    puzzle, steps = parse(text), _all_steps(text)
    if steps is None:
        return None
    terms = [(number, str(number)) for number in puzzle.numbers]
    for step in steps:
        first = terms.pop(next(at for at, (number, _) in enumerate(terms) if number == step.a))
        second = terms.pop(next(at for at, (number, _) in enumerate(terms) if number == step.b))
        terms.append((step.result, f"({first[1]}{step.operator}{second[1]})"))
    return terms[0][1]


def answer(text: str) -> str | None:
    """What equal solutions have in common: their expression without regard to the order of steps, sums and products; None where the
    steps break the rules or end early.

    >>> answer("9 3 2 -> 24\\n9+3=12\\n12*2=24\\n"), answer("5 4 3 -> 2\\n5-4=1\\n3-1=2\\n")
    ('*(+3+9)*2', '+3+4-5')
    """
    puzzle, steps = parse(text), _all_steps(text)
    if steps is None:
        return None
    terms = [_Term(number, "", ()) for number in puzzle.numbers]
    for step in steps:
        first = terms.pop(next(at for at, term in enumerate(terms) if term.number == step.a))
        second = terms.pop(next(at for at, term in enumerate(terms) if term.number == step.b))
        kind = "+" if step.operator in "+-" else "*"
        parts = (*_parts(first, kind, False), *_parts(second, kind, step.operator in "-/"))
        terms.append(_Term(step.result, kind, parts))
    return terms[0].words()


@dataclass(frozen=True)
class _Term:
    """A number, and of what sum or product it is: the parts, and whether each is taken off."""

    number: int
    kind: str
    parts: tuple[tuple[bool, _Term], ...]

    def words(self) -> str:
        if not self.kind:
            return str(self.number)
        signs = "+-" if self.kind == "+" else "*/"
        said = sorted((signs[off], term.words()) for off, term in self.parts)
        return "".join(sign + (words if words.isdigit() else f"({words})") for sign, words in said)


def _parts(term: _Term, kind: str, off: bool) -> tuple[tuple[bool, _Term], ...]:
    """A term as parts of a sum or product of a kind: its own parts where it is of the same kind."""
    if term.kind != kind:
        return ((off, term),)
    return tuple((off != each, part) for each, part in term.parts)


def is_solved(text: str) -> bool:
    """Whether the steps follow the rules, use all numbers and give the target.

    >>> is_solved("9 3 2 -> 24\\n9+3=12\\n12*2=24\\n")
    True
    """
    puzzle, steps = parse(text), _all_steps(text)
    return steps is not None and apply_steps(puzzle, steps) == (puzzle.target,)


def moves(numbers: tuple[int, ...]) -> Iterator[tuple[Step, tuple[int, ...]]]:
    """All steps that the rules allow, each with the numbers that are left after it, largest first."""
    for i, a in enumerate(numbers):
        for j in range(i + 1, len(numbers)):
            rest = numbers[:i] + numbers[i + 1 : j] + numbers[j + 1 :]
            for operator in "+-*/":
                if (made := result(a, operator, numbers[j])) is not None:
                    yield Step(a, operator, numbers[j], made), tuple(sorted((*rest, made), reverse=True))


def solvable(numbers: tuple[int, ...], target: int) -> bool:
    """Whether the target can be reached from these numbers, by trying everything.

    >>> solvable((9, 3, 2), 24), solvable((2, 1), 9)
    (True, False)
    """
    if len(numbers) == 1:
        return numbers[0] == target
    return any(solvable(after, target) for _, after in moves(numbers))


def is_held_out(puzzle: Puzzle) -> bool:
    """Whether a puzzle is kept for measuring: one in sixteen, by its numbers and target alone. Training never sees these."""
    return hash_values((*puzzle.numbers, puzzle.target)) % 16 == 0
