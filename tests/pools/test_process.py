"""Functions run in real worker processes, and what they return, raise, spend and break."""

import asyncio
import gc
import os
import signal
import sys
import threading
import tracemalloc
from pathlib import Path

import jobs
import msgspec
import numpy as np
import pytest
from poolbench import until, within

from headway.errors import NotEncodable, UsageError, WorkerDied
from headway.events import WorkerEnded, WorkerStarted
from headway.ipc import shm
from headway.journal.codec import codec
from headway.pools.base import A_SLOT
from headway.pools.process import ProcessPool
from headway.pools.workers import messages

MB = 1 << 20


def test_a_function_runs_in_another_process_that_stays_warm(bench):
    async def scenario(b):
        first, second = await b.value("pid"), await b.value("pid")
        assert first == second != os.getpid()

    bench(ProcessPool(2), scenario)


def test_arguments_and_results_arrive_equal(bench):
    async def scenario(b):
        assert await b.value("both", (1, {"x"}), b=None) == [(1, {"x"}), None]
        assert await b.value("decorated", 4) == 8
        assert await b.value("coroutine", 4) == 5
        assert await b.value("Holder.method", b"x") == b"x"
        assert await b.value("echo", "x" * MB) == "x" * MB

    bench(ProcessPool(1), scenario)


def test_jobs_run_at_the_same_time_up_to_the_size(bench, tmp_path):
    async def scenario(b):
        spinning = [b.submit("spin", str(tmp_path / str(i))) for i in range(2)]
        assert b.pool.free(A_SLOT) == 0
        await until(lambda: len(list(tmp_path.iterdir())) == 2)
        for job, future, _ in spinning:
            assert b.pool.cancel(job)
            assert (await within(future)).cancelled
        assert (b.pool.free(A_SLOT), b.freed) == (2, 2)

    bench(ProcessPool(2), scenario)


def test_many_jobs_are_each_answered_once(bench):
    async def scenario(b):
        done, todo = {}, list(range(400))

        def feed():
            while todo and b.pool.free(A_SLOT):
                i = todo.pop()
                done[i] = b.submit("echo", i)[1]

        b.pool.start(feed, None)
        feed()
        await until(lambda: len(done) == 400 and all(future.done() for future in done.values()))
        assert all(future.result().value == i for i, future in done.items())

    bench(ProcessPool(2), scenario)


def test_a_decoded_value_and_its_encoding_are_the_same(bench):
    async def scenario(b):
        answer = await b.answer("echo", {"a": (1, 2.5)})
        assert codec.decode(*answer.encoded) == answer.value == {"a": (1, 2.5)}

    bench(ProcessPool(1), scenario)


# --- large arrays ---------------------------------------------------------------------------------------------------


def test_a_large_array_goes_there_and_back_without_a_copy_in_this_process(bench, monkeypatch):
    sizes = []
    send = messages.Outbox.send

    def measured(self, message, fd=None):
        sizes.append(len(msgspec.msgpack.encode(message)))
        send(self, message, fd)

    monkeypatch.setattr(messages.Outbox, "send", measured)

    async def scenario(b):
        array = np.arange(8 * MB, dtype=np.float64)  # 64 MB
        await b.value("noop")
        tracemalloc.start()
        answer = await b.answer("double", array)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert np.array_equal(answer.value, np.arange(8 * MB) * 2.0)
        assert array[1] == 1  # the worker changed its own pages
        assert max(sizes) < 4096
        assert peak < MB

    bench(ProcessPool(1), scenario)


@pytest.mark.parametrize("count", [10, 20_000, MB])
def test_a_result_may_be_changed_without_changing_what_is_journaled(bench, count):
    async def scenario(b):
        answer = await b.answer("zeros", count)
        answer.value[:] = 7
        assert not codec.decode(*answer.encoded).any()
        buffers = [memoryview(buffer) for buffer in answer.encoded.buffers]
        assert all(buffer.readonly for buffer in buffers)

    bench(ProcessPool(1), scenario)


