"""Majority vote that stops as soon as it is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import comb

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Generator, chosen, of_kind
from headway.methods.search.ending import attempts, ending, in_a_row
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.select.selectors import majority as vote


async def majority(
    question: str,
    generate: Generator,
    *,
    n: int = 40,
    sure: float = 0.95,
    given: Sequence[Candidate] = (),
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Sample until the most frequent answer is surely the most probable one, or `n` times (Adaptive-Consistency: Aggarwal et al.,
    arXiv 2305.11860, after the idea of, with its Beta rule).

    The paper samples one by one. Here a round asks for as many samples as the rule needs at least, all at once: none is sampled
    that one by one would not have sampled, and none waits without need. It also ends when the samples that are left could not
    change the winner, so `sure=1` is plain self-consistency (Wang et al., arXiv 2203.11171) less the samples that do not matter.

    sure: probability at which the vote is settled: above a half, which it is before the first sample; at most 1.
    given: candidates that are there already; they count among the `n`.

    Returns all candidates, and the best of the winning answer.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `generate` raises, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     return await majority(question, sample, n=40, sure=0.95)
    """
    settings.whole_number("majority", n=n)
    settings.number("majority", 0.5, 1, above=True, sure=sure)
    settings.function("majority", generate=generate)
    settings.several("majority", Candidate, given=given)
    found = dict(enumerate(given))
    rounds: list[int] = []
    number = len(found)
    failed = Failures(errors)

    async def attempt(index: int) -> None:
        made = await failed.spare(index, asked := generate(question, index))
        if not isinstance(made, Failed):
            found[index] = of_kind(Candidate, generate, made, asked)

    with ending() as end:
        while (more := needed(votes(found.values()), n - len(found) - len(failed), sure)) > 0:
            number = await attempts(attempt, more, rounds, number)
    return chosen(found, vote, end.stopped, in_a_row(found, rounds), failed)


def votes(candidates: Iterable[Candidate]) -> tuple[int, int]:
    """How many candidates have the most frequent answer, and how many the second; no answer is no vote."""
    counts = Counter(candidate.answer for candidate in candidates if candidate.answer is not None).most_common(2)
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


def needed(counts: tuple[int, int], left: int, sure: float) -> int:
    """How many more samples it takes at least to settle the vote, at most `left`; 0 where it is settled. They are counted as if all
    agreed with the leader."""
    most, second = counts
    for more in range(left):
        if leads(most + more, second) >= sure or most + more - second > left - more:
            return more
    return left
