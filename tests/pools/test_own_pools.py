"""Every pool keeps the promises of a pool: ours, and those that tests bring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import own
import pytest

import headway as hw
from headway.pools import Answer, Demand, Job, Pool, Traits
from headway.pools.gang import GangPool
from headway.pools.process import ProcessPool
from headway.pools.registry import MOST_FITTED, Pools, make_pools
from headway.pools.thread import ThreadPool
from headway.testing import check_pool

ALL = {"has room", "answers with the value", "answers with the error", "runs as many as it says", "cancels as its traits say"}


@pytest.mark.parametrize("make", [ThreadPool, ProcessPool, own.ExecutorPool, own.SocketPool])
def test_a_pool_keeps_the_promises_of_a_pool(make: Callable[[int], Pool]) -> None:
    looked = check_pool(lambda: make(2))
    assert set(looked) >= ALL
    assert ("survives a worker's death" in looked) == make(2).traits.copies


def test_gangs_keep_the_promises_of_a_pool() -> None:
    promises = [
        "answers with the error",
        "cancels as its traits say",
        "tells code of its call",
        "survives a worker's death",
        "closes",
    ]
    assert check_pool(lambda: GangPool(1), only=promises) == promises


class Broken:
    """A pool that keeps its promises, but for what a test changes."""

    traits = Traits(asks=True, cancel="cooperative")
    size = 2

    def __init__(self) -> None:
        self.running: list[Job] = []

    def free(self, need: Demand) -> int:
        return self.size - len(self.running)

    def start(self, on_free: Any, emit: Any) -> None:
        self.loop = asyncio.get_running_loop()

    def submit(self, job: Job) -> None:
        self.running.append(job)
        self.loop.run_in_executor(None, self.work, job)

    def work(self, job: Job) -> None:
        assert job.context is not None
        try:
            answer = Answer(value=job.context.run(job.fn, *job.args))
        except Exception as error:
            answer = Answer(error=error)
        self.running.remove(job)
        self.answer(job, answer)

    def answer(self, job: Job, answer: Answer) -> None:
        job.on_done(answer)

    def cancel(self, job: Job) -> bool:
        return True

    async def close(self) -> None:
        while self.running:  # noqa: ASYNC110 - another thread empties it
            await asyncio.sleep(0.001)


class KeepsSlots(Broken):
    def work(self, job: Job) -> None:
        super().work(job)
        self.running.append(job)

    async def close(self) -> None:
        self.running.clear()


class AnswersTwice(Broken):
    def answer(self, job: Job, answer: Answer) -> None:
        job.on_done(answer)
        job.on_done(answer)


class SaysNothingOfErrors(Broken):
    def answer(self, job: Job, answer: Answer) -> None:
        job.on_done(Answer())


class Boasts(Broken):
    size = 3

    def submit(self, job: Job) -> None:
        self.running.append(job)
        self.first = getattr(self, "first", None) or asyncio.Lock()
        self.loop.create_task(self.one_at_a_time(job))

    async def one_at_a_time(self, job: Job) -> None:
        async with self.first:
            await self.loop.run_in_executor(None, self.work, job)


class ClaimsCopies(Broken):
    traits = Traits(copies=True, cancel="cooperative")


SOON_S = 2.0  # what these pools leave undone is waited for as long; what they do must take less, on a busy machine as well
AT_MOST_S = 60.0


class Kills(Broken):
    traits = Traits(asks=True, cancel="killed")

    def cancel(self, job: Job) -> bool:
        job.on_done(Answer(cancelled=True))
        return True


@pytest.mark.parametrize(
    ("pool", "within_s", "promise"),
    [
        (KeepsSlots, SOON_S, "answers with the value: free() did not come back to 2"),
        (AnswersTwice, AT_MOST_S, "answered a job of check_pool.double twice"),
        (SaysNothingOfErrors, AT_MOST_S, "answers with the error: a ValueError was answered with"),
        (Boasts, SOON_S, "runs as many as it says: the code of side-1 did not begin"),
        (ClaimsCopies, AT_MOST_S, "copies as its traits say: the code has not copies"),
        (ClaimsCopies, AT_MOST_S, "refuses what can't travel: code got a lock"),
        (Kills, SOON_S, "cancels as its traits say"),
    ],
)
def test_the_check_finds_what_a_pool_does_not_keep(pool: type[Broken], within_s: float, promise: str) -> None:
    with pytest.raises(AssertionError) as raised:
        check_pool(pool, within_s=within_s)
    assert promise in str(raised.value)


def test_the_check_is_content_with_a_simple_pool() -> None:
    assert set(check_pool(Broken)) >= ALL


def test_tasks_that_are_made_for_a_single_call_are_not_kept_for_ever():
    @hw.task
    def work(number: int) -> int:
        return number

    pools = Pools(make_pools({}))
    for number in range(3 * MOST_FITTED):
        assert pools.fit(work.options(key=number).spec).key == number
    assert len(pools._fitted) <= MOST_FITTED
