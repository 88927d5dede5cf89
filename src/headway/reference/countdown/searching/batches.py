"""Makes the training data of the search model on demand, from a seed and an index alone.

A batch holds searches alone, parents and helpers. Puzzles have four numbers; their targets are drawn evenly, and only those that
can be reached stay, so few have many solutions. No puzzle that is held out is among them, and no helper's either. The texts of a
batch are sorted by length, which keeps a piece of it free of padding.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from headway.reference.batch import IGNORED, Batch
from headway.reference.countdown.batches import MAX_TARGET, MIN_TARGET
from headway.reference.countdown.puzzle import Puzzle, is_held_out
from headway.reference.countdown.searching import traces
from headway.reference.countdown.searching.tokens import END, PAD, encode

LENGTH = 512  # tokens of a text and its end, at most; a search alone that needs more is cut


@dataclass(frozen=True)
class Mix:
    """What texts there are: the shares of searches alone and of parents (the rest are helpers), of helpers that find something, and
    up to which number puzzles go."""

    alone: float = 0.2
    parents: float = 0.3
    lucky: float = 0.5
    largest: int = 20


def batch(seed: int, index: int, size: int, mix: Mix) -> Batch:
    """Batch `index` of the endless data of a seed."""
    rng = random.Random(f"{seed} {index}")
    alone, parents = round(size * mix.alone), round(size * mix.parents)
    texts = [_alone(rng, mix) for _ in range(alone)]
    texts += [_parent(rng, mix) for _ in range(parents)]
    texts += [_helper(rng, mix, lucky=rng.random() < mix.lucky) for _ in range(size - alone - parents)]
    texts.sort(key=lambda text: len(text[0]))
    longest = len(texts[-1][0])
    tokens, learn = np.full((size, longest), PAD), np.full((size, longest - 1), IGNORED)
    for row, (said, learned) in enumerate(texts):
        tokens[row, : len(said)] = said
        targets = np.array(said[1:])
        learn[row, : len(said) - 1] = np.where(np.array(learned[1:]), targets, IGNORED)
    nothing = np.zeros(learn.shape, bool)
    return Batch(tokens, learn, nothing, nothing)


def make_held_out_puzzles(seed: int, count: int, largest: int = Mix.largest) -> tuple[Puzzle, ...]:
    """Make puzzles that training never sees, each with a solution; for measuring."""
    rng = random.Random(f"held out {seed}")
    return tuple(draw_puzzle(rng, largest, held=True) for _ in range(count))


def draw_puzzle(rng: random.Random, largest: int, *, held: bool) -> Puzzle:
    """Draw a puzzle of four numbers that has a solution, from those that are held out or from the others."""
    while True:
        numbers = tuple(sorted((rng.randint(1, largest) for _ in range(4)), reverse=True))
        puzzle = Puzzle(numbers, rng.randint(MIN_TARGET, MAX_TARGET))
        if is_held_out(puzzle) == held and traces.search_alone(numbers, puzzle.target, rng, 0).steps:
            return puzzle


def _alone(rng: random.Random, mix: Mix) -> tuple[list[int], list[bool]]:
    puzzle = draw_puzzle(rng, mix.largest, held=False)
    trace = traces.search_alone(puzzle.numbers, puzzle.target, rng)
    return _text(traces.prompt_alone(puzzle), [(trace.text, True)])


def _parent(rng: random.Random, mix: Mix) -> tuple[list[int], list[bool]]:
    puzzle = draw_puzzle(rng, mix.largest, held=False)
    return _text(
        traces.prompt_parent(puzzle), traces.parent_text(*traces.search_forked(puzzle.numbers, puzzle.target, rng), puzzle.target)
    )


def _helper(rng: random.Random, mix: Mix, *, lucky: bool) -> tuple[list[int], list[bool]]:
    """A helper's text: of a step of a puzzle, and where it is to be lucky, of one that leads to the target."""
    while True:
        puzzle = draw_puzzle(rng, mix.largest, held=False)
        order = traces.first_moves(puzzle.numbers, puzzle.target, rng)
        for move in order if lucky else [rng.choice(order)]:
            if is_held_out(Puzzle(move.state, puzzle.target)):
                continue
            trace = traces.search_alone(move.state, puzzle.target, rng)
            if trace.steps or not lucky:
                return _text(traces.context(move, puzzle.target), [(trace.text, True)])


def _text(prompt: str, parts: list[tuple[str, bool]]) -> tuple[list[int], list[bool]]:
    """The tokens of a text and whether each is to be learned. What is too long is cut."""
    said = encode(prompt)
    learned = [False] * len(said)
    for text, is_learned in parts:
        tokens = encode(text)
        said += tokens
        learned += [is_learned] * len(tokens)
    return [*said, END][:LENGTH], [*learned, True][:LENGTH]
