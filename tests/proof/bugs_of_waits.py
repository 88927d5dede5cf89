"""Seeded bugs of waiting: for a budget that others hold, and for a result that another run computes."""

from __future__ import annotations

from seeded import Bug, bug

_BUDGETS, _FLIGHT = "program/test_waiting_budgets.py", "sim/test_single_flight.py"

BUDGETS: tuple[Bug, ...] = (
    bug(
        "nobody looks at those who wait for a budget",
        "Ready.dispatch",
        "self.line.serve()",
        "",
        tests="sim/test_waiting_budgets_survive.py::test_whoever_could_fit_at_some_time_gets_its_turn_under_every_schedule",
    ),
    bug(
        "who wants much of a budget is overtaken by all who want little",
        "BudgetLine._where_others_are_ahead",
        "head.ticket < ticket",
        "False",
        tests=f"{_BUDGETS}::test_a_large_reservation_is_not_overtaken_by_small_ones",
    ),
)

FLIGHT: tuple[Bug, ...] = (
    bug(
        "a claim outlives the lease of its run",
        "claims:stands",
        "holder.lease_until > now and lives(holder.owner) is not False",
        "True",
        tests=f"{_FLIGHT}::test_a_process_that_stands_still_for_longer_than_its_lease_loses_its_claims",
    ),
    bug(
        "nobody is asked whether another run computes the same",
        "claims:settle",
        "claim is None or mine(name) or not stands(claim, board.holders, now, lives)",
        "True",
        tests=f"{_FLIGHT}::test_equal_calls_of_two_runs_run_once",
    ),
    bug(
        "runs that need each other's results wait for ever",
        "Claims._exchange",
        "{**dict.fromkeys(self._told, ()), **now_waits}",
        "{}",
        tests=f"{_FLIGHT}::test_runs_that_need_each_others_results_are_refused_instead_of_waiting_for_ever",
    ),
    bug(
        "an effect that may have happened under a dead claim happens again unseen",
        "Claims._hear",
        "left=reply.left or ask.waited",
        "left=False",
        tests=f"{_FLIGHT}::test_an_effect_that_may_have_happened_under_a_dead_claim_is_verified_first",
    ),
)

OF_WAITS = (*BUDGETS, *FLIGHT)
