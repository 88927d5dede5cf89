"""Whatever a policy asks for, its run never passes its budget or its deadline, in simulated worlds.

Ten thousand schedules are lived by `python -m benchmarks.policies_in_bounds`, which `make prove` runs too.
"""

from __future__ import annotations

import pytest
from benchmarks import policies_in_bounds

SEEDS = 40
HELD_UP = 7585  # a step that leaves the block of a deadline is held up for eleven seconds


@pytest.mark.filterwarnings("ignore:.*left behind:RuntimeWarning")  # a simulated coroutine that is held up stops late
def test_no_policy_passes_its_budget_or_its_deadline():
    ends = {policies_in_bounds.check_schedule(seed) for seed in range(SEEDS)}
    assert {end.partition(":")[0] for end in ends} == set(policies_in_bounds.POLICIES)
    assert {end.partition(": ")[2] for end in ends} >= {"done", "gave up", "budget", "deadline", "UsageError"}


@pytest.mark.filterwarnings("ignore:.*left behind:RuntimeWarning")
def test_a_step_that_is_held_up_for_long_costs_a_policy_nothing_that_it_has():
    assert policies_in_bounds.check_schedule(HELD_UP) == "mcpp: deadline"


def test_what_passes_its_budget_is_found(monkeypatch):
    """The check itself can fail: of attempts that charge more than they reserve it says so."""
    monkeypatch.setitem(policies_in_bounds.PRICES, "small", 300)
    monkeypatch.setitem(policies_in_bounds.PRICES, "large", 300)
    with pytest.raises(AssertionError, match="spent"):
        for seed in range(SEEDS):
            policies_in_bounds.check_schedule(seed)
