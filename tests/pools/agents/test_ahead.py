"""Calls that are sent to the workers of agents before those are free: they have not begun, whatever happens."""

from __future__ import annotations

import os
import signal
import threading

import msgspec
from crew import a_staff, run
from poolbench import until, within

import headway as hw
from headway.errors import WorkerDied
from headway.pools.agents import process
from headway.pools.agents.agent import dial
from headway.pools.agents.hired import Hired
from headway.pools.agents.hirer import Bundle
from headway.pools.agents.process import FarProcessPool
from headway.pools.agents.wire import frames
from headway.pools.agents.wire.invitation import read_invitation
from headway.pools.base import A_SLOT
from headway.pools.workers import messages, worker

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(messages.Message).decode


class Puppet:
    """An agent whose every word is this test's, and the hirer of it."""

    def __init__(self, slots=1):
        self.bundles = [Bundle(slots)]
        self.link = None
        self.heard = []
        self.threads = []

    def reach(self):
        return "127.0.0.1"

    def hire(self, offers):
        def come():
            self.link, _ = dial(read_invitation(offers[0].invitation))

        self.threads.append(threading.Thread(target=come))
        self.threads[-1].start()
        return [self]

    def trouble(self):
        return ""

    waits_for = trouble

    def dismiss(self, *, gently):
        for thread in self.threads:
            thread.join()
        self.link.close()

    def close(self):
        pass

    def hear(self, kind):
        """The frames of a kind that have come."""
        if self.link is not None:
            self.heard += self.link.receive()
            self.link.flush()
        return [frame for frame in self.heard if frame.kind == kind]

    def works(self):
        """The numbers of the jobs that have come, with their workers."""
        return [(frame.worker, decode(frame.body).number) for frame in self.hear(frames.MESSAGE)]

    def recalls(self):
        """The numbers of the jobs that were asked for again."""
        said = [worker.NUMBER.unpack(frame.body)[0] for frame in self.hear(frames.CONTROL)]
        return [number ^ worker.RECALL for number in said if number & worker.RECALL and number != worker.ENDING]

    def say(self, number, *said):
        for each in said:
            self.link.put(frames.MESSAGE, number, encode(each))
        self.link.flush()

    async def start(self, count=1):
        """Start the worker that is wanted next; its number."""
        await until(lambda: len(self.hear(frames.START)) == count)
        number = self.hear(frames.START)[-1].worker
        self.link.put(frames.STARTED, number, b"4242")
        self.say(number, messages.Ready())
        return number


def done(number, value=None):
    return messages.Done(number, messages.Payload([msgspec.msgpack.encode(value)]))


async def three_jobs(b, puppet):
    """A worker that runs one job and has two behind it: its number, and the jobs."""
    b.pool._mean_s = 0.0
    jobs = [b.submit("noop")]
    number = await puppet.start()
    await until(puppet.works)
    assert b.pool.takes_ahead()
    jobs += [b.submit("noop"), b.submit("noop")]
    await until(lambda: puppet.works() == [(number, 1), (number, 2), (number, 3)])
    return number, jobs


def with_puppet(scenario, **options):
    puppet = Puppet()

    async def play(b):
        try:
            await scenario(b, puppet)
        finally:
            puppet.link.close()

    run(a_staff(hirer=puppet, **options)[1], play)


def test_jobs_that_wait_at_a_worker_are_answered_in_turn_and_begin_when_the_one_before_has_ended():
    begun = []

    async def scenario(b, puppet):
        number, ((_, first, _), (second, _, _), (third, future, _)) = await three_jobs(b, puppet)
        second.on_begun, third.on_begun = lambda: begun.append(2), lambda: begun.append(3)
        puppet.say(number, done(1))
        assert not (await within(first)).cancelled
        assert begun == [2]
        puppet.say(number, done(2), done(3))
        await within(future)
        assert begun == [2, 3]
        assert b.pool.free(A_SLOT) == 1

    with_puppet(scenario)


