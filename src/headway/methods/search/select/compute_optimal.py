"""Compute-optimal scaling: how hard a question is decides how it is searched."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Generator, Scorer
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator, of_kind
from headway.methods.search.rounds import attempts, sequential_tokens
from headway.methods.search.select.selectors import best
from headway.methods.search.select.strategies import StrategyTable
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
V = TypeVar("V")

Strategy: TypeAlias = Callable[[Q, tuple[Candidate[V], ...]], Awaitable[Found[V]]]
"""A method with its parts and settings, given the question and the scored candidates that are there already."""


async def compute_optimal(
    question: Q,
    generate: Generator[Q, V],
    score: Scorer[Q, V],
    table: StrategyTable,
    strategies: Mapping[str, Strategy[Q, V]],
    *,
    budget: float,
    probes: int = 4,
    sure: float | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Estimate a question's difficulty from a few scored answers, and run the strategy that fits it.

    The paper estimates difficulty from 2048 samples and does not count them. Here the few probes count, and are given to the
    strategy, which need not sample them again.

    Args:
        question: what the parts are told.
        generate: samples an answer.
        score: says how good answers are.
        table: fitted by `fit` on trials whose difficulties were estimated as here: `difficulty`.
        strategies: by the names in the table.
        budget: what a question may cost on average, in the unit that the table was fitted in; `hw.budget` around it bounds this
            one.
        probes: samples to estimate from, at most.
        sure: a score that ends the probing. Probes are then drawn one after another, so that an easy question costs one of them;
            without it they are drawn at once.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        What the strategy found. Where it failed, or the bounds ended it without an answer, the best probe.

    Raises:
        UsageError: for a strategy that is not there.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> strategies = {
        ...     "sample": lambda question, given: search.best_of_n(question, sample, value, n=16, given=given),
        ...     "beam": lambda question, given: search.beam_search(question, next_digit, value, n=16),
        ... }
        >>> table = search.StrategyTable(edges=(0.5,), budgets=(16.0,), choices=(("sample",), ("beam",)))
        >>> asyncio.run(compute_optimal("17+25=", sample, value, table, strategies, budget=16)).answer
        '42'

    Source:
        Snell et al., arXiv 2408.03314; after the idea of, from the abstract.
    """
    if unknown := {name for row in table.choices for name in row} - strategies.keys():
        raise UsageError(f"compute_optimal: the table chooses {sorted(unknown)}, but strategies= has only {sorted(strategies)}")
    settings.whole_number("compute_optimal", probes=probes)
    settings.number("compute_optimal", budget=budget)
    if sure is not None:
        settings.number("compute_optimal", sure=sure)
    settings.function("compute_optimal", generate=generate, score=score)
    for name, strategy in strategies.items():
        settings.function(f"compute_optimal: {name!r}", strategies=strategy)
    found: dict[int, Candidate[V]] = {}
    rounds: list[int] = []
    searched: Found[V] | None = None
    failed = Failures(errors)

    async def probe(index: int) -> None:
        candidate = await failed.spare(index, call_generator(generate, question, index))
        if isinstance(candidate, Failed):
            return
        block.keep(index, candidate)
        (value,) = await failed.scores([index], score, question, [candidate.value])
        block.keep(index, replace(candidate, score=value))

    async def search(given: tuple[Candidate[V], ...], place: int) -> Found[V] | None:
        strategy = strategies[table.choose(difficulty(given), budget)]
        got = await failed.spare(place, asked := strategy(question, given))
        return None if isinstance(got, Failed) else of_kind(Found, strategy, got, asked)

    with anytime(found) as block:
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
    probed = sequential_tokens(found, rounds)
    if searched is None:
        return choose(found, best, block.stopped, probed, failed)
    tokens = probed + searched.sequential_tokens
    if searched.answer is None:
        return replace(choose(found, best, searched.stopped, tokens), errors=(*failed.errors, *searched.errors))
    return replace(searched, sequential_tokens=tokens, errors=(*failed.errors, *searched.errors))


def difficulty(candidates: Sequence[Candidate[object]]) -> float:
    """How hard a question is: one less the mean score of answers to it, so from 0 to 1 where scores are. Where no answer has a
    score, infinite: nothing is harder."""
    scores = [candidate.score for candidate in candidates if candidate.score is not None]
    return 1.0 - sum(scores) / len(scores) if scores else math.inf
