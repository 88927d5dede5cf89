"""Seeded bugs of methods and of what models cost."""

from __future__ import annotations

from seeded import Bug, bug

OF_METHODS: tuple[Bug, ...] = (
    bug(
        "a step that has started is edited",
        "edits:apply_edits",
        "if edit.id in started: ...",
        "",
        tests="methods/test_graph.py::test_edits_do_what_they_say_or_nothing_and_every_graph_is_a_plan",
    ),
    bug(
        "a vote ignores which answers count as equal",
        "sample.majority:majority",
        "votes(made, equal)",
        "votes(made)",
        tests="methods/search/test_any_state.py::test_a_majority_is_settled_by_answers_that_are_the_same",
    ),
    bug(
        "a long prompt is reserved at the low price",
        "Price.at_most",
        "max(least, self.beyond[1].at_most(usage))",
        "least",
        tests="models/test_prices.py::test_no_usage_costs_more_than_at_most",
    ),
    bug(
        "a policy is asked again what it decided before a crash",
        "allocate.executor:_Execution._ask",
        "recall(frame, name, Chosen)",
        "None",
        tests="methods/allocate/test_executor.py::test_what_was_decided_before_a_crash_is_not_decided_again",
    ),
    bug(
        "a policy's answer is not checked",
        "allocate.executor:_Execution._choose",
        "check_actions(name_policy(self.policy), view, self.policy(view, rng))",
        "tuple(self.policy(view, rng))",
        tests="methods/allocate/test_executor.py::test_what_a_policy_may_not_answer_is_refused_before_anything_is_spent",
    ),
    bug(
        "a rollout forgets for how long something has run",
        "Rollouts._finish",
        "drawn.seconds > each.seconds",
        "drawn.seconds > 0",
        tests="methods/allocate/test_mcpp.py::test_what_has_run_for_long_is_expected_to_end_later_than_what_has_just_begun",
    ),
)

GALAXY = "methods/plan/test_galaxy.py::"

OF_PLANS: tuple[Bug, ...] = (
    bug(
        "a plan lets a planner edit what has started",
        "methods.plan.executor:_Execution._apply",
        "self.graph.apply(said.edits, self.started)",
        "self.graph.apply(said.edits)",
        tests="methods/plan/test_execute.py::test_what_has_started_can_not_be_edited_and_the_rest_goes_on",
    ),
    bug(
        "a plan leaves what runs on a lost device to itself",
        "methods.plan.executor:_Execution._lose",
        'handle.cancel(f"{choice} is lost: {why}")',
        "None",
        tests=f"{GALAXY}test_what_ran_on_a_lost_device_is_done_again_by_another",
    ),
    bug(
        "a plan starts steps while a planner that holds it speaks",
        "methods.plan.executor:_Execution._go_on",
        "self.rules.hold and self.planners.speaking",
        "False",
        tests=f"{GALAXY}test_no_step_is_assigned_while_the_planner_edits",
    ),
    bug(
        "a resumed plan asks its policy anew",
        "ask_policy",
        "recall(frame, decision, Chosen)",
        "None",
        tests="methods/plan/test_plans_survive.py::test_a_policy_decides_the_same_again_though_there_is_more_to_spend",
    ),
    bug(
        "a device is given more steps than it does at a time",
        "LeastBusy.__call__",
        "busy[device] += 1",
        "pass",
        tests=f"{GALAXY}test_a_busy_device_is_not_waited_for_beside_a_free_one",
    ),
)
