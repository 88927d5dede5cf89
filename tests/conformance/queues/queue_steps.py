"""What tests of queues do again and again."""

from __future__ import annotations

from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, park

TTL_S = 30.0


def put(store, run_id, now=0.0, *, task="demo.answer", **job):
    return store.enqueue(RunSpec(run_id=run_id, task=task), Job(**job), now)


def take(store, most=1, now=1.0, *, owner="worker", queues=("default",), tasks=None, **more):
    return store.take_jobs(owner, queues, tasks, most, TTL_S, now, **more)


def names(taken):
    return [one.run.spec.run_id for one in taken]


def state(store, run_id, now=1.0):
    found = store.job(run_id, now)
    return None if found is None else found.state


def counts(store, name="default", now=1.0):
    found = next(info for info in store.queues(now) if info.settings.name == name)
    return {one.value: getattr(found, one.value) for one in JobState if getattr(found, one.value)}


def park_one(store, run_id="sky", now=2.0, **options):
    """A run that is parked, and its number."""
    put(store, run_id)
    ((run, lease, _),) = take(store)
    store.release(lease, RunStatus.INTERRUPTED, now, after=park(**options))
    return run.uid
