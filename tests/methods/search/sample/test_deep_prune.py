"""DeepPrune: most traces need not be finished, and a vote by groups keeps what a majority knows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from benchmarks.methods.search_prune import BEGUN, WHOLE, Traces, pruned, voted
from solvers import RIGHT

from headway.methods import search
from headway.methods.search import State
from headway.methods.search.sample.deep_prune import group_alike
from headway.methods.search.select.selectors import majority


def test_traces_that_agree_are_left_unfinished_at_the_accuracy_of_the_majority():
    """Three fifths of the tokens are saved, and more than a vote saves that stops when it is settled."""
    gaps, saved, early = [], [], []
    for seed in range(3):
        share, tokens = pruned(seed)
        whole, _ = voted(seed, 1.0)
        gaps.append(whole - share)
        saved.append(1 - tokens / (24 * WHOLE))
        early.append(1 - voted(seed, 0.95)[1] / (24 * WHOLE))
    assert sum(gaps) / 3 <= 0.03, gaps
    assert min(saved) >= 0.6, saved
    assert sum(saved) > sum(early)


def test_a_vote_of_one_for_each_group_counts_rare_answers_as_much_as_the_frequent_one():
    for seed in range(3):
        weighed, _ = pruned(seed)
        alike, _ = pruned(seed, select=majority)
        assert weighed > alike + 0.15


def test_a_stricter_threshold_finishes_more_traces():
    tokens = [pruned(0, sure=sure)[1] for sure in (0.0, 0.5, 0.9)]
    assert tokens[0] == 24 * BEGUN + (WHOLE - BEGUN), "all are one group"
    assert tokens[0] < tokens[1] < tokens[2] < 24 * WHOLE


def test_groups_come_by_size_and_begin_with_the_trace_that_the_others_agree_with_most():
    beliefs = [[1.0, 0.2, 0.1, 0.2], [0.2, 1.0, 0.6, 0.9], [0.1, 0.6, 1.0, 0.8], [0.2, 0.9, 0.8, 1.0]]
    assert group_alike(beliefs, 0.5) == [[3, 1, 2], [0]]
    assert group_alike([], 0.5) == []


def test_the_next_trace_of_a_group_is_finished_where_the_first_fails():
    async def step(question: str, state: State, index: int) -> State:
        if state.value and index < 2:
            raise ValueError(f"trace {index}")
        return replace(state, value=f"{index}", done=bool(state.value), answer=RIGHT if state.value else None)

    async def all_alike(question: str, pairs: list[tuple[str, str]]) -> list[float]:
        return [1.0 for _ in pairs]

    found = asyncio.run(search.deep_prune("q", step, all_alike, n=4, errors=ValueError))
    assert [str(error) for error in found.errors] == ["trace 0", "trace 1"]
    assert [(each.value, each.score) for each in found.candidates] == [("2", 4.0)]


def test_prefixes_that_cannot_be_compared_are_finished_one_by_one():
    async def fails(question: str, pairs: list[tuple[str, str]]) -> list[float]:
        raise ValueError("no judge")

    traces = Traces()
    found = asyncio.run(search.deep_prune("q", traces.step, fails, n=3, errors=ValueError))
    assert len(found.candidates) == 3
    assert found.errors


@pytest.mark.parametrize("n", [0, 1])
def test_one_trace_or_none_needs_no_judge(n):
    traces = Traces()
    alike = partial(Traces.alike, None)
    assert len(asyncio.run(search.deep_prune("q", traces.step, alike, n=n)).candidates) == n
