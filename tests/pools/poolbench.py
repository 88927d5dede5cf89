"""What the tests of the pools share: a bench around a real pool on a real loop, with every wait bounded."""

import asyncio
import os
import select
from pathlib import Path

from headway.pools.base import Answer, CallFacts, FunctionRef, Job

JOBS = Path(__file__).with_name("jobs.py")


class Bench:
    """Submits jobs to a pool and waits for their answers."""

    def __init__(self, pool):
        self.pool = pool
        self.events = []
        self.freed = 0
        self.answers = {}
        pool.start(self._on_free, self.events.append)

    def _on_free(self):
        self.freed += 1

    def job(self, fn, *args, pickled=False, context=None, allowance=None, **kwargs):
        """A job and the future of its answer; `fn` is a name in jobs.py or a function."""
        future = asyncio.get_running_loop().create_future()
        charges = []

        def on_done(answer: Answer) -> None:
            assert not future.done(), "answered twice"
            future.set_result(answer)

        ref = FunctionRef("jobs", fn, str(JOBS)) if isinstance(fn, str) else None
        name = fn if isinstance(fn, str) else fn.__name__
        facts = CallFacts("ab", f"task {name}", 2, "once", "run", 1e12, allowance or {})
        job = Job(fn, args, kwargs, facts, on_done, lambda amounts, _: charges.append(amounts), ref, context, pickled)
        return job, future, charges

    def submit(self, fn, *args, **kwargs):
        job, future, charges = self.job(fn, *args, **kwargs)
        self.pool.submit(job)
        return job, future, charges

    async def answer(self, fn, *args, **kwargs):
        _, future, _ = self.submit(fn, *args, **kwargs)
        return await within(future)

    async def value(self, fn, *args, **kwargs):
        answer = await self.answer(fn, *args, **kwargs)
        if answer.error is not None:
            raise answer.error
        assert not answer.cancelled
        return answer.value


async def within(future, seconds=60):
    """Wait, but not for ever, and not by cancelling the future."""
    done, _ = await asyncio.wait([future], timeout=seconds)
    assert done, f"no answer within {seconds} s"
    return future.result()


async def until(condition, seconds=60):
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.002)


def gone(pid, seconds=60):
    """Wait until the process has ended; False when it has not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)
