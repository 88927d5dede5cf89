"""Seeded bugs of agents: conversations taken for each other, shares, turns, and what a budget leaves."""

from __future__ import annotations

from seeded import Bug, bug

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
