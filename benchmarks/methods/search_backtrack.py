"""To backtrack or not: depth-first search and random restarts with as many steps, on Countdown and on Sudoku.

The task and the temperature of the restarts were chosen on the puzzles of seed 11 of `countdown`; rows use other seeds.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Any

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.search_trees import Parts, on_puzzles
from headway.methods import search
from headway.methods.records import Candidate, State, Verdict
from headway.reference.countdown.judge import solves
from headway.reference.countdown.puzzle import moves

STEPS = 300
TEMPERATURE = 3.0
Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Countdown:
    """Six numbers up to 50 and a target. Continuations are tried, or drawn, by how near the numbers that are left are to factors of
    the target."""

    numbers: Numbers
    target: int

    @classmethod
    def draw(cls, rng: random.Random) -> Countdown:
        while True:
            numbers = tuple(sorted((rng.randint(1, 50) for _ in range(6)), reverse=True))
            left = numbers
            while len(left) > 1:
                left = rng.choice(list(moves(left)))[1]
            if 10 <= left[0] <= 99:
                return cls(numbers, left[0])

    def start(self) -> Any:
        return self.numbers

    def after(self, numbers: Numbers) -> list[tuple[float, Numbers]]:
        """What may come next, the best first, each with how far off it is."""
        factors = [factor for factor in range(1, self.target + 1) if self.target % factor == 0]
        ranked = [(float(sum(min(abs(f - n) for f in factors) for n in left)), left) for _, left in moves(numbers)]
        return sorted(ranked, key=lambda each: each[0])

    def is_solved(self, numbers: Numbers) -> bool:
        return numbers == (self.target,)

    def is_end(self, numbers: Numbers) -> bool:
        return len(numbers) == 1


@dataclass(frozen=True)
class Sudoku:
    """A grid of 9 by 9 with 40 empty cells, 0 in its rows, which are filled in order."""

    grid: Numbers

    @classmethod
    def draw(cls, rng: random.Random) -> Sudoku:
        digits, bands = rng.sample(range(1, 10), 9), [rng.sample(range(3), 3) for _ in range(8)]
        rows = [3 * band + bands[1 + band][row] for band in bands[0] for row in range(3)]
        columns = [3 * stack + bands[5 + stack][column] for stack in bands[4] for column in range(3)]
        grid = [digits[(3 * (row % 3) + row // 3 + column) % 9] for row in rows for column in columns]
        for cell in rng.sample(range(81), 40):
            grid[cell] = 0
        return cls(tuple(grid))

    def start(self) -> Any:
        return self.grid

    def after(self, grid: Numbers) -> list[tuple[float, Numbers]]:
        cell = grid.index(0)
        return [(0.0, (*grid[:cell], digit, *grid[cell + 1 :])) for digit in digits_left(grid, cell)]

    def is_solved(self, grid: Numbers) -> bool:
        return 0 not in grid

    def is_end(self, grid: Numbers) -> bool:
        return 0 not in grid


def digits_left(grid: Numbers, cell: int) -> list[int]:
    row, column = divmod(cell, 9)
    corner = row // 3 * 27 + column // 3 * 3
    seen = {*grid[row * 9 : row * 9 + 9], *grid[column::9], *(grid[corner + 9 * r + c] for r in range(3) for c in range(3))}
    return [digit for digit in range(1, 10) if digit not in seen]


def stepper(puzzle: Any, seed: int, restart: bool) -> Callable[..., Any]:
    """Continue by rank, or by drawing."""

    async def step(question: str, state: State[Any], index: int) -> State[Any]:
        options = puzzle.after(state.value)
        if not options:
            return replace(state, done=True)
        if restart:
            best = min(off for off, _ in options)
            weights = [math.exp((best - off) / TEMPERATURE) for off, _ in options]
            value = random.Random(repr((seed, state.value, index))).choices(options, weights)[0][1]
        else:
            value = options[index][1]
        answer = value if puzzle.is_solved(value) else None
        return replace(state, value=value, done=puzzle.is_end(value), answer=answer, tokens=state.tokens + 1)

    return step


def solve(puzzle: Any, seed: int, restart: bool, steps: int = STEPS) -> bool:
    """Whether a puzzle is solved with so many steps."""
    step = stepper(puzzle, seed, restart)

    def width(state: State[Any]) -> int:
        return len(puzzle.after(state.value))

    found = search.backtrack("", step, n=steps, width=width, depth=81, restart=restart, start=State(puzzle.start()))
    return asyncio.run(found).best is not None


TASKS = {"countdown": Countdown, "sudoku": Sudoku}


@cache
def solved(task: str, seed: int, restart: bool, count: int = 40) -> list[bool]:
    """Which puzzles of a seed are solved."""
    drawn = [TASKS[task].draw(random.Random(repr((task, seed, number)))) for number in range(count)]
    return [solve(puzzle, number, restart) for number, puzzle in enumerate(drawn)]


def share(task: str, seed: int, restart: bool) -> float:
    return fmean(solved(task, 100 + seed, restart))


def measure_countdown(seed: int) -> Pair:
    return Pair(share("countdown", seed, True), share("countdown", seed, False))


def measure_sudoku(seed: int) -> Pair:
    return Pair(share("sudoku", seed, False), share("sudoku", seed, True))


def measure_choice(seed: int) -> Pair:
    """Puzzles of both tasks solved by what `which_pays` chose on 20 other puzzles of each, and by the better of the two ways for
    both. Where the choice is undecided, restarts, which can run side by side."""
    chosen = 0.0
    for task in TASKS:
        pays = search.which_pays(*(solved(task, 200 + seed, restart, 20) for restart in (False, True)))
        chosen += share(task, seed, pays.choice != "backtrack") / len(TASKS)
    return Pair(chosen, max(fmean(share(task, seed, restart) for task in TASKS) for restart in (False, True)))


async def solve_by_model(parts: Parts, question: str, restart: bool) -> bool:
    """Whether the Countdown model solves a puzzle with 24 steps, where each answer is checked."""

    async def judge(question: str, candidate: Candidate[str], index: int) -> Verdict:
        return Verdict(solves(question + candidate.value))

    found = await search.backtrack(question, parts.step, judge, n=24, width=4, depth=3, restart=restart)
    return found.best is not None and solves(question + found.best.value)


def measure_model(seed: int) -> Pair:
    ours, plain = (
        fmean(on_puzzles(lambda parts, question, r=restart: solve_by_model(parts, question, r), seed)) for restart in (True, False)
    )
    return Pair(ours, plain)


TESTS = "tests/methods/search/tree/test_backtrack.py::"
SPLIT = f"{TESTS}test_restarts_pay_on_countdown_and_backtracking_on_sudoku"
ABOUT = {"method": "To backtrack or not", "item": "search", "compare": "difference"}
ROWS = [
    Row(
        **ABOUT,
        function="headway.methods.search.backtrack",
        claim="parallel sampling beats sequential search on Countdown",
        shows="restarts solve more Countdown puzzles of 6 numbers with 300 symbolic steps",
        baseline="depth-first search by the same heuristic",
        unit="share of puzzles solved",
        measure=measure_countdown,
        reached=lambda low, high: low > 0,
        test=SPLIT,
    ),
    Row(
        **ABOUT,
        function="headway.methods.search.backtrack",
        claim="sequential search beats parallel sampling on Sudoku",
        shows="depth-first search solves more grids with 40 empty cells, filled in order, with 300 symbolic steps",
        baseline="restarts with as many steps",
        unit="share of grids solved",
        measure=measure_sudoku,
        reached=lambda low, high: low > 0,
        test=SPLIT,
    ),
    Row(
        **ABOUT,
        function="headway.methods.search.which_pays",
        claim="which of the two pays hangs on the task",
        shows="the choice from 20 other puzzles of each task beats either way on both tasks",
        baseline="the better of the two ways, for both tasks",
        unit="share of puzzles solved, both tasks",
        measure=measure_choice,
        reached=lambda low, high: low > 0,
        test=f"{TESTS}test_the_choice_from_a_few_puzzles_is_right_for_others",
    ),
    Row(
        **ABOUT,
        function="headway.methods.search.backtrack",
        claim="parallel sampling beats sequential search on Countdown",
        shows="restarts of the Countdown model solve more puzzles with 24 checked steps",
        baseline="backtracking over the model's own steps",
        unit="share of puzzles solved",
        measure=measure_model,
        reached=lambda low, high: low > 0,
        test="tests/methods/search/tree/test_backtrack.py::test_a_dead_end_goes_back_to_the_last_state_that_can_be_continued",
    ),
]
