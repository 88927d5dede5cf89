"""TURA and TaskMatrix.AI: what parallel sub-questions save, and what examples in the documents of APIs are worth.

The servers and the planning model are synthetic: a question has five parts, of which some need another one, and servers answer
after drawn times on a virtual clock. The APIs are a thousand documented functions (`benchmarks.agents.functions`).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Sequence
from statistics import fmean
from typing import Any

import headway as hw
from benchmarks.agents.functions import Split, make_split
from benchmarks.agents.toolbox import measure_queries
from benchmarks.methods.row import Held, Pair, Row
from headway import models, testing, tools
from headway.methods import plan

TESTS = "tests/methods/plan"
NAMES, PARTS, QUESTIONS, LATENCY_S = tuple(f"server{number}" for number in range(8)), 5, 6, 4.0


# --- TURA ------------------------------------------------------------------------------------------------------------


def draw_tasks(rng: random.Random, *, chained: bool) -> list[dict[str, Any]]:
    """Sub-questions for different servers; some need one before. `chained`: each needs the one before."""
    tasks: list[dict[str, Any]] = []
    for number, server in enumerate(rng.sample(NAMES, PARTS), 1):
        needs = [str(rng.randrange(1, number))] if number > 1 and rng.random() < 0.4 else []
        if chained and number > 1:
            needs = [str(number - 1)]
        tasks.append({"id": str(number), "question": f"part {number} of {server}", "server": server, "needs": needs})
    return tasks


def make_servers(seed: int) -> tools.Toolbox:
    """Servers that answer after a drawn time."""

    def make(name: str) -> tools.Tool:
        @hw.task(name=f"bench.{name}")
        async def serve(query: str) -> str:
            await hw.sleep(random.Random(f"{seed} {name} {query}").lognormvariate(0, 0.7))
            return f"{name} knows"

        return tools.tool(serve, name=name, description=f"What {name} knows of {name}.")

    return tools.Toolbox([make(name) for name in NAMES])


class Assistant:
    """Splits and plans a drawn question, asks its one server, and says how many parts it has answers for."""

    name, abilities, price = "assistant", frozenset({"tools", "schema"}), models.FREE

    def __init__(self, tasks: Sequence[dict[str, Any]]) -> None:
        self._tasks = tasks

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        assert not isinstance(request.prompt, str)
        heard = [message.text for message in request.prompt if message.role == "tool"]
        if request.schema is not None:
            parts = {"parts": [task["question"] for task in self._tasks]}
            said = parts if "parts" in request.schema.schema["properties"] else {"tasks": list(self._tasks)}
            yield models.Piece(json.dumps(said), finish="stop", tokens=50)
        elif request.tools and not heard:
            made = models.CallPiece(0, "a", request.tools[0].name, json.dumps({"query": request.prompt[0].text}))
            yield models.Piece(calls=(made,), finish="tool", tokens=9)
        else:
            yield models.Piece(heard[-1] if heard else "an answer", finish="stop", tokens=9)


@hw.task
async def ask_all(seed: int, chained: bool, latency_s: float | None) -> list[int]:
    """How many parts of each question have an answer."""
    rng, servers, found = random.Random(f"tura {seed}"), make_servers(seed), []
    for _ in range(QUESTIONS):
        state = rng.getstate()
        tasks = draw_tasks(rng, chained=chained)
        rng.setstate(state)
        draw_tasks(rng, chained=False)  # the same draws, whatever way they are asked
        made = await plan.tura("a question", Assistant(tasks), servers, k=len(NAMES), latency_s=latency_s)
        found.append(len(made.ran.results))
    return found


def ask(seed: int, *, chained: bool, latency_s: float | None = None) -> tuple[float, float]:
    """The share of parts that have an answer, and seconds a question."""
    clock = testing.VirtualClock()
    found = testing.run(ask_all, seed, chained, latency_s, store=None, clock=clock)
    return fmean(found) / PARTS, clock.elapsed / QUESTIONS


def graph_against_sequence(seed: int) -> Pair:
    return Pair(*(ask(seed, chained=chained)[1] for chained in (False, True)))


def in_time(seed: int) -> Pair:
    return Pair(*(ask(seed, chained=chained, latency_s=LATENCY_S)[0] for chained in (False, True)))


# --- TaskMatrix.AI ---------------------------------------------------------------------------------------------------

K = 5


def recall(platform: plan.Platform, split: Split) -> float:
    async def count() -> int:
        return sum([name in [each.name for each in await platform.select([asked], K)] for asked, name in split.requests])

    return asyncio.run(count()) / len(split.requests)


def with_examples(seed: int) -> Pair:
    """The share of requests whose API is among the first five: documents with three examples, and without."""
    split = make_split(seed)
    shares = []
    for examples in (3, 0):
        apis = [plan.Api(each, [(query, "") for query in split.queries[each.name][:examples]]) for each in split.offered]
        shares.append(recall(plan.Platform(apis), split))
    return Pair(*shares)


class Mends:
    """Calls the first API that it is offered; after a failure, the next one."""

    name, price = "mends", models.FREE

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        asked = request.prompt[-1]
        assert not isinstance(asked, str)
        line = asked.text.count("failed: ") // 2 + 1 if "-> (" in asked.text else 1
        yield models.Piece(f"{line}. api{line}()\njoin()", finish="stop", tokens=9)


@hw.task
async def carry_out(seed: int, attempts: int) -> float:
    """The share of requests that are carried out, where each API fails with a chance of a half."""
    rng, done = random.Random(f"apis {seed}"), 0
    for _ in range(20):
        broken = [rng.random() < 0.5 for _ in range(3)]

        def make(number: int, fails: bool) -> plan.Api:
            @hw.task(name=f"bench.api{number}")
            async def call() -> str:
                if fails:
                    raise ValueError("out of order")
                return "done"

            return plan.Api(tools.tool(call, name=f"api{number}", description="Carry out a request."))

        platform = plan.Platform([make(number, fails) for number, fails in enumerate(broken, 1)])
        join = plan.last_result if attempts == 1 else last_good
        served = await plan.task_matrix("Carry out a request", Mends(), platform, join=join, attempts=attempts, outline=False)
        done += served.answer == "done"
    return done / 20


async def last_good(so_far: plan.SoFar) -> plan.Finish | plan.Replan:
    last = so_far.lines[-1]
    return plan.Finish(last.value) if not last.error else plan.Replan(f"Line {last.id} failed: {last.error}")


def told_of_failures(seed: int) -> Pair:
    return Pair(*(testing.run(carry_out, seed, attempts, store=None, clock=testing.VirtualClock()) for attempts in (3, 1)))


_TURA: dict[str, Any] = {"method": "TURA", "function": "headway.methods.plan.tura.tura", "item": "plan"}
_MATRIX: dict[str, Any] = {
    "method": "TaskMatrix.AI",
    "function": "headway.methods.plan.lines.taskmatrix.task_matrix",
    "item": "plan",
}

ROWS: list[Row | Held] = [
    Row(
        **_TURA,
        claim="a graph instead of a sequence takes 44.2 % less time (1,650 to 920 ms) at equal success",
        shows="less time for the same sub-questions (synthetic, drawn times)",
        baseline="one sub-question after the other",
        unit="s a question of five parts",
        measure=graph_against_sequence,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}/test_tura.py::test_a_complex_question_runs_as_a_graph_as_wide_as_it_may",
    ),
    Row(
        **_TURA,
        claim="quality is to be largest within a latency",
        shows="more parts are answered within 4 s (synthetic, drawn times)",
        baseline="one sub-question after the other",
        unit="share of parts with an answer in time",
        measure=in_time,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_tura.py::test_what_is_late_is_left_out_of_the_answer",
    ),
    Row(
        **_TURA,
        claim="recall at 5 rises from 0.419 to 0.829 with 20 queries for each server",
        shows="servers are found by synthetic queries besides their documents",
        baseline="BM25 of the documents",
        unit="recall at 5, 1,000 functions",
        measure=measure_queries,
        compare="difference",
        reached=lambda low, high: low >= 0.10,
        test="tests/tools/test_bench_toolbox.py::test_further_texts_of_a_tool_find_it_ten_points_more_often",
    ),
    Row(
        **_MATRIX,
        claim="APIs with documents and examples are selected for a request",
        shows="three examples in its document find an API more often",
        baseline="documents without examples",
        unit="share of requests whose API is among five of 1,000",
        measure=with_examples,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_taskmatrix.py::test_what_fits_the_request_or_its_outline_is_selected_and_documented",
    ),
    Row(
        **_MATRIX,
        claim="the executor tells of what failed",
        shows="more requests are carried out by a model that hears which API failed (synthetic)",
        baseline="the same model, asked once",
        unit="share of requests, where an API fails with a chance of a half",
        measure=told_of_failures,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_taskmatrix.py::test_what_fails_is_told_to_the_model_and_to_the_maker_of_the_api",
    ),
    Held(
        item="plan",
        promise="TURA: a plan with a cycle, an unknown server or a missing need is asked for once more, and then not used",
        tests=(
            f"{TESTS}/test_tura.py::test_a_plan_that_can_not_be_used_is_asked_for_again_and_then_each_part_goes_to_its_best_server",
        ),
    ),
]
