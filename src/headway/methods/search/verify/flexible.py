"""Verifies in two tiers: several quick verdicts, and one thorough verdict if they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Verifier
from headway.methods.records import Candidate, Verdict
from headway.methods.search.parts import call_verifier

Q = TypeVar("Q")
V = TypeVar("V")


async def verify_flexibly(
    question: Q,
    candidate: Candidate[V],
    fast: Verifier[Q, V],
    slow: Verifier[Q, V],
    *,
    k: int = 4,
    agreement: float = 0.75,
    first: int = 0,
) -> Verdict:
    """Ask a fast verifier `k` times at once. Where its verdicts don't agree, ask a slow one once.

    Args:
        question: what the verifiers are told.
        candidate: what they judge.
        fast: the quick verifier.
        slow: the thorough one.
        k: quick verdicts.
        agreement: the share of them that must say the same.
        first: the first index that a verifier is told; one search that verifies equal answers tells them apart by it.

    Returns:
        A verdict whose confidence is the share that agreed, or that of `slow`.

    Example:
        >>> asyncio.run(verify_flexibly("17+25=", search.Candidate("42", "42"), glance, proof, k=8)).ok
        True

    Source:
        FlexiVe, in Solve-Detect-Verify; after the idea of, from the abstract and notes on it.
    """
    settings.whole_number("verify_flexibly", k=k)
    settings.whole_number("verify_flexibly", least=None, first=first)
    settings.number("verify_flexibly", 0, 1, agreement=agreement)
    settings.function("verify_flexibly", fast=fast, slow=slow)
    quick = await gather_affordable(*(call_verifier(fast, question, candidate, index) for index in range(first, first + k)))
    agreed = find_agreed_verdict(quick, agreement)
    return await call_verifier(slow, question, candidate, first + k) if agreed is None else agreed


def find_agreed_verdict(verdicts: Sequence[Verdict], agreement: float) -> Verdict | None:
    """Find the verdict of at least the share `agreement` of the verdicts; None where they do not agree. Its confidence is the
    share, its feedback the first that was given."""
    for ok in (True, False):
        same = [verdict for verdict in verdicts if verdict.ok is ok]
        if same and len(same) >= agreement * len(verdicts) and 2 * len(same) > len(verdicts):
            feedback = next((verdict.feedback for verdict in same if verdict.feedback), "")
            return Verdict(ok, len(same) / len(verdicts), feedback, sum(verdict.tokens for verdict in verdicts))
    return None
