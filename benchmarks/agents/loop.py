"""The plain loop of an agent: what its conversation takes on the disk, beside LangGraph's saver, and what tests hold."""

from __future__ import annotations

import json
from functools import cache

from benchmarks.agents.frames import run
from benchmarks.methods.row import Held, Pair, Row

TURNS = 200
LOOP = "tests/methods/agent/test_agent.py::"
SURVIVES = "tests/methods/agent/test_agents_survive.py::"
GIVEN = "tests/methods/agent/test_delegating.py::"
LONG = "tests/methods/agent/test_long_conversations.py::"


@cache
def read_archive(side: str) -> tuple[int, int]:
    """Bytes on the disk after half of the turns, and after all of them."""
    half, whole = json.loads(run("loop", side, TURNS))
    return half, whole


def size(_: int) -> Pair:
    return Pair(read_archive("headway")[1] / 1000, read_archive("sqlite")[1] / 1000)


def grow(_: int) -> Pair:
    half, whole = read_archive("headway")
    return Pair((whole - half) / 1000, half / 1000)


ROWS: list[Row | Held] = [
    Row(
        method="The plain loop",
        function="headway.methods.agent.agent",
        item="agent",
        claim="a conversation is kept once, not again with each turn",
        shows=f"a conversation of {TURNS} turns with a tool each takes a tenth of the bytes",
        baseline="a graph of a model and tools on LangGraph's SqliteSaver, the same words",
        unit="kB",
        measure=size,
        reached=lambda low, high: high < 0.1,
        test=f"{LONG}test_the_journal_grows_with_a_conversation_and_not_with_its_square",
        exact=True,
    ),
    Row(
        method="The plain loop",
        function="headway.methods.agent.agent",
        item="agent",
        claim="a conversation is kept once, not again with each turn",
        shows=f"the journal of {TURNS} turns grows linearly: the second half takes what the first took",
        baseline="the first half",
        unit="kB",
        measure=grow,
        reached=lambda low, high: high < 1.2,
        test=f"{LONG}test_the_journal_grows_with_a_conversation_and_not_with_its_square",
        exact=True,
    ),
    Held(
        item="agent",
        promise="The tools of a turn run side by side, and every fault of a tool or of the model's own is told to the model.",
        tests=(
            f"{LOOP}test_it_runs_the_tools_of_a_turn_side_by_side_and_answers",
            f"{LOOP}test_a_fault_of_a_tool_or_of_the_models_own_is_told_to_the_model",
        ),
    ),
    Held(
        item="agent",
        promise="Killed at any record, an agent repeats no turn and no tool call that was recorded, does no effect twice, and ends "
        "as it would have: also in the middle of a delegation, or while it waits for a person.",
        tests=(
            f"{SURVIVES}test_an_agent_that_is_killed_at_any_record_goes_on_where_it_was",
            f"{SURVIVES}test_so_does_one_that_is_killed_at_any_step_of_any_schedule",
            f"{SURVIVES}test_an_agent_asks_for_the_same_under_every_schedule",
        ),
    ),
    Held(
        item="agent",
        promise="Approvals are durable waits: a letter is sent after a clear yes alone, also where the run was killed.",
        tests=(f"{SURVIVES}test_an_agent_that_is_killed_at_any_record_goes_on_where_it_was",),
    ),
    Held(
        item="agent",
        promise="Budgets, deadlines and turns are told to the model and never passed; what ends by a budget gives what it has, and "
        "ends there again after a crash.",
        tests=(
            f"{LOOP}test_a_budget_ends_it_with_what_it_last_said_and_is_told_to_the_model",
            f"{LOOP}test_a_conversation_that_a_budget_cut_off_can_be_gone_on_from",
            f"{LOOP}test_the_last_turn_offers_no_tools_and_asks_for_an_answer",
            f"{GIVEN}test_no_bound_is_ever_passed",
            f"{SURVIVES}test_an_agent_that_a_budget_ended_is_cut_off_at_the_same_place_after_a_crash",
        ),
    ),
    Held(
        item="agent",
        promise="Of n helpers each may spend 1/(n + 1) of what is left (KISS), however deep they nest; one that fails takes nobody "
        "with it.",
        tests=(
            f"{GIVEN}test_each_of_n_parts_gets_one_share_of_n_plus_one_and_one_stays",
            f"{GIVEN}test_helpers_of_a_depth_can_delegate_in_turn_and_no_deeper",
            f"{GIVEN}test_a_helper_that_fails_takes_nobody_with_it",
            f"{GIVEN}test_a_helper_whose_share_is_used_up_says_what_it_has",
            f"{GIVEN}test_of_two_delegations_in_one_turn_one_is_run_and_the_model_is_told",
        ),
    ),
    Held(
        item="agent",
        promise="A conversation that grows too long is summed up by a call, which is recorded: its task and its newest turns stay.",
        tests=(
            f"{LOOP}test_a_long_conversation_is_summed_up_and_keeps_its_task_and_its_newest_turns",
            f"{LONG}test_a_summary_is_recorded_and_not_written_again",
        ),
    ),
    Held(
        item="agent",
        promise="What an agent says is heard as it is made, and a resumed run tells the same.",
        tests=(f"{LOOP}test_whoever_listens_hears_pieces_calls_and_results_and_the_same_of_a_replay",),
    ),
    Held(
        item="agent",
        promise="An answer of a type is read, or asked for once more.",
        tests=(f"{LOOP}test_an_answer_of_a_type_is_read_or_asked_for_once_more",),
    ),
    Held(
        item="agent",
        promise="Conversations that differ anywhere, or offer other tools, are other calls.",
        tests=(f"{LONG}test_two_requests_have_one_condensed_form_if_and_only_if_they_are_equal",),
    ),
    Held(
        item="agent",
        promise="Settings that make no sense, two tools of one name, and a model without tools are refused before any is asked.",
        tests=(
            f"{LOOP}test_settings_that_make_no_sense_are_refused_before_anything_is_asked",
            f"{LOOP}test_a_model_that_takes_no_tools_is_refused_before_anything_is_asked",
            f"{GIVEN}test_settings_that_make_no_sense_are_refused_before_anything_is_asked",
            f"{GIVEN}test_what_is_no_delegation_is_told_to_the_model",
        ),
    ),
    Held(
        item="example",
        promise="`make demo-agent`: an assistant with twelve tools (files, a shell, an atlas in SQLite, arithmetic, a slow and failing "
        "MCP server, letters that need approval) is killed with SIGKILL and goes on: nothing recorded runs again, no effect is done "
        "twice.",
        tests=(
            "tests/examples/test_agent_example.py::test_it_is_killed_and_goes_on_and_does_nothing_twice",
            "tests/examples/test_agent_example.py::test_it_runs_on_the_small_model_that_it_is_made_for",
            "tests/examples/test_agent_example.py::test_the_shell_runs_nothing_but_what_is_allowed",
        ),
    ),
]
