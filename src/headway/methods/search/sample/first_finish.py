"""First finish search."""

from __future__ import annotations

from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Generator
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found
from headway.methods.search.parts import call_generator
from headway.methods.search.rounds import first_accepted
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")


async def first_finish(question: Q, generate: Generator[Q, V], *, n: int = 4, errors: Errors = SAMPLE_ERRORS) -> Found[V]:
    """Race `n` samples. The first that ends with an answer is the result, and the rest is cancelled.

    It pays where short reasoning is right more often than long. What the cancelled samples cost is booked. Which sample won is
    recorded: a resumed search has the same winner.

    Args:
        question: what the generator is told.
        generate: samples an answer.
        n: samples that race.
        errors: what a sample may fail with without failing the search; see `Found.errors`.

    Returns:
        The winner as the only candidate; nothing where no sample had an answer.

    Raises:
        Exception: what `generate` raises, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(first_finish("17+25=", sample, n=8)).stopped
        'done'

    Source:
        First Finish Search; after the idea of, from notes on it.
    """
    settings.whole_number("first_finish", n=n)
    settings.function("first_finish", generate=generate)
    winner: Candidate[V] | None = None
    failed = Failures(errors, racing=True)
    unanswered = False

    async def attempt(index: int) -> Candidate[V] | None:
        nonlocal unanswered
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if isinstance(candidate, Failed):
            return None
        unanswered |= candidate.answer is None
        return None if candidate.answer is None else candidate

    with anytime() as block:
        winner = await first_accepted(attempt, n, lambda candidate: candidate is not None)
    if winner is None:
        failed.check_race()
        failed.check(unanswered)
        return Found(None, (), block.stopped, errors=failed.errors)
    return Found(winner, (winner,), block.stopped, winner.tokens, failed.errors)
