"""Drivers of jobs that die, and what is shown of queues, jobs and workers."""

from __future__ import annotations

import pytest
from queue_steps import TTL_S, counts, names, put, state, take
from store_model import ALIVE, DEAD

from headway.errors import LeaseLost, UnknownRun, UsageError
from headway.journal.records import RunStatus
from headway.journal.shared.queues import Job, JobState, QueueInfo, QueueSettings, WorkerInfo, park

# --- deaths ------------------------------------------------------------------------------------------------------------


def test_a_job_whose_lease_is_over_is_swept_with_a_pause_that_doubles_and_is_stuck_in_the_end(store, make_row):
    store.put_queue(QueueSettings(deaths=3, backoff_s=10.0))
    put(store, "sky")
    ((_, lease, _),) = take(store, now=0.0)
    assert store.sweep_jobs(29.9) == []
    (swept,) = store.sweep_jobs(30.0)
    assert swept == ("sky", "worker", 1, 40.0, False)
    assert (store.run("sky").owner, store.run("sky").status) == ("", RunStatus.INTERRUPTED)
    with pytest.raises(LeaseLost):
        store.commit(lease, 1, [make_row(1)], 30.0)
    assert take(store, now=39.9) == []
    ((_, lease, _),) = take(store, now=40.0)
    assert lease.fence == 2
    (swept,) = store.sweep_jobs(70.0)
    assert swept == ("sky", "worker", 2, 90.0, False)
    assert len(take(store, now=90.0)) == 1
    (swept,) = store.sweep_jobs(120.0)
    assert swept == ("sky", "worker", 3, 120.0, True)
    assert take(store, now=1e9) == []
    assert store.sweep_jobs(1e9) == []
    assert counts(store, now=1e9) == {"stuck": 1}
    found = store.job("sky", 1e9)
    assert (found.state, found.deaths, found.owner) == (JobState.STUCK, 3, "")


def test_a_job_whose_process_is_dead_is_swept_at_once(store):
    for run_id in ("of the dead", "of the living"):
        put(store, run_id)
    take(store, now=1.0, owner=DEAD)
    take(store, now=1.0, owner=ALIVE)
    assert [one.run_id for one in store.sweep_jobs(1.5)] == ["of the dead"]


def test_a_lease_that_is_renewed_is_not_swept(store):
    put(store, "sky")
    ((_, lease, _),) = take(store, now=0.0)
    store.renew(lease, 25.0)
    assert store.sweep_jobs(40.0) == []
    store.renew(lease, 50.0)
    assert store.sweep_jobs(60.0) == []
    assert store.sweep_jobs(79.0) == []
    assert [one.run_id for one in store.sweep_jobs(80.0)] == ["sky"]


def test_a_sweep_takes_back_no_more_than_it_is_asked_to_and_the_next_ones_the_rest(store):
    for number in range(7):
        put(store, f"r{number}")
    take(store, 9, now=0.0)
    parts = [[one.run_id for one in store.sweep_jobs(100.0, 3)] for _ in range(4)]
    assert [len(part) for part in parts] == [3, 3, 1, 0]
    assert sorted(name for part in parts for name in part) == [f"r{number}" for number in range(7)]


def test_a_swept_job_frees_its_slot(store):
    store.put_queue(QueueSettings(limit=1, key_limit=1))
    put(store, "first")
    put(store, "second")
    take(store, now=0.0)
    assert take(store, now=29.0) == []
    store.sweep_jobs(30.0)
    assert names(take(store, 9, 30.0)) == ["second"]


def test_a_driver_that_gave_its_run_back_had_not_died(store):
    store.put_queue(QueueSettings(deaths=2, backoff_s=0.0))
    put(store, "sky")
    for now in (0.0, 100.0, 200.0):
        assert len(take(store, now=now)) == 1
        assert [one.deaths for one in store.sweep_jobs(now + 30.0)] == [1]
        ((_, lease, _),) = take(store, now=now + 30.0)
        store.release(lease, RunStatus.INTERRUPTED, now + 31.0)


def test_a_stuck_job_is_tried_again_when_somebody_says_so(store):
    store.put_queue(QueueSettings(deaths=1))
    put(store, "sky")
    assert not store.retry_job("sky", 0.0)
    take(store, now=0.0)
    store.sweep_jobs(30.0)
    assert store.retry_job("sky", 31.0)
    assert not store.retry_job("sky", 31.0)
    assert names(take(store, now=31.0)) == ["sky"]
    assert store.job("sky", 31.0).deaths == 0
    with pytest.raises(UnknownRun):
        store.retry_job("sea", 31.0)


def test_a_cancel_ends_a_stuck_run(store):
    store.put_queue(QueueSettings(deaths=1))
    put(store, "sky")
    take(store, now=0.0)
    store.sweep_jobs(30.0)
    store.request_cancel("sky", 31.0)
    assert (store.run("sky").status, store.job("sky", 31.0)) == (RunStatus.CANCELLED, None)


