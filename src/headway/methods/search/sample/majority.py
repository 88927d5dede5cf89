"""Majority vote that stops as soon as it is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from math import comb
from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Equal, Generator
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator
from headway.methods.search.rounds import attempts, sequential_tokens
from headway.methods.search.select.equality import Classes, same
from headway.methods.search.select.selectors import majority as vote
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")


async def majority(
    question: Q,
    generate: Generator[Q, V],
    *,
    n: int = 40,
    sure: float = 0.95,
    equal: Equal = same,
    given: Sequence[Candidate[V]] = (),
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Sample until the most frequent answer is surely the most probable one, or `n` times.

    The paper samples one by one. Here a round asks for as many samples as the rule needs at least, all at once: none is sampled
    that one by one would not have sampled, and none waits without need. It also ends when the samples that are left could not
    change the winner, so `sure=1` is plain self-consistency (Wang et al., arXiv 2203.11171) less the samples that do not matter.

    Args:
        question: what the generator is told.
        generate: samples an answer.
        n: answers at most, those given included.
        sure: probability at which the vote is settled: above a half, which it is before the first sample; at most 1.
        equal: whether two answers are the same.
        given: candidates that are there already.
        errors: what a sample may fail with without failing the search; see `Found.errors`.

    Returns:
        All candidates, and the best of the winning answer.

    Raises:
        Exception: what `generate` raises, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(majority("17+25=", sample, n=40)).answer
        '42'

    Source:
        Adaptive-Consistency: Aggarwal et al., arXiv 2305.11860; after the idea of, with its Beta rule.
    """
    settings.whole_number("majority", n=n)
    settings.number("majority", 0.5, 1, above=True, sure=sure)
    settings.function("majority", generate=generate, equal=equal)
    settings.several("majority", Candidate, given=given)
    found = dict(enumerate(given))
    rounds: list[int] = []
    made = list(given)  # count also those that come too late to be kept: because of them no more are asked for
    number = len(found)
    failed = Failures(errors)

    async def attempt(index: int) -> None:
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if not isinstance(candidate, Failed):
            made.append(candidate)
            block.keep(index, candidate)

    with anytime(found) as block:
        while (more := count_needed(votes(made, equal), n - len(made) - len(failed), sure)) > 0:
            number = await attempts(attempt, more, rounds, number)
    return choose(found, partial(vote, equal=equal), block.stopped, sequential_tokens(found, rounds), failed)


def votes(candidates: Iterable[Candidate[object]], equal: Equal = same) -> tuple[int, int]:
    """How many candidates have the most frequent answer, and how many the second; no answer is no vote."""
    classes = Classes(equal)
    counts = Counter(classes.number(candidate.answer) for candidate in candidates if candidate.answer is not None).most_common(2)
    most, second = [*(count for _, count in counts), 0, 0][:2]
    return most, second


def leads(most: int, second: int) -> float:
    """The probability that an answer with `most` votes is more probable than one with `second`, where nothing was known before:
    the mass above a half of Beta(most + 1, second + 1).

    Example:
        >>> leads(4, 0)
        0.96875
    """
    tosses = most + second + 1
    outcomes: int = 2**tosses
    return sum(comb(tosses, heads) for heads in range(most + 1)) / outcomes


def count_needed(counts: tuple[int, int], left: int, sure: float) -> int:
    """Count how many more samples it takes at least to settle the vote, at most `left`; 0 where it is settled. They are counted as
    if all agreed with the leader."""
    most, second = counts
    for more in range(left):
        if leads(most + more, second) >= sure or most + more - second > left - more:
            return more
    return left
