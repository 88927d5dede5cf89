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
from benchmarks.methods.row import Pair
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

SIZE, EDITS, WINDOW, TIMES = 10_000, 1_000, 40, 3


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
    for edit in draw_edits(seed, len(trace.graph), EDITS):
        yield edit


@hw.task
async def run_with_graph(graph: Graph[int], seed: int) -> plan.Executed[int, int]:
    return await plan.execute(note, graph=graph, goal=seed, planner=say_edits)


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
        ran = hw.run(run_with_graph, graph, seed, store=None, progress=False)
        plans.append(time.process_time() - began)
        does = {node.id: node for node in ran.graph}
        order = [each.step for each in ran.log if isinstance(each, plan.Started)]
        calls = [(does[id].does, {need.step: ran.results[need.step] for need in does[id].needs}) for id in order]
        began = time.process_time()
        hw.run(run_without_graph, calls, graph, seed, store=None, progress=False)
        bare.append(time.process_time() - began)
    return Pair(min(plans) - min(bare), min(bare))