HOLDS_DESCRIPTORS = sys.version_info < (3, 13)  # whether a live mapping does


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_results_outlive_their_worker_and_their_memory_goes_with_them(bench):
    async def scenario(b):
        gc.collect()
        before, others = open_descriptors(), len(shm._live)
        answers = [await b.answer("zeros", MB) for _ in range(5)]
        await b.answer("kill_self")
        assert all(not answer.value.any() for answer in answers)
        if HOLDS_DESCRIPTORS:
            assert len(shm._live) == others + 10
        del answers
        gc.collect()
        assert len(shm._live) == others
        assert open_descriptors() <= before + 1  # the pipe to the process that starts workers

    bench(ProcessPool(1), scenario)


@pytest.mark.skipif(not HOLDS_DESCRIPTORS, reason="there is no share to keep to")
def test_beyond_its_share_of_descriptors_results_are_copied_out(bench, monkeypatch):
    gc.collect()
    others = len(shm._live)
    monkeypatch.setattr(shm, "_MAX_MAPPINGS", others + 3)

    async def scenario(b):
        answers = [await b.answer("zeros", MB) for _ in range(4)]
        assert len(shm._live) == others + 3
        for answer in answers:
            answer.value[:] = 1
            assert not codec.decode(*answer.encoded).any()

    bench(ProcessPool(1), scenario)


def test_without_memfd_blocks_are_unlinked_files(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    parts = [memoryview(b"head"), memoryview(b""), memoryview(b"x" * 100_000)]
    fd = shm.write_block(parts)
    try:
        private, shared = shm.map_private(fd, [4, 0, 100_000]), shm.map_shared(fd, [4, 0, 100_000])
    finally:
        os.close(fd)
    private[0][:] = b"tail"
    assert [bytes(part) for part in shared] == [bytes(part) for part in parts]


# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_exception_keeps_its_class_and_shows_where_it_was_raised(bench):
    async def scenario(b):
        answer = await b.answer("refuse", "tea")
        assert type(answer.error) is jobs.Refused
        assert (answer.error.args, answer.error.item) == (("tea", 3), "tea")
        (note,) = answer.error.__notes__
        assert "in worker process" in note
        assert "in refuse" in note
        assert "worker.py" not in note

    bench(ProcessPool(1), scenario)


def test_sys_exit_is_only_an_error(bench):
    async def scenario(b):
        pid = await b.value("pid")
        assert type((await b.answer("leave")).error) is SystemExit
        assert await b.value("pid") == pid

    bench(ProcessPool(1), scenario)


def test_an_argument_that_cannot_be_pickled_is_named_and_costs_no_worker(bench):
    async def scenario(b):
        pid = await b.value("pid")
        error = (await b.answer("both", 1, b=threading.Lock())).error
        assert type(error) is UsageError
        assert "b (lock) of task both cannot be sent" in str(error)
        assert await b.value("pid") == pid

    bench(ProcessPool(1), scenario)


def test_a_result_that_cannot_be_encoded_says_which_part(bench):
    async def scenario(b):
        error = (await b.answer("unencodable")).error
        assert type(error) is NotEncodable
        assert "the result of task unencodable['lock']" in str(error)

    bench(ProcessPool(1), scenario)


def test_a_task_may_ask_for_pickle(bench):
    async def scenario(b):
        answer = await b.answer("echo", jobs.Task(len), pickled=True)
        assert answer.value.fn is len

    bench(ProcessPool(1), scenario)


def test_a_function_that_workers_cannot_find_is_a_usage_error(bench):
    async def scenario(b):
        assert "no 'missing' in" in str((await b.answer("missing")).error)
        assert "a lambda cannot run in another process" in str((await b.answer(lambda: 1)).error)
        assert await b.value(jobs.echo, 3) == 3

    bench(ProcessPool(1), scenario)


# --- death ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "args", "words"),
    [
        ("crash", (), ["SIGSEGV", "PYTHONFAULTHANDLER"]),
        ("kill_self", (), ["SIGKILL", "memory runs out"]),
        ("exit_now", (7,), ["exit code 7", "os._exit"]),
    ],
)
def test_a_worker_that_dies_takes_one_call_with_it(bench, tmp_path, fn, args, words):
    async def scenario(b):
        other, spinning, _ = b.submit("spin", str(tmp_path / "spinning"))
        await until((tmp_path / "spinning").exists)
        error = (await b.answer(fn, *args)).error
        assert type(error) is WorkerDied
        assert all(word in str(error) for word in [f"task {fn}", *words])
        assert not spinning.done()
        assert await b.value("pid") != os.getpid()
        b.pool.cancel(other)
        assert (await within(spinning)).cancelled
        started = [event.pid for event in b.events if isinstance(event, WorkerStarted)]
        assert [event.pid for event in b.events if isinstance(event, WorkerEnded)] == [started[1]]

    bench(ProcessPool(2), scenario)


