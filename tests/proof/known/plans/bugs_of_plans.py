"""Seeded bugs of the executor of plans and of devices."""

from __future__ import annotations

from seeded import Bug, bug

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
