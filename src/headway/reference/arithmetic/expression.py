"""Arithmetic, written as steps: what a sum of products and parentheses comes to, one operation a line.

    (34+5)*3-12
    34+5=39
    39*3=117
    117-12=105

A question is an expression of whole numbers with + - * and parentheses. A solution has a line for each operation, in the order of
Python's own evaluation; what the last line makes is the answer. A line may be wrong and look right: nothing here but `solve` knows
the truth. Everything is a pure function of text, so a search can hold, compare and record it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

LARGEST = 999
"""The largest number that a step may read or make; the smallest is 0. Questions that need others are not asked."""

_EXPRESSION = re.compile(r"[-(\s]*\d[-+*()\d\s]*")
_PIECE = re.compile(r"\d+|[-+*()]")
_STEP = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")

Tree: TypeAlias = "int | tuple[str, Tree, Tree]"
"""A number, or an operator with what stands on both sides of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Two numbers, what is done with them, and what is said to come out."""

    a: int
    operator: str
    b: int
    result: int

    def __str__(self) -> str:
        return f"{self.a}{self.operator}{self.b}={self.result}\n"


def make(a: int, operator: str, b: int) -> int:
    """What an operation makes.

    >>> make(7, "-", 9), make(-3, "*", 4)
    (-2, -12)
    """
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def read_prompt(question: str) -> str:
    """The first line of the text that a solution continues, for a question of ours or one of reasoning-gym's.

    >>> read_prompt("Calculate 12 - ( 34 + 5 ) * 3.")
    '12-(34+5)*3\\n'
    >>> read_prompt("State the final answer to the following arithmetic problem: 8 - 25 + 3 =")
    '8-25+3\\n'

    Raises:
        ValueError: there is no expression in it.
    """
    found = max(_EXPRESSION.findall(question.split("\n")[0]), key=len, default="")
    said = "".join(found.split())
    try:
        parse(said)
    except ValueError:
        raise ValueError(f"no arithmetic question in {question[:80]!r}: write one as '12-(34+5)*3' and a line end") from None
    return f"{said}\n"


def parse(expression: str) -> Tree:
    """The tree of an expression.

    >>> parse("12-(34+5)*-3")
    ('-', 12, ('*', ('+', 34, 5), -3))

    Raises:
        ValueError: it is none.
    """
    pieces = _PIECE.findall(expression)
    if "".join(pieces) != expression or not pieces:
        raise ValueError(f"{expression[:80]!r} is no expression of whole numbers, + - * and parentheses")
    reader = _Reader([*pieces, ""], expression)
    tree = reader.sums()
    if reader.at != len(pieces):
        raise reader.error()
    return tree


class _Reader:
    """Reads pieces by descent: sums of products of numbers and parentheses."""

    def __init__(self, pieces: Sequence[str], whole: str) -> None:
        self.pieces, self.whole, self.at = pieces, whole, 0

    def sums(self) -> Tree:
        return self._chain("+-", self._products)

    def _products(self) -> Tree:
        return self._chain("*", self._one)

    def _chain(self, operators: str, part: Callable[[], Tree]) -> Tree:
        tree = part()
        while self.pieces[self.at] and self.pieces[self.at] in operators:
            operator = self._next()
            tree = (operator, tree, part())
        return tree

    def _one(self) -> Tree:
        piece = self._next()
        if piece == "(":
            inside = self.sums()
            if self._next() != ")":
                raise self.error()
            return inside
        sign, piece = (-1, self._next()) if piece == "-" else (1, piece)
        if not piece.isdecimal():
            raise self.error()
        return sign * int(piece)

    def _next(self) -> str:
        piece = self.pieces[self.at]
        self.at += bool(piece)
        return piece

    def error(self) -> ValueError:
        return ValueError(f"{self.whole[:80]!r} is no expression: it ends or goes on at its piece {self.at}")


def solve(tree: Tree) -> list[Step]:
    """The steps of an expression, in the order in which it is evaluated.

    Example:
        >>> "".join(map(str, solve(parse("(34+5)*3-12"))))
        '34+5=39\\n39*3=117\\n117-12=105\\n'
    """
    steps: list[Step] = []

    def value(of: Tree) -> int:
        if isinstance(of, int):
            return of
        operator, left, right = of
        a, b = value(left), value(right)
        steps.append(Step(a, operator, b, make(a, operator, b)))
        return steps[-1].result

    value(tree)
    return steps


def count_operations(prompt: str) -> int:
    """How many lines a solution has.

    >>> count_operations("12-(34+5)*-3\\n")
    3
    """
    return len(solve(parse(prompt.split("\n")[0])))


def is_within(steps: Sequence[Step]) -> bool:
    """Whether all numbers of the steps are from 0 to `LARGEST`."""
    return all(0 <= number <= LARGEST for step in steps for number in (step.a, step.b, step.result))


def steps_of(text: str) -> list[Step] | None:
    """The steps after the prompt of a text; None where a complete line is not one. A line that has no end yet is left out.

    >>> [str(step) for step in steps_of("(34+5)*3-12\\n34+5=39\\n39*")]
    ['34+5=39\\n']
    """
    found = []
    for line in text.split("\n")[1:-1]:
        step = _STEP.fullmatch(line)
        if step is None:
            return None
        found.append(Step(int(step[1]), step[2], int(step[3]), int(step[4])))
    return found


def answer(text: str) -> str | None:
    """What the last line of a whole solution makes, right or wrong; None where the text breaks off or has too few or too many
    lines.

    >>> answer("(34+5)*3-12\\n34+5=39\\n39*3=116\\n116-12=104\\n"), answer("(34+5)*3-12\\n34+5=39\\n")
    ('104', None)
    """
    steps = steps_of(text)
    if steps is None or not text.endswith("\n") or len(steps) != count_operations(text):
        return None
    return str(steps[-1].result)


def count_right(text: str) -> int:
    """How many of the steps of a text are those of the solution, before the first that is not.

    >>> count_right("(34+5)*3-12\\n34+5=39\\n39*3=116\\n116-12=104\\n")
    1
    """
    right = solve(parse(text.split("\n")[0]))
    said = steps_of(text) or []
    return next((at for at, (one, other) in enumerate(zip(said, right, strict=False)) if one != other), min(len(said), len(right)))
