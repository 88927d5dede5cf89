"""A worker takes runs, drives them, repairs what other workers left behind, and leaves so that others go on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from serving import OWNER, put, serve

import headway as hw
from headway import testing
from headway.errors import StoreError
from headway.journal.owner import LEASE_S
from headway.journal.shared.queues import Job, JobState, QueueSettings, Taken
from headway.service.asking import ask_for
from headway.service.worker import Said, Worker

did: list[str] = []
running: list[str] = []
most: list[int] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    for notes in (did, running, most):
        notes.clear()


@pytest.fixture
def store() -> hw.MemoryStore:
    return hw.MemoryStore()


@hw.task
async def note(what: str) -> str:
    did.append(what)
    return what


@hw.task
async def works(name: str, seconds: float = 0.5) -> str:
    running.append(name)
    most.append(len(running))
    try:
        await asyncio.sleep(seconds)
    finally:
        running.remove(name)
    return await note(name)


@hw.task
async def two_steps(name: str, seconds: float) -> str:
    await note(f"{name} 1")
    await asyncio.sleep(seconds)
    return await note(f"{name} 2")


@hw.task
async def fails() -> None:
    did.append("failed")
    raise ValueError("no such order")


@hw.task
async def rests(seconds: float) -> str:
    await hw.sleep(seconds)
    return await note("rested")


def said_of(said: list[Said], what: str) -> list[str]:
    return [each.run_id for each in said if each.what == what]


def test_a_worker_drives_what_waits_and_leaves_when_nothing_does(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    for name in "abc":
        put(store, clock, works, name, run_id=name)
    said = serve(store, clock, slots=2)
    assert sorted(did) == ["a", "b", "c"]
    assert [hw.result_of(name, store=store) for name in "abc"] == ["a", "b", "c"]
    assert (said[0].what, said[-1].what) == ("ready", "left")
    assert sorted(said_of(said, "took")) == sorted(said_of(said, "ended")) == ["a", "b", "c"]
    assert store.workers(clock.now) == []


def test_a_worker_drives_no_more_runs_than_it_has_slots(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    for name in "abcdefg":
        put(store, clock, works, name, run_id=name)
    serve(store, clock, slots=3)
    assert max(most) == 3
    assert len(did) == 7


def test_what_is_enqueued_while_a_worker_rests_is_taken_before_its_next_poll(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await asyncio.sleep(100.0)
        began = clock.now
        put(store, clock, works, "late", 0.0, run_id="late")
        await until(did, "late")
        assert clock.now - began < 1.0
        worker.leave()

    serve(store, clock, during=meanwhile, poll_s=60.0)
    assert did == ["late"]


def take(store: hw.MemoryStore, clock: testing.VirtualClock) -> Taken:
    (taken,) = store.take_jobs(OWNER, ["default"], None, 1, LEASE_S, clock.now)
    return taken


def test_a_dead_workers_run_goes_on_with_a_worker_that_was_there_before_it_died(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await asyncio.sleep(20.0)
        put(store, clock, works, "orphan", 0.0, run_id="orphan", queue="default")
        take(store, clock)  # by a worker that says nothing more
        began = clock.now
        while "orphan" not in did:
            await asyncio.sleep(0.1)
            assert clock.now - began < LEASE_S + 2 * 2.0 + 2.0
        worker.leave()

    said = serve(store, clock, during=meanwhile, queues=("other", "default"), slots=1)
    assert said_of(said, "swept") == ["orphan"]
    assert hw.result_of("orphan", store=store) == "orphan"


def test_a_run_whose_workers_die_again_and_again_is_stuck_and_shown(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    store.put_queue(QueueSettings(deaths=2, backoff_s=1.0))
    put(store, clock, works, "deadly", run_id="deadly")
    take(store, clock)
    clock.advance(LEASE_S + 1)
    store.sweep_jobs(clock.now)
    clock.advance(5)
    take(store, clock)
    clock.advance(LEASE_S + 1)
    said = serve(store, clock)
    assert said_of(said, "swept") == ["deadly"]
    assert said_of(said, "took") == []
    found = store.job("deadly", clock.now)
    assert found is not None
    assert found.state == JobState.STUCK
    with pytest.raises(hw.RunError, match="stuck"):
        hw.result_of("deadly", store=store)
    assert store.retry_job("deadly", clock.now)
    serve(store, clock)
    assert hw.result_of("deadly", store=store) == "deadly"


def test_a_run_that_fails_has_failed_and_is_not_tried_again(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, fails)
    said = serve(store, clock)
    assert did == ["failed"]
    (ended,) = [each.ended for each in said if each.what == "ended"]
    assert ended is not None
    assert ended.how == "failed"
    with pytest.raises(ValueError, match="no such order"):
        hw.result_of("run", store=store)


@hw.task(name="test_worker.edited")
async def edited(name: str) -> None:
    did.append(name)


def test_a_run_that_can_not_begin_fails_and_says_why(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    before = ask_for(works, ("x",), {}, "run", "a test").spec  # the task had another parameter when the run was enqueued
    store.enqueue(msgspec.structs.replace(before, task=edited.spec.name), Job(), clock.now)
    said = serve(store, clock)
    assert said_of(said, "took") == ["run"]
    with pytest.raises(hw.WrongArguments, match="too many positional arguments"):
        hw.result_of("run", store=store)
    assert did == []
    assert store.job("run", clock.now) is None


def test_a_run_whose_arguments_mean_something_else_now_fails_and_says_why(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    before = ask_for(note, ("x",), {}, "run", "a test").spec
    store.enqueue(msgspec.structs.replace(before, task=edited.spec.name), Job(), clock.now)
    serve(store, clock)
    with pytest.raises(hw.RunMismatch, match="takes other arguments here"):
        hw.result_of("run", store=store)
    assert did == []


def test_a_parked_run_holds_no_slot(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    put(store, clock, rests, 3600.0, run_id="sleeper")
    put(store, clock, works, "next", run_id="next")
    said = serve(store, clock, slots=1)
    assert did == ["next"]
    assert [(each.run_id, each.ended.how) for each in said if each.ended] == [("sleeper", "parked"), ("next", "done")]
    clock.advance(3600)
    serve(store, clock, slots=1)
    assert did == ["next", "rested"]


# --- leaving ---------------------------------------------------------------------------------------------------------


async def until(seen: list[Any], wanted: Any) -> None:
    while wanted not in seen:  # noqa: ASYNC110 - on a virtual clock
        await asyncio.sleep(0.05)


def test_a_worker_that_is_told_to_leave_takes_nothing_more_and_lets_its_runs_end(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await until(did, "a 1")
        worker.leave()
        put(store, clock, works, "b", run_id="b")

    put(store, clock, two_steps, "a", 3.0, run_id="a")
    said = serve(store, clock, during=meanwhile, slots=4, grace_s=10.0)
    assert did == ["a 1", "a 2"]
    assert [each.ended.how for each in said if each.ended] == ["done"]
    found = store.job("b", clock.now)
    assert found is not None
    assert found.state == JobState.WAITING


def test_after_the_grace_a_run_is_handed_over_and_taken_by_another_at_once(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await until(did, "a 1")
        worker.leave()

    put(store, clock, two_steps, "a", 20.0, run_id="a")
    said = serve(store, clock, during=meanwhile, grace_s=2.0)
    assert [each.ended.how for each in said if each.ended] == ["handed over"]
    assert [each.what for each in said][-4:] == ["draining", "handing over", "ended", "left"]
    before = clock.now
    serve(store, clock)
    assert did == ["a 1", "a 2"]  # what was journaled is not done again
    assert clock.now - before < LEASE_S
    assert hw.result_of("a", store=store) == "a 2"


def test_a_worker_that_is_told_twice_hands_over_now(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await until(did, "a 1")
        worker.leave()
        worker.leave()

    put(store, clock, two_steps, "a", 25.0, run_id="a")
    began = clock.now
    said = serve(store, clock, during=meanwhile, grace_s=1000.0)
    assert [each.ended.how for each in said if each.ended] == ["handed over"]
    assert clock.now - began < 10


def test_a_run_of_a_draining_worker_hears_of_its_cancel(store: hw.MemoryStore, clock: testing.VirtualClock) -> None:
    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await until(did, "a 1")
        worker.leave()
        store.request_cancel("a", clock.now)
        await asyncio.to_thread(_look_around)

    put(store, clock, two_steps, "a", 20.0, run_id="a")
    said = serve(store, clock, during=meanwhile, grace_s=1000.0)
    assert [each.ended.how for each in said if each.ended] == ["cancelled"]


def _look_around() -> None:
    """Give the writer's thread, which looks for word 10 times a second, the time to: the virtual clock stands still."""
    time.sleep(0.3)


