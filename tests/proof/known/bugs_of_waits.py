"""Seeded bugs of waiting: for a budget that others hold, and for a result that another run computes."""

from __future__ import annotations

from seeded import Bug, bug

_BUDGETS, _TURNS = "program/bounds/test_waiting_budgets.py", "program/bounds/test_turns_in_a_budget.py"
_FLIGHT, _CLAIMS = "sim/test_single_flight.py", "conformance/test_claims.py"

BUDGETS: tuple[Bug, ...] = (
    bug(
        "nobody looks at those who wait for a budget",
        "Ready.dispatch",
        "self.line.serve()",
        "",
        tests="sim/test_waiting_budgets_survive.py::test_whoever_could_fit_at_some_time_gets_its_turn_under_every_schedule",
    ),
    bug(
        "nobody looks at those who wait for a budget when a reservation is given back",
        "BudgetLine.settled",
        "self.changed()",
        "",
        tests=f"{_BUDGETS}::test_a_call_goes_on_when_one_that_had_charged_for_itself_gives_back_the_rest",
    ),
    bug(
        "who wants much of a budget is overtaken by all who want little",
        "BudgetLine._where_others_are_ahead",
        "head.ticket < ticket",
        "False",
        tests=f"{_TURNS}::test_a_large_reservation_is_not_overtaken_by_small_ones",
    ),
    bug(
        "who waits for a budget keeps its limit and resource",
        "Lifecycle.begin",
        "self._ready.release(call)\nif x is not None and x.stop is not None: ...",
        "if x is not None and x.stop is not None: ...",
    ),
    bug(
        "what a holder needs waits behind those who wait for the holder",
        "BudgetLine._serve",
        "self._reservations.find_passers(place[0])",
        "[]",
        tests=f"{_TURNS}::test_it_passes_also_where_the_holder_only_has_its_handle",
    ),
    bug(
        "what a holder asks passes those who could go on without the holder",
        "BudgetLine._where_others_are_ahead",
        "self._reservations.goes_on_for_sure(head)",
        "False",
        tests=f"{_TURNS}::test_a_large_reservation_is_not_overtaken_by_the_parts_of_a_call_that_it_need_not_wait_for",
    ),
    bug(
        "what a holder needs leaves the line before those who could go on without the holder",
        "BudgetLine._serve",
        "not self._reservations.goes_on_for_sure(head)",
        "True",
        tests=f"{_TURNS}::test_a_large_reservation_is_not_overtaken_by_the_parts_of_a_call_that_it_need_not_wait_for",
    ),
    bug(
        "who comes when another is let go takes its money",
        "BudgetLine.ask",
        "account.refuses(wanted, self._called)",
        "account.refuses(wanted)",
        tests=f"{_TURNS}::test_who_is_let_go_has_its_money_before_others_that_become_ready_in_that_moment",
    ),
    bug(
        "of those in a circle the first is refused",
        "BudgetLine._refuse_one_that_is_stuck",
        "-each.ticket",
        "each.ticket",
        tests=f"{_BUDGETS}::test_of_two_that_wait_for_each_other_the_last_is_refused_and_the_first_goes_on",
    ),
    bug(
        "who lacked room loses its place",
        "BudgetLine.ask",
        "self._old_tickets.pop(call, 0) or next(self._tickets)",
        "next(self._tickets)",
        tests=f"{_TURNS}::test_who_lacked_room_when_it_was_let_go_has_its_old_place_again",
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
    bug(
        "a failed call keeps its claim",
        "Claims.ended",
        "call.state != OK and not self._run.closing",
        "False",
        tests=f"{_FLIGHT}::test_a_run_that_goes_on_after_its_call_has_failed_keeps_nobody_waiting",
    ),
    bug(
        "the claim of a failed call is never given back",
        "Claims.ended",
        "self._done.append(name)",
        "pass",
        tests=f"{_FLIGHT}::test_a_run_that_goes_on_after_its_call_has_failed_keeps_nobody_waiting",
    ),
    bug(
        "a claim granted to an ended call stays",
        "Claims._hear",
        "reply.mine and ended",
        "False",
        tests=f"{_FLIGHT}::test_a_call_that_is_cancelled_while_it_asks_leaves_no_claim",
    ),
    bug(
        "a dead claim holds",
        "claims:settle",
        "claim is None or mine(name) or not stands(claim, board.holders, now, lives)",
        "claim is None or mine(name)",
        tests=f"{_CLAIMS}::test_a_claim_lasts_as_long_as_its_lease_and_is_renewed_with_it",
    ),
    bug(
        "a circle is not seen",
        "_closes_circle",
        "other in above",
        "False",
        tests=f"{_CLAIMS}::test_whoever_would_close_a_circle_is_told_to_compute_alone",
    ),
    bug(
        "a taken-over effect is not verified",
        "Shared._ask_others",
        "share.found.setdefault(EFFECT + share.key, None)",
        "None",
        tests=f"{_FLIGHT}::test_an_effect_that_may_have_happened_under_a_dead_claim_is_verified_first",
    ),
    bug(
        "the store is never asked for shared results",
        "Shared._ask_others",
        "claims is None or share.key in self._stale",
        "True",
        tests="journal/test_off_loop.py::test_what_other_runs_shared_is_found_beside_the_loop_once_for_all_that_ask",
    ),
)

_ORDER = "engine/test_order.py"

ORDERS: tuple[Bug, ...] = (
    bug(
        "an order is not asked when a call may start",
        "Ready.dispatch",
        "self._ranks.changes and self._has_room()",
        "False",
        tests=f"{_ORDER}::test_an_order_that_looks_at_all_is_asked_each_time_a_call_may_start",
    ),
    bug(
        "calls beyond the active set start as they were made, whatever the order says",
        "Ready.push",
        "self._ranks.order is None",
        "True",
        tests=f"{_ORDER}::test_calls_beyond_the_active_set_start_by_the_order_too",
    ),
    bug(
        "an order that gives NaN is followed",
        "Ranks.judge",
        "len(numbers) != len(calls) or any(map(math.isnan, numbers))",
        "False",
        tests=f"{_ORDER}::test_an_order_that_gives_no_numbers_ends_the_run_which_goes_on_without",
    ),
    bug(
        "a simulated run starts what it can in any order though it was given one",
        "AnyOrder._rank",
        "if self._ranks.order is not None: ...",
        "pass",
        tests="sim/test_orders.py::test_a_simulated_run_keeps_to_the_order_it_was_given",
    ),
)

OF_WAITS = (*BUDGETS, *FLIGHT, *ORDERS)
