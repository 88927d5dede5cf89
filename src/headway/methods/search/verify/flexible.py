"""Verifying with two tiers: several quick verdicts, and one thorough verdict where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

from headway.methods import settings
from headway.methods.search.base import Candidate, Verdict, Verifier, of_kind
from headway.methods.search.ending import each


async def verify_flexibly(
    question: str, candidate: Candidate, fast: Verifier, slow: Verifier, *, k: int = 4, agreement: float = 0.75, first: int = 0
) -> Verdict:
    """Ask `fast` k times at once; accept what the share `agreement` of them says, else ask `slow` once (FlexiVe, in
    Solve-Detect-Verify, after the idea of: from the abstract and notes on it).

    first: the first index that a verifier is told; one search that verifies equal answers tells them apart by it.

    Example:
        >>> async def program(question, candidate):
        ...     return await verify_flexibly(question, candidate, glance, proof, k=8)
    """
    settings.whole_number("verify_flexibly", k=k)
    settings.whole_number("verify_flexibly", least=None, first=first)
    settings.number("verify_flexibly", 0, 1, agreement=agreement)
    settings.function("verify_flexibly", fast=fast, slow=slow)

    async def ask(verify: Verifier, index: int) -> Verdict:
        asked = verify(question, candidate, index)
        return of_kind(Verdict, verify, await asked, asked)

    agreed = agreed_verdict(await each(ask(fast, index) for index in range(first, first + k)), agreement)
    return await ask(slow, first + k) if agreed is None else agreed


def agreed_verdict(verdicts: Sequence[Verdict], agreement: float) -> Verdict | None:
    """What at least the share `agreement` of the verdicts says, None where they do not agree. Its confidence is the share, its
    feedback the first that was given."""
    for ok in (True, False):
        same = [verdict for verdict in verdicts if verdict.ok is ok]
        if same and len(same) >= agreement * len(verdicts) and 2 * len(same) > len(verdicts):
            feedback = next((verdict.feedback for verdict in same if verdict.feedback), "")
            return Verdict(ok, len(same) / len(verdicts), feedback, sum(verdict.tokens for verdict in verdicts))
    return None
