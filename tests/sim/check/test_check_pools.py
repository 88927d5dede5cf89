"""`hw.testing.check` on programs with gangs and with pools of their own."""

from __future__ import annotations

import gangs
import pytest

import headway as hw
from headway import events
from headway.pools import Demand, Traits
from headway.sim import pools as sim_pools
from headway.sim.check import Kind, Report, check
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History
from headway.sim.thread import take_thread
from headway.sim.universe import Universe


def failures(report: Report) -> str:
    return " ".join(found.what for found in report.findings if found.kind is Kind.FAILS)


def test_a_program_with_gangs_is_checked_like_any_other() -> None:
    report = check(gangs.with_gangs, 2, schedules=6)
    assert report.findings == [], str(report)
    assert report.schedules == 6
    assert report.crashes > 2


def test_members_have_what_a_process_has_for_itself() -> None:
    """Alone and in turns with others, a member draws the same numbers."""
    import random

    import torch

    drawn = []
    for rank in range(3):
        alone = torch.Generator().manual_seed(rank)
        drawn += [int(random.Random(rank).random() * 1000), int(torch.rand(1, generator=alone) * 1000)]
    for seed in range(4):
        assert History(seed, SimConfig(shuffle=0.9, stall=0.3)).live(gangs.total, 5).value == [18, *drawn]


def test_a_gang_that_loses_a_member_is_begun_again_whole() -> None:
    heard: list[str] = []
    for seed in range(8):
        history = History(seed, SimConfig(worker_dies=0.6, job_s=0.3))
        life = history.live(gangs.with_gangs, 2)
        history.check()
        assert life.outcome == History(seed, STEADY).live(gangs.with_gangs, 2).outcome
        heard += [event.error for event in life.event_log if isinstance(event, events.CallRetrying)]
    assert any("died before all were there" in said for said in heard)
    assert any(said.endswith("died") for said in heard)


def test_an_error_of_one_member_is_the_gang_s_with_its_rank() -> None:
    life = History(1, STEADY).live(gangs.one_raises)
    assert isinstance(life.error, ValueError)
    assert "on rank 1 of a gang of 2" in life.error.__notes__


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (gangs.one_leaves_early, "rank 1 has ended, and others wait for it in AllReduce"),
        (gangs.apart, "met in different collectives"),
    ],
)
def test_members_that_miss_each_other_fail_instead_of_waiting(program: hw.Task[..., None], what: str) -> None:
    assert what in failures(check(program, schedules=1))


def test_what_other_ranks_return_is_nobody_s_result() -> None:
    assert History(1, STEADY).live(gangs.only_rank_0_has_a_result).value == 7


def test_members_form_groups_of_some_of_them() -> None:
    assert History(1, STEADY).live(gangs.subgroups).value == [1, 2, 3, 30]


@pytest.mark.parametrize("traits", [gangs.KILLED, gangs.ABANDONED, gangs.COOPERATIVE, gangs.THREADS])
def test_a_pool_that_a_run_brings_is_simulated_by_its_traits(traits: Traits) -> None:
    box = gangs.RealBox(traits)
    for program in (gangs.with_a_box, gangs.outruns):
        report = check(program, 3, schedules=8, pools={"box": box})
        assert report.findings == [], str(report)


def test_a_pool_may_be_given_by_what_makes_it() -> None:
    report = check(gangs.with_a_box, 2, schedules=2, pools={"box": lambda: gangs.RealBox(gangs.KILLED)})
    assert report.findings == [], str(report)


def test_code_that_waits_in_a_pool_of_one_s_own_lends_its_slot() -> None:
    report = check(gangs.nested, 4, schedules=4, pools={"box": gangs.RealBox(gangs.COOPERATIVE, 1)})
    assert report.findings == [], str(report)


def test_jobs_of_unequal_needs_share_the_room() -> None:
    pool = sim_pools.simulate_pool(Universe(1).process("one"), gangs.RealBox(gangs.KILLED, 4))
    light, heavy = Demand(), Demand.of({"weight": 2})
    assert (pool.free(light), pool.free(heavy)) == (4, 2)
    pool._taken[2] += 1  # a heavy one
    assert (pool.free(light), pool.free(heavy)) == (2, 1)
    pool._taken[4] += 1
    assert (pool.free(light), pool.free(heavy)) == (1, 0)


def test_a_name_that_no_pool_has_fails_the_call_in_a_sentence() -> None:
    report = check(gangs.misnamed, 1, schedules=1, pools={"box": gangs.RealBox(gangs.KILLED)})
    assert "wants pool='bax', which this run does not have; did you mean 'box'?" in failures(report)


def test_a_fault_of_the_simulator_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody: dict[object, None] = {}
    monkeypatch.setattr(sim_pools.SimShared, "_give", nobody.__getitem__)  # raises in a step that nobody awaits
    report = check(gangs.nested, 1, schedules=1, pools={"box": gangs.RealBox(gangs.COOPERATIVE)})
    assert {found.kind for found in report.findings} == {Kind.BROKEN_PROMISE}
    (found,) = report.findings
    assert "KeyError" in found.what
    assert "nothing can go on" not in str(report)
    assert "Please report this" in found.advice


def test_a_callback_of_the_program_that_raises_is_the_program_s_fault() -> None:
    report = check(gangs.breaks_a_callback, schedules=1)
    assert not [found for found in report.findings if found.kind is Kind.BROKEN_PROMISE], str(report)
    assert "ZeroDivisionError" in str(report)


def test_a_fault_in_a_strand_reaches_whoever_resumes_it() -> None:
    def work() -> None:
        raise KeyError("in a thread")

    with pytest.raises(KeyError, match="in a thread"):
        take_thread().begin(work)
    done: list[int] = []
    take_thread().begin(lambda: done.append(1))  # the next one is as good as new
    assert done == [1]
