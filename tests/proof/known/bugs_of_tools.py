"""Seeded bugs of tools: what a model is told, what is run again, and who approved it."""

from __future__ import annotations

from seeded import Bug, bug

OF_TOOLS: tuple[Bug, ...] = (
    bug(
        "a failure that a model was told is asked for again when its run has failed",
        "Replay.why_not",
        "outcome.reason != TOLD or self.retry_failed",
        "True",
        tests="tools/test_running_calls.py::test_a_failure_that_a_model_was_told_is_asked_for_again_only_on_demand",
    ),
    bug(
        "a failure that a model was told is asked for again when the call around it is tried again",
        "Outcomes._record",
        "outcome.reason == TOLD and call.memo is not None",
        "False",
        tests="tools/test_running_calls.py::test_so_it_is_where_the_call_around_it_is_tried_again",
    ),
    bug(
        "a model is told that a budget was reached, and goes on",
        "faults:is_answer",
        "bound_of(error) is not None",
        "False",
        tests="tools/test_running_calls.py::test_what_a_budget_refuses_is_raised_when_the_others_have_ended",
    ),
    bug(
        "an answer that begins with a yes approves",
        "approval:read_approval",
        "said.casefold() in _YES",
        "said.casefold()[:3] in _YES",
        tests="tools/test_approvals.py::test_what_is_no_clear_yes_is_a_denial_that_the_model_hears",
    ),
    bug(
        "an answer to one question reaches another one of the same tool",
        "approval:_wait_for_answer",
        'f"approve-{tool}-{current_call().key[:12]}"',
        'f"approve-{tool}"',
        tests="tools/test_approvals.py::test_an_answer_reaches_its_own_question_and_no_other",
    ),
    bug(
        "a person is shown the text that a model wrote, not what would be run",
        "running:_run_if_approved",
        "as_json(values)",
        "call.arguments",
        tests="tools/test_approvals.py::test_what_the_person_sees_is_what_would_be_run",
    ),
    bug(
        "two calls of a turn that have one id are both run",
        "running:_find",
        "call.id and call.id in seen",
        "False",
        tests="tools/test_running_calls.py::test_of_two_calls_with_one_id_the_second_is_not_run",
    ),
)
