"""Functions run in threads, in their job's context, and are abandoned rather than stopped."""

import asyncio
import contextvars
import threading

import pytest
from poolbench import until, within

from headway.pools.base import A_SLOT
from headway.pools.thread import ThreadPool

name = contextvars.ContextVar("name", default="nobody")


def test_a_function_runs_in_a_daemon_thread_inside_its_context(bench):
    async def scenario(b):
        context = contextvars.copy_context()
        context.run(name.set, "me")
        thread, who = await b.value(lambda: (threading.current_thread(), name.get()), context=context)
        assert thread is not threading.current_thread()
        assert thread.daemon
        assert who == "me"
        assert await b.value(threading.current_thread) is thread

    bench(ThreadPool(2), scenario)


def test_an_error_is_the_very_object_that_was_raised(bench):
    error = KeyboardInterrupt("x")

    def fail():
        raise error

    async def scenario(b):
        assert (await b.answer(fail)).error is error

    bench(ThreadPool(1), scenario)


def test_jobs_run_at_the_same_time_up_to_the_size(bench):
    barrier = threading.Barrier(3, timeout=30)

    async def scenario(b):
        futures = [b.submit(barrier.wait)[1] for _ in range(3)]
        assert b.pool.free(A_SLOT) == 0
        assert {(await within(future)).error for future in futures} == {None}
        assert (b.pool.free(A_SLOT), b.freed) == (3, 3)

    bench(ThreadPool(3), scenario)


def test_a_cancelled_job_is_answered_at_once_and_keeps_its_slot(bench):
    release = threading.Event()

    async def scenario(b):
        job, future, _ = b.submit(release.wait, 30)
        assert b.pool.cancel(job) is False
        assert (await within(future)).cancelled
        assert (b.pool.free(A_SLOT), b.freed) == (0, 0)
        release.set()
        await until(lambda: b.freed)
        assert b.pool.free(A_SLOT) == 1
        assert await b.value(lambda: 5) == 5

    bench(ThreadPool(1), scenario)


def test_cancelling_a_job_that_has_just_ended_answers_it_once(bench):
    async def scenario(b):
        for _ in range(200):
            ended = threading.Event()
            job, future, _ = b.submit(ended.set)
            ended.wait(30)
            b.pool.cancel(job)
            await within(future)
            await until(lambda: b.pool.free(A_SLOT))

    bench(ThreadPool(1), scenario)


def test_closing_ends_idle_threads_and_does_not_wait_for_abandoned_ones(bench):
    release = threading.Event()

    async def scenario(b):
        idle = await b.value(threading.current_thread)
        started = threading.Event()

        def linger():
            started.set()
            release.wait(30)

        job, future, _ = b.submit(linger)
        other, running, _ = b.submit(linger)
        started.wait(30)
        b.pool.cancel(job)
        await asyncio.wait_for(b.pool.close(), 10)
        assert (await within(future)).cancelled
        assert (await within(running)).cancelled
        assert other.facts.task == "task linger"
        release.set()
        idle.join(30)
        assert not idle.is_alive()

    bench(ThreadPool(3), scenario)


def test_a_slot_can_be_lent_while_its_job_waits_for_another(bench):
    answered = threading.Event()

    async def scenario(b):
        _, outer, _ = b.submit(answered.wait, 30)
        assert b.pool.free(A_SLOT) == 0
        b.pool.lend(1)
        assert (b.pool.free(A_SLOT), b.freed) == (1, 1)
        await b.value(answered.set)
        b.pool.lend(-1)
        assert (await within(outer)).value is True
        assert b.pool.free(A_SLOT) == 1

    bench(ThreadPool(1), scenario)


@pytest.mark.parametrize("size", [1, 4])
def test_many_jobs_are_each_answered_once(bench, size):
    async def scenario(b):
        futures = []
        for i in range(300):
            await until(lambda: b.pool.free(A_SLOT))
            futures.append(b.submit(lambda i=i: i)[1])
        assert [(await within(future)).value for future in futures] == list(range(300))

    bench(ThreadPool(size), scenario)