def test_a_run_that_somebody_takes_by_hand_is_taken_for_workers_too(store):
    store.put_queue(QueueSettings(limit=1))
    put(store, "sky")
    put(store, "sea")
    lease = store.acquire("sky", "somebody", TTL_S, 0.0)
    assert state(store, "sky") is JobState.TAKEN
    assert take(store) == []
    store.release(lease, RunStatus.INTERRUPTED, 2.0)
    assert len(take(store, 9, 2.0)) == 1
    store.put_queue(QueueSettings())
    assert len(take(store, 9, 2.0)) == 1
    store.acquire("sky", "somebody", TTL_S, 3.0, take_over=True)
    assert sorted(one.owner for one in store.sweep_jobs(99.0)) == ["somebody", "worker"]


# --- what is shown -----------------------------------------------------------------------------------------------------


def test_queues_say_what_they_hold_and_since_when_the_oldest_has_waited(store):
    settings = QueueSettings(name="q", limit=2, key_limit=1, depth=100, deaths=1, backoff_s=2.0, longest_backoff_s=5.0)
    store.put_queue(settings)
    for number in range(6):
        put(store, f"r{number}", 10.0 + number, queue="q", key=str(number))
    put(store, "later", 10.0, queue="q", at=500.0)
    first = take(store, 2, 20.0, queues=["q"])
    store.release(first[0].lease, RunStatus.INTERRUPTED, 21.0, after=park())
    store.sweep_jobs(60.0)
    take(store, 2, 60.0, queues=["q"])
    put(store, "elsewhere", 7.0)
    assert store.queues(61.0) == [
        QueueInfo(settings=QueueSettings(), waiting=1, oldest=7.0),
        QueueInfo(settings=settings, waiting=2, delayed=1, taken=2, parked=1, stuck=1, oldest=14.0),
    ]


def test_jobs_are_listed_page_by_page(store):
    for number in range(5):
        put(store, f"a{number}", queue="a", at=10.0 * number)
        put(store, f"b{number}", queue="b")
    take(store, 2, 1.0, queues=["b"])
    pages = [store.jobs(1.0, most=4)]
    while pages[-1]:
        pages.append(store.jobs(1.0, most=4, after=pages[-1][-1]))
    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert sorted(one.run_id for page in pages for one in page) == sorted(f"{q}{n}" for q in "ab" for n in range(5))
    assert [one.run_id for one in store.jobs(1.0, queue="a", state=JobState.DELAYED)] == ["a1", "a2", "a3", "a4"]
    assert [one.run_id for one in store.jobs(1.0, state=JobState.TAKEN)] == ["b0", "b1"]
    assert {one.run_id for one in store.jobs(1.0, state=JobState.WAITING)} == {"a0", "b2", "b3", "b4"}
    assert store.jobs(1.0, queue="c") == []


def test_a_listed_job_says_all_that_is_known_of_it(store):
    made = put(store, "sky", 5.0, task="demo.other", key="a", priority=2, version="v1", weight=3.0, at=1.0)
    (found,) = store.jobs(6.0)
    assert found == store.job("sky", 6.0)
    assert (found.run_id, found.uid, found.task, found.at, found.owner) == ("sky", made.uid, "demo.other", 5.0, "")
    assert found.job == Job(key="a", priority=2, version="v1", weight=3.0, at=1.0)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"limit": -1}, {"key_limit": 0}, {"depth": -1}, {"deaths": 0}, {"backoff_s": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(store, wrong):
    with pytest.raises(UsageError):
        store.put_queue(QueueSettings(**wrong))
    assert store.queues(1.0) == []


def test_workers_are_shown_until_they_end_or_were_silent_for_long(store):
    first = WorkerInfo(owner="a", queues=("q", "default"), tasks=("demo.answer",), versions=("v1",), slots=4, since=1.0)
    store.see_worker(first, 1.0)
    store.see_worker(WorkerInfo(owner="b", slots=2, busy=1, draining=True, program="p.py"), 2.0)
    store.see_worker(WorkerInfo(owner="a", slots=5), 3.0)
    assert [(one.owner, one.slots, one.seen) for one in store.workers(4.0)] == [("a", 5, 3.0), ("b", 2, 2.0)]
    store.forget_worker("a")
    assert [one.owner for one in store.workers(4.0)] == ["b"]
    assert store.workers(5000.0) == []
    store.see_worker(first, 6000.0)
    assert [(one.owner, one.queues, one.tasks, one.versions) for one in store.workers(6000.0)] == [
        ("a", ("q", "default"), ("demo.answer",), ("v1",))
    ]


def test_who_waits_for_a_run_that_is_stuck_goes_on(store):
    store.put_queue(QueueSettings(deaths=1))
    put(store, "child")
    put(store, "parent", queue="other")
    ((_, lease, _),) = take(store, queues=("other",))
    take(store)
    store.release(lease, RunStatus.INTERRUPTED, 2.0, after=park(runs=["child"]))
    assert state(store, "parent", 99.0) is JobState.PARKED
    (swept,) = store.sweep_jobs(100.0)
    assert swept.stuck
    ((_, lease, _),) = take(store, now=101.0, queues=("other",))
    store.release(lease, RunStatus.INTERRUPTED, 102.0, after=park(runs=["child"]))  # it is stuck already
    assert state(store, "parent", 103.0) is JobState.WAITING
