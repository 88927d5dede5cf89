"""Queues of runs: who is next, how many at once, and what becomes of a job that is given back."""

from __future__ import annotations

import pytest
from store_model import ALIVE, DEAD

from headway.errors import LeaseLost, QueueFull, RunOwned, UnknownRun, UsageError
from headway.journal.records import After, Ending, RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueInfo, QueueSettings, WorkerInfo, park

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


# --- enqueue and take --------------------------------------------------------------------------------------------------


def test_a_run_that_was_enqueued_is_taken_once_with_the_right_to_write(store, make_row):
    made = put(store, "sky", priority=3, key="a", weight=2.0)
    assert (made.fence, made.owner, made.status, made.nrows) == (0, "", RunStatus.RUNNING, 0)
    ((run, lease, job),) = take(store)
    assert run == store.run("sky")
    assert (run.uid, run.owner, run.fence, run.owned_since, run.lease_until) == (made.uid, "worker", 1, 1.0, 31.0)
    assert (lease.uid, lease.run_id, lease.owner, lease.fence, lease.ttl_s) == (run.uid, "sky", "worker", 1, TTL_S)
    assert job == Job(priority=3, key="a", weight=2.0)
    assert take(store) == []
    store.commit(lease, 1, [make_row(1)], 2.0)
    with pytest.raises(RunOwned):
        store.acquire("sky", "another", TTL_S, 2.0)


def test_a_run_id_is_enqueued_once_whatever_became_of_its_run(store):
    first = put(store, "sky")
    assert put(store, "sky", task="demo.other", key="b") == first
    ((_, lease, _),) = take(store)
    assert put(store, "sky").fence == 1
    store.release(lease, RunStatus.DONE, 2.0)
    assert put(store, "sky").status is RunStatus.DONE
    assert take(store, now=9.0) == []
    assert len(store.runs()) == 1


def test_a_run_that_was_not_enqueued_has_no_job(store, lease):
    assert store.job("sky", 1.0) is None
    with pytest.raises(UnknownRun):
        store.job("sea", 1.0)
    store.release(lease, RunStatus.INTERRUPTED, 2.0, after=park())
    assert store.job("sky", 1.0) is None
    assert take(store) == []


@pytest.mark.parametrize(
    "job",
    [{"weight": 0.0}, {"weight": float("nan")}, {"queue": ""}, {"queue": "a\nb"}, {"at": float("inf")}, {"priority": 1 << 31}],
)
def test_a_job_that_makes_no_sense_is_refused_before_anything_is_made(store, job):
    with pytest.raises(UsageError):
        put(store, "sky", **job)
    assert store.runs() == []


def test_a_batch_is_taken_in_the_order_of_the_line(store):
    for number in range(7):
        put(store, f"r{number}")
    assert names(take(store, 5)) == [f"r{number}" for number in range(5)]
    assert names(take(store, 5)) == ["r5", "r6"]
    assert len({one.fence for one in store.runs()}) == 1


def test_a_higher_priority_goes_first(store):
    for run_id, priority in (("low", -1), ("plain", 0), ("high", 7), ("high too", 7)):
        put(store, run_id, priority=priority)
    assert names(take(store, 9)) == ["high", "high too", "plain", "low"]


def test_a_delayed_job_is_not_taken_before_its_time(store):
    put(store, "later", at=60.0)
    assert state(store, "later") is JobState.DELAYED
    assert take(store, now=59.9) == []
    assert names(take(store, now=60.0)) == ["later"]


def test_a_job_whose_time_has_come_is_shown_as_waiting_before_anybody_takes_one(store):
    put(store, "later", at=60.0)
    assert counts(store, now=59.0) == {"delayed": 1}
    assert counts(store, now=60.0) == {"waiting": 1}
    assert state(store, "later", 60.0) is JobState.WAITING


def test_only_what_a_worker_can_run_is_taken(store):
    put(store, "other", task="demo.other")
    put(store, "pinned", version="v2")
    put(store, "plain")
    assert names(take(store, 9, tasks=["demo.answer"], versions=["v1"])) == ["plain"]
    assert names(take(store, 9, tasks=["demo.answer"], versions=["v1", "v2"])) == ["pinned"]
    assert names(take(store, 9, tasks=[])) == []
    assert names(take(store, 9)) == ["other"]


