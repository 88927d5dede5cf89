"""Divide-Then-Aggregate, HybridDeepSearcher and ParallelSearch: what rounds of parallel calls cost and save.

Times are of a virtual clock. Needle is the real model; the searching model is synthetic: it asks for all that it can know to be
lacking, or for one thing at a time, and the web is a dictionary.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator
from statistics import fmean
from typing import Any

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.plans.executor import draw_plan, work
from headway import models, testing, tools
from headway.methods import plan
from headway.methods.graph import Graph
from headway.methods.plan import HYBRID, PARALLEL, Tags, by_levels

TESTS = "tests/methods/plan"


# --- rounds and dataflow ---------------------------------------------------------------------------------------------


@hw.task
async def run_graph(graph: Graph[float]) -> int:
    return len((await plan.execute(work, graph=graph)).results)


def seconds(graph: Graph[float]) -> float:
    clock = testing.VirtualClock()
    assert testing.run(run_graph, graph, store=None, clock=clock) == len(graph)
    return clock.elapsed


def dataflow_against_rounds(seed: int) -> Pair:
    graph = draw_plan(seed)
    return Pair(seconds(graph), seconds(by_levels(graph)))


def level_graphs(seed: int) -> Pair:
    graph = draw_plan(seed, level=True)
    return Pair(seconds(by_levels(graph)), seconds(graph))


# --- Needle ----------------------------------------------------------------------------------------------------------

CITIES = ("Paris", "Tokyo", "Berlin", "Madrid", "Oslo", "Cairo", "Lima", "Rome")
REQUESTS = 3


@tools.tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city.

    Args:
        city: the name of the city.
    """
    await hw.sleep(1.0)
    return f"{city}: sunny"


@tools.tool
async def set_timer(minutes: int) -> str:
    """Set a timer for a number of minutes.

    Args:
        minutes: how many minutes.
    """
    await hw.sleep(1.0)
    return f"timer of {minutes} minutes"


OFFERED = [get_weather, set_timer]


def draw_request(rng: random.Random) -> tuple[str, set[tuple[str, Any]]]:
    """Two things in one request, and the calls that they need."""
    one, two = rng.sample(CITIES, 2)
    minutes = rng.randint(2, 50)
    if rng.random() < 0.5:
        return f"What is the weather in {one} and in {two}?", {("get_weather", one), ("get_weather", two)}
    return f"What is the weather in {one}? And set a timer for {minutes} minutes.", {("get_weather", one), ("set_timer", minutes)}


@hw.task
async def divide_all(requests: list[str], parallel: bool) -> list[list[tuple[str, Any]]]:
    """What Needle asked for, in at most two rounds."""
    needle = models.open("needle")
    found = []
    for request in requests:
        made = await plan.divide_then_aggregate(
            request, needle, OFFERED, rounds=2, forced=False, sampling={"max_tokens": 200, "parallel_tool_calls": parallel}
        )
        results = [each for round_ in made.rounds for each in round_ if not each.is_error]
        found.append([(each.call.name, next(iter(arguments_of(each)))) for each in results])
    return found


def arguments_of(result: tools.ToolResult) -> list[Any]:
    return list(json.loads(result.call.arguments).values())


def needle_in_rounds(seed: int) -> Pair:
    """The share of requests whose calls are all made, in rounds of parallel calls, and with one call a round."""
    rng = random.Random(f"needle {seed}")
    asked = [draw_request(rng) for _ in range(REQUESTS)]
    shares = []
    for parallel in (True, False):
        found = testing.run(divide_all, [text for text, _ in asked], parallel, store=None, clock=testing.VirtualClock())
        shares.append(fmean(wanted <= set(made) for made, (_, wanted) in zip(found, asked, strict=True)))
    return Pair(*shares)


# --- searches --------------------------------------------------------------------------------------------------------

PLACES, FIELDS = 40, ("area", "population", "rivers")


