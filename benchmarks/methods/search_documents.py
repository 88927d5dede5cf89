"""Answers from documents on synthetic look-ups of one to four hops, and halves of a test that are equally hard.

A document has one hop. Where it stands among what is found is log-uniform, and drawn anew when it is asked for in other words. For
a question of several hops, the documents of later hops stand further down, until they are asked for. Settings were chosen on seeds
from 50 on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import cache
from statistics import fmean
from typing import NamedTuple

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.solvers import by_hash, drawn
from headway.bench.search.halves import split_halves
from headway.methods.search import Candidate, Context, RagScaling, RagSize, RagTrial, answer_from_documents, fit_rag

TESTS = "tests/methods/search/samples"
DOCUMENT, SHOT, QUESTION = 100, 200, 50  # tokens
FURTHEST = 60  # place of a document among those found
SMALL, LARGE = 6_000, 24_000  # tokens: the formula is fitted up to one and chooses for the other
SIZES = [RagSize(k, m, n) for k in (1, 2, 4, 8, 16, 32, 64, 128) for m in (0, 2, 8) for n in (1, 2, 3, 5)]


def tokens_of(size: RagSize) -> float:
    """What the prompts of one question hold at most: each holds all that was looked up so far."""
    held = sum(turn * size.documents * DOCUMENT for turn in range(1, size.iterations + 1))
    return held + size.iterations * (size.shots * SHOT + QUESTION)


class Asked(NamedTuple):
    """A question, the hop that is asked for, and in which words."""

    number: int
    hop: int = 0
    words: int = 0


class Library:
    """Documents `(question, hop)`."""

    def __init__(self, seed: object) -> None:
        self.seed = seed

    def hops(self, question: int) -> int:
        return 1 + drawn(self.seed, "hops", question).randrange(4)

    def rank(self, question: Asked, hop: int) -> float:
        """Where the document of a hop stands for a question."""
        return float(FURTHEST ** by_hash(self.seed, "rank", question, hop)) * 8.0 ** (hop - question.hop)

    async def retrieve(self, question: Asked, count: int) -> list[tuple[int, int]]:
        hops = range(question.hop, self.hops(question.number))
        return [(question.number, hop) for hop in hops if self.rank(question, hop) <= count]

    async def read(self, question: Asked, context: Context[tuple[int, int]], index: int) -> Candidate[Asked]:
        number, known = question.number, 0
        while (number, known) in context.documents:
            known += 1
        if known == self.hops(number):
            clumsy = by_hash(self.seed, "clumsy", number) < 0.4 / (1 + len(context.shots))
            return Candidate(question, "wrong" if clumsy else "right", 1)
        return Candidate(Asked(number, known, index + 1), "wrong" if context.last else None, 1)

    async def share_right(self, size: RagSize, questions: int) -> float:
        found = [
            await answer_from_documents(Asked(number), self.retrieve, self.read, size, examples=range(size.shots))
            for number in range(questions)
        ]
        return fmean(each.answer == "right" for each in found)


def fit_small(seed: int, questions: int) -> RagScaling:
    """The formula, from sizes that read little."""
    library = Library(f"fitted on {seed}")

    async def trials() -> list[RagTrial]:
        small = [size for size in SIZES if tokens_of(size) <= SMALL]
        return [RagTrial(size, await library.share_right(size, questions)) for size in small]

    return fit_rag(asyncio.run(trials()))


def documents_alone(budget: float) -> RagSize:
    """The strongest simple way to read more: as many documents as fit into one prompt, with two examples."""
    return RagSize(int((budget - 2 * SHOT - QUESTION) // DOCUMENT), 2, 1)


@cache
def right_at_large(seed: int) -> tuple[float, float, float]:
    """The share right with the size that the formula chooses for four times as many tokens, with documents alone, and with the best
    size, which is known afterwards."""
    able = [size for size in SIZES if tokens_of(size) <= LARGE]
    chosen, library = fit_small(seed, 150).choose(able, tokens_of, LARGE), Library(f"measured on {seed}")

    async def shares() -> tuple[float, float, float]:
        every = {size: await library.share_right(size, 200) for size in able}
        return every[chosen], await library.share_right(documents_alone(LARGE), 200), max(every.values())

    return asyncio.run(shares())


def measure_extrapolation(seed: int) -> Pair:
    ours, _, best = right_at_large(seed)
    return Pair(ours, best)


def measure_iterations(seed: int) -> Pair:
    ours, alone, _ = right_at_large(seed)
    return Pair(ours, alone)


def make_profiles(seed: object, questions: int, solvers: Sequence[float], tries: int = 8) -> list[list[float]]:
    """Questions of a difficulty and a sharpness, tried by solvers of each strength."""
    rng, found = random.Random(repr(seed)), []
    for _ in range(questions):
        hard, sharp = rng.gauss(0, 1.2), rng.choice((0.6, 1.2, 2.4))
        chances = [1 / (1 + 2.718281828 ** (-sharp * (strength - hard))) for strength in solvers]
        found.append([fmean(rng.random() < chance for _ in range(tries)) for chance in chances])
    return found


def measure_halves(seed: int) -> Pair:
    """How far a new solver's shares on the halves are apart, over solvers of nine strengths: split by the profiles of others, and
    at random."""
    known, fresh = (-1.5, -0.5, 0.5, 1.5), tuple(strength / 4 for strength in range(-4, 5))
    both = make_profiles(seed, 60, (*known, *fresh), tries=24)
    halves = split_halves([profile[: len(known)] for profile in both])
    draws = random.Random(seed)

    def apart(one: Sequence[int], other: Sequence[int]) -> float:
        columns = range(len(known), len(known) + len(fresh))
        return fmean(abs(fmean(both[p][c] for p in one) - fmean(both[p][c] for p in other)) for c in columns)

    orders = [draws.sample(range(60), 60) for _ in range(20)]
    return Pair(apart(*halves), fmean(apart(order[:30], order[30:]) for order in orders))


ROWS = [
    Row(
        method="DRAG and IterDRAG",
        function="headway.methods.search.answer_from_documents",
        item="search",
        claim="up to 58.9 % better than standard retrieval, by scaling documents, shots and iterations",
        shows="a size with iterations beats as many documents as fit",
        baseline="as many documents as fit into one prompt",
        unit="share right at 24,000 tokens",
        measure=measure_iterations,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_documents.py::test_a_size_chosen_by_the_formula_beats_documents_alone_at_four_times_the_tokens_it_was_fitted_on",
    ),
    Row(
        method="Inference scaling for RAG, the predictor",
        function="headway.methods.search.fit_rag",
        item="search",
        claim="predicts the best documents, shots and iterations for a budget",
        shows="fitted up to 6,000 tokens, its size for 24,000 is within five points of the best",
        baseline="the best size, known afterwards",
        unit="share right at 24,000 tokens",
        measure=measure_extrapolation,
        compare="difference",
        reached=lambda low, high: low > -0.05,
        test=f"{TESTS}/test_documents.py::test_a_size_chosen_by_the_formula_beats_documents_alone_at_four_times_the_tokens_it_was_fitted_on",
    ),
    Row(
        method="Test halves of equal difficulty",
        function="headway.bench.search.halves.split_halves",
        item="search",
        claim="parallel tests for pupils, as hard as each other at every strength",
        shows="the halves differ less for a new solver than random halves",
        baseline="random halves",
        unit="difference of the shares right",
        measure=measure_halves,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_documents.py::test_halves_are_as_hard_as_each_other_for_solvers_that_they_were_not_made_with",
    ),
]