def test_queues_are_asked_in_the_order_in_which_they_are_named(store):
    put(store, "a", queue="one")
    put(store, "b", queue="two")
    put(store, "c", queue="three")
    assert names(take(store, 9, queues=["two", "one", "two"])) == ["b", "a"]
    assert names(take(store, 9, queues=["nowhere", "three"])) == ["c"]
    assert [info.settings.name for info in store.queues(1.0)] == ["one", "three", "two"]


# --- fairness ----------------------------------------------------------------------------------------------------------


def test_keys_take_turns_however_much_one_of_them_has_enqueued(store):
    for number in range(20):
        put(store, f"a{number}", key="a")
    take(store, 4)
    for number in range(4):
        put(store, f"b{number}", key="b")
    assert names(take(store, 6)) == ["a4", "b0", "a5", "b1", "a6", "b2"]


def test_a_key_of_twice_the_weight_has_twice_the_turns(store):
    for number in range(12):
        put(store, f"a{number}", key="a", weight=2.0)
        put(store, f"b{number}", key="b")
    first = names(take(store, 12))
    assert sum(name.startswith("a") for name in first) == 8


def test_a_key_that_was_away_has_saved_up_nothing(store):
    put(store, "b", key="b")
    for number in range(30):
        put(store, f"a{number}", key="a")
    take(store, 21)
    for number in range(9):
        put(store, f"later b{number}", key="b")
    assert sum("b" in name for name in names(take(store, 8))) == 4


# --- limits ------------------------------------------------------------------------------------------------------------


def test_a_queue_never_has_more_taken_than_its_limit(store):
    store.put_queue(QueueSettings(limit=3))
    for number in range(9):
        put(store, f"r{number}")
    first = take(store, 2)
    second = take(store, 9)
    assert names(second) == ["r2"]
    assert take(store, 9) == []
    store.release(first[0].lease, RunStatus.DONE, 2.0)
    assert names(take(store, 9)) == ["r3"]


def test_a_key_never_has_more_taken_than_its_limit_and_others_go_past_it(store):
    store.put_queue(QueueSettings(key_limit=2))
    for number in range(6):
        put(store, f"a{number}", key="a", priority=1)
        put(store, f"b{number}", key="b")
    first = take(store, 3)
    assert names(first) == ["a0", "a1", "b0"]
    assert names(take(store, 9)) == ["b1"]
    store.release(first[0].lease, RunStatus.DONE, 2.0)
    assert names(take(store, 9)) == ["a2"]


def test_both_limits_hold_at_once(store):
    store.put_queue(QueueSettings(limit=4, key_limit=2))
    for number in range(6):
        for key in "abc":
            put(store, f"{key}{number}", key=key)
    taken = names(take(store, 9))
    assert len(taken) == 4
    assert max(sum(name.startswith(key) for name in taken) for key in "abc") == 2


def test_a_limit_that_is_set_later_counts_what_is_taken_already(store):
    for number in range(6):
        put(store, f"r{number}")
    first = take(store, 3)
    store.put_queue(QueueSettings(limit=2))
    assert take(store, 9) == []
    for one in first[:2]:
        store.release(one.lease, RunStatus.DONE, 2.0)
    assert names(take(store, 9)) == ["r3"]
    store.put_queue(QueueSettings())
    assert names(take(store, 9)) == ["r4", "r5"]


def test_a_limit_of_nothing_takes_nothing(store):
    store.put_queue(QueueSettings(limit=0))
    put(store, "sky")
    assert take(store) == []


@pytest.mark.parametrize("after", [None, After(at=50.0), park(), park(until=50.0)], ids=["at once", "again", "parked", "asleep"])
def test_a_run_that_is_given_back_holds_no_slot(store, after):
    store.put_queue(QueueSettings(limit=1, key_limit=1))
    put(store, "first")
    ((_, lease, _),) = take(store)
    put(store, "second")
    assert take(store) == []
    store.release(lease, RunStatus.INTERRUPTED, 2.0, after=after)
    assert names(take(store, 9, 3.0)) == (["first"] if after is None else ["second"])


def test_a_paused_queue_gives_nothing_until_it_goes_on(store):
    put(store, "sky")
    store.pause_queue("default", True)
    assert take(store) == []
    assert [info.paused for info in store.queues(1.0)] == [True]
    store.put_queue(QueueSettings(limit=5))
    assert take(store) == []
    store.pause_queue("default", False)
    assert names(take(store)) == ["sky"]