class Web:
    """A dictionary of facts: which countries border one, and three numbers of each."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"web {seed}")
        self.names = [f"Land{number}" for number in range(PLACES)]
        self.pages: dict[str, str] = {}
        for name in self.names:
            self.pages[f"neighbours of {name}"] = ", ".join(rng.sample(self.names, rng.randint(3, 7)))
            for field in FIELDS:
                self.pages[f"{field} of {name}"] = str(rng.randint(1, 999))
        self.seconds = {query: rng.lognormvariate(0, 0.7) for query in self.pages}


class FanOut:
    """Answers "the total FIELD of the neighbours of NAME": it asks for the neighbours, then for a number of each."""

    name = "fan-out"
    price = models.FREE

    def __init__(self, tags: Tags, *, at_once: bool) -> None:
        self._tags, self._at_once = tags, at_once

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        text = str(request.prompt)
        question = text.partition("Question: ")[2].partition("\n")[0]
        _, _, field, _, _, _, _, name = question.split()
        known = dict(line.split(": ", 1) for line in text.partition(question)[2].splitlines() if ": " in line and " of " in line)
        listed = known.get(f"neighbours of {name}")
        wanted = [f"neighbours of {name}"] if listed is None else [f"{field} of {each}" for each in listed.split(", ")]
        lacking = [each for each in wanted if each not in known]
        if lacking:
            said = self._tags.begin + self._tags.between.join(lacking if self._at_once else lacking[:1])
        else:
            said = f"{self._tags.answer}{sum(int(known[each]) for each in wanted)}{self._tags.answer_end}"
        yield models.Piece(said, finish="stop", tokens=len(said.split()))


@hw.task
async def search_all(seed: int, tags: Tags, at_once: bool, rounds: int) -> list[tuple[bool, int, int]]:
    """Of each question: whether it was answered right, in how many rounds and how many searches."""
    web, found = Web(seed), []

    @hw.task(name="bench.look")
    async def look(query: str) -> str:
        await hw.sleep(web.seconds[query])
        return web.pages[query]

    for name in web.names[:10]:
        field = FIELDS[len(found) % 3]
        asked = f"the total {field} of the neighbours of {name}"
        done = await plan.deep_search(asked, FanOut(tags, at_once=at_once), look, tags=tags, rounds=rounds)
        listed = web.pages[f"neighbours of {name}"].split(", ")
        gold = sum(int(web.pages[f"{field} of {each}"]) for each in listed)
        found.append((done.answer == str(gold), len(done.rounds), done.calls))
    return found


def search(seed: int, tags: Tags, *, at_once: bool, rounds: int = 10) -> tuple[list[tuple[bool, int, int]], float]:
    clock = testing.VirtualClock()
    found = testing.run(search_all, seed, tags, at_once, rounds, store=None, clock=clock)
    return found, clock.elapsed


def in_few_rounds(tags: Tags, what: str) -> Any:
    def measure(seed: int) -> Pair:
        figures = []
        for at_once in (True, False):
            found, took = search(seed, tags, at_once=at_once, rounds=4 if what == "right" else 10)
            right = fmean(each[0] for each in found)
            rounds_ = fmean(each[1] for each in found)
            figures.append(
                {"right": right, "rounds": rounds_, "calls": fmean(each[2] for each in found), "seconds": took / 10}[what]
            )
        return Pair(*figures)

    return measure


_DTA: dict[str, Any] = {
    "method": "DTA",
    "function": "headway.methods.plan.dta.divide_then_aggregate",
    "item": "plan",
    "claim": "rounds of parallel calls save turns; each round waits for its slowest call",
}
_SEARCH: dict[str, Any] = {
    "function": "headway.methods.plan.searching.deep_search",
    "item": "plan",
    "baseline": "the same model with one query a round",
    "test": f"{TESTS}/test_searching.py::test_queries_of_a_list_are_searched_at_once_and_a_repeated_one_is_not",
}
_HYBRID = {
    **_SEARCH,
    "method": "HybridDeepSearcher",
    "claim": "about 3 rounds of parallel searches beat more rounds of single ones",
}
_PARALLEL = {**_SEARCH, "method": "ParallelSearch", "claim": "parallelizable questions with 69.6 % of the calls of the model"}

ROWS: list[Row | Held] = [
    Row(
        **_DTA,
        shows="dataflow is faster than rounds (drawn plans)",
        baseline="the same plan in rounds",
        unit="s of a plan of 40 steps",
        measure=dataflow_against_rounds,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_dta.py::test_rounds_take_at_least_as_long_as_dataflow",
    ),
    Row(
        **_DTA,
        shows="rounds are as fast as dataflow where all steps of a level take as long (drawn plans)",
        baseline="dataflow",
        unit="s of a plan of 40 steps",
        measure=level_graphs,
        reached=lambda low, high: high <= 1 + 1e-6,
        test=f"{TESTS}/test_dta.py::"
        "test_they_take_as_long_where_each_level_is_of_one_length_and_longer_where_a_chain_waits_for_a_stranger",
    ),
    Row(
        **_DTA,
        shows="Needle gets more requests of two things done in rounds of parallel calls than with one call a round",
        baseline="Needle, held to one call a round",
        unit="share of requests whose calls are all made, in 2 rounds",
        measure=needle_in_rounds,
        slow=True,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_dta.py::test_a_round_waits_for_all_of_the_last_one_and_failures_are_told",
    ),
    Row(
        **_HYBRID,
        shows="fewer rounds for fan-out questions (a synthetic model, a dictionary for a web)",
        unit="rounds a question",
        measure=in_few_rounds(HYBRID, "rounds"),
        reached=lambda low, high: high < 1,
    ),
    Row(
        **_HYBRID,
        shows="more fan-out questions answered where 4 rounds are allowed (a synthetic model, a dictionary for a web)",
        unit="share of right answers",
        measure=in_few_rounds(HYBRID, "right"),
        compare="difference",
        reached=lambda low, high: low > 0,
    ),
    Row(
        **_PARALLEL,
        shows="less time for fan-out questions (a synthetic model, a dictionary for a web)",
        unit="s a question, without the model's own",
        measure=in_few_rounds(PARALLEL, "seconds"),
        reached=lambda low, high: high < 1,
    ),
    Row(
        **_PARALLEL,
        shows="no more searches than with one query a round (a synthetic model, a dictionary for a web)",
        unit="searches a question",
        measure=in_few_rounds(PARALLEL, "calls"),
        reached=lambda low, high: high <= 1,
    ),
    Held(
        item="plan",
        promise="HybridDeepSearcher: at most so many rounds, a repeated query is not searched, and the last round must answer",
        tests=(
            f"{TESTS}/test_searching.py::test_when_the_rounds_are_used_up_the_model_must_answer",
            f"{TESTS}/test_searching.py::test_a_list_of_nothing_new_costs_a_round_and_no_search",
        ),
    ),
]