def test_what_waits_at_a_worker_that_dies_goes_to_another_and_only_the_one_that_ran_is_lost():
    async def scenario(b, puppet):
        number, ((_, first, _), (_, second, _), (_, third, _)) = await three_jobs(b, puppet)
        puppet.link.put(frames.EXITED, number, b"-9")
        puppet.link.flush()
        assert isinstance((await within(first)).error, WorkerDied)
        other = await puppet.start(2)
        assert other != number
        for serial, future in ((1, second), (2, third)):
            await until(lambda serial=serial: (other, serial) in puppet.works())
            puppet.say(other, done(serial, 7))
            assert (await within(future)).value == 7

    with_puppet(scenario)


def test_what_came_back_is_never_sent_ahead_again_so_what_kills_its_worker_is_known():
    async def scenario(b, puppet):
        number, (_, (_, second, _), (_, third, _)) = await three_jobs(b, puppet)
        puppet.link.put(frames.EXITED, number, b"-9")
        puppet.link.flush()
        b.pool._mean_s = 0.0
        other = await puppet.start(2)
        await until(lambda: (other, 1) in puppet.works())
        assert not b.pool.takes_ahead()  # while one waits to begin, nobody comes after it
        assert (other, 2) not in puppet.works()
        puppet.link.put(frames.EXITED, other, b"-9")
        puppet.link.flush()
        assert isinstance((await within(second)).error, WorkerDied)
        assert not third.done()

    with_puppet(scenario)


def test_a_job_that_waits_at_a_worker_is_cancelled_by_taking_it_back():
    async def scenario(b, puppet):
        number, ((_, first, _), (job, future, _), (_, third, _)) = await three_jobs(b, puppet)
        b.pool.cancel(job)
        await until(lambda: puppet.recalls() == [2])
        assert not future.done()  # it may have begun
        puppet.say(number, messages.Returned(2))
        assert (await within(future)).cancelled
        assert not first.done()
        puppet.say(number, done(1), done(3))
        assert not (await within(third)).cancelled

    with_puppet(scenario)


def test_a_job_that_begins_while_it_is_cancelled_is_interrupted():
    async def scenario(b, puppet):
        number, (_, (job, future, _), _) = await three_jobs(b, puppet)
        b.pool.cancel(job)
        await until(lambda: puppet.recalls() == [2])
        puppet.say(number, done(1))
        await until(lambda: len(puppet.hear(frames.CONTROL)) == 2)
        assert worker.NUMBER.unpack(puppet.hear(frames.CONTROL)[-1].body) == (2,)
        puppet.say(number, messages.Stopped(2))
        assert (await within(future)).cancelled

    with_puppet(scenario)


def test_a_job_that_was_next_when_it_was_given_back_begins_elsewhere(monkeypatch):
    monkeypatch.setattr(process, "LATE_S", 1000.0)

    async def scenario(b, puppet):
        number, ((_, first, _), (_, second, _), (_, third, _)) = await three_jobs(b, puppet)
        puppet.say(number, done(1), messages.Returned(2), done(3))  # the word crossed the end of the first
        await within(first)
        await within(third)
        await until(lambda: (number, 4) in puppet.works())
        puppet.say(number, done(4, "again"))
        assert (await within(second)).value == "again"

    with_puppet(scenario)


def test_what_waits_behind_a_job_that_takes_long_is_asked_for_again():
    async def scenario(b, puppet):
        number, (_, (_, second, _), (_, third, _)) = await three_jobs(b, puppet)
        await until(lambda: {2, 3} <= set(puppet.recalls()))
        assert not b.pool.takes_ahead()
        puppet.say(number, messages.Returned(2), messages.Returned(3), done(1))
        for serial, future in ((4, second), (5, third)):
            await until(lambda serial=serial: (number, serial) in puppet.works())
            puppet.say(number, done(serial))
            assert not (await within(future)).cancelled

    with_puppet(scenario)


def test_a_run_that_closes_answers_what_waits_as_cancelled():
    futures = []

    async def scenario(b, puppet):
        _, jobs = await three_jobs(b, puppet)
        futures.extend(future for _, future, _ in jobs)
        b.pool.cancel(jobs[0][0])
        puppet.link.close()

    with_puppet(scenario)
    assert [future.result().cancelled for future in futures] == [True] * 3