def test_a_queue_that_is_as_deep_as_it_may_be_refuses_more_but_not_what_is_there(store):
    store.put_queue(QueueSettings(name="q", depth=2))
    put(store, "first", queue="q")
    put(store, "second", queue="q", at=50.0)
    with pytest.raises(QueueFull, match="queue 'q' is full: 2 jobs wait"):
        put(store, "third", queue="q")
    assert [one.spec.run_id for one in store.runs()] == ["first", "second"]
    put(store, "first", queue="q")
    put(store, "elsewhere")
    take(store, queues=["q"])
    put(store, "third", queue="q")


# --- giving back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED])
@pytest.mark.parametrize("with_rows", [True, False])
def test_a_run_that_has_ended_has_no_job_whatever_was_to_come_after(store, make_row, status, with_rows):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    if with_rows:
        store.commit(lease, 1, [make_row(1)], 2.0, ending=Ending(status, None, park()))
    else:
        store.release(lease, status, 2.0, after=park())
    assert store.job("sky", 3.0) is None
    assert take(store, now=99.0) == []
    assert counts(store) == {}


@pytest.mark.parametrize("with_rows", [True, False])
def test_a_run_that_is_released_is_taken_by_others_at_once(store, make_row, with_rows):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    if with_rows:
        store.commit(lease, 1, [make_row(1)], 2.0, ending=Ending(RunStatus.INTERRUPTED))
    else:
        store.release(lease, RunStatus.INTERRUPTED, 2.0)
    ((run, again, _),) = take(store, now=2.0, owner="another")
    assert (run.owner, run.status, again.fence, run.nrows) == ("another", RunStatus.RUNNING, 2, int(with_rows))
    with pytest.raises(LeaseLost):
        store.renew(lease, 3.0)


def test_a_run_that_goes_on_later_is_not_taken_before(store, make_row):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    store.commit(lease, 1, [make_row(1)], 2.0, ending=Ending(RunStatus.INTERRUPTED, None, After(at=50.0)))
    store.send_signal("sky", "go", b"x", 3.0)
    assert take(store, now=49.0) == []
    assert names(take(store, now=50.0)) == ["sky"]


def test_a_commit_that_comes_too_late_gives_no_job_back(store, make_row):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    store.acquire("sky", "another", TTL_S, 2.0, take_over=True)
    with pytest.raises(LeaseLost):
        store.commit(lease, 1, [make_row(1)], 3.0, ending=Ending(RunStatus.DONE))
    store.release(lease, RunStatus.DONE, 3.0)
    found = store.job("sky", 3.0)
    assert (found.state, found.owner) == (JobState.TAKEN, "another")


def parked(store, run_id="sky", now=2.0, **options):
    """A run that is parked, and its number."""
    put(store, run_id)
    ((run, lease, _),) = take(store)
    store.release(lease, RunStatus.INTERRUPTED, now, after=park(**options))
    return run.uid


def test_a_parked_run_is_not_taken_until_its_time(store):
    parked(store, until=60.0)
    assert state(store, "sky", 59.0) is JobState.PARKED
    assert take(store, now=59.0) == []
    assert names(take(store, now=60.0)) == ["sky"]


def test_a_parked_run_without_a_time_waits_for_ever(store):
    parked(store)
    assert take(store, now=1e12) == []
    assert counts(store, now=1e12) == {"parked": 1}


