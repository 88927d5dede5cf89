"""Searches of Countdown as text: alone, or with helpers that search in parallel. They need no model; the model learns from them.

Alone, a search goes deep first. Each line is a step with the numbers that are left, its result first. Where two are left, it says
after `~` what the last step can make of them that is nearest to the target. How many are left says how deep a line is, so going
back needs no words. The text ends with the steps of the solution, or with none.

    16 7 5 2 -> 43
    16/2=8 7 5
    8+7=15 5~20
    ...
    7*5=35 8~43
    <join>16/2=8, 7*5=35, 35+8=43</join>

With helpers (`=>`), it lists steps instead; each starts a search alone, which sees that one line and ends with a join of its own.
The parent reads their messages and nothing else of them.

    16 7 5 2 => 43
    <spawn>16*2=32 7 5 -> 43
    7*5=35 16 2 -> 43
    </spawn><messages>none
    16/2=8, 35+8=43
    </messages><join>7*5=35, 16/2=8, 35+8=43</join>

The first steps come in the order of the multiply heuristic: how near the sum of the numbers left is to a factor of the target.
Noise is added to it, so that two searches of a puzzle differ. Later steps come in the order of their numbers and operators.

Source:
    Adaptive Parallel Reasoning, Pan et al., arXiv 2504.15466, its Algorithms 1 and 2; after the idea of. It departs in shorter
    lines, in the order of later steps, in what is said of the last one, and in that the parent starts all of its steps, in groups
    of `width`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from headway.reference.countdown.puzzle import Puzzle, result

State = tuple[int, ...]  # the numbers that are left, largest first
NOISE = 5.0
WIDTH = 10


@dataclass(frozen=True)
class Move:
    """A step and what is left after it: its result first, then the rest."""

    step: str
    left: State

    @property
    def line(self) -> str:
        """What a search writes of it, without a line end."""
        return f"{self.step} {' '.join(map(str, self.left[1:]))}"

    @property
    def state(self) -> State:
        return tuple(sorted(self.left, reverse=True))


def prompt_alone(puzzle: Puzzle) -> str:
    """What a search alone continues."""
    return f"{' '.join(map(str, puzzle.numbers))} -> {puzzle.target}\n"


def prompt_parent(puzzle: Puzzle) -> str:
    """What a search with helpers continues."""
    return f"{' '.join(map(str, puzzle.numbers))} => {puzzle.target}\n"


@lru_cache(maxsize=1000)
def _factors(target: int) -> tuple[int, ...]:
    return tuple(factor for factor in range(2, target + 1) if target % factor == 0)


def distance(numbers: State, target: int) -> int:
    """The multiply heuristic: from the sum of the numbers to the nearest factor of the target.

    >>> distance((7, 4), 24)
    1
    """
    total = sum(numbers)
    return min(abs(factor - total) for factor in _factors(target))


def moves(numbers: State) -> list[Move]:
    """The steps from a state, in the order of their numbers and operators, without those that lead to the same."""
    found: dict[State, Move] = {}
    for i, a in enumerate(numbers):
        for j in range(i + 1, len(numbers)):
            rest = numbers[:i] + numbers[i + 1 : j] + numbers[j + 1 :]
            for operator in "+-*/":
                made = result(a, operator, numbers[j])
                if made is not None:
                    move = Move(f"{a}{operator}{numbers[j]}={made}", (made, *rest))
                    found.setdefault(move.state, move)
    return list(found.values())


def first_moves(numbers: State, target: int, rng: random.Random, noise: float = NOISE) -> list[Move]:
    """The steps from a state, the most promising first."""
    rated = [(distance(move.state, target) + noise * rng.expovariate(1), move) for move in moves(numbers)]
    return [move for _, move in sorted(rated, key=lambda each: each[0])]


def last_step(numbers: State, target: int) -> str:
    """The step from two numbers to what is nearest to the target.

    >>> last_step((9, 8), 72), last_step((9, 8), 70)
    ('9*8=72', '9*8=72')
    """
    a, b = numbers
    made = [(result(a, operator, b), operator) for operator in "+-*/"]
    nearest, operator = min(((value, by) for value, by in made if value is not None), key=lambda each: abs(each[0] - target))
    return f"{a}{operator}{b}={nearest}"


@dataclass(frozen=True)
class Trace:
    """What a search wrote after its prompt: its lines, and the steps of the solution, none where it found none."""

    lines: tuple[str, ...]
    steps: tuple[str, ...]

    @property
    def message(self) -> str:
        """What its parent hears."""
        return ", ".join(self.steps) or "none"

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines) + f"<join>{self.message}</join>"


def search_alone(numbers: State, target: int, rng: random.Random, noise: float = NOISE) -> Trace:
    """Search deep first, from three or four numbers. What three numbers give depends on nothing else."""
    if len(numbers) == 3:
        return Trace(*_of_three(numbers, target))
    lines: list[str] = []
    for move in first_moves(numbers, target, rng, noise):
        below, steps = _of_three(move.state, target)
        lines += [move.line, *below]
        if steps:
            return Trace(tuple(lines), (move.step, *steps))
    return Trace(tuple(lines), ())


@lru_cache(maxsize=10_000)
def _of_three(numbers: State, target: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of a search from three numbers, and the steps of its solution."""
    lines = []
    for move in moves(numbers):
        last = last_step(move.state, target)
        nearest = last.partition("=")[2]
        lines.append(f"{move.line}~{nearest}")
        if int(nearest) == target:
            return tuple(lines), (move.step, last)
    return tuple(lines), ()


@dataclass(frozen=True)
class Round:
    """Helpers that a parent starts together, and what each of them wrote."""

    moves: tuple[Move, ...]
    traces: tuple[Trace, ...]


def context(move: Move, target: int) -> str:
    """The line that a helper sees."""
    return f"{move.line} -> {target}\n"


def search_forked(
    numbers: State, target: int, rng: random.Random, noise: float = NOISE, width: int = WIDTH
) -> tuple[list[Round], tuple[str, ...]]:
    """Search with helpers: the rounds, and the steps of the solution, none where there is none."""
    order = first_moves(numbers, target, rng, noise)
    rounds = []
    for at in range(0, len(order), width):
        group = tuple(order[at : at + width])
        traces = tuple(search_alone(move.state, target, rng, noise) for move in group)
        rounds.append(Round(group, traces))
        for move, trace in zip(group, traces, strict=True):
            if trace.steps:
                return rounds, (move.step, *trace.steps)
    return rounds, ()


def parent_text(rounds: list[Round], steps: tuple[str, ...], target: int) -> list[tuple[str, bool]]:
    """What a parent's text holds after its prompt, in parts, and whether the parent wrote each: it reads its messages."""
    parts = []
    for each in rounds:
        listed = "".join(context(move, target) for move in each.moves)
        heard = "".join(f"{trace.message}\n" for trace in each.traces)
        parts += [(f"<spawn>{listed}</spawn>", True), (f"<messages>{heard}</messages>", False)]
    return [*parts, (Trace((), steps).text, True)]