class LeavingWhileItTakes(hw.MemoryStore):
    """A store in which a worker is told to leave while it takes jobs."""

    worker: Worker | None = None

    def take_jobs(self, *args: Any, **kwargs: Any) -> list[Taken]:
        taken = super().take_jobs(*args, **kwargs)
        if taken and self.worker is not None:
            self.worker._loop.call_soon_threadsafe(self.worker.leave)
        return taken


def test_what_was_taken_while_the_worker_was_told_to_leave_is_given_back_at_once(clock: testing.VirtualClock) -> None:
    store = LeavingWhileItTakes()

    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        store.worker = worker
        put(store, clock, works, "a", run_id="a")

    said = serve(store, clock, during=meanwhile)
    store.worker = None
    assert said_of(said, "took") == []
    found = store.job("a", clock.now)
    assert found is not None
    assert found.state == JobState.WAITING
    serve(store, clock)
    assert did == ["a"]


class Failing(hw.MemoryStore):
    """A store whose server is gone for a while."""

    left = 3

    def sweep_jobs(self, now: float, most: int = 100) -> Any:
        if self.left:
            self.left -= 1
            raise StoreError("the server is gone")
        return super().sweep_jobs(now, most)


def test_a_worker_outlives_a_store_that_is_gone_for_a_while(clock: testing.VirtualClock) -> None:
    store = Failing()
    put(store, clock, works, "a", run_id="a")
    said = serve(store, clock)
    assert [each.what for each in said][:3] == ["ready", "trouble", "again"]
    assert did == ["a"]


def test_a_worker_takes_only_tasks_that_it_has_loaded_and_versions_that_it_runs(
    store: hw.MemoryStore, clock: testing.VirtualClock
) -> None:
    put(store, clock, works, "pinned", run_id="pinned", version="v2")
    put(store, clock, works, "free", run_id="free")

    async def meanwhile(worker: Worker, said: list[Said]) -> None:
        await asyncio.sleep(20.0)
        worker.leave()

    serve(store, clock, during=meanwhile, versions=("v1",))
    assert did == ["free"]
    serve(store, clock, versions=("v2",))
    assert did == ["free", "pinned"]


def test_a_schedule_that_is_due_becomes_one_run_whoever_looks(store: hw.MemoryStore) -> None:
    clock = testing.VirtualClock(time.time(), most_s=86_400.0)  # schedules begin now, whatever a test's clock says
    hw.add_schedule("hourly", note, "tick", cron="0 * * * *", store=store)
    (info,) = store.schedules()
    clock.advance(info.due - clock.now + 1)
    said = [*serve(store, clock), *serve(store, clock)]
    (run_id,) = said_of(said, "fired")
    assert run_id.startswith("hourly@")
    assert did == ["tick"]
    assert hw.result_of(run_id, store=store) == "tick"
