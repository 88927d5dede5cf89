"""LLMCompiler: how long plans take that run while they are written, what a grammar and mends are worth, and what never happens.

Times are of a virtual clock. In the synthetic rows a scripted planner writes drawn plans, a line each fiftieth of a second, and
steps sleep; in the others the planner is the trained one, or Gemma.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from statistics import fmean
from typing import Any

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.plans import atlas
from benchmarks.plans.executor import SPEAK_S, draw_plan, ends_at_best
from headway import models, testing, tools
from headway.methods import plan
from headway.methods.graph import Graph
from headway.methods.plan.policies import one_by_one
from headway.reference.planner.questions import Mix, make_questions

TESTS = "tests/methods/plan"


# --- drawn plans -----------------------------------------------------------------------------------------------------


@tools.tool
async def work(seconds: float, needs: list[float] | None = None) -> float:
    """Work for some seconds."""
    await hw.sleep(seconds)
    return seconds


class Writer:
    """Writes the lines of a plan, one after a while each."""

    name = "writer"
    price = models.FREE

    def __init__(self, graph: Graph[float], *, whole: bool) -> None:
        self._lines = [line_of(node.id, node.does, [need.step for need in node.needs]) for node in graph]
        self._whole = whole

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        for line in [*self._lines, "join()\n"]:
            await hw.sleep(SPEAK_S)
            if not self._whole:
                yield models.Piece(line, tokens=10)
        yield models.Piece("".join([*self._lines, "join()\n"]) if self._whole else "", finish="stop")


def line_of(id: str, seconds: float, needs: Sequence[str]) -> str:
    return f"{int(id) + 1}. work({seconds!r}, [{', '.join(f'${int(need) + 1}' for need in needs)}])\n"


@hw.task
async def compile_drawn(graph: Graph[float], whole: bool, one: bool) -> int:
    writer = Writer(graph, whole=whole)
    ran = await plan.llm_compiler("Work.", writer, [work], join=plan.last_result, policy=one_by_one if one else None)
    assert not any(line.error for line in ran.lines)
    return len(ran.lines)


def makespan(seed: int, *, whole: bool = False, one: bool = False) -> float:
    """Seconds from the first word of the planner on."""
    clock, graph = testing.VirtualClock(), draw_plan(seed)
    assert testing.run(compile_drawn, graph, whole, one, store=None, clock=clock) == len(graph)
    return clock.elapsed


def against_path(seed: int) -> Pair:
    return Pair(makespan(seed), max(ends_at_best(draw_plan(seed), SPEAK_S), SPEAK_S * (len(draw_plan(seed)) + 1)))


def against_whole(seed: int) -> Pair:
    return Pair(makespan(seed), makespan(seed, whole=True))


def whole_against_one(seed: int) -> Pair:
    return Pair(makespan(seed, whole=True), makespan(seed, whole=True, one=True))


# --- the trained planner ---------------------------------------------------------------------------------------------


def trained_against_one(seed: int) -> Pair:
    """Seconds that the lines of the trained planner take for a question, and one line after the other."""
    questions = atlas.draw_questions(seed)
    return Pair(*(fmean(took for _, took in atlas.run_questions(questions, name)) for name in ("", "one by one")))


def trained_is_right(seed: int) -> Pair:
    """The share of questions that the planner's lines answer, and that its lines answer one after the other."""
    questions = atlas.draw_questions(seed)
    right = [atlas.gold(question) for question in questions]
    shares = []
    for name in ("", "one by one"):
        found = [answer for answer, _ in atlas.run_questions(questions, name)]
        shares.append(fmean(answer == wanted for answer, wanted in zip(found, right, strict=True)))
    return Pair(*shares)


# --- Gemma, the noisy planner ----------------------------------------------------------------------------------------

ASKED, SHOTS, LINES = 3, 3, 8


@cache
def gemma() -> models.Local:
    return models.Local(slots=1, threads=1)


def shots() -> str:
    return "\n\n".join(f"Question: {each.text}\n{each.plan}" for each in make_questions("train", 0, SHOTS))


def write_plans(seed: int, *, held: bool) -> list[str]:
    """Plans that Gemma writes after a few examples."""
    extra: dict[str, Any] = {"extra": {"grammar": plan.line_grammar(atlas.TOOLS, lines=LINES)}} if held else {"stop": ["\n\n"]}

    async def write() -> list[str]:
        prompts = [f"{shots()}\n\nQuestion: {each.text}\n" for each in make_questions("test", seed, ASKED, Mix())]
        return [(await models.sample(gemma(), prompt, max_tokens=90, seed=seed, **extra)).text for prompt in prompts]

    return asyncio.run(write())


def can_be_read(text: str) -> bool:
    reader = plan.PlanReader(atlas.TOOLS)
    reader.feed(text)
    reader.end()
    return reader.fault is None


def held_against_free(seed: int) -> Pair:
    """The share of plans that can be read: under the grammar, and without."""
    return Pair(*(fmean(map(can_be_read, write_plans(seed, held=held))) for held in (True, False)))


_LLMCOMPILER: dict[str, Any] = {
    "method": "LLMCompiler",
    "function": "headway.methods.plan.lines.compiler.llm_compiler",
    "item": "plan",
    "test": f"{TESTS}/test_compiler.py::test_it_takes_as_long_as_the_critical_path_with_each_step_there_when_its_line_is_written",
}
_TIME = {**_LLMCOMPILER, "claim": "up to 3.7 times as fast as one call after the other", "unit": "s of a plan of 40 lines"}