# --- real workers ------------------------------------------------------------------------------------------------------------


async def behind_a_nap(b, tmp_path):
    """Two jobs behind one that sleeps, at a real worker: the process, and the futures."""
    await b.value("noop")
    b.pool._mean_s = 0.0
    _, napping, _ = b.submit("nap", str(tmp_path / "nap"))
    others = [b.submit("say", str(tmp_path / name)) for name in "ab"]
    assert len(b.pool._ahead) == 2
    await until(lambda: (tmp_path / "nap").exists() and (tmp_path / "nap").read_text())
    return int((tmp_path / "nap").read_text()), napping, others


def test_a_real_worker_gives_back_what_it_has_not_begun(tmp_path):
    async def scenario(b):
        _, _, ((first, one, _), (second, other, _)) = await behind_a_nap(b, tmp_path)
        b.pool.cancel(first)
        b.pool.cancel(second)
        assert (await within(one)).cancelled
        assert (await within(other)).cancelled
        assert not (tmp_path / "a").exists()
        assert not (tmp_path / "b").exists()

    run(a_staff(1)[1], scenario)


def test_what_waits_behind_a_killed_worker_runs_in_the_next(tmp_path):
    async def scenario(b):
        pid, napping, others = await behind_a_nap(b, tmp_path)
        os.kill(pid, signal.SIGKILL)
        assert isinstance((await within(napping)).error, WorkerDied)
        for _, future, _ in others:
            assert (await within(future)).error is None
        assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() != str(pid)

    run(a_staff(1)[1], scenario)


def test_what_waits_when_an_agent_is_killed_runs_on_the_next_one(tmp_path):
    hirer, staff = a_staff(1)

    async def scenario(b):
        _, napping, others = await behind_a_nap(b, tmp_path)
        os.kill(hirer.pids[0], signal.SIGKILL)
        assert isinstance((await within(napping)).error, WorkerDied)
        for _, future, _ in others:
            assert (await within(future)).error is None

    run(staff, scenario)


@hw.task(pool="process")
def add(x: int) -> int:
    return x + 1


@hw.task(pool="process")
def ask(x: int) -> int:
    return hw.wait(add(x)) + 1


@hw.task
async def many(task_name: str, count: int) -> list[int]:
    task = {"plain": add, "timed": add.options(timeout=50), "asking": ask}[task_name]
    return await hw.gather(*(task(x) for x in range(count)))


def count_ahead(monkeypatch, task_name, count=120):
    """How many calls of a run were sent ahead."""
    sent = []
    send = FarProcessPool._send_ahead
    monkeypatch.setattr(process, "LATE_S", 1000.0)
    monkeypatch.setattr(process, "SHORT_S", 1000.0)
    monkeypatch.setattr(FarProcessPool, "_send_ahead", lambda self, job, worker: (sent.append(job), send(self, job, worker)))
    pools = {"process": Hired("local:1cpu")}
    plus = 2 if task_name == "asking" else 1
    assert hw.run(many, task_name, count, store=None, progress=False, pools=pools) == [x + plus for x in range(count)]
    return len(sent)


def test_plain_calls_are_sent_ahead_and_keep_their_results(monkeypatch):
    assert count_ahead(monkeypatch, "plain") > 60


def test_a_call_with_a_timeout_of_its_own_is_never_sent_ahead(monkeypatch):
    assert count_ahead(monkeypatch, "timed") == 0


def test_calls_that_ask_for_others_of_their_own_pool_don_t_wait_for_each_other():
    pools = {"process": Hired("local:1cpu")}
    assert hw.run(many, "asking", 30, store=None, progress=False, pools=pools) == [x + 2 for x in range(30)]


def test_a_program_of_more_calls_than_slots_keeps_its_workers():
    events = []

    async def scenario(b):
        futures = [b.submit("pid")[1] for _ in range(12)]
        pids = {(await within(future)).value for future in futures}
        assert len(pids) <= 2
        events.extend(b.events)

    run(a_staff(2)[1], scenario)
    assert sum(type(event).__name__ == "WorkerStarted" for event in events) == 2
