"""Jobs of a queue: who is next, in which order, and how many at once."""

from __future__ import annotations

import pytest
from queue_steps import TTL_S, counts, names, put, state, take

from headway.errors import QueueFull, RunOwned, UnknownRun, UsageError
from headway.journal.records import After, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings, park

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
