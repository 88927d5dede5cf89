"""Estimators foretell what a model does, better than the simplest ways; on other seeds than the catalogue's."""

from __future__ import annotations

import pytest
from benchmarks.methods.allocate_estimators import measure_beta, measure_recorded

SEEDS = (100, 101, 102)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_belief_errs_less_than_the_rate_that_was_seen(seed: int) -> None:
    belief, rate = measure_beta(seed)
    assert belief < rate


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_errs_less_than_groups_as_they_were_seen(seed: int) -> None:
    table, groups = measure_recorded(seed)
    assert table < groups
