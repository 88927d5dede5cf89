"""Best-of-n: sample, score, take the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Generator, Scorer, Selector
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator
from headway.methods.search.rounds import attempts, sequential_tokens
from headway.methods.search.select.selectors import best
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")


async def best_of_n(
    question: Q,
    generate: Generator[Q, V],
    score: Scorer[Q, V],
    *,
    n: int = 8,
    select: Selector[V] = best,
    given: Sequence[Candidate[V]] = (),
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Sample `n` answers at once, score each as it arrives, return the best.

    Args:
        question: what the parts are told.
        generate: samples an answer.
        score: says how good answers are.
        n: answers, those given included.
        select: takes one; `weighted_vote` gives weighted best-of-n: the answer with the largest sum of scores (Li et al., arXiv
            2206.02336).
        given: scored candidates that are there already and are not sampled again.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        All candidates; those that the bounds left no time to score have no score and lose against those that have one.

    Raises:
        Exception: what `generate` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(best_of_n("17+25=", sample, value, n=16)).answer
        '42'

    Source:
        Cobbe et al., arXiv 2110.14168.
    """
    settings.whole_number("best_of_n", n=n)
    settings.function("best_of_n", generate=generate, score=score, select=select)
    settings.several("best_of_n", Candidate, given=given)
    found = dict(enumerate(given))
    rounds: list[int] = []
    failed = Failures(errors)

    async def attempt(index: int) -> None:
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if isinstance(candidate, Failed):
            return
        block.keep(index, candidate)
        (value,) = await failed.scores([index], score, question, [candidate.value])
        block.keep(index, replace(candidate, score=value))

    with anytime(found) as block:
        await attempts(attempt, n - len(given), rounds, len(given))
    return choose(found, select, block.stopped, sequential_tokens(found, rounds), failed)
