"""A dispatch rule as the order of a run pays, on the workload that the catalogue measures, with other seeds."""

from __future__ import annotations

import pytest
from benchmarks.methods.schedule_orders import measure_due, measure_longest_first, measure_prediction

SEEDS = (100, 101, 102)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_longest_first_ends_a_run_sooner(seed: int) -> None:
    longest, others = measure_longest_first(seed)
    assert longest < others


@pytest.mark.parametrize("seed", SEEDS)
def test_due_dates_first_brings_more_calls_in_time(seed: int) -> None:
    due, others = measure_due(seed)
    assert due > others + 0.1


def test_the_order_that_is_predicted_to_be_best_is_the_best() -> None:
    predicted, best = measure_prediction(100)
    assert predicted <= 1.01 * best
