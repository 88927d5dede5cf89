"""First finish search."""

from __future__ import annotations

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Generator, of_kind
from headway.methods.search.ending import ending, first_accepted
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures


async def first_finish(question: str, generate: Generator, *, n: int = 4, errors: Errors = SAMPLE_ERRORS) -> Found:
    """Race `n` samples; the first that ends with an answer is the result, the rest is cancelled and what it cost is booked
    (First Finish Search, after the idea of: from notes on it). It pays where short reasoning is right more often than long.

    Which sample won is recorded: a resumed search has the same winner.

    Returns the winner as the only candidate; nothing where no sample had an answer.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `generate` raises, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.deadline(seconds=30):
        ...         return await first_finish(question, sample, n=8)
    """
    settings.whole_number("first_finish", n=n)
    settings.function("first_finish", generate=generate)
    winner: Candidate | None = None
    failed = Failures(errors, racing=True)
    unanswered = False

    async def attempt(index: int) -> Candidate | None:
        nonlocal unanswered
        made = await failed.spare(index, asked := generate(question, index))
        if isinstance(made, Failed):
            return None
        candidate = of_kind(Candidate, generate, made, asked)
        unanswered |= candidate.answer is None
        return None if candidate.answer is None else candidate

    with ending() as end:
        winner = await first_accepted((attempt(index) for index in range(n)), lambda candidate: candidate is not None)
    if winner is None:
        failed.check_race()
        failed.check(unanswered)
        return Found(None, (), end.stopped, errors=failed.errors)
    return Found(winner, (winner,), end.stopped, winner.tokens, failed.errors)
