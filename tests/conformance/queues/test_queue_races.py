"""Many workers at one queue: no job is taken twice, no limit is passed, no wake-up is lost, whoever dies when."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections import Counter

from midway import all_at_once

from headway.errors import LeaseLost
from headway.journal.records import Ending, Row, RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings, Taken, park

MANY = 4
TTL_S = 30.0


def put(store, run_id, now=0.0, **job):
    return store.enqueue(RunSpec(run_id=run_id, task="t"), Job(**job), now)


def take(store, most=9, now=1.0, owner="worker"):
    return store.take_jobs(owner, ["default"], None, most, TTL_S, now)


def row(text):
    return Row(3, bytes(16), bytes(16), text)


def test_one_run_that_many_enqueue_has_one_job(openings):
    stores = [openings() for _ in range(MANY)]
    made = all_at_once(*(lambda store=store: put(store, "sky") for store in stores))
    assert len(set(map(repr, made))) == 1
    assert [one.run_id for one in stores[0].jobs(1.0)] == ["sky"]


def test_no_job_is_taken_by_two_of_many(openings):
    stores = [openings() for _ in range(MANY)]
    for number in range(20):
        put(stores[0], f"r{number}")
    found = [all_at_once(*(lambda store=store: take(store, 2) for store in stores)) for _ in range(2)]
    taken = [one.run.spec.run_id for part in found for batch in part for one in batch]
    taken += [one.run.spec.run_id for one in take(stores[0], 20)]
    assert sorted(taken) == sorted(f"r{number}" for number in range(20))


def test_a_limit_holds_however_many_take_at_once(openings):
    stores = [openings() for _ in range(MANY)]
    stores[0].put_queue(QueueSettings(limit=5, key_limit=2))
    for number in range(30):
        put(stores[0], f"r{number}", key=str(number % 5))
    for now in (1.0, 2.0):
        found = all_at_once(*(lambda store=store, now=now: take(store, 4, now) for store in stores))
        taken = [one for batch in found for one in batch]
        assert len(taken) == 5
        assert max(Counter(one.job.key for one in taken).values()) <= 2
        for one in taken:
            stores[0].release(one.lease, RunStatus.DONE, now)


def test_a_run_that_is_taken_by_hand_and_by_workers_has_one_owner(openings):
    stores = [openings() for _ in range(MANY)]
    for number in range(3):
        put(stores[0], f"r{number}")
        hand = lambda number=number: stores[0].acquire(f"r{number}", "hand", TTL_S, 1.0)  # noqa: E731 - one of several
        found = all_at_once(hand, *(lambda store=store: take(store, 1) for store in stores[1:3]))
        owners = [one for one in found[1:] if one] + [one for one in found[:1] if not isinstance(one, Exception)]
        assert len(owners) == 1
        (job,) = [one for one in stores[0].jobs(1.0) if one.run_id == f"r{number}"]
        assert (job.state, job.owner) == (JobState.TAKEN, stores[0].run(f"r{number}").owner)


def test_a_signal_that_comes_while_a_run_parks_is_never_lost(openings):
    driver, sender = openings(), openings()
    for number in range(3):
        put(driver, f"r{number}")
        ((_, lease, _),) = take(driver)
        ending = Ending(RunStatus.INTERRUPTED, None, park())
        all_at_once(
            lambda lease=lease, ending=ending: driver.commit(lease, 1, [row(b"x")], 2.0, ending=ending),
            lambda number=number: sender.send_signal(f"r{number}", "go", b"x", 2.0),
        )
        ((_, lease, _),) = take(driver, now=3.0)
        driver.release(lease, RunStatus.DONE, 4.0)


def test_the_end_of_a_run_that_comes_while_another_parks_for_it_is_never_lost(openings):
    parent, child = openings(), openings()
    for number in range(3):
        put(parent, f"parent {number}")
        put(parent, f"child {number}")
        leases = {one.run.spec.run_id: one.lease for one in take(parent)}
        ending = Ending(RunStatus.INTERRUPTED, None, park(runs=[f"child {number}"]))
        done = all_at_once(
            lambda lease=leases[f"parent {number}"], ending=ending: parent.commit(lease, 1, [row(b"x")], 2.0, ending=ending),
            lambda lease=leases[f"child {number}"]: child.commit(lease, 1, [row(b"x")], 2.0, ending=Ending(RunStatus.DONE)),
        )
        assert done == [None, None]
        ((run, lease, _),) = take(parent, now=3.0)
        assert run.spec.run_id == f"parent {number}"
        parent.release(lease, RunStatus.DONE, 4.0)


def test_runs_that_wait_for_each_other_and_end_at_once_are_all_woken(openings):
    stores = [openings() for _ in range(3)]
    for run_id in ("a", "b", "parent", "other"):
        put(stores[0], run_id)
    leases = {one.run.spec.run_id: one.lease for one in take(stores[0])}
    for run_id in ("parent", "other"):
        stores[0].release(leases[run_id], RunStatus.INTERRUPTED, 2.0, after=park(runs=["a", "b"]))
    done = all_at_once(
        lambda: stores[1].release(leases["a"], RunStatus.DONE, 3.0),
        lambda: stores[2].release(leases["b"], RunStatus.FAILED, 3.0),
    )
    assert done == [None, None]
    assert sorted(one.run.spec.run_id for one in take(stores[0], now=3.0)) == ["other", "parent"]


def test_a_job_is_swept_by_one_of_many(openings):
    stores = [openings() for _ in range(MANY)]
    for number in range(12):
        put(stores[0], f"r{number}")
    take(stores[0], 12, 0.0)
    found = all_at_once(*(lambda store=store: store.sweep_jobs(40.0) for store in stores))
    found.append(stores[0].sweep_jobs(40.0))
    assert sorted(one.run_id for part in found for one in part) == sorted(f"r{number}" for number in range(12))
    assert {one.deaths for one in stores[0].jobs(40.0)} == {1}


def test_a_driver_that_commits_while_it_is_swept_has_all_of_it_or_nothing(openings):
    driver, sweeper = openings(), openings()
    for number in range(3):
        put(driver, f"r{number}")
        ((run, lease, _),) = take(driver, now=0.0)
        done, swept = all_at_once(
            lambda lease=lease: driver.commit(lease, 1, [row(b"x")], 40.0, ending=Ending(RunStatus.DONE)),
            lambda: sweeper.sweep_jobs(40.0),
        )
        rows = [kept for _, kept in driver.rows(run.uid)]
        if isinstance(done, LeaseLost):
            assert [one.run_id for one in swept] == [f"r{number}"]
            assert (rows, driver.job(f"r{number}", 40.0).state) == ([], JobState.DELAYED)
            driver.delete_run(f"r{number}", 40.0)
        else:
            assert (done, rows) == (None, [row(b"x")])
            assert driver.job(f"r{number}", 40.0) is None


WORKER = """
import os, random, signal, sys, time
from headway.journal.open import open_store
from headway.journal.owner import this_process
from headway.journal.records import Ending, Row, RunStatus
from headway.journal.shared.queues import park

