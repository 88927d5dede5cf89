"""How long plans take: streamed as long as their critical path, in rounds never less; and what the graph costs."""

from __future__ import annotations

import sys

import pytest
from benchmarks.plans.executor import (
    SPEAK_S,
    draw_edits,
    draw_large_plan,
    draw_plan,
    ends_at_best,
    makespan,
    measure_streaming,
    run_with_graph,
)

import headway as hw
from headway.methods import plan
from headway.methods.graph import Graph, Node, after

SEEDS = range(100, 104)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_streamed_plan_takes_as_long_as_its_critical_path(seed):
    took, bound = measure_streaming(seed)
    assert took == pytest.approx(bound, abs=1e-3)
    assert bound >= draw_plan(seed).critical_path(lambda node: node.does)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_streaming_is_sooner_than_planning_first_and_that_sooner_than_one_by_one(seed):
    graph = draw_plan(seed)
    assert makespan(graph, "streaming") < makespan(graph, "whole") < makespan(graph, "one by one")
    assert makespan(graph, "one by one") == pytest.approx(sum(node.does for node in graph), abs=1e-3)


def chain_of_slowest(graph: Graph[float]) -> bool:
    """Whether one chain of steps holds a slowest step of each level."""
    levels = graph.rounds()
    reached = set(levels[0])
    for before, level in zip((None, *levels), levels, strict=False):
        slowest = max(graph[id].does for id in level)
        reached = {
            id for id in level if graph[id].does == slowest and (before is None or any(n.step in reached for n in graph[id].needs))
        }
    return bool(reached)


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("seed", range(100, 112))
def test_rounds_are_as_fast_as_dataflow_only_where_one_chain_holds_a_slowest_step_of_each_level(seed, level):
    graph = draw_plan(seed, 3 if seed % 2 and not level else 12, level=level)
    in_rounds, dataflow = makespan(graph, "rounds"), makespan(graph, "known")
    assert in_rounds == pytest.approx(sum(max(graph[id].does for id in ids) for ids in graph.rounds()), abs=1e-3)
    if chain_of_slowest(graph):
        assert in_rounds == pytest.approx(dataflow, abs=1e-3)
    else:
        assert in_rounds > dataflow + 1e-3


def test_the_bound_counts_what_is_said_when():
    graph = Graph((Node("a", 1.0), Node("b", 1.0), Node("c", 1.0, after("a"))))
    assert ends_at_best(graph, SPEAK_S) == pytest.approx(max(1 + SPEAK_S, 3 * SPEAK_S) + 1)
    assert ends_at_best(graph, 5.0) == pytest.approx(16.0)


def test_the_work_of_a_plan_grows_with_its_steps_and_not_with_their_square():
    """Counted in calls of Python functions, so that a slow machine is no failure."""
    few, many = count_calls(100), count_calls(400)
    assert many < 5.5 * few, "a step costs more in a larger plan"


def count_calls(size: int) -> int:
    calls = 0
    graph = draw_large_plan(1, size)

    def count(frame, event, arg):
        nonlocal calls
        calls += event == "call" and "/methods/" in frame.f_code.co_filename

    kept: list[plan.Executed[int, int]] = []
    sys.setprofile(count)
    try:
        hw.run(run_with_graph, kept, graph, 1, store=None, progress=False)
    finally:
        sys.setprofile(None)
    assert len(kept[0].results) > 0.9 * size
    assert {type(each).__name__ for each in draw_edits(1, size, 50)} == {"Add", "Remove", "Replace", "Rewire"}
    return calls
