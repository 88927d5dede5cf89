"""A run that comes from another store waits in its queue as it did there."""

from __future__ import annotations

import math

import pytest
from queue_steps import TTL_S, names, put, state, take

from headway.errors import UnknownRun
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobInfo, JobState

JOB = Job(queue="mail", key="ada", priority=3, at=5.0, weight=2.0, version="v7")


def arrive(store, state, run_id="sky", at=50.0, *, now=10.0, fence=1, status=RunStatus.INTERRUPTED, **more):
    """A run that has begun elsewhere comes with its job; whether it got it."""
    made = store.create_run(RunSpec(run_id=f"source of {run_id}", task="demo.answer"))
    info = made.__class__(
        **{
            **{name: getattr(made, name) for name in made.__struct_fields__},
            "spec": RunSpec(run_id=run_id, task="demo.answer"),
            "fence": fence,
            "status": status,
        }
    )
    store.put_run(info, lambda: (), (), 0)
    return store.put_job(JobInfo(run_id=run_id, uid=9, task="demo.answer", job=JOB, state=state, at=at, **more), now)


@pytest.mark.parametrize(
    ("state", "at", "arrives"),
    [
        (JobState.WAITING, 4.0, (JobState.WAITING, 4.0)),
        (JobState.DELAYED, 50.0, (JobState.DELAYED, 50.0)),
        (JobState.PARKED, 50.0, (JobState.PARKED, 50.0)),
        (JobState.PARKED, math.inf, (JobState.PARKED, math.inf)),
        (JobState.PARKED, 9.0, (JobState.WAITING, 10.0)),
        (JobState.TAKEN, 50.0, (JobState.WAITING, 10.0)),
        (JobState.STUCK, 4.0, (JobState.STUCK, 4.0)),
    ],
)
def test_a_job_arrives_as_it_was_and_nobody_has_taken_it(store, state, at, arrives):
    assert arrive(store, state, at=at, deaths=2, owner="somebody there")
    found = store.job("sky", 10.0)
    assert (found.state, found.at) == arrives
    assert (found.job, found.deaths, found.owner) == (JOB, 2, "")
    taken = take(store, now=10.0, queues=("mail",), versions=("v7",))
    assert names(taken) == (["sky"] if arrives[0] is JobState.WAITING else [])


def test_a_parked_run_that_arrived_is_woken_by_a_signal_and_by_the_end_of_what_it_awaits(store):
    put(store, "child")
    ((_, lease, _),) = take(store)
    assert arrive(store, JobState.PARKED, "parent", math.inf, awaits=("child",))
    assert arrive(store, JobState.PARKED, "sky", math.inf)
    assert store.job("parent", 10.0).awaits == ("child",)
    store.send_signal("sky", "go", b"x", 11.0)
    assert (state(store, "sky", 11.0), state(store, "parent", 11.0)) == (JobState.WAITING, JobState.PARKED)
    store.release(lease, RunStatus.DONE, 12.0)
    assert state(store, "parent", 12.0) is JobState.WAITING


def test_a_run_whose_awaited_run_has_ended_meanwhile_waits_for_a_worker(store):
    put(store, "child")
    put(store, "other")
    leases = [lease for _, lease, _ in take(store, most=2)]
    store.release(leases[0], RunStatus.DONE, 2.0)
    assert arrive(store, JobState.PARKED, "parent", math.inf, awaits=("child", "other"))
    assert (state(store, "parent", 10.0), store.job("parent", 10.0).awaits) == (JobState.WAITING, ())


def test_a_run_that_waits_already_or_is_driven_or_has_ended_gets_no_other_job(store):
    assert arrive(store, JobState.WAITING, at=4.0)
    first = store.job("sky", 10.0)
    again = JobInfo(run_id="sky", uid=9, task="demo.answer", job=Job(), state=JobState.STUCK, at=1.0)
    assert not store.put_job(again, 10.0)
    assert store.job("sky", 10.0) == first
    assert not arrive(store, JobState.WAITING, "ended", status=RunStatus.DONE)
    store.create_run(RunSpec(run_id="driven", task="demo.answer"))
    store.acquire("driven", "somebody", TTL_S, 10.0)
    assert not store.put_job(JobInfo(run_id="driven", uid=9, task="t", job=JOB, state=JobState.WAITING, at=4.0), 10.0)
    assert (store.job("ended", 10.0), store.job("driven", 10.0)) == (None, None)


def test_a_run_that_is_not_there_gets_no_job(store):
    with pytest.raises(UnknownRun):
        store.put_job(JobInfo(run_id="nobody", uid=9, task="t", job=JOB, state=JobState.WAITING, at=4.0), 10.0)
