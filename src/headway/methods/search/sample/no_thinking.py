"""Many short attempts side by side instead of one long one."""

from __future__ import annotations

from dataclasses import replace

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Generator, Selector, Verdict, Verifier, chosen, of_kind
from headway.methods.search.ending import attempts, ending, first_accepted, in_a_row
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.select.selectors import borda, likeliest


async def no_thinking(
    question: str,
    generate: Generator,
    verify: Verifier | None = None,
    *,
    n: int = 8,
    seconds: float | None = None,
    select: Selector | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Sample `n` short answers at once. With a verifier each is checked as it arrives, and the first that is right ends the
    search; without one, confidence votes (NoThinking: Ma et al., arXiv 2504.09858, after the idea of: from the abstract).

    That the answers are short is up to `generate`: a prompt with an empty thinking block, or a small `max_tokens`.

    seconds: an own time limit, beside the deadline around it.
    select: by default `likeliest` (right before unchecked before wrong) with a verifier, a Borda vote by confidence without.

    Returns the candidates that arrived in time; with a verifier, their scores say how likely they are right.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `generate` and `verify` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     return await no_thinking(question, short_sample, check, n=32, seconds=10)
    """
    settings.whole_number("no_thinking", n=n)
    settings.function("no_thinking", generate=generate)
    settings.function("no_thinking", optional=True, verify=verify, select=select)
    if seconds is not None:
        settings.number("no_thinking", 0, seconds=seconds)
    found: dict[int, Candidate] = {}
    rounds: list[int] = []
    failed = Failures(errors, racing=verify is not None)

    async def attempt(index: int) -> bool:
        made = await failed.spare(index, asked := generate(question, index))
        if isinstance(made, Failed):
            return False
        found[index] = candidate = of_kind(Candidate, generate, made, asked)
        if verify is None:
            return False
        said = await failed.spare(index, checked := verify(question, candidate, index))
        if isinstance(said, Failed):
            return False
        verdict = of_kind(Verdict, verify, said, checked)
        found[index] = replace(candidate, score=verdict.right)
        return verdict.ok is True

    with ending(seconds) as end:
        if verify is None:
            await attempts(attempt, n, rounds)
        else:
            if not await first_accepted((attempt(index) for index in range(n)), bool):
                failed.check_race()
    return chosen(found, select or (borda() if verify is None else likeliest), end.stopped, in_a_row(found, rounds or [0]), failed)
