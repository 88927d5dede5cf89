"""Runs that other runs wait for: which have ended, and how one that failed goes on."""

from __future__ import annotations

import pytest
from queue_steps import put, take

from headway.errors import UnknownRun
from headway.journal.records import RunStatus
from headway.journal.shared.queues import Job, QueueSettings


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED])
def test_a_run_that_ended_without_success_is_enqueued_again_once(store, status):
    put(store, "sky", priority=1)
    ((_, lease, _),) = take(store)
    assert not store.enqueue_again("sky", Job(), lease.fence, 2.0)
    store.release(lease, status, 2.0)
    assert not store.enqueue_again("sky", Job(), lease.fence + 1, 3.0)
    assert store.enqueue_again("sky", Job(key="b"), lease.fence, 3.0)
    assert not store.enqueue_again("sky", Job(key="c"), lease.fence, 3.0)
    ((run, _, job),) = take(store, now=4.0)
    assert (run.fence, run.status, run.ended, run.cancel_requested, job.key) == (
        lease.fence + 1,
        RunStatus.RUNNING,
        0.0,
        False,
        "b",
    )


def test_a_run_that_is_done_is_not_enqueued_again(store):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    store.release(lease, RunStatus.DONE, 2.0)
    assert not store.enqueue_again("sky", Job(), lease.fence, 3.0)
    with pytest.raises(UnknownRun):
        store.enqueue_again("sea", Job(), 1, 3.0)


def test_runs_that_have_ended_or_are_stuck_are_found(store):
    store.put_queue(QueueSettings(deaths=1))
    for name in ("done", "stuck"):
        put(store, name)
    leases = {run.spec.run_id: lease for run, lease, _ in take(store, 2)}
    store.release(leases["done"], RunStatus.DONE, 2.0)
    store.sweep_jobs(100.0)
    put(store, "waits")
    asked = [*(f"nobody {number}" for number in range(600)), "done", "stuck", "waits"]
    assert store.find_ended(asked) == set(asked) - {"waits"}
    assert store.find_ended([]) == set()
