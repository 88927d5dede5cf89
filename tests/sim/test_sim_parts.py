"""The parts of a simulated process: its pools, its writer, its store."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

import headway as hw
from headway.journal.records import RunSpec
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History, Violated
from headway.sim.store import Crash, SimStore
from headway.sim.universe import Universe

SLOW_JOBS = dataclasses.replace(STEADY, job_s=10.0)


@hw.task
async def leaf(x: int) -> int:
    await asyncio.sleep(1)
    return x + 1


@hw.task(pool="thread")
def waits(x: int) -> int:
    return hw.wait(hw.gather(leaf(x), leaf(x + 1)))[1]


@hw.task(pool="process")
def changes(items: list[int]) -> list[int]:
    items.append(9)
    hw.charge(tokens=2)
    return items


@hw.task(pool="process", retry=hw.Retry(attempts=30, on=(hw.WorkerDied,)))
def sturdy(x: int) -> int:
    return x


@hw.task(pool="process")
def fragile(x: int) -> int:
    return x


@hw.task(pool="thread")
def dawdles(x: int) -> int:
    return x


@hw.task
async def stops_others() -> list[bool]:
    """Whether each of the calls that had not ended when they were cancelled ended as cancelled."""
    handles = [fragile(x) for x in range(20)]
    await hw.sleep(10)
    running = [handle for handle in handles if not handle.done()]
    for handle in running:
        handle.cancel()
    ends = await hw.settle(*handles)
    return [end.cancelled for handle, end in zip(handles, ends, strict=True) if handle in running]


@hw.task
async def large(x: int) -> bytes:
    return bytes(50_000)


@hw.task
async def threads(n: int) -> list[int]:
    return await hw.gather(*(waits(i) for i in range(n)))


@hw.task
async def copies() -> tuple[list[int], list[int], float]:
    mine = [1]
    with hw.budget(tokens=10) as budget:
        theirs = await changes(mine)
    return mine, theirs, budget.spent["tokens"]


@hw.task
async def dying(n: int) -> int:
    return sum(await hw.gather(*(sturdy(i) for i in range(n))))


@hw.task
async def abandons() -> float:
    handle = dawdles(1)
    await hw.sleep(0.001)
    handle.cancel()
    await hw.settle(handle)
    return await dawdles(2)


@hw.task
async def blobs() -> int:
    return len(await large(1)) + len(await large(2))


def test_code_in_a_thread_waits_for_calls_and_lends_its_slot():
    history = History(1, SLOW_JOBS, pools={"thread": 1})
    assert history.live(threads, 5).value == [2, 3, 4, 5, 6]
    history.check()


def test_a_process_gets_copies_and_its_charges_arrive():
    history = History(1, STEADY)
    assert history.live(copies).value == ([1], [1, 9], 2.0)


def test_workers_die_and_the_run_goes_on():
    history = History(1, dataclasses.replace(STEADY, worker_dies=0.5))
    assert history.live(dying, 10).value == 45
    died = [event for event in history.lives[0].event_log if type(event).__name__ == "CallRetrying"]
    assert died
    history.check()


@pytest.mark.parametrize("dies", [0.0, 1.0])
def test_a_cancelled_job_ends_cancelled_even_where_its_worker_dies_or_answers_first(dies):
    config = dataclasses.replace(SLOW_JOBS, worker_dies=dies)
    history = History(1, config, pools={"process": 20})
    cancelled = history.live(stops_others).value
    assert len(cancelled) > 5
    assert all(cancelled)
    history.check()


def test_an_abandoned_thread_keeps_its_slot_until_its_code_has_ended():
    history = History(1, SLOW_JOBS, pools={"thread": 1})
    assert history.live(abandons).value == 2
    history.check()


@pytest.mark.parametrize(("how", "rows"), [("before", 1), ("torn", 1), ("after", 1), ("full", 1)])
def test_a_driver_dies_where_it_is_told_to(how, rows):
    history = History(1, STEADY)
    life = history.live(blobs, crash=Crash(1, how))
    assert len(life.after) == rows
    assert life.how == ("raised" if how == "full" else "died")
    if how == "full":
        assert isinstance(life.error, hw.StoreFull)
    assert history.live(blobs).value == 100_000
    history.check()


def test_a_torn_commit_leaves_its_blobs_and_none_of_its_rows():
    history = History(1, STEADY)
    history.live(blobs, crash=Crash(1, "torn"))
    assert len(history.store.blobs) == 1  # equal bytes are one blob
    history = History(1, STEADY)
    history.live(blobs, crash=Crash(0, "before"))
    assert history.store.blobs == {}


def test_what_a_dead_driver_still_tries_reaches_nobody():
    @hw.task
    async def stubborn_end() -> int:
        try:
            await hw.sleep(100)
        finally:
            await leaf(7)  # a dying process does nothing any more
        return 1

    history = History(1, SimConfig(commit_s=0.5))
    assert history.live(stubborn_end, crash=Crash(1, "after")).how == "died"
    before = list(history.rows())
    assert history.live(stubborn_end).value == 1
    assert history.rows()[: len(before)] == before
    history.check()


def test_a_cut_store_is_what_a_crash_would_have_left():
    history = History(1, STEADY)
    history.live(threads, 2)
    store = history.store.cut("run", 2)
    assert [row for _, row in store.rows(store.run("run").uid)] == history.rows()[:2]
    again = History(1, STEADY, store=store)
    assert again.live(threads, 2).value == [2, 3]
    again.check()


def test_a_store_without_a_universe_is_an_ordinary_one():
    store = SimStore()
    store.create_run(RunSpec(run_id="sky", task="demo.answer"))
    assert store.acquire("sky", "somebody", 30.0, 0.0).fence == 1


def test_a_broken_promise_names_itself_and_the_seed():
    history = History("seven", STEADY)
    history.live(threads, 2)
    history.store.history(history.uid).append(history.rows()[0])
    with pytest.raises(Violated, match=r"seed 'seven'(.|\n)*recorded once: the result of call \w+ is recorded 2 times"):
        history.check()


def test_what_the_code_of_a_dead_process_still_begins_belongs_to_its_own_loop():
    async def stubborn() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            begun.append(asyncio.gather(*(asyncio.sleep(1) for _ in range(3))))

    begun: list[asyncio.Future[list[None]]] = []
    asyncio.run(asyncio.sleep(0))  # leaves the thread without a loop
    universe = Universe(1)
    process = universe.process("p")
    process.start(stubborn())
    universe.run(lambda: universe.steps == 1)
    universe.remove(process)
    assert begun[0].get_loop() is process
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
