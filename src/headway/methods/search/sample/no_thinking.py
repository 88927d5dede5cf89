"""Many short attempts side by side instead of one long one."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from headway.methods import settings
from headway.methods.protocols import Generator, Selector, Verifier
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator, call_verifier
from headway.methods.search.rounds import attempts, first_accepted, sequential_tokens
from headway.methods.search.select.selectors import borda, likeliest
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")


async def no_thinking(
    question: Q,
    generate: Generator[Q, V],
    verify: Verifier[Q, V] | None = None,
    *,
    n: int = 8,
    within_s: float | None = None,
    select: Selector[V] | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Sample `n` short answers at once, and take the first that a verifier finds right.

    Each answer is checked as it arrives. Without a verifier, confidence votes. That the answers are short is up to `generate`: a
    prompt with an empty thinking block, or a small `max_tokens`.

    Args:
        question: what the parts are told.
        generate: samples a short answer.
        verify: says whether one is right.
        n: samples.
        within_s: an own time limit in seconds, beside the deadline around it.
        select: takes one; by default `likeliest` (right before unchecked before wrong) with a verifier, a Borda vote by confidence
            without.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The candidates that arrived in time; with a verifier, their scores say how likely they are right.

    Raises:
        Exception: what `generate` and `verify` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(no_thinking("17+25=", sample, proof, n=32, within_s=10)).answer
        '42'

    Source:
        NoThinking: Ma et al., arXiv 2504.09858; after the idea of, from the abstract.
    """
    settings.whole_number("no_thinking", n=n)
    settings.function("no_thinking", generate=generate)
    settings.function("no_thinking", optional=True, verify=verify, select=select)
    if within_s is not None:
        settings.number("no_thinking", 0, within_s=within_s)
    found: dict[int, Candidate[V]] = {}
    rounds: list[int] = []
    failed = Failures(errors, racing=verify is not None)

    async def attempt(index: int) -> bool:
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if isinstance(candidate, Failed):
            return False
        block.keep(index, candidate)
        if verify is None:
            return False
        verdict = await failed.spare(index, call_verifier(verify, question, candidate, index))
        if isinstance(verdict, Failed):
            return False
        block.keep(index, replace(candidate, score=verdict.right))
        return verdict.ok is True

    with anytime(found, within_s=within_s) as block:
        if verify is None:
            await attempts(attempt, n, rounds)
        elif not await first_accepted(attempt, n, bool):
            failed.check_race()
    tokens = sequential_tokens(found, rounds or [0])
    return choose(found, select or (borda() if verify is None else likeliest), block.stopped, tokens, failed)
