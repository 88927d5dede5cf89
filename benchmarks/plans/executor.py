"""The executor of plans: how long plans take beside what bounds them, and what the graph costs beside the runtime.

Steps sleep on a virtual clock, so that times are exact. Plans are drawn: each step needs up to three of the twelve before it, and
takes a time whose logarithm is normal. A planner says one step at a time, in the order of the plan.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods import plan
from headway.methods.graph import Add, Edit, Graph, Node, Remove, Replace, Rewire, Trace, after
from headway.methods.plan.policies import one_by_one, rounds

STEPS, REACH, MOST_NEEDS = 40, 12, 3
SPEAK_S = 0.02  # a line of a planner; a step takes about a second
How = Literal["streaming", "whole", "rounds", "one by one", "known"]


def draw_plan(seed: int, size: int = STEPS, *, level: bool = False) -> Graph[float]:
    """A plan whose steps say how many seconds they take; `level`: as long for all steps of a level."""
    draw = random.Random(f"plan {seed}")
    nodes: list[Node[float]] = []
    for number in range(size):
        before = [node.id for node in nodes[-REACH:]]
        needs = draw.sample(before, min(len(before), draw.randrange(MOST_NEEDS + 1)))
        nodes.append(Node(str(number), draw.lognormvariate(0, 0.7), after(*needs)))
    if not level:
        return Graph(tuple(nodes))
    seconds = {id: draw.lognormvariate(0, 0.7) for ids in Graph(tuple(nodes)).rounds() for id in ids[:1]}
    of = {id: seconds[ids[0]] for ids in Graph(tuple(nodes)).rounds() for id in ids}
    return Graph(tuple(Node(node.id, of[node.id], node.needs) for node in nodes))


def ends_at_best(graph: Graph[float], speak_s: float) -> float:
    """The critical path, with what is said when: no step can begin before somebody said it."""
    ends: dict[str, float] = {}
    for number, node in enumerate(graph.nodes, 1):
        ends[node.id] = max([number * speak_s, *(ends[need.step] for need in node.needs)]) + node.does
    return max(ends.values(), default=0.0)


@hw.task
async def work(seconds: float, given: dict[str, float]) -> float:
    await asyncio.sleep(seconds)
    return seconds + sum(given.values())


@hw.task
async def speak(goal: tuple[Graph[float], float, bool], trace: Trace[float]) -> AsyncIterator[Edit[float] | Sequence[Edit[float]]]:
    """Say a plan, step by step or all of it at the end."""
    graph, speak_s, whole = goal
    for node in graph.nodes:
        await asyncio.sleep(speak_s)
        if not whole:
            yield Add(node)
    if whole:
        yield [Add(node) for node in graph.nodes]


@hw.task
async def run_plan(graph: Graph[float], how: How, speak_s: float) -> dict[str, float]:
    """Run a plan in a way."""
    policy = {"rounds": rounds, "one by one": one_by_one}.get(how)
    if how in ("streaming", "whole"):
        ran = await plan.execute(work, goal=(graph, speak_s, how == "whole"), planner=speak)
    elif how == "known":
        ran = await plan.execute(work, graph=graph)
    else:
        ran = await plan.execute(work, graph=graph, policy=policy)
    ran.check()
    return ran.results


def makespan(graph: Graph[float], how: How, speak_s: float = SPEAK_S) -> float:
    """Seconds that a plan takes; with a planner from its first word on."""
    clock = testing.VirtualClock()
    results = testing.run(run_plan, graph, how, speak_s, store=None, clock=clock)
    assert len(results) == len(graph)
    return clock.elapsed


def measure_streaming(seed: int) -> Pair:
    """A streamed plan, against the critical path with what is said when."""
    graph = draw_plan(seed)
    return Pair(makespan(graph, "streaming"), ends_at_best(graph, SPEAK_S))


def measure_against(seed: int, ours: How, baseline: How, *, level: bool = False) -> Pair:
    """Two ways to run one plan."""
    graph = draw_plan(seed, level=level)
    return Pair(makespan(graph, ours), makespan(graph, baseline))


# --- what the graph costs --------------------------------------------------------------------------------------------

SIZE, STEPS_PER_EDIT, WINDOW, TIMES = 10_000, 10, 40, 3


def draw_large_plan(seed: int, size: int) -> Graph[int]:
    """A plan whose steps need up to three of the forty before them."""
    draw = random.Random(f"large {seed}")
    nodes: list[Node[int]] = []
    for number in range(size):
        before = [node.id for node in nodes[-WINDOW:]]
        nodes.append(Node(str(number), number, after(*draw.sample(before, min(len(before), draw.randrange(4))))))
    return Graph(tuple(nodes))


def draw_edits(seed: int, size: int, count: int) -> list[Edit[int]]:
    """Edits of all kinds, of the later half of a plan, some of which come too late."""
    draw = random.Random(f"edits {seed}")
    edits: list[Edit[int]] = []
    added: list[str] = []
    for number in range(count):
        kind, at = draw.randrange(4), draw.randrange(size // 2, size)
        if kind == 0 or (kind == 1 and not added):
            added.append(f"new {number}")
            edits.append(Add(Node(added[-1], number, after(str(draw.randrange(size))))))
        elif kind == 1:
            edits.append(Remove(added.pop()))
        elif kind == 2:
            edits.append(Replace(str(at), size + number))
        else:
            edits.append(Rewire(str(at), after(*{str(draw.randrange(at)) for _ in range(2)})))
    return edits


@hw.task
async def note(number: int, given: dict[str, int]) -> int:
    return number + len(given)


@hw.task
async def say_edits(seed: int, trace: Trace[int]) -> AsyncIterator[Edit[int]]:
    for edit in draw_edits(seed, len(trace.graph), len(trace.graph) // STEPS_PER_EDIT):
        yield edit


@hw.task
async def run_with_graph(kept: Annotated[list[plan.Executed[int, int]], hw.unkeyed], graph: Graph[int], seed: int) -> int:
    kept.append(await plan.execute(note, graph=graph, goal=seed, planner=say_edits))
    return len(kept[-1].results)


@hw.task
async def run_without_graph(calls: Annotated[list[tuple[int, dict[str, int]]], hw.unkeyed], graph: Graph[int], seed: int) -> int:
    """The same calls and the same stream, in a group."""
    left = iter(calls)
    async with hw.group() as parts:
        parts.read(say_edits(seed, Trace(graph)))
        for _, call in zip(range(WINDOW), left, strict=False):
            parts.add(note(*call))
        async for part in parts:
            if isinstance(part, hw.Handle) and (call := next(left, None)) is not None:
                parts.add(note(*call))
    return len(calls)


def measure_cost(seed: int, size: int = SIZE) -> Pair:
    """CPU seconds of the graph and the executor, against those of the runtime for the same calls and the same stream."""
    graph = draw_large_plan(seed, size)
    plans, bare = [], []
    for _ in range(TIMES):
        began = time.process_time()
        kept: list[plan.Executed[int, int]] = []
        hw.run(run_with_graph, kept, graph, seed, store=None, progress=False)
        plans.append(time.process_time() - began)
        ran = kept[0]
        does = {node.id: node for node in ran.graph}
        order = [each.step for each in ran.log if isinstance(each, plan.Started)]
        calls = [(does[id].does, {need.step: ran.results[need.step] for need in does[id].needs}) for id in order]
        began = time.process_time()
        hw.run(run_without_graph, calls, graph, seed, store=None, progress=False)
        bare.append(time.process_time() - began)
    return Pair(min(plans) - min(bare), min(bare))


_TESTS = "tests/methods/plan/"
_TIME = f"{_TESTS}test_makespan.py"
_BAD = f"{_TESTS}test_bad_plans.py"
_ENDS = f"{_TESTS}test_execute.py"

ROWS: list[Row | Held] = [
    Row(
        method="LLMCompiler",
        function="headway.methods.plan.execute",
        item="plan",
        claim="steps start while the planner still speaks",
        shows="with streaming, within 5 % of the critical path",
        baseline="the critical path, no step before it is said",
        unit="seconds",
        measure=measure_streaming,
        reached=lambda low, high: high <= 1.05,
        test=f"{_TIME}::test_a_streamed_plan_takes_as_long_as_its_critical_path",
    ),
    Row(
        method="LLMCompiler",
        function="headway.methods.plan.execute",
        item="plan",
        claim="streaming hides the time of planning",
        shows="with streaming, sooner than after planning",
        baseline="the whole plan is made first",
        unit="seconds",
        measure=lambda seed: measure_against(seed, "streaming", "whole"),
        reached=lambda low, high: high < 1,
        test=f"{_TIME}::test_streaming_is_sooner_than_planning_first_and_that_sooner_than_one_by_one",
    ),
    Row(
        method="LLMCompiler",
        function="headway.methods.plan.execute",
        item="plan",
        claim="up to 3.7 times sooner than ReAct",
        shows="without streaming, still sooner than one by one",
        baseline="one step at a time",
        unit="seconds",
        measure=lambda seed: measure_against(seed, "whole", "one by one"),
        reached=lambda low, high: high < 1,
        test=f"{_TIME}::test_streaming_is_sooner_than_planning_first_and_that_sooner_than_one_by_one",
    ),
    Held(
        item="plan",
        promise="LLMCompiler: a step that fails ends the join: what needs it is skipped and named, and nothing hangs",
        tests=(
            f"{_ENDS}::test_what_a_failed_step_leads_to_is_skipped_and_nothing_hangs",
            f"{_ENDS}::test_an_error_that_is_not_named_stops_the_plan",
        ),
    ),
    Row(
        method="Divide-Then-Aggregate",
        function="headway.methods.plan.rounds",
        item="plan",
        claim="rounds of parallel calls, each waits for all of the one before",
        shows="rounds take at least as long as dataflow",
        baseline="each step starts once what it needs has ended",
        unit="seconds",
        measure=lambda seed: measure_against(seed, "rounds", "known"),
        reached=lambda low, high: low >= 1,
        test=f"{_TIME}::test_rounds_are_as_fast_as_dataflow_only_where_one_chain_holds_a_slowest_step_of_each_level",
    ),
    Row(
        method="Divide-Then-Aggregate",
        function="headway.methods.plan.rounds",
        item="plan",
        claim="rounds of parallel calls, each waits for all of the one before",
        shows="rounds take as long as dataflow where all steps of a level take as long",
        baseline="each step starts once what it needs has ended",
        unit="seconds",
        measure=lambda seed: measure_against(seed, "rounds", "known", level=True),
        reached=lambda low, high: abs(low - 1) < 1e-9 and abs(high - 1) < 1e-9,
        test=f"{_TIME}::test_rounds_are_as_fast_as_dataflow_only_where_one_chain_holds_a_slowest_step_of_each_level",
    ),
    Row(
        method="A plan of 10,000 steps",
        function="headway.methods.plan.execute",
        item="plan",
        claim="edits cost what they touch, and not the size of the plan",
        shows="with 1,000 edits in flight, graph and executor cost less than the runtime",
        baseline="the runtime, for the same calls and the same stream in a group",
        unit="CPU seconds",
        measure=measure_cost,
        reached=lambda low, high: high < 1,
        test=f"{_TIME}::test_the_work_of_a_plan_grows_with_its_steps_and_not_with_their_square",
    ),
    Held(
        item="plan",
        promise="A plan with a cycle is refused, the cycle is named, and the rest of the plan runs",
        tests=(f"{_ENDS}::test_a_cycle_is_refused_and_named", f"{_BAD}::test_a_plan_with_a_cycle_is_refused_before_anything_runs"),
    ),
    Held(
        item="plan",
        promise="A missing reference is refused when the planners have spoken, and they are told",
        tests=(
            f"{_ENDS}::test_an_edit_that_needs_what_never_comes_is_refused_and_told",
            f"{_BAD}::test_what_needs_a_refused_step_is_refused_too",
        ),
    ),
    Held(
        item="plan",
        promise="A late reference waits for the step that it names",
        tests=(f"{_ENDS}::test_an_edit_waits_for_the_step_that_it_needs",),
    ),
    Held(
        item="plan",
        promise="A step that never ends fails by its timeout, or the plan ends by its deadline",
        tests=(
            f"{_BAD}::test_a_step_that_never_ends_fails_by_its_timeout_and_the_plan_goes_on",
            f"{_BAD}::test_a_step_that_never_ends_ends_with_the_deadline",
        ),
    ),
    Held(
        item="plan",
        promise="An edit of a step that runs is refused, and its planner is told",
        tests=(f"{_ENDS}::test_what_has_started_can_not_be_edited_and_the_rest_goes_on",),
    ),
    Held(
        item="plan",
        promise="A planner that stops in the middle, fails, hangs or says nonsense leaves what it planned or ends with one error",
        tests=(
            f"{_ENDS}::test_a_planner_that_fails_leaves_what_it_planned",
            f"{_BAD}::test_a_planner_that_hangs_is_cut_off_by_its_timeout",
            f"{_BAD}::test_a_planner_that_says_what_is_no_edit_ends_the_plan_with_one_error",
            f"{_BAD}::test_a_planner_that_never_stops_is_stopped_by_the_size_of_the_plan",
        ),
    ),
    Held(
        item="plan",
        promise="Two planners that edit at once: edits are applied in the order in which they come; what clashes is refused",
        tests=(
            f"{_ENDS}::test_two_planners_edit_at_once_and_what_clashes_is_refused",
            f"{_BAD}::test_each_of_two_planners_is_told_of_its_own_refusals",
        ),
    ),
    Held(
        item="plan",
        promise="a plan that is killed at any record goes on with an equal result, and repeats nothing that was recorded",
        tests=(
            f"{_TESTS}test_plans_survive.py::test_a_plan_that_is_killed_at_any_record_ends_as_if_it_had_not_been",
            f"{_TESTS}test_plans_survive.py::test_a_policy_decides_the_same_again_though_there_is_more_to_spend",
        ),
    ),
]
