"""Steps that a tool checks are labelled with less noise than by answers alone, and UCT finds right solutions with fewer steps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from benchmarks.methods.search_grounded import LENGTH, Sums, label, solutions

from headway.methods import search
from headway.methods.search import Candidate, State, Verdict
from headway.methods.search.tree.grounded import value_of_path


def test_checked_steps_have_less_noise_than_labels_from_answers_alone_for_as_many_calls():
    for seed in range(3):
        exact, plain = asyncio.run(label(Sums(seed), 40))
        assert exact == 0
        assert plain > 0.1
        errs, plain = asyncio.run(label(Sums(seed, tool_errs=0.05), 40))
        assert 0 < errs < 0.6 * plain, "the tool may err"


def test_what_comes_through_a_node_says_where_to_look():
    """With an exploration that drowns all values, nodes are gone down to in turn."""
    for seed in range(3):
        guided, blind = (asyncio.run(solutions(Sums(seed), explore, 40)) for explore in (1.414, 1e6))
        assert guided > 1.15 * blind


def test_both_kinds_of_paths_are_collected_and_then_the_search_ends():
    sums = Sums()
    got = asyncio.run(search.grounded_search("q1", sums.step, sums.check, sums.judge, rounds=200, rollout=LENGTH, start=State(())))
    right = sum(path.right for path in got.paths)
    assert (right, len(got.paths) - right) == (3, 3)
    assert got.found.best is not None
    assert got.found.answer == sum(sums.numbers("q1"))
    assert all(len(path.steps) == LENGTH for path in got.paths)
    assert {path.right for path in got.paths if all(step.ok for step in path.steps)} == {True}


@pytest.mark.parametrize(
    ("labels", "final", "value"),
    [([1], 1, 2.0), ([1, 1], 1, 1.25), ([-1, 1, 1], -1, (-1 + 2 / 3 + 1 / 3 - 1) / 3), ([0], -1, -1.0)],
)
def test_the_value_of_a_path_counts_early_steps_most(labels, final, value):
    assert value_of_path(labels, final) == pytest.approx(value)


def test_a_tree_that_is_used_up_ends_the_search():
    async def step(question: str, state: State, index: int) -> State:
        return replace(state, value=f"{index}", done=True, answer=index)

    async def yes(question: str, candidate: Candidate, index: int) -> Verdict:
        return Verdict(True)

    got = asyncio.run(search.grounded_search("q", step, yes, yes, rounds=50, positive=9))
    assert [candidate.value for candidate in got.found.candidates] == ["0", "1", "2"]


def test_a_tool_that_fails_says_nothing_of_a_step():
    async def fails(question: str, candidate: Candidate, index: int) -> Verdict:
        raise ValueError("no tool")

    sums = Sums()
    search_it = search.grounded_search(
        "q1", sums.step, fails, sums.judge, rounds=3, rollout=LENGTH, start=State(()), errors=ValueError
    )
    got = asyncio.run(search_it)
    assert {step.ok for path in got.paths for step in path.steps} == {None}
    assert got.found.errors
