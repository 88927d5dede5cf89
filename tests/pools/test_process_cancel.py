"""Cancelling in worker processes: interrupted where that works, killed where it does not, and never the wrong call."""

import asyncio
import os
import random

import pytest
from poolbench import gone, until, within

from headway.events import WorkerEnded
from headway.pools.base import A_SLOT
from headway.pools.process import ProcessPool
from headway.pools.workers import worker_process as remote


def ended(bench):
    return [event for event in bench.events if isinstance(event, WorkerEnded)]


@pytest.mark.parametrize("fn", ["spin", "nap", "sleep_in_async", "nap_through_the_first_signal"])
def test_interruptible_code_stops_and_its_worker_survives(bench, tmp_path, fn, monkeypatch):
    monkeypatch.setattr(remote, "INTERRUPT_GRACE_S", 30.0)  # on a busy machine it may not get a processor for half a second

    async def scenario(b):
        pid = await b.value("pid")
        for i in range(3):
            started = tmp_path / str(i)
            job, future, _ = b.submit(fn, str(started))
            await until(started.exists)
            assert b.pool.cancel(job) is True
            assert not future.done()
            answer = await within(future)
            assert answer.cancelled
            assert answer.error is None
            assert await b.value("pid") == pid
        assert not ended(b)

    bench(ProcessPool(1), scenario)


@pytest.mark.parametrize("fn", ["stubborn", "masked", "hold_the_interpreter"])
def test_code_that_does_not_stop_is_killed_and_its_worker_replaced(bench, tmp_path, fn):
    async def scenario(b):
        pid = await b.value("pid")
        job, future, _ = b.submit(fn, str(tmp_path / "x"))
        await until((tmp_path / "x").exists)
        b.pool.cancel(job)
        assert (await within(future)).cancelled
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert await b.value("pid") != pid
        assert [event.why for event in ended(b)] == ["was killed by SIGKILL"]

    bench(ProcessPool(1), scenario)


@pytest.mark.parametrize("fn", ["leave_a_child", "hang_with_a_child"])
def test_what_a_call_started_ends_with_its_worker(bench, tmp_path, fn):
    async def scenario(b):
        path = tmp_path / "child"
        job, future, _ = b.submit(fn, str(path))
        await until(lambda: path.exists() and path.read_text())
        b.pool.cancel(job)
        await within(future)
        child = int(path.read_text())
        await until(lambda: gone(child, 0))

    bench(ProcessPool(1), scenario)


def test_a_job_that_was_never_sent_is_cancelled_at_once(bench):
    async def scenario(b):
        job, future, _ = b.submit("noop")  # its worker has not started
        b.pool.cancel(job)
        assert not future.done()
        await asyncio.sleep(0)
        assert future.result().cancelled
        assert b.pool.free(A_SLOT) == 1
        assert await b.value("echo", 1) == 1
        assert not ended(b)

    bench(ProcessPool(1), scenario)


def test_a_refused_job_can_be_cancelled(bench):
    async def scenario(b):
        job, future, _ = b.submit(lambda: 1)
        b.pool.cancel(job)
        assert (await within(future)).cancelled

    bench(ProcessPool(1), scenario)


def test_cancelling_twice_or_after_the_answer_does_nothing(bench, tmp_path):
    async def scenario(b):
        job, future, _ = b.submit("spin", str(tmp_path / "x"))
        await until((tmp_path / "x").exists)
        b.pool.cancel(job)
        b.pool.cancel(job)
        await within(future)
        b.pool.cancel(job)
        assert await b.value("echo", 2) == 2

    bench(ProcessPool(1), scenario)


def test_charges_before_a_cancel_are_delivered(bench, tmp_path):
    async def scenario(b):
        job, future, charges = b.submit("charge_and_spin", str(tmp_path / "x"))
        await until((tmp_path / "x").exists)
        b.pool.cancel(job)
        assert (await within(future)).cancelled
        assert sum(amounts["nodes"] for amounts in charges) == 1000.0

    bench(ProcessPool(1), scenario)


def test_an_interrupt_waits_for_a_message_that_is_on_its_way(bench):
    async def scenario(b):
        _, future, charges = b.submit("charge_while_interrupted")
        assert (await within(future)).cancelled
        assert await b.value("echo", 1) == 1
        assert charges == [{"nodes": 3.0}]

    bench(ProcessPool(1), scenario)


def test_a_signal_meant_for_another_call_does_nothing(bench):
    async def scenario(b):
        assert await b.value("signalled_for_another") == "not interrupted"

    bench(ProcessPool(1), scenario)


def test_cancelling_calls_that_charge_all_the_time_harms_no_worker(bench):
    async def scenario(b):
        pid = await b.value("hurry")
        for i in range(40):
            job, future, charges = b.submit("charge_for_ever")
            await until(lambda charges=charges: charges)
            for _ in range(i):
                await asyncio.sleep(0)
            b.pool.cancel(job)
            assert (await within(future)).cancelled
        assert await b.value("pid") == pid

    bench(ProcessPool(1), scenario)


@pytest.mark.parametrize("seed", range(3))
def test_a_cancel_that_races_with_the_end_hits_only_its_own_job(bench, seed):
    async def scenario(b):
        rng = random.Random(seed)
        pid = await b.value("hurry")
        cancelled = 0
        for i in range(150):
            count = rng.randrange(4000)
            job, future, _ = b.submit("quick", count)
            for _ in range(rng.randrange(12)):
                if not future.done():
                    await asyncio.sleep(rng.choice([0, 0, 0.0001]))
            b.pool.cancel(job)
            answer = await within(future)
            cancelled += answer.cancelled
            assert answer.cancelled or answer.value == sum(range(count))
            assert await b.value("echo", i) == i
        assert await b.value("pid") == pid
        assert cancelled

    bench(ProcessPool(1), scenario)