store, seed = open_store(sys.argv[1]), int(sys.argv[2])
dice = random.Random(seed)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def note(lease, seq, ending=None):
    store.commit(lease, seq, [Row(3, bytes(16), bytes(16), b"%d" % lease.fence)], time.time(), ending=ending)

while store.queues(time.time())[0].settings and store.jobs(time.time(), most=1):
    store.sweep_jobs(time.time())
    taken = store.take_jobs(this_process(), ["default"], None, dice.choice([1, 2, 3]), 60.0, time.time())
    if seed == 0 or dice.random() < 0.03:
        die()
    for run, lease, job in taken:
        seq, what = run.nrows + 1, dice.random()
        if seed == 1:
            note(lease, seq)
            die()
        elif what < 0.5:
            note(lease, seq, Ending(RunStatus.DONE))
        elif what < 0.65:
            note(lease, seq, Ending(RunStatus.INTERRUPTED, None, park(until=time.time())))
        elif what < 0.8:
            note(lease, seq)
            store.release(lease, RunStatus.INTERRUPTED, time.time())
        else:
            store.send_signal(run.spec.run_id, "go", b"x", time.time())
            note(lease, seq, Ending(RunStatus.INTERRUPTED, None, park()))
"""


def test_limits_hold_and_every_run_ends_once_while_workers_are_killed(url, opened):
    store = opened()
    store.put_queue(QueueSettings(limit=4, key_limit=2, deaths=1000, backoff_s=0.0))
    for number in range(20):
        put(store, f"r{number}", time.time(), key=str(number % 4))
    seeds, most, most_of_key = itertools.count(), 0, 0
    start = lambda: subprocess.Popen([sys.executable, "-c", WORKER, url, str(next(seeds))])  # noqa: E731 - of a counter
    assert start().wait() == -9, "it is killed between a claim and its first row"
    assert start().wait() == -9, "it is killed after its first row"
    workers: list[subprocess.Popen[bytes]] = []
    while store.jobs(time.time(), most=1):
        workers += [start() for _ in range(3 - len(workers))]
        keys = Counter(one.job.key for one in store.jobs(time.time(), state=JobState.TAKEN))
        most, most_of_key = max(most, keys.total()), max([most_of_key, *keys.values()])
        assert {worker.poll() for worker in workers} <= {None, 0, -9}
        workers = [worker for worker in workers if worker.poll() is None]
    assert {worker.wait() for worker in workers} <= {0, -9}
    assert 0 < most <= 4
    assert most_of_key <= 2
    assert {run.status for run in store.runs()} == {RunStatus.DONE}
    for run in store.runs():
        fences = [int(kept.body) for _, kept in store.rows(run.uid)]
        assert fences == sorted(set(fences)), "a driver wrote after it was gone, or twice"
        assert fences[-1] <= run.fence


def test_what_is_taken_names_the_run_as_it_is_in_the_store(openings):
    store, other = openings(), openings()
    put(store, "sky")
    (taken,) = take(store)
    assert isinstance(taken, Taken)
    assert other.run("sky") == taken.run
