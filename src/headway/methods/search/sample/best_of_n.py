"""Best-of-n: sample, score, take the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Generator, Scorer, Selector, chosen, of_kind
from headway.methods.search.ending import attempts, ending, in_a_row
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.select.selectors import best


async def best_of_n(
    question: str,
    generate: Generator,
    score: Scorer,
    *,
    n: int = 8,
    select: Selector = best,
    given: Sequence[Candidate] = (),
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Sample `n` answers at once, score each as it arrives, return the best (as in Cobbe et al., arXiv 2110.14168).

    select: `weighted_vote` gives weighted best-of-n: the answer with the largest sum of scores (Li et al., arXiv 2206.02336).
    given: scored candidates that are there already; they count among the `n` and are not sampled again.

    Returns all candidates; those that the bounds left no time to score have no score and lose against those that have one.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `generate` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.budget(tokens=20_000):
        ...         return await best_of_n(question, sample, value, n=16)
    """
    settings.whole_number("best_of_n", n=n)
    settings.function("best_of_n", generate=generate, score=score, select=select)
    settings.several("best_of_n", Candidate, given=given)
    found = dict(enumerate(given))
    rounds: list[int] = []
    failed = Failures(errors)

    async def attempt(index: int) -> None:
        made = await failed.spare(index, asked := generate(question, index))
        if isinstance(made, Failed):
            return
        found[index] = candidate = of_kind(Candidate, generate, made, asked)
        (value,) = await failed.scores([index], score, [question + candidate.text])
        found[index] = replace(candidate, score=value)

    with ending() as end:
        await attempts(attempt, n - len(given), rounds, len(given))
    return chosen(found, select, end.stopped, in_a_row(found, rounds), failed)
