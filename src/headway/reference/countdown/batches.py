"""Makes the training data of the Countdown model on demand, from a seed and an index alone.

A batch is a pure function, so the order of the data is exact, whatever is killed and however many processes share it. Most texts
are random puzzles with one of their solutions, for the language model; the others take a random wrong turn. Each state after a step
is labelled with whether the target can still be reached. An exhaustive search decides that (`solvable`, here for whole columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from headway.reference.batch import IGNORED, Batch, Bools, Ints
from headway.reference.countdown.puzzle import LARGEST, Puzzle
from headway.reference.countdown.tokens import ARROW, END, PAD, PLUS

MIN_TARGET, MAX_TARGET = 10, 99


@dataclass(frozen=True)
class Mix:
    """What puzzles there are: how often with 4 numbers (else 3), up to which number, and how often a text goes astray."""

    four: float = 0.8
    largest: int = 20
    astray: float = 0.25


def batch(seed: int, index: int, size: int, mix: Mix) -> Batch:
    """Batch `index` of the endless data of a seed."""
    rng = np.random.Generator(np.random.Philox(key=[seed, index]))
    astray = round(size * mix.astray)
    four = round(size * mix.four)
    parts = []
    for count, texts in _sizes(four, size):
        wrong = round(astray * texts / size)
        parts.append(_texts(rng, count, texts, wrong, mix.largest))
    order = rng.permutation(size)
    tokens = np.concatenate([part.tokens for part in parts])[order]
    return Batch(
        tokens,
        np.concatenate([part.learn for part in parts])[order],
        np.concatenate([part.states for part in parts])[order],
        np.concatenate([part.well for part in parts])[order],
    )


LENGTH = 4 + 2 + 3 * 4  # tokens of the longest text before its end: numbers, arrow, target; steps


@lru_cache(maxsize=8)
def make_held_out_puzzles(seed: int, count: int, mix: Mix | None = None) -> tuple[Puzzle, ...]:
    """Make puzzles that training never sees, each with a solution, in the shares of the mix; for measuring."""
    mix = mix or Mix()
    rng = np.random.Generator(np.random.Philox(key=[seed, 2**63]))
    four = round(count * mix.four)
    found = []
    for size, puzzles in _sizes(four, count):
        numbers, target, _ = _puzzles(rng, size, puzzles, mix.largest, held=True)
        found += [Puzzle(tuple(row), int(aim)) for row, aim in zip(numbers.tolist(), target, strict=True)]
    return tuple(found[at] for at in rng.permutation(count))


def _sizes(four: int, count: int) -> list[tuple[int, int]]:
    """How many puzzles have how many numbers, without sizes that have none."""
    return [(size, puzzles) for size, puzzles in ((4, four), (3, count - four)) if puzzles]


def _texts(rng: np.random.Generator, count: int, texts: int, astray: int, largest: int) -> Batch:
    numbers, target, steps = _puzzles(rng, count, texts, largest)
    if astray:
        keep = rng.integers(0, count - 1, astray)
        steps[:astray] = _astray(rng, numbers[:astray], steps[:astray], keep)
    tokens = np.full((texts, LENGTH + 1), PAD)
    at = _put_prompt(tokens, numbers, target)
    prompt = at
    states, solvable_after = np.zeros((texts, LENGTH), bool), np.zeros((texts, LENGTH), bool)
    left = numbers
    for step in steps.transpose(1, 0, 2):
        tokens[:, at : at + 4] = step + np.array([0, PLUS, 0, 0])
        at += 4
        left = _after(left, step)
        states[:, at - 1], solvable_after[:, at - 1] = True, solvable(left, target)
    tokens[:, at] = END
    learn = np.full((texts, LENGTH), IGNORED)
    learn[astray:, prompt - 1 : at] = tokens[astray:, prompt : at + 1]
    return Batch(tokens, learn, states, solvable_after)


def _put_prompt(tokens: Ints, numbers: Ints, target: Ints) -> int:
    count = numbers.shape[1]
    tokens[:, :count] = numbers
    tokens[:, count], tokens[:, count + 1] = ARROW, target
    return int(count + 2)


def _puzzles(rng: np.random.Generator, count: int, texts: int, largest: int, *, held: bool = False) -> tuple[Ints, Ints, Ints]:
    """Numbers [B, count], targets [B] and the steps [B, count - 1, 4] of one solution; all of them held out, or none."""
    found: list[tuple[Ints, Ints, Ints]] = []
    missing = texts
    while missing > 0:
        numbers = -np.sort(-rng.integers(1, largest + 1, (4 * missing + 64, count)))
        steps, target = _play(rng, numbers)
        good = (target >= MIN_TARGET) & (target <= MAX_TARGET)
        good[good] &= are_held_out(np.column_stack([numbers[good], target[good]])) == held
        chosen = np.flatnonzero(good)[:missing]
        found.append((numbers[chosen], target[chosen], steps[chosen]))
        missing -= len(chosen)
    numbers, target, steps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return numbers, target, steps


def _play(rng: np.random.Generator, numbers: Ints) -> tuple[Ints, Ints]:
    """Random steps to the end: [B, count - 1, 4] of first number, operator 0 to 3, second number, result; and what came out."""
    steps = []
    while numbers.shape[1] > 1:
        step = _random_step(rng, numbers)
        steps.append(step)
        numbers = _after(numbers, step)
    return np.stack(steps, 1), numbers[:, 0]


def _random_step(rng: np.random.Generator, numbers: Ints) -> Ints:
    """One step [B, 4] for each row, of all pairs alike, and of the operators that the rules allow for it."""
    rows, count = np.arange(len(numbers)), numbers.shape[1]
    pairs = np.array([(i, j) for i in range(count) for j in range(i + 1, count)])
    pair = pairs[rng.integers(0, len(pairs), len(numbers))]
    a, b = numbers[rows, pair[:, 0]], numbers[rows, pair[:, 1]]
    made = results(a, b)
    chance = np.asarray(rng.random(made.shape))
    chance[made == 0] = -1
    operator = chance.argmax(1)
    return np.column_stack([a, operator, b, made[rows, operator]])


def results(a: Ints, b: Ints) -> Ints:
    """What + - * / make of a and b (a not smaller), in the last dimension; 0 where the rules don't allow it."""
    even = a % np.maximum(b, 1) == 0
    made = np.stack([a + b, a - b, a * b, np.where(even, a // np.maximum(b, 1), 0)], -1)
    return np.where((made > 0) & (made <= LARGEST), made, 0)


def _after(numbers: Ints, step: Ints) -> Ints:
    """The numbers that are left, largest first. Each row loses its first a, its last b (another one), and gains the result."""
    rows = np.arange(len(numbers))
    first = (numbers == step[:, :1]).argmax(1)
    last = numbers.shape[1] - 1 - (numbers[:, ::-1] == step[:, 2:3]).argmax(1)
    kept = np.ones(numbers.shape, bool)
    kept[rows, first] = kept[rows, last] = False
    rest = numbers[kept].reshape(len(numbers), -1)
    return -np.sort(-np.column_stack([rest, step[:, 3]]))


def solvable(numbers: Ints, target: Ints) -> Bools:
    """Whether each row's target can be reached from its numbers [B, n], largest first."""
    if numbers.shape[1] == 1:
        return np.asarray(numbers[:, 0] == target)
    found = np.zeros(len(numbers), bool)
    for i in range(numbers.shape[1]):
        for j in range(i + 1, numbers.shape[1]):
            rest = np.delete(numbers, [i, j], axis=1)
            made = results(numbers[:, i], numbers[:, j])
            for operator in range(4):
                open_rows = np.flatnonzero(~found & (made[:, operator] > 0))
                after = -np.sort(-np.column_stack([rest[open_rows], made[open_rows, operator]]))
                found[open_rows] = solvable(after, target[open_rows])
    return found


def _astray(rng: np.random.Generator, numbers: Ints, steps: Ints, keep: Ints) -> Ints:
    """The steps with random ones in the place of those from `keep` on."""
    changed = steps.copy()
    left = numbers
    for at in range(steps.shape[1]):
        random = _random_step(rng, left)
        changed[:, at] = np.where((at < keep)[:, None], steps[:, at], random)
        left = _after(left, changed[:, at])
    return changed


def are_held_out(values: Ints) -> Bools:
    """Apply `puzzle.is_held_out` to rows of numbers and target."""
    found = np.full(len(values), 2166136261, np.uint64)
    for column in values.T:
        found = (found ^ column.astype(np.uint64)) * np.uint64(16777619) % np.uint64(1 << 32)
        found ^= found >> np.uint64(15)
    return np.asarray(found % 16 == 0)
