"""Seeded bugs of tools and agents: what a model is told, what is run again, who approved it, and who may spend what."""

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

LONG = "methods/agent/test_long_conversations.py::"
GIVEN = "methods/agent/test_delegating.py::"
LOOP = "methods/agent/test_agent.py::"

OF_AGENTS: tuple[Bug, ...] = (
    bug(
        "a request of a long conversation is named by what is new in it alone",
        "condensed:condense",
        "_chain(earlier, message)",
        "''",
        tests=f"{LONG}test_two_requests_have_one_condensed_form_if_and_only_if_they_are_equal",
    ),
    bug(
        "a request is named by its tools' names alone",
        "condensed:condense",
        "_digest_tools(request.tools)",
        "''",
        tests=f"{LONG}test_all_that_a_model_is_told_of_its_tools_is_part_of_a_requests_name",
    ),
    bug(
        "a request of a long conversation holds all of it",
        "condensed:condense",
        "_find_new(prompt)",
        "0",
        tests=f"{LONG}test_the_journal_grows_with_a_conversation_and_not_with_its_square",
    ),
    bug(
        "each helper may spend all that is left",
        "delegating:work_on_parts",
        "child_budgets(len(tasks))",
        "[contextlib.nullcontext() for _ in tasks]",
        tests=f"{GIVEN}test_each_of_n_parts_gets_one_share_of_n_plus_one_and_one_stays",
    ),
    bug(
        "two delegations of one turn share what is left twice",
        "shares:keep_one_delegation",
        "call.name in delegating and any(other.name in delegating for other in kept)",
        "False",
        tests=f"{GIVEN}test_of_two_delegations_in_one_turn_one_is_run_and_the_model_is_told",
    ),
    bug(
        "a model may ask for tools in its last turn",
        "_Agent._ask",
        "'none' if is_last else 'auto'",
        "'auto'",
        tests=f"{LOOP}test_the_last_turn_offers_no_tools_and_asks_for_an_answer",
    ),
    bug(
        "a conversation that a budget cut off has calls without an answer",
        "_Agent.run",
        "answer_open_calls(self._messages)",
        "[]",
        tests=f"{LOOP}test_a_conversation_that_a_budget_cut_off_can_be_gone_on_from",
    ),
)
