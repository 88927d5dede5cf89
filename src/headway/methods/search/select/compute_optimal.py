"""Compute-optimal scaling: how hard a question is decides how it is searched."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Generator, Scorer, chosen, of_kind
from headway.methods.search.ending import attempts, ending, in_a_row
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.select.policy import Policy
from headway.methods.search.select.selectors import best

Strategy = Callable[[str, tuple[Candidate, ...]], Awaitable[Found]]
"""A method with its parts and settings, given the question and the scored candidates that are there already."""


async def compute_optimal(
    question: str,
    generate: Generator,
    score: Scorer,
    policy: Policy,
    strategies: Mapping[str, Strategy],
    *,
    budget: float,
    probes: int = 4,
    sure: float | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Sample and score a few answers, take how badly they score for the difficulty, and run the strategy that `policy` has for it
    (Snell et al., arXiv 2408.03314, after the idea of: from the abstract). The paper estimates difficulty from 2048 samples and
    does not count them; here the few probes count, and are given to the strategy, which need not sample them again.

    policy: fitted by `policy.fit` on trials whose difficulties were estimated as here: `difficulty`.
    strategies: by the names in the policy. budget: what a question may cost on average, in the unit that the policy was fitted in;
        `hw.budget` around it bounds this one.
    probes: samples to estimate from, at most. sure: a score that ends the probing. They are then drawn one after another, so that
        an easy question costs one of them; without it they are drawn at once.

    Returns what the strategy found. Where it failed, or the bounds ended it without an answer, the best probe.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises UsageError for a strategy that is not there; what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     strategies = {
        ...         "sample": lambda question, given: best_of_n(question, sample, value, n=16, given=given),
        ...         "beam": lambda question, given: beam_search(question, next_line, value, n=16),
        ...     }
        ...     return await compute_optimal(question, sample, value, policy, strategies, budget=16)
    """
    if unknown := {name for row in policy.choices for name in row} - strategies.keys():
        raise UsageError(f"compute_optimal: the policy chooses {sorted(unknown)}, but strategies= has only {sorted(strategies)}")
    settings.whole_number("compute_optimal", probes=probes)
    settings.number("compute_optimal", budget=budget)
    if sure is not None:
        settings.number("compute_optimal", sure=sure)
    settings.function("compute_optimal", generate=generate, score=score)
    for name, strategy in strategies.items():
        settings.function(f"compute_optimal: {name!r}", strategies=strategy)
    found: dict[int, Candidate] = {}
    rounds: list[int] = []
    searched: Found | None = None
    failed = Failures(errors)

    async def probe(index: int) -> None:
        made = await failed.spare(index, asked := generate(question, index))
        if isinstance(made, Failed):
            return
        found[index] = candidate = of_kind(Candidate, generate, made, asked)
        (value,) = await failed.scores([index], score, [question + candidate.text])
        found[index] = replace(candidate, score=value)

    async def search(given: tuple[Candidate, ...], place: int) -> Found | None:
        strategy = strategies[policy.choose(difficulty(given), budget)]
        got = await failed.spare(place, asked := strategy(question, given))
        return None if isinstance(got, Failed) else of_kind(Found, strategy, got, asked)

    with ending() as end:
        if sure is None:
            number = await attempts(probe, probes, rounds)
        else:
            number = 0
            while number < probes:
                number = await attempts(probe, 1, rounds, index := number)
                if index in found and (value := found[index].score) is not None and value >= sure:
                    break
        given = tuple(found[index] for index in sorted(found))
        searched = await search(given, number)
    probed = in_a_row(found, rounds)
    if searched is None:
        return chosen(found, best, end.stopped, probed, failed)
    tokens = probed + searched.sequential_tokens
    if searched.answer is None:
        return replace(chosen(found, best, searched.stopped, tokens), errors=(*failed.errors, *searched.errors))
    return replace(searched, sequential_tokens=tokens, errors=(*failed.errors, *searched.errors))


def difficulty(candidates: Sequence[Candidate]) -> float:
    """How hard a question is: one less the mean score of answers to it, so from 0 to 1 where scores are. Where no answer has a
    score, infinite: nothing is harder."""
    scores = [candidate.score for candidate in candidates if candidate.score is not None]
    return 1.0 - sum(scores) / len(scores) if scores else math.inf
