"""Gangs on agents: their members find each other across machines, and end together."""

from __future__ import annotations

import asyncio

import doomed
import pytest
from crew import a_staff, alive
from poolbench import Bench, within

import headway as hw
from headway.errors import UsageError
from headway.pools.agents.gang import FarGangPool
from headway.pools.agents.hired import Hired
from headway.pools.base import Demand


def test_a_gang_across_two_agents_that_lost_a_rank_is_begun_again_whole(tmp_path):
    hired = Hired("local:2x1cpu")
    again = doomed.meet_across.options(
        retry=hw.Retry(attempts=2, delay_s=0.01, on=(hw.WorkerDied,))
    )  # the other rank's error is no such
    first, second = hw.run(again, str(tmp_path), 1, store=None, pools={"process": hired, "gang": hired})
    assert first[:4] == ["0", "2", "0", "1"]
    assert second[:4] == ["1", "2", "0", "1"]
    assert first[4] != second[4]  # each was on an agent of its own
    said = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted((attempt, rank) for attempt, rank, _ in said) == [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")]
    assert not any(alive(int(pid)) for *_, pid in said)


def test_a_gang_on_one_agent_shares_its_machine(tmp_path):
    hired = Hired("local:2cpu")
    first, second = hw.run(doomed.meet_across, str(tmp_path), 0, store=None, pools={"gang": hired})
    assert first[:4] == ["0", "2", "0", "2"]
    assert second[:4] == ["1", "2", "1", "2"]


def test_a_gang_that_can_never_find_room_is_refused():
    with pytest.raises(UsageError, match="wants 2 processes at once, and the agents of this run have 1 slots in all"):
        hw.run(doomed.meet_across, "", 0, store=None, pools={"gang": Hired("local:1cpu")})


def test_a_gang_waits_for_room_and_may_be_cancelled_meanwhile():
    hirer, staff = a_staff(2)

    async def scenario():
        bench = Bench(FarGangPool(staff))
        need = Demand.of({"processes": 2})
        try:
            jobs = []
            for _ in range(2):
                job, future, _ = bench.job("pid")
                job.need = need
                bench.pool.submit(job)
                jobs.append((job, future))
            assert bench.pool.free(need) == 0
            (first, of_first), (second, of_second) = jobs
            assert bench.pool.cancel(second)
            assert (await within(of_second)).cancelled
            assert not of_first.done()
            assert bench.pool.cancel(first)
            assert (await within(of_first)).cancelled
            assert bench.pool.free(need) == 1
        finally:
            await bench.pool.close()
        assert not any(alive(pid) for pid in hirer.pids)

    asyncio.run(scenario())


def test_a_gang_that_fills_its_agents_waits_for_calls_on_them():
    hired = Hired("local:1cpu")
    assert hw.run(doomed.asking_gang, 3, store=None, progress=False, pools={"process": hired, "gang": hired}) == 8
