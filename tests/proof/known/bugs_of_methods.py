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
