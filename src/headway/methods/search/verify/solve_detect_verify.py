"""Solve, detect, verify: stop a solution when it is complete, check it, and try again with what was wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Scorer, Stepper, Verifier
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_stepper
from headway.methods.search.select.selectors import likeliest
from headway.methods.search.tree.loop import NOTHING_SAID, leaf
from headway.methods.search.verify.flexible import verify_flexibly
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")

_HESITATION = re.compile(r"\b(wait|alternatively|hmm|but let me|double-check|let me verify)\b", re.IGNORECASE)


def hesitates(before: str, after: str) -> bool:
    """Whether a step of a text shows that a model has an answer and doubts it.

    Example:
        >>> hesitates("So it is 42.", "So it is 42. Wait, is it?")
        True
    """
    return _HESITATION.search(after.removeprefix(before)) is not None


def revise_question(question: str, candidate: Candidate[str], feedback: str) -> str:
    """Write the question for another attempt, with the last attempt and what is wrong with it."""
    return f"{question}{candidate.value}\n{feedback}\n" if feedback else question


async def solve_detect_verify(
    question: Q,
    step: Stepper[Q, S],
    fast: Verifier[Q, S],
    slow: Verifier[Q, S],
    *,
    detect: Scorer[Q, S] | None = None,
    k: int = 4,
    agreement: float = 0.75,
    rounds: int = 3,
    depth: int = 40,
    hesitation: Callable[[S, S], bool] | None = None,
    revise: Callable[[Q, Candidate[S], str], Q] | None = None,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Solve step by step, stop where the solution seems complete, verify it, and try again with the feedback.

    A solution is complete where a step hesitates and `detect` says so. It is verified in two tiers, as `verify_flexibly` does.

    Args:
        question: what the parts are told.
        step: extends a state.
        fast: the quick verifier; see `verify_flexibly`.
        slow: the thorough one.
        detect: how likely a partial solution is complete already, from 0 to 1: above a half, it ends. Without it, or where it
            fails, a solution ends where its stepper says. `State.answer` must then hold the answer so far.
        k: quick verdicts on a solution.
        agreement: the share of them that must say the same.
        rounds: attempts at most.
        depth: steps of an attempt at most.
        hesitation: whether a step shows doubt, from the solution before it and after it; texts have `hesitates`.
        revise: the question of the next attempt, from the question, the candidate and the feedback; texts have `revise_question`.
        start: where an attempt starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        All attempts; their scores say how likely they are right.

    Raises:
        UsageError: for questions or states that are no texts, without a rule of their own.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(solve_detect_verify("17+25=", next_digit, glance, proof, k=8, rounds=30, revise=lambda q, c, f: q)).answer
        '42'

    Source:
        Solve-Detect-Verify with FlexiVe; after the idea of, from the abstract and notes.
    """
    settings.whole_number("solve_detect_verify", k=k, rounds=rounds)
    settings.at_least_one("solve_detect_verify", depth=depth)
    settings.number("solve_detect_verify", 0, 1, agreement=agreement)
    settings.function("solve_detect_verify", step=step, fast=fast, slow=slow)
    settings.function("solve_detect_verify", optional=True, detect=detect, hesitation=hesitation, revise=revise)
    settings.instance("solve_detect_verify", State, start=start)
    doubts: Callable[[S, S], bool] = hesitation or _for_texts(hesitates, "hesitation", detect is None or start.value)
    again: Callable[[Q, Candidate[S], str], Q] = revise or _for_texts(revise_question, "revise", question)
    found: dict[int, Candidate[S]] = {}
    failed = Failures(errors)

    async def detected(state: State[S], asked: Q, attempt: int) -> bool:
        if detect is None:
            return False
        (value,) = await failed.scores([attempt], detect, asked, [state.value], probable=True)
        return value is not None and value > 0.5

    async def solve(asked: Q, attempt: int) -> Candidate[S]:
        state = start
        while not state.done and state.depth < depth:
            before, state = state, replace(await call_stepper(step, asked, state, attempt), depth=state.depth + 1)
            if (
                detect is not None
                and not state.done
                and doubts(before.value, state.value)
                and await detected(state, asked, attempt)
            ):
                break
        return leaf(state)

    with anytime(found) as block:
        asked = question
        for attempt in range(rounds):
            candidate = await failed.spare(attempt, solve(asked, attempt))
            if isinstance(candidate, Failed):
                continue
            block.keep(attempt, candidate)
            verdicts = verify_flexibly(question, candidate, fast, slow, k=k, agreement=agreement, first=attempt * (k + 1))
            verdict = await failed.spare(attempt, verdicts)
            if isinstance(verdict, Failed):
                continue
            block.keep(attempt, replace(candidate, score=verdict.right))
            if verdict.ok:
                break
            asked = again(question, candidate, verdict.feedback)
    return choose(found, likeliest, block.stopped, sum(candidate.tokens for candidate in found.values()), failed)


def _for_texts(rule: Callable[..., Any], name: str, value: object) -> Callable[..., Any]:
    """A rule for texts. Raises UsageError where the value is none. (True: it will not be asked.)"""
    if not isinstance(value, str) and value is not True:
        raise UsageError(f"solve_detect_verify: {name}= is needed where {value!r:.60} is no text: give a function of your own")
    return rule
