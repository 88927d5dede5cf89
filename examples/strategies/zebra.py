"""Zebra puzzles: who lives in house 1? A few dozen clues in English say which people, pets and drinks go together.

`parse` reads the clues. Every value (a name, a colour, a drink) is a variable that stands for a house; a clue is a pair of
values and how their houses differ.

`by_kind` gives houses to one kind of value at a time (all names, all colours, …), trying its permutations, and looks at a
clue as soon as both of its ends have a house. `by_propagation` keeps the houses that are left for each value, lets every clue
strike out what cannot be, and only then guesses, at the value with the fewest houses left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from strategies.nodes import Nodes

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
Value = tuple[int, str]  # which kind, which one: (0, "alice") is a name, (4, "alice") somebody's child


@dataclass(frozen=True)
class Clue:
    """house(right) - house(left) is one of `steps`."""

    left: Value
    right: Value
    steps: frozenset[int]


@dataclass(frozen=True)
class Puzzle:
    houses: int
    kinds: tuple[tuple[Value, ...], ...]  # the names come first
    fixed: dict[Value, int]  # the house that a clue says, from 0
    clues: tuple[Clue, ...]


def parse(question: str) -> Puzzle:
    """Read the header (what there is) and the numbered clues (what goes together)."""
    listed = re.findall(r"^ - .*: (.*)$", question, flags=re.MULTILINE)
    kinds = tuple(tuple((kind, name) for name in line.split(", ")) for kind, line in enumerate(listed))
    fixed: dict[Value, int] = {}
    clues: list[Clue] = []
    for text in re.findall(r"^\d+\. (.*)\.$", question.lower(), flags=re.MULTILINE):
        if said := re.fullmatch(rf"(.*) is in the ({'|'.join(ORDINALS)}) house", text):
            fixed[_value(kinds, said[1])] = ORDINALS.index(said[2])
        elif said := re.fullmatch(r"(.*) is directly left of (.*)", text):
            clues.append(Clue(_value(kinds, said[1]), _value(kinds, said[2]), frozenset({1})))
        elif said := re.fullmatch(r"(.*) and (.*) are next to each other", text):
            clues.append(Clue(_value(kinds, said[1]), _value(kinds, said[2]), frozenset({-1, 1})))
        else:
            clues.append(Clue(*_same_house(kinds, text), frozenset({0})))
    return Puzzle(len(kinds[0]), kinds, fixed, tuple(clues))


def _value(kinds: tuple[tuple[Value, ...], ...], phrase: str) -> Value:
    """Which value a phrase such as "the person who loves the rose bouquet" is about. Raises ValueError when it is about none.

    It is the longest one whose words all begin a word of the phrase ("roses" and "swede" without their endings). Only a name
    stands alone.
    """
    words = phrase.split()
    named = kinds[:1] if len(words) == 1 else kinds[1:]

    def fits(value: Value) -> bool:
        stems = [word.rstrip("s").rstrip("e") for word in value[1].split()]
        return all(any(word.startswith(stem) for word in words) for stem in stems)

    found = [value for kind in named for value in kind if fits(value)]
    if not found:
        raise ValueError(f"no value of the puzzle fits {phrase!r}")
    return max(found, key=lambda value: len(value[1]))


def _same_house(kinds: tuple[tuple[Value, ...], ...], text: str) -> tuple[Value, Value]:
    """The two ends of "<phrase> is <phrase>", where a phrase may itself contain an "is"."""
    for link in re.finditer(" is ", text):
        try:
            return _value(kinds, text[: link.start()]), _value(kinds, text[link.end() :])
        except ValueError:
            continue
    raise ValueError(f"cannot read the clue {text!r}")


def by_kind(question: str, nodes: Nodes) -> str | None:
    """Permutations of one kind after the other."""
    puzzle = parse(question)
    house: dict[Value, int] = {}

    def consistent(clue: Clue) -> bool:
        return clue.left not in house or clue.right not in house or house[clue.right] - house[clue.left] in clue.steps

    def place(kind: int) -> bool:
        if kind == len(puzzle.kinds):
            return True
        values = puzzle.kinds[kind]
        touching = [clue for clue in puzzle.clues if clue.left in values or clue.right in values]
        for order in permutations(range(puzzle.houses)):
            nodes.expand()
            house.update(zip(values, order, strict=True))
            if (
                all(house[value] == puzzle.fixed.get(value, house[value]) for value in values)
                and all(map(consistent, touching))
                and place(kind + 1)
            ):
                return True
        for value in values:
            del house[value]
        return False

    return _tenant(puzzle, house) if place(0) else None


def by_propagation(question: str, nodes: Nodes) -> str | None:
    """Strike out houses until nothing more follows, then guess once and strike out again."""
    puzzle = parse(question)
    everywhere = frozenset(range(puzzle.houses))
    start = {value: everywhere for kind in puzzle.kinds for value in kind}
    start.update({value: frozenset({house}) for value, house in puzzle.fixed.items()})

    def solve(left: dict[Value, frozenset[int]]) -> dict[Value, frozenset[int]] | None:
        nodes.expand()
        if not _propagate(puzzle, left):
            return None
        guess = min((value for value in left if len(left[value]) > 1), key=lambda value: len(left[value]), default=None)
        if guess is None:
            return left
        attempts = (solve({**left, guess: frozenset({house})}) for house in sorted(left[guess]))
        return next(filter(None, attempts), None)

    solved = solve(start)
    return _tenant(puzzle, {value: min(houses) for value, houses in solved.items()}) if solved else None


def _propagate(puzzle: Puzzle, left: dict[Value, frozenset[int]]) -> bool:
    """Strike out what cannot be, in place. False when a value has no house left."""
    changed = True
    while changed:
        changed = False
        for value, houses in _implied(puzzle, left):
            if not houses >= left[value]:
                left[value] &= houses
                changed = True
                if not left[value]:
                    return False
    return True


def _implied(puzzle: Puzzle, left: dict[Value, frozenset[int]]) -> Iterator[tuple[Value, frozenset[int]]]:
    """For each rule, the houses that it leaves to a value."""
    for clue in puzzle.clues:
        yield clue.right, frozenset(house + step for house in left[clue.left] for step in clue.steps)
        yield clue.left, frozenset(house - step for house in left[clue.right] for step in clue.steps)
    for kind in puzzle.kinds:
        for value in kind:
            others = frozenset().union(*(left[other] for other in kind if other != value))
            if only_here := left[value] - others:
                yield value, only_here
            if len(left[value]) == 1:
                for other in kind:
                    if other != value:
                        yield other, frozenset(range(puzzle.houses)) - left[value]


def _tenant(puzzle: Puzzle, house: dict[Value, int]) -> str:
    return next(name for kind, name in puzzle.kinds[0] if house[kind, name] == 0)
