"""The executor of plans: how long plans take beside what bounds them, and what the graph costs beside the runtime.

Steps sleep on a virtual clock, so that times are exact. Plans are drawn: each step needs up to three of the twelve before it, and
takes a time whose logarithm is normal. A planner says one step at a time, in the order of the plan.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import testing
from headway.methods import plan
from headway.methods.graph import Add, Edit, Graph, Node, Replace, Trace, after
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


# --- what the graph costs --------------------------------------------------------------------------------------------

SIZE, EDITS = 10_000, 1_000
