"""What becomes of the job of a run that is given back: gone, at once, later, or parked until something happens."""

from __future__ import annotations

import pytest
from queue_steps import TTL_S, counts, names, park_one, put, state, take

from headway.errors import LeaseLost
from headway.journal.records import After, Ending, RunSpec, RunStatus
from headway.journal.shared.queues import JobState, park

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


def test_a_parked_run_is_not_taken_until_its_time(store):
    park_one(store, until=60.0)
    assert state(store, "sky", 59.0) is JobState.PARKED
    assert take(store, now=59.0) == []
    assert names(take(store, now=60.0)) == ["sky"]


def test_a_parked_run_without_a_time_waits_for_ever(store):
    park_one(store)
    assert take(store, now=1e12) == []
    assert counts(store, now=1e12) == {"parked": 1}


def test_a_signal_wakes_a_parked_run(store):
    park_one(store)
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
    park_one(store)
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
    uid = park_one(store)
    store.delete_run("sky", 3.0)
    assert store.jobs(3.0) == []
    assert put(store, "sky").uid > uid
    assert names(take(store)) == ["sky"]


# --- waiting for other runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED])
def test_the_end_of_a_run_wakes_who_waits_for_it(store, make_row, status):
    put(store, "child", queue="children")
    ((_, lease, _),) = take(store, queues=["children"])
    park_one(store, "parent", runs=["child"])
    park_one(store, "another", runs=["nobody knows this one yet", "child"][1:])
    assert take(store, 9, 3.0) == []
    store.commit(lease, 1, [make_row(1)], 4.0, ending=Ending(status))
    assert names(take(store, 9, 4.0)) == ["parent", "another"]


def test_the_first_of_several_runs_to_end_wakes_who_waits_for_them(store):
    for run_id in ("a", "b"):
        put(store, run_id, queue="children")
    leases = [one.lease for one in take(store, 2, queues=["children"])]
    park_one(store, runs=["a", "b"])
    store.release(leases[1], RunStatus.DONE, 3.0)
    ((_, lease, _),) = take(store, now=3.0)
    store.release(leases[0], RunStatus.DONE, 4.0)  # who has been woken waits no more
    assert state(store, "sky") is JobState.TAKEN
    store.release(lease, RunStatus.DONE, 5.0)


def test_a_child_that_is_given_back_wakes_nobody(store):
    put(store, "child", queue="children")
    ((_, lease, _),) = take(store, queues=["children"])
    park_one(store, runs=["child"])
    store.release(lease, RunStatus.INTERRUPTED, 3.0)
    assert take(store, now=3.0) == []


def test_a_run_that_has_ended_already_or_is_unknown_is_not_waited_for(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    store.release(store.acquire("child", "somebody", TTL_S, 0.0), RunStatus.FAILED, 0.0)
    park_one(store, "parent", runs=["child"])
    assert names(take(store, now=2.0)) == ["parent"]
    park_one(store, "another", runs=["nobody"])
    assert names(take(store, now=2.0)) == ["another"]


def test_a_run_that_is_driven_by_hand_wakes_who_waits_for_it_too(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    lease = store.acquire("child", "somebody", TTL_S, 0.0)
    park_one(store, runs=["child"])
    store.release(lease, RunStatus.DONE, 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_forgetting_a_run_wakes_who_waits_for_it(store):
    store.create_run(RunSpec(run_id="child", task="demo.answer"))
    park_one(store, runs=["child"])
    assert take(store, now=3.0) == []
    store.delete_run("child", 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_a_cancel_of_a_run_that_never_began_wakes_who_waits_for_it(store):
    put(store, "child", queue="children")
    park_one(store, runs=["child"])
    store.request_cancel("child", 3.0)
    assert names(take(store, now=3.0)) == ["sky"]


def test_the_jobs_of_many_runs_are_found_at_once_each_with_what_it_awaits(store):
    for name in ("b", "a", "parent", "waits", "later", "ended"):
        put(store, name, at=50.0 if name == "later" else 0.0)
    taken = {run.spec.run_id: lease for run, lease, _ in take(store, most=5)}
    store.release(taken["parent"], RunStatus.INTERRUPTED, 2.0, after=park(until=90.0, runs=["b", "a"]))
    store.release(taken["ended"], RunStatus.DONE, 2.0)
    store.release(taken["waits"], RunStatus.INTERRUPTED, 2.0)
    uids = {info.uid: info.spec.run_id for info in store.runs()}
    found = {uids[uid]: (job.state, job.at, job.awaits) for uid, job in store.find_jobs([*uids, 1_000_000], 3.0).items()}
    assert found == {
        "a": (JobState.TAKEN, 1.0 + TTL_S, ()),
        "b": (JobState.TAKEN, 1.0 + TTL_S, ()),
        "parent": (JobState.PARKED, 90.0, ("a", "b")),
        "waits": (JobState.WAITING, 2.0, ()),
        "later": (JobState.DELAYED, 50.0, ()),
    }
    assert store.find_jobs([], 3.0) == {}
    assert store.job("parent", 3.0).awaits == ("a", "b")
