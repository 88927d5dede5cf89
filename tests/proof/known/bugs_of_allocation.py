"""Seeded bugs of what divides a budget and of what orders work: agents, shares, schedules."""

from __future__ import annotations

from seeded import Bug, bug

_AGENTS = "methods/allocate/agents"

OF_ALLOCATION: tuple[Bug, ...] = (
    bug(
        "questions share the quota again, and not what is left of it",
        "drqa:drqa",
        "min(float(quota), remaining(unit))",
        "float(quota)",
        tests=f"{_AGENTS}/test_drqa.py::test_it_spends_no_more_than_its_quota_and_does_not_ask_in_vain",
    ),
    bug(
        "a batch that the budget refuses ends the others",
        "drqa:drqa",
        "bound_of(error) != 'budget'",
        "True",
        tests=f"{_AGENTS}/test_drqa.py::test_what_a_crash_costs_is_missing_to_its_own_batch_alone",
    ),
    bug(
        "a tracker looks at the unit of which most is left",
        "Tracker.share",
        "min(max(0.0, left.get(unit, 0.0)) / amount if amount else 0.0 for unit, amount in self.total.items())",
        "max(max(0.0, left.get(unit, 0.0)) / amount if amount else 0.0 for unit, amount in self.total.items())",
        tests=f"{_AGENTS}/test_bats.py::test_the_unit_that_is_nearest_to_its_end_decides",
    ),
    bug(
        "a branch is dug that can't be finished",
        "Tracker.decide",
        "need <= steps",
        "True",
        tests=f"{_AGENTS}/test_bats.py::test_no_branch_is_dug_that_cannot_be_finished_and_none_is_opened_that_could_not_be",
    ),
    bug(
        "the winner of an auction bids again",
        "sale:auction",
        "each.price < winner.price",
        "each.price <= winner.price",
        tests=f"{_AGENTS}/test_sale.py::test_cheaper_agents_bid_again_with_what_won_and_may_win_with_it",
    ),
    bug(
        "a plan over the budget is tried",
        "Guided.allow",
        "self.units(plan) <= self.budget + 1e-09",
        "True",
        tests=f"{_AGENTS}/test_agent_tts.py::test_no_plan_is_over_the_budget_or_tried_twice",
    ),
    bug(
        "a graph over the budget is not drawn again, and its dearest seats go",
        "agent_reinforce:draw_within",
        "_units(graph, seats) <= budget",
        "True",
        tests=f"{_AGENTS}/test_agent_reinforce.py::test_a_graph_over_the_budget_is_drawn_again_which_favours_no_place",
    ),
    bug(
        "trials go on after the budget has refused one",
        "rolling:keep_running",
        "refusal is None",
        "True",
        tests="methods/allocate/test_rolling.py::test_nothing_more_is_asked_after_a_refusal_and_what_runs_beside_it_is_told",
    ),
    bug(
        "a parent gives all to its children",
        "shares:share",
        "children + 1",
        "children",
        tests="methods/allocate/test_dividing.py::test_a_parent_keeps_a_share_however_deep_its_children_nest_theirs",
    ),
    bug(
        "a rollout more counts as if the group could only be all right",
        "knapsack:_gain",
        "rate ** count * (1 - rate) + (1 - rate) ** count * rate if count else 0.0",
        "rate ** count * (1 - rate) if count else 0.0",
        tests="methods/allocate/test_dividing.py::test_going_one_by_one_is_worth_as_much_as_the_dynamic_program",
    ),
    bug(
        "an activity starts when the last of its resources is free, whatever the first is by then",
        "Shop.next_fit",
        "settled + 1 if later == found else 1",
        "settled + 1",
        tests="methods/schedule/test_list_schedule.py::test_an_activity_starts_when_all_that_it_uses_is_free_at_once",
    ),
    bug(
        "an activity waits for the one before it that was placed last, and not for all",
        "list_schedule:_serial",
        "max(earliest[other], start + each.duration)",
        "start + each.duration",
        tests="methods/schedule/test_list_schedule.py::test_both_schemes_keep_everything",
    ),
    bug(
        "the judge of schedules overlooks what starts at the moment",
        "check:_of_resource",
        "start <= moment < end",
        "start < moment < end",
        tests="methods/schedule/test_schedule_check.py::test_each_kind_of_violation_is_found",
    ),
    bug(
        "a modified due date forgets how long the work takes",
        "rules:mdd",
        "scene.now + each.duration",
        "scene.now",
        tests="methods/schedule/test_rules.py::test_the_example_of_the_paper_has_144_by_mdd_and_141_by_mddc_which_is_the_least",
    ),
)
