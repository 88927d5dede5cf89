"""Countdown: combine all the numbers with + - * / so that they give the target.

A position is the list of the numbers that are left, each with the expression that made it. A move replaces two of them by their
sum, difference, product or quotient; only positive whole numbers are made, which loses few solutions and most of the tree.
With seven numbers the tree has billions of leaves, so where a search begins matters more than how fast it is.

`depth_first` walks the tree in one fixed order. `subtrees` cuts it under the first move and says which parts look best, for a
search that hands them out and joins the answers; `depth_first_below` is what each of those does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from strategies.nodes import Nodes

Term = tuple[int, str]  # a number and the expression that makes it
Position = tuple[Term, ...]


def parse(question: str) -> tuple[Position, int]:
    """The numbers, largest first, and the target.

    >>> parse("Calculate 220 using all of these numbers: 71, 33, 12.\\nEach number may be used at most once.")
    (((71, '71'), (33, '33'), (12, '12')), 220)
    """
    task = question.split("\n", 1)[0]
    (listed,) = re.findall(r"\d+(?:, \d+)+", task)
    (target,) = re.findall(r"\d+", task.replace(listed, ""))
    numbers = sorted((int(number) for number in listed.split(", ")), reverse=True)
    return tuple((number, str(number)) for number in numbers), int(target)


def depth_first(question: str, nodes: Nodes) -> str | None:
    """The first solution in the order of the tree."""
    position, target = parse(question)
    return depth_first_below(position, target, nodes)


def depth_first_below(position: Position, target: int, nodes: Nodes) -> str | None:
    """The first solution that can be reached from this position."""
    nodes.expand()
    if len(position) == 2:
        return next((expression for number, expression in _results(*position) if number == target), None)
    for after in _moves(position):
        if found := depth_first_below(after, target, nodes):
            return found
    return None


def subtrees(question: str, most: int) -> list[Position]:
    """The positions after the first move that leave the smallest numbers: those reach a target in the finest steps."""
    position, _ = parse(question)
    return sorted(dict.fromkeys(_moves(position)), key=lambda after: sum(number for number, _ in after))[:most]


def _moves(position: Position) -> Iterator[Position]:
    for i in range(len(position)):
        for j in range(i + 1, len(position)):
            rest = position[:i] + position[i + 1 : j] + position[j + 1 :]
            for result in _results(position[i], position[j]):
                yield (*rest, result)


def _results(one: Term, other: Term) -> Iterator[Term]:
    (a, left), (b, right) = (one, other) if one[0] >= other[0] else (other, one)
    yield a + b, f"({left} + {right})"
    yield a * b, f"({left} * {right})"
    if a > b:
        yield a - b, f"({left} - {right})"
    if a % b == 0:
        yield a // b, f"({left} / {right})"
