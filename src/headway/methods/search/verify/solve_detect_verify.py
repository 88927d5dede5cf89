"""Solve, detect, verify: stop a solution when it is complete, check it, and try again with what was wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Scorer, State, Stepper, Verifier, chosen, of_kind
from headway.methods.search.ending import ending
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.select.selectors import likeliest
from headway.methods.search.tree.loop import leaf
from headway.methods.search.verify.flexible import verify_flexibly

_HESITATION = re.compile(r"\b(wait|alternatively|hmm|but let me|double-check|let me verify)\b", re.IGNORECASE)


def hesitates(text: str) -> bool:
    """Whether a step shows that a model has an answer and doubts it."""
    return _HESITATION.search(text) is not None


def revised(question: str, candidate: Candidate, feedback: str) -> str:
    """The question for another attempt: with the last one, and what is wrong with it."""
    return f"{question}{candidate.text}\n{feedback}\n" if feedback else question


async def solve_detect_verify(
    question: str,
    step: Stepper,
    fast: Verifier,
    slow: Verifier,
    *,
    detect: Scorer | None = None,
    k: int = 4,
    agreement: float = 0.75,
    rounds: int = 3,
    depth: int = 40,
    hesitation: Callable[[str], bool] = hesitates,
    revise: Callable[[str, Candidate, str], str] = revised,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Solve step by step; where a step hesitates and `detect` finds the solution complete, stop there; verify in two tiers; if it
    is wrong, try again with the feedback (Solve-Detect-Verify with FlexiVe, after the idea of: from the abstract and notes).

    detect: how likely a partial solution is complete already, from 0 to 1: above a half, it ends. Without it, or where it fails, a
        solution ends where its stepper says. `State.answer` must then hold the answer so far.
    k, agreement: of the quick verdicts, see `verify_flexibly`. rounds: attempts at most. depth: steps of an attempt at most.
    revise: the question of the next attempt, from the question, the candidate and the feedback.

    Returns all attempts; their scores say how likely they are right.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.budget(tokens=10_000):
        ...         return await solve_detect_verify(question, next_line, glance, proof, k=8, rounds=4)
    """
    settings.whole_number("solve_detect_verify", k=k, rounds=rounds)
    settings.at_least_one("solve_detect_verify", depth=depth)
    settings.number("solve_detect_verify", 0, 1, agreement=agreement)
    settings.function("solve_detect_verify", step=step, fast=fast, slow=slow, hesitation=hesitation, revise=revise)
    settings.function("solve_detect_verify", optional=True, detect=detect)
    found: dict[int, Candidate] = {}
    failed = Failures(errors)

    async def detected(detect: Scorer, state: State, attempt: int) -> bool:
        (value,) = await failed.scores([attempt], detect, [state.text], probable=True)
        return value is not None and value > 0.5

    async def solve(asked: str, attempt: int) -> Candidate:
        state = State(asked)
        while not state.done and state.depth < depth:
            step_asked = step(state, attempt)
            grown = replace(of_kind(State, step, await step_asked, step_asked), depth=state.depth + 1)
            said, state = grown.text.removeprefix(state.text), grown
            if detect is not None and not state.done and hesitation(said) and await detected(detect, state, attempt):
                break
        return leaf(asked, state)

    with ending() as end:
        asked = question
        for attempt in range(rounds):
            solved = await failed.spare(attempt, solve(asked, attempt))
            if isinstance(solved, Failed):
                continue
            found[attempt] = candidate = solved
            verdicts = verify_flexibly(question, candidate, fast, slow, k=k, agreement=agreement, first=attempt * (k + 1))
            verdict = await failed.spare(attempt, verdicts)
            if isinstance(verdict, Failed):
                continue
            found[attempt] = replace(candidate, score=verdict.right)
            if verdict.ok:
                break
            asked = revise(question, candidate, verdict.feedback)
    return chosen(found, likeliest, end.stopped, sum(candidate.tokens for candidate in found.values()), failed)
