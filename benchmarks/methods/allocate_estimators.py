"""Estimators on recorded outcomes of the Countdown model: 60 puzzles by three ways, 96 samples each, in an order drawn by a seed.

They see a few samples of each puzzle and way, and foretell what the others bring. How many was chosen on seeds from 100 on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from statistics import fmean

from benchmarks.methods.row import Held, Pair, Row
from headway.bench.allocate.workload import OUTCOMES
from headway.methods import allocate
from headway.methods.estimate import Outcomes
from headway.methods.protocols import Estimator
from headway.methods.records import Action, Observation

SEEN, AT_ONCE, TIMED = 4, 4, 16
TESTS = "tests/methods/allocate/test_estimators.py"
RECORDED = "tests/methods/allocate/test_recorded_outcomes.py"


@cache
def _table() -> allocate.Recorded:
    """The outcomes of Countdown, puzzle 3 as "p3"."""
    rows = allocate.Recorded.load(OUTCOMES).rows.items()
    named = {(step.replace("countdown ", "p"), way): of for (step, way), of in rows if step.startswith("countdown ")}
    return allocate.Recorded(named)


def _split(seed: int, seen: int) -> Iterator[tuple[tuple[str, str], list[allocate.Row], list[allocate.Row]]]:
    """Of each puzzle and way, the outcomes that are seen, and the others."""
    for (step, way), rows in sorted(_table().rows.items()):
        drawn = random.Random(f"{seed} {step} {way}").sample(rows, len(rows))
        yield (step, way), drawn[:seen], drawn[seen:]


def error_of_success(seed: int, foretell: Callable[[tuple[str, str], list[allocate.Row]], float]) -> float:
    """The mean squared error of the chance that one of four more samples succeeds."""
    errors = []
    for key, seen, others in _split(seed, SEEN):
        true = 1 - (1 - fmean(row.ok for row in others)) ** AT_ONCE
        errors.append((foretell(key, seen) - true) ** 2)
    return fmean(errors)


def _believe(estimator: Estimator, key: tuple[str, str], rows: list[allocate.Row]) -> Estimator:
    return allocate.believe(estimator, [Observation(*key, row.ok, row.cost, row.seconds) for row in rows])


def by_beta(key: tuple[str, str], seen: list[allocate.Row]) -> float:
    """What `Outcomes` expects of four samples: one unknown chance for all of them, with a uniform prior."""
    return _believe(Outcomes(), key, seen).predict(Action(*key, AT_ONCE)).success.mean


def by_rate(key: tuple[str, str], seen: list[allocate.Row]) -> float:
    """What the observed rate says, as if it were known."""
    return 1 - (1 - fmean(row.ok for row in seen)) ** AT_ONCE


def error_of_seconds(seed: int, foretell: Callable[[tuple[str, str], list[allocate.Row]], float]) -> float:
    """The mean relative error of the time that the slowest of four samples takes."""
    errors = []
    for key, seen, others in _split(seed, TIMED):
        true = fmean(_slowest(others))
        errors.append(abs(foretell(key, seen) - true) / true)
    return fmean(errors)


def _slowest(rows: list[allocate.Row]) -> list[float]:
    return [max(row.seconds for row in rows[at : at + AT_ONCE]) for at in range(0, len(rows), AT_ONCE)]


def by_table(key: tuple[str, str], seen: list[allocate.Row]) -> float:
    """What `Recorded` expects: the mean of the slowest of four, over all ways to draw them."""
    table = allocate.Recorded({key: tuple(seen)})
    return table.predict(Action(*key, AT_ONCE)).seconds.mean


def by_fours(key: tuple[str, str], seen: list[allocate.Row]) -> float:
    """The mean of the slowest of four, over fours as they were seen."""
    return fmean(_slowest(seen))


def measure_beta(seed: int) -> Pair:
    return Pair(error_of_success(seed, by_beta), error_of_success(seed, by_rate))


def measure_recorded(seed: int) -> Pair:
    return Pair(error_of_seconds(seed, by_table), error_of_seconds(seed, by_fours))


ROWS = [
    Row(
        method="Beta outcomes",
        function="headway.methods.estimate.Outcomes",
        item="allocate",
        claim="",
        shows="from four samples of the Countdown model, the chance that one of four more succeeds is nearer to the truth",
        baseline="the observed rate, taken for known",
        unit="mean squared error",
        measure=measure_beta,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}::test_a_belief_errs_less_than_the_rate_that_was_seen",
    ),
    Row(
        method="Recorded outcomes",
        function="headway.methods.allocate.Recorded",
        item="allocate",
        claim="",
        shows="from 16 samples of the Countdown model, the time of the slowest of four is nearer to the truth",
        baseline="the slowest of fours, as they were seen",
        unit="mean relative error",
        measure=measure_recorded,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}::test_a_table_errs_less_than_groups_as_they_were_seen",
    ),
    Held(
        item="allocate",
        promise="estimators read what earlier runs in the store observed",
        tests=(
            f"{RECORDED}::test_outcomes_of_earlier_runs_are_read_from_the_store",
            f"{RECORDED}::test_calls_of_another_task_are_read_as_the_caller_says",
        ),
    ),
    Held(
        item="allocate",
        promise="estimators: bounds hold the true value as often as they say",
        tests=(
            "tests/methods/test_estimate.py::test_the_interval_of_a_probability_holds_it_as_often_as_it_says",
            "tests/methods/test_estimate.py::test_the_interval_of_an_amount_holds_the_next_one_at_least_as_often_as_it_says",
            f"{RECORDED}::test_its_bounds_hold_the_rate_of_success_about_as_often_as_they_say",
        ),
    ),
    Held(
        item="allocate",
        promise="estimators: amounts that are NaN, infinite or below zero, a file that is no table: one sentence",
        tests=(
            "tests/methods/test_estimate.py::test_what_would_make_a_belief_meaningless_is_refused",
            f"{RECORDED}::test_a_file_that_is_no_table_is_refused",
        ),
    ),
]