ROWS: list[Row | Held] = [
    Row(
        **_TIME,
        shows="the makespan is that of the critical path within 5 %, with streaming (drawn plans)",
        baseline="the critical path, with each line there when it is written",
        measure=against_path,
        reached=lambda low, high: high <= 1.05,
    ),
    Row(
        **_TIME,
        shows="with streaming faster than with the whole plan at once (drawn plans)",
        baseline="lines that start when the plan is written",
        measure=against_whole,
        reached=lambda low, high: high < 1,
    ),
    Row(
        **_TIME,
        shows="even without streaming faster than one line after the other (drawn plans)",
        baseline="one line after the other, in the order of the plan",
        measure=whole_against_one,
        reached=lambda low, high: high < 1,
    ),
    Row(
        **{**_LLMCOMPILER, "claim": _TIME["claim"], "unit": "s of a question to the atlas"},
        shows="lines of the trained planner for questions to the atlas, with lookups of drawn times",
        baseline="the same lines, one after the other",
        measure=trained_against_one,
        reached=lambda low, high: high < 1,
    ),
    Row(
        **{**_LLMCOMPILER, "claim": "as accurate as one call after the other", "unit": "share of right answers to the atlas"},
        shows="the trained planner's lines answer as many questions as one after the other",
        baseline="the same lines, one after the other",
        measure=trained_is_right,
        compare="difference",
        reached=lambda low, high: low >= 0,
    ),
    Row(
        method="LLMCompiler: a grammar for its lines",
        function="headway.methods.plan.lines.grammar.line_grammar",
        item="plan",
        claim="(ours)",
        shows="more plans of Gemma can be read with the grammar than without",
        baseline="Gemma after the same three examples",
        unit="share of plans without a fault",
        measure=held_against_free,
        slow=True,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_lines.py::test_what_a_model_writes_under_the_grammar_can_be_read_however_hot_it_is",
    ),
    Held(
        item="plan",
        promise="LLMCompiler: a line that fails ends what needs it, and the joiner is told instead of waiting",
        tests=(
            f"{TESTS}/test_compiler.py::test_a_line_that_fails_ends_what_needs_it_and_the_joiner_is_told_instead_of_waiting",
            f"{TESTS}/test_compiler.py::test_arguments_that_do_not_fit_fail_the_line_and_not_the_program",
        ),
    ),
    Held(
        item="plan",
        promise="LLMCompiler: what an earlier round executed is never executed again, and its results can be referred to",
        tests=(
            f"{TESTS}/test_compiler.py::test_what_was_executed_is_never_executed_again_by_a_further_round",
            f"{TESTS}/test_compiler.py::test_a_further_round_refers_to_earlier_results_and_is_told_all_of_them",
        ),
    ),
    Held(
        item="plan",
        promise="LLMCompiler: at most so many rounds, and the last one forces an answer",
        tests=(f"{TESTS}/test_compiler.py::test_rounds_are_bounded_and_the_last_one_forces_an_answer",),
    ),
    Held(
        item="plan",
        promise="Methods of lines and rounds go on after a crash with an equal result, and no effect is done twice",
        tests=(f"{TESTS}/test_line_methods_survive.py::test_wherever_a_method_is_killed_it_goes_on_and_no_effect_is_done_twice",),
    ),
    Held(
        item="plan",
        promise="A missing reference: the line is refused in a sentence for the planner, and the lines before it stand",
        tests=(
            f"{TESTS}/test_lines.py::test_what_can_not_be_read_is_refused_in_words_for_the_planner",
            f"{TESTS}/test_lines.py::test_a_step_without_a_result_can_not_be_referred_to",
            f"{TESTS}/test_lines.py::test_an_error_is_raised_when_its_line_has_ended_and_the_steps_before_it_stand",
        ),
    ),
    Held(
        item="plan",
        promise="A late reference: the line is refused in a sentence for the planner, which is asked for the rest",
        tests=(
            f"{TESTS}/test_lines.py::test_what_can_not_be_read_is_refused_in_words_for_the_planner",
            f"{TESTS}/test_compiler.py::"
            "test_a_planner_that_stops_or_errs_in_the_middle_is_asked_for_the_rest_while_the_first_lines_run",
        ),
    ),
    Held(
        item="plan",
        promise="A planner that stops in the middle of a line: it is asked for the rest, and after that the joiner is told",
        tests=(
            f"{TESTS}/test_compiler.py::"
            "test_a_planner_that_stops_or_errs_in_the_middle_is_asked_for_the_rest_while_the_first_lines_run",
            f"{TESTS}/test_compiler.py::test_one_that_goes_on_erring_ends_the_plan_and_the_joiner_is_told",
            f"{TESTS}/test_compiler.py::test_a_server_that_ends_its_stream_in_the_middle_of_a_line_is_a_planner_that_stops_there",
        ),
    ),
    Held(
        item="plan",
        promise="A planner's text is read as data: nothing of it is evaluated, and any text gives steps or one error",
        tests=(
            f"{TESTS}/test_lines.py::test_any_text_gives_steps_or_one_error_and_no_other",
            f"{TESTS}/test_lines.py::test_results_stand_in_the_place_of_references_and_are_never_read_for_more",
        ),
    ),
]
