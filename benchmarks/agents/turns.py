"""What a turn of tools costs the runtime, and the promises of tools that tests alone hold."""

from __future__ import annotations

import gc
import tempfile
import time

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import models, tools

TOOLS, TURNS = 20, 100
WANTED_MS = 2.0


@tools.tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: one.
        b: the other.
    """
    return a + b


@hw.task
async def talk(turns: int) -> int:
    """Turns of 20 calls each, one after the other."""
    total = 0
    for turn in range(turns):
        calls = [models.ToolCall(f"{turn} {place}", "add", f'{{"a": {turn}, "b": {place}}}') for place in range(TOOLS)]
        results = await tools.run_calls([add], calls)
        total += sum(result.value for result in results)
    return total


def cpu_ms_a_turn(turns: int) -> float:
    """Processor time of this process for each turn, with a journal on the disk; the start of the run is taken off."""
    spent = []
    for size in (1, 1 + turns):
        with tempfile.TemporaryDirectory() as folder:
            gc.collect()
            before = time.process_time()
            hw.run(talk, size, store=folder, run_id="turns")
            spent.append(time.process_time() - before)
    return (spent[1] - spent[0]) / turns * 1000


def measure_turn(seed: int) -> Pair:
    """Milliseconds of processor time for a turn of 20 calls, and the bound that is wanted."""
    cpu_ms_a_turn(5)
    return Pair(cpu_ms_a_turn(TURNS), WANTED_MS)


RUNNING = "tests/tools/test_running_calls.py::"
READING = "tests/tools/test_tool_parameters.py::"
APPROVING = "tests/tools/test_approvals.py::"

ROWS: list[Row | Held] = [
    Row(
        method="A turn of tools",
        function="headway.tools.running.run_calls",
        item="tools",
        claim="under 2 ms of processor time for 20 calls",
        shows="20 calls of a turn cost the runtime under 2 ms of processor time, journal and all",
        baseline="the number that is wanted",
        unit="ms of processor time a turn",
        measure=measure_turn,
        reached=lambda low, high: high < 1,
        test=f"{RUNNING}test_64_calls_run_at_once",
    ),
    Held(
        item="tools",
        promise="A tool is a typed function or any task: its schema comes from hints and docstring, and what has none is refused "
        "when the tool is made.",
        tests=(
            f"{READING}test_a_schema_has_types_bounds_choices_and_defaults",
            f"{READING}test_descriptions_come_from_the_docstring",
            f"{READING}test_models_of_pydantic_are_parameters",
            f"{READING}test_what_the_schema_allows_is_read_as_it_was_written",
            f"{READING}test_a_parameter_without_a_schema_is_refused_when_the_tool_is_made",
        ),
    ),
    Held(
        item="tools",
        promise="A tool has labels: an effect, untrusted text, approval. An effect is what its task says.",
        tests=(f"{READING}test_a_tool_keeps_what_its_task_is",),
    ),
    Held(
        item="tools",
        promise="Invalid JSON, cut off calls and schema violations are results that tell the model what is allowed.",
        tests=(
            f"{READING}test_what_does_not_fit_is_refused_with_what_is_allowed",
            f"{RUNNING}test_a_fault_is_a_result_and_the_others_go_on",
        ),
    ),
    Held(
        item="tools",
        promise="Unknown tools, two calls of one id and tools that fail are results, and the other calls of the turn go on.",
        tests=(
            f"{RUNNING}test_a_fault_is_a_result_and_the_others_go_on",
            f"{RUNNING}test_of_two_calls_with_one_id_the_second_is_not_run",
            f"{RUNNING}test_a_tool_that_took_too_long_is_a_result",
        ),
    ),
    Held(
        item="tools",
        promise="A result of 100 MB is journaled whole as a blob, and the model is shown 64 KiB of it with a note.",
        tests=(f"{RUNNING}test_a_result_of_100_mb_is_kept_whole_and_shown_bounded",),
    ),
    Held(
        item="tools",
        promise="Bounds that were reached and a cancelled call are raised, never told to a model.",
        tests=(
            f"{RUNNING}test_what_a_budget_refuses_is_raised_when_the_others_have_ended",
            f"{RUNNING}test_what_a_deadline_stops_is_raised",
            f"{RUNNING}test_a_call_that_somebody_cancels_is_raised",
        ),
    ),
    Held(
        item="tools",
        promise="A resumed run tells the model the very same, also what failed: nothing that a model was told is run again.",
        tests=(
            f"{RUNNING}test_a_resumed_run_shows_the_model_the_very_same_errors",
            f"{RUNNING}test_a_failure_that_a_model_was_told_is_asked_for_again_only_on_demand",
        ),
    ),
    Held(
        item="tools",
        promise="Killed at any record, a run does no effect twice, and none without the yes of a person.",
        tests=(
            "tests/tools/test_tools_survive.py::test_a_run_that_is_killed_at_any_record_tells_the_same_and_does_no_effect_twice",
            "tests/tools/test_tools_survive.py::test_so_does_one_that_is_killed_at_any_step_of_any_schedule",
        ),
    ),
    Held(
        item="tools",
        promise="Approval is a durable wait: seen and answered on the command line, with a reason, or with other arguments.",
        tests=(
            f"{APPROVING}test_the_command_line_shows_the_question_and_answers_it",
            f"{APPROVING}test_what_is_no_clear_yes_is_a_denial_that_the_model_hears",
            f"{APPROVING}test_a_person_may_change_the_arguments",
            f"{APPROVING}test_what_the_person_sees_is_what_would_be_run",
        ),
    ),
]