def test_a_worker_killed_while_idle_costs_no_call(bench):
    async def scenario(b):
        pid = await b.value("pid")
        os.kill(pid, signal.SIGKILL)
        assert b.pool._idle[0]._poll.poll(30_000)  # it has ended, and the loop has not noticed
        second = await b.value("pid")
        assert second != pid
        os.kill(second, signal.SIGKILL)
        await until(lambda: sum(isinstance(event, WorkerEnded) for event in b.events) == 2)
        assert await b.value("pid") not in (pid, second)

    bench(ProcessPool(1), scenario)


def test_a_worker_that_closed_its_sockets_is_replaced(bench):
    async def scenario(b):
        assert type((await b.answer("close_everything")).error) is WorkerDied
        assert await b.value("echo", 1) == 1

    bench(ProcessPool(1), scenario)


# --- what a call knows and spends -----------------------------------------------------------------------------------


def test_a_call_knows_its_facts(bench):
    async def scenario(b):
        assert await b.value("facts") == ["ab", "task facts", 2, "once", "run", 1e12]

    bench(ProcessPool(1), scenario)


def test_charges_arrive_before_the_answer_and_are_sent_in_few_messages(bench):
    async def scenario(b):
        _, future, charges = b.submit("charge", 1000, allowance={"nodes": 1500.0, "tokens": 100.0})
        total_at_answer = []
        future.add_done_callback(lambda _: total_at_answer.append(sum(amounts["nodes"] for amounts in charges)))
        assert (await within(future)).value == {"nodes": 500.0, "tokens": 0.0}
        await asyncio.sleep(0)
        assert total_at_answer == [1000.0]
        assert len(charges) < 50

    bench(ProcessPool(1), scenario)


def test_charges_of_a_worker_that_died_are_booked(bench):
    async def scenario(b):
        _, future, charges = b.submit("charge_and_die")
        assert type((await within(future)).error) is WorkerDied
        assert charges == [{"nodes": 7.0}]

    bench(ProcessPool(1), scenario)


def test_charges_held_back_are_sent_while_the_call_runs_on(bench, tmp_path):
    async def scenario(b):
        job, future, charges = b.submit("charge_and_spin", str(tmp_path / "x"))
        await until(lambda: sum(amounts["nodes"] for amounts in charges) == 1000.0)
        b.pool.cancel(job)
        assert (await within(future)).cancelled

    bench(ProcessPool(1), scenario)


def test_closing_leaves_no_process_and_answers_what_ran(bench, tmp_path):
    async def scenario(b):
        pids = [await b.value("pid")]
        _, future, _ = b.submit("spin", str(tmp_path / "x"))
        await until((tmp_path / "x").exists)
        _, starting, _ = b.submit("noop")
        await b.pool.close()
        assert future.result().cancelled
        assert starting.result().cancelled
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    bench(ProcessPool(2), scenario)
