"""First finish search."""

from __future__ import annotations

from headway.search.base import Candidate, Found, Generator, of_kind
from headway.search.ending import ending, first_accepted


async def first_finish(question: str, generate: Generator, *, n: int = 4) -> Found:
    """Race `n` samples; the first that ends with an answer is the result, the rest is cancelled and what it cost is booked
    (First Finish Search, after the idea of: from notes on it). It pays where short reasoning is right more often than long.

    Which sample won is recorded: a resumed search has the same winner.

    Returns the winner as the only candidate; nothing where no sample had an answer.

    Raises what `generate` raises where no sample wins, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.deadline(seconds=30):
        ...         return await first_finish(question, sample, n=8)
    """
    winner = None
    with ending() as end:
        work = [generate(question, index) for index in range(n)]
        winner = await first_accepted(work, lambda candidate: of_kind(Candidate, generate, candidate).answer is not None)
    if winner is None:
        return Found(None, (), end.stopped)
    return Found(winner, (winner,), end.stopped, winner.tokens)
