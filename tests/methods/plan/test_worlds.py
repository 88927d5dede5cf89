"""Drawn worlds of devices: edits, ends and losses in any order break no invariant. All 10,000 are a row of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from benchmarks.plans.galaxy import Work, find_violations, judge, play

from headway.methods import plan
from headway.methods.graph import Add, Edit, Node, Remove, Rewire, after

FIRST = 1_000_000  # none of those of the catalogue


@pytest.mark.parametrize("first", range(FIRST, FIRST + 120, 30))
def test_no_invariant_is_broken_in_drawn_worlds(first):
    for seed in range(first, first + 30):
        assert not find_violations(seed), seed


@pytest.mark.long
@pytest.mark.parametrize("first", range(2 * FIRST, 2 * FIRST + 3000, 500))
def test_no_invariant_is_broken_in_thousands_of_drawn_worlds(first):
    for seed in range(first, first + 500):
        assert not find_violations(seed), seed


def test_the_judge_finds_what_is_broken():
    world, ran = next((world, ran) for world, ran in map(play, range(50)) if any(isinstance(each, plan.Lost) for each in ran.log))
    assert not judge(world, ran)
    starts = [each for each in ran.log if isinstance(each, plan.Started)]
    lost = next(each for each in ran.log if isinstance(each, plan.Lost))
    at = ran.log.index(lost)
    done = next(iter(ran.results))

    def with_log(*log: Any) -> plan.Executed[Work, int]:
        return replace(ran, log=log)

    def edited(*edits: Edit[Work]) -> plan.Edited:
        return plan.Edited(0, edits)

    new = Node("new", starts[0] and ran.graph[done].does)
    broken = {
        "starts twice": with_log(*ran.log[:at], starts[0], *ran.log[at:]),
        "is not in the plan": with_log(*ran.log, plan.Started("nowhere", "d0")),
        "which is lost": with_log(*ran.log, edited(Add(new)), plan.Started("new", lost.choice)),
        "did not run": with_log(*ran.log, edited(Add(new)), plan.Ended("new")),
        "a step that began": with_log(*ran.log, edited(Remove(done))),
        "a cycle": with_log(*ran.log, edited(Add(new), Add(Node("2", new.does, after("new"))), Rewire("new", after("2")))),
        "never ended": with_log(*ran.log[:-1]) if isinstance(ran.log[-1], plan.Ended) else replace(ran, results={}),
        "was not started": with_log(*(each for each in ran.log if each != starts[0])),
        "results are not those": replace(ran, results={}),
    }
    for said, wrong in broken.items():
        found = "\n".join(judge(world, wrong))
        if said not in ("never ended",):
            assert said in found, (said, found)
        assert found