def test_a_signal_wakes_a_parked_run(store):
    parked(store)
    store.send_signal("sky", "go", b"x", 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_a_signal_that_came_while_the_run_parked_wakes_it(store, make_row):
    put(store, "sky")
    ((run, lease, _),) = take(store)
    seen = store.send_signal("sky", "go", b"1", 2.0)
    store.release(lease, RunStatus.INTERRUPTED, 3.0, after=park(seen=seen))
    assert take(store, now=4.0) == []
    store.send_signal("sky", "go", b"2", 5.0)
    ((_, lease, _),) = take(store, now=5.0)
    store.commit(lease, 1, [make_row(1)], 6.0, ending=Ending(RunStatus.INTERRUPTED, None, park(seen=seen)))
    assert names(take(store, now=6.0)) == ["sky"]
    assert [signal.value for signal in store.signals(run.uid)] == [b"1", b"2"]


def test_a_cancel_that_was_heard_long_ago_and_a_signal_that_was_seen_wake_nobody(store):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    store.request_cancel("sky", 2.0)
    seen = store.send_signal("sky", "go", b"1", 2.0)
    store.release(lease, RunStatus.CANCELLED, 3.0)
    lease = store.acquire("sky", "worker", TTL_S, 4.0)
    store.release(lease, RunStatus.INTERRUPTED, 5.0, after=park(seen=seen))
    assert take(store, now=9.0) == []


def test_a_cancel_wakes_a_run_that_is_parked_or_goes_on_later(store):
    parked(store)
    put(store, "sea")
    ((_, lease, _),) = take(store)
    store.release(lease, RunStatus.INTERRUPTED, 2.0, after=After(at=90.0))
    store.request_cancel("sky", 3.0)
    store.request_cancel("sea", 3.0)
    taken = take(store, 9, 3.0)
    assert sorted(names(taken)) == ["sea", "sky"]
    assert all(one.run.cancel_requested for one in taken)


def test_a_run_that_parks_with_a_cancel_unheard_waits_at_once(store):
    put(store, "sky")
    ((_, lease, _),) = take(store)
    store.request_cancel("sky", 2.0)
    store.release(lease, RunStatus.INTERRUPTED, 3.0, after=park())
    assert names(take(store, now=3.0)) == ["sky"]


@pytest.mark.parametrize("at", [0.0, 90.0])
def test_a_cancel_ends_a_run_that_never_began_without_a_worker(store, at):
    put(store, "sky", at=at)
    store.request_cancel("sky", 3.0)
    run = store.run("sky")
    assert (run.status, run.ended, run.cancel_requested) == (RunStatus.CANCELLED, 3.0, False)
    assert store.job("sky", 3.0) is None
    assert take(store, now=99.0) == []


def test_a_parked_run_that_is_forgotten_has_no_job(store):
    uid = parked(store)
    store.delete_run("sky", 3.0)
    assert store.jobs(3.0) == []
    assert put(store, "sky").uid > uid
    assert names(take(store)) == ["sky"]


# --- waiting for other runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED])
def test_the_end_of_a_run_wakes_who_waits_for_it(store, make_row, status):
    put(store, "child", queue="children")
    ((_, lease, _),) = take(store, queues=["children"])
    parked(store, "parent", runs=["child"])
    parked(store, "another", runs=["nobody knows this one yet", "child"][1:])
    assert take(store, 9, 3.0) == []
    store.commit(lease, 1, [make_row(1)], 4.0, ending=Ending(status))
    assert names(take(store, 9, 4.0)) == ["parent", "another"]


def test_the_first_of_several_runs_to_end_wakes_who_waits_for_them(store):
    for run_id in ("a", "b"):
        put(store, run_id, queue="children")
    leases = [one.lease for one in take(store, 2, queues=["children"])]
    parked(store, runs=["a", "b"])
    store.release(leases[1], RunStatus.DONE, 3.0)
    ((_, lease, _),) = take(store, now=3.0)
    store.release(leases[0], RunStatus.DONE, 4.0)  # who has been woken waits no more
    assert state(store, "sky") is JobState.TAKEN
    store.release(lease, RunStatus.DONE, 5.0)


def test_a_child_that_is_given_back_wakes_nobody(store):
    put(store, "child", queue="children")
    ((_, lease, _),) = take(store, queues=["children"])
    parked(store, runs=["child"])
    store.release(lease, RunStatus.INTERRUPTED, 3.0)
    assert take(store, now=3.0) == []


def test_a_run_that_has_ended_already_or_is_unknown_is_not_waited_for(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    store.release(store.acquire("child", "somebody", TTL_S, 0.0), RunStatus.FAILED, 0.0)
    parked(store, "parent", runs=["child"])
    assert names(take(store, now=2.0)) == ["parent"]
    parked(store, "another", runs=["nobody"])
    assert names(take(store, now=2.0)) == ["another"]


def test_a_run_that_is_driven_by_hand_wakes_who_waits_for_it_too(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    lease = store.acquire("child", "somebody", TTL_S, 0.0)
    parked(store, runs=["child"])
    store.release(lease, RunStatus.DONE, 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_forgetting_a_run_wakes_who_waits_for_it(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    parked(store, runs=["child"])
    assert take(store, now=3.0) == []
    store.delete_run("child", 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_a_cancel_of_a_run_that_never_began_wakes_who_waits_for_it(store):
    put(store, "child", queue="children")
    parked(store, runs=["child"])
    store.request_cancel("child", 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


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
