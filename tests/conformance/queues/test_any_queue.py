"""Any history of a queue, step by step, against a model of what is promised of it.

Jobs are enqueued, taken, given back in every way, woken, swept, taken by hand, cancelled and forgotten; limits come and go. After
each step everything that can be read of the queue is what the model says, through every opening of the store.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from queue_model import QueueModel
from store_model import ALIVE, DEAD

from headway.errors import HeadwayError
from headway.journal.records import After, Ending, Lease, Row, RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings, park

TTL_S = 30.0
names = st.sampled_from(["a", "b", "c", "d", "e", "f"])
owners = st.sampled_from(["one machine", "one machine", ALIVE, DEAD])
statuses = st.sampled_from([RunStatus.INTERRUPTED, RunStatus.INTERRUPTED, RunStatus.DONE, RunStatus.FAILED])
all_settings = st.builds(
    QueueSettings,
    limit=st.none() | st.integers(0, 3),
    key_limit=st.none() | st.integers(1, 2),
    depth=st.none() | st.integers(2, 5),
    deaths=st.integers(1, 3),
    backoff_s=st.sampled_from([0.0, 5.0]),
    longest_backoff_s=st.just(8.0),
)


def answer(ask: Callable[[], Any]) -> Any:
    """What a call returns, or the class of what it raises."""
    try:
        return ask()
    except HeadwayError as error:
        return type(error)


class QueueHistory(RuleBasedStateMachine):
    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self, subject: Any, place: Path) -> None:
        super().__init__()
        self.subject = subject
        self.store = subject.make(place)
        self.other = subject.open_again(self.store.url) if subject.open_again else self.store
        self.model = QueueModel()
        self.now = 100.0

    def teardown(self) -> None:
        self.store.close()
        self.other.close()

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0, 30.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def change_places(self):
        self.store, self.other = self.other, self.store

    @rule(
        name=names,
        key=st.sampled_from(["", "x", "y"]),
        priority=st.sampled_from([0, 0, 0, 5]),
        weight=st.sampled_from([1.0, 2.0]),
        delay=st.sampled_from([0.0, 0.0, 5.0, 40.0]),
        version=st.sampled_from(["", "", "v1"]),
    )
    def enqueue(self, name, key, priority, weight, delay, version):
        job = Job(key=key, priority=priority, weight=weight, at=self.now + delay if delay else 0.0, version=version)
        made = answer(lambda: self.store.enqueue(RunSpec(run_id=name, task="t"), job, self.now))
        uid = getattr(made, "uid", 0)
        told = answer(lambda: self.model.enqueue(name, job, self.now, uid))
        assert told is (None if uid else made)

    @rule(target=leases, most=st.integers(1, 4), owner=owners, versions=st.sampled_from([(), ("v1",)]))
    def take(self, most, owner, versions):
        taken = self.store.take_jobs(owner, ["default"], ["t"], most, TTL_S, self.now, versions=versions)
        assert [one.run.spec.run_id for one in taken] == self.model.take(owner, most, versions, self.now, TTL_S)
        assert [one.run for one in taken] == [self.other.run(one.run.spec.run_id) for one in taken]
        return multiple(*(one.lease for one in taken))

    @rule(
        lease=leases,
        status=statuses,
        how=st.sampled_from(["none", "again", "parked", "parked", "asleep", "waits", "waits"]),
        other=names,
        with_rows=st.booleans(),
    )
    def give_back(self, lease, status, how, other, with_rows):
        run = self.model.runs.get(lease.run_id)
        seen = run.newest_signal if run is not None else 0
        after: After | None = {
            "none": None,
            "again": After(at=self.now + 10.0),
            "parked": park(seen=seen if self.now % 2 else 0),
            "asleep": park(until=self.now + 10.0, seen=seen),
            "waits": park(seen=seen, runs=[other]),
        }[how]
        told = answer(lambda: self.model.give_back(lease.run_id, lease.fence, lease.owner, status, after, self.now))
        if with_rows and run is not None and run.uid == lease.uid:
            rows = self.store.run(lease.run_id).nrows
            row = Row(3, bytes(16), bytes(16), b"x")
            ending = Ending(status, None, after)
            assert answer(lambda: self.store.commit(lease, rows + 1, [row], self.now, ending=ending)) is told
        else:
            self.store.release(lease, status, self.now, after=after)

    @rule(lease=leases)
    def renew(self, lease):
        run = self.model.runs.get(lease.run_id)
        if run is not None and run.uid == lease.uid:
            told = answer(lambda: self.model.renew(lease.run_id, lease.fence, lease.owner, self.now, TTL_S))
            assert answer(lambda: self.store.renew(lease, self.now)) is told

    @rule(name=names)
    def send_signal(self, name):
        number = answer(lambda: self.store.send_signal(name, "go", b"x", self.now))
        told = answer(lambda: self.model.signal(name, number, self.now))
        assert told is (None if isinstance(number, int) else number)

    @rule(name=names)
    def cancel(self, name):
        assert answer(lambda: self.store.request_cancel(name, self.now)) is answer(lambda: self.model.cancel(name, self.now))

    @rule()
    def sweep(self):
        swept = {(one.run_id, one.deaths, one.at, one.stuck) for one in self.store.sweep_jobs(self.now)}
        assert swept == self.model.sweep(self.now)

    @rule(target=leases, name=names, owner=owners, take_over=st.booleans())
    def acquire(self, name, owner, take_over):
        lease = answer(lambda: self.store.acquire(name, owner, TTL_S, self.now, take_over=take_over))
        told = answer(lambda: self.model.acquire(name, owner, self.now, TTL_S, take_over=take_over))
        assert getattr(lease, "fence", lease) == told
        return lease if isinstance(lease, Lease) else multiple()

    @rule(name=names)
    def retry(self, name):
        assert answer(lambda: self.store.retry_job(name, self.now)) == answer(lambda: self.model.retry(name, self.now))

    @rule(name=names)
    def delete(self, name):
        told = answer(lambda: self.model.delete(name, self.now))
        done = answer(lambda: self.store.delete_run(name, self.now))
        assert (None if isinstance(done, int) else done) is told

    @rule(chosen=all_settings)
    def set_queue(self, chosen):
        self.store.put_queue(chosen)
        self.model.settings = chosen

    @rule(paused=st.booleans())
    def pause(self, paused):
        self.store.pause_queue("default", paused)
        self.model.paused = paused

    @invariant()
    def everything_is_as_the_model_says(self):
        for store in {id(store): store for store in (self.store, self.other)}.values():
            jobs = store.jobs(self.now)
            assert {one.run_id: (one.state, one.deaths, one.owner) for one in jobs} == self.model.show(self.now)
            assert [one.place for one in jobs] == sorted(one.place for one in jobs)
            for run in self.model.runs.values():
                found = store.run(run.name)
                assert (found.uid, found.status, found.fence, found.owner, found.lease_until, found.cancel_requested) == (
                    run.uid,
                    run.status,
                    run.fence,
                    run.owner,
                    run.until,
                    run.cancel,
                )
            for info in store.queues(self.now):
                shown = [state for state, _, _ in self.model.show(self.now).values()]
                assert [getattr(info, state.value) for state in JobState] == [shown.count(state) for state in JobState]
                assert info.oldest == self.model.oldest(self.now)
                assert info.paused is self.model.paused


QUICK = settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=600, stateful_step_count=70)


def check(subject: Any, folder: Path, effort: settings) -> None:
    numbers = itertools.count()
    less = settings(effort, max_examples=max(4, int(effort.max_examples * subject.effort)))
    run_state_machine_as_test(lambda: QueueHistory(subject, folder / f"store-{next(numbers)}"), settings=less)


def test_any_history_of_a_queue_is_that_of_the_model(subject, scratch):
    check(subject, scratch, QUICK)


@pytest.mark.long
def test_hundreds_of_long_histories_of_a_queue_are_those_of_the_model(subject, scratch):
    check(subject, scratch, THOROUGH)
