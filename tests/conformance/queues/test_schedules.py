"""Schedules: a due time is one run, whoever looks, whatever was missed, and whatever still runs."""

from __future__ import annotations

import pytest
from midway import all_at_once

from headway.errors import QueueFull, UsageError
from headway.journal.records import Ending, RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings
from headway.journal.shared.schedules import Fired, Overlap, Schedule

MINUTE, HOUR = 60.0, 3600.0
TEMPLATE = RunSpec(run_id="", task="demo.answer", args=b"\x91\x01")


def make(schedule, run_id, due):
    return RunSpec(run_id=run_id, task=schedule.spec.task, args=schedule.spec.args, salt=run_id.encode(), created=due)


def put(store, now=0.0, *, name="tick", cron="* * * * *", **more):
    return store.put_schedule(Schedule(name=name, cron=cron, spec=TEMPLATE, **more), now)


def fire(store, now):
    return [(one.run_id, one.why) for one in store.fire_schedules(now, make)]


def take(store, now, most=9):
    return store.take_jobs("worker", ["default"], None, most, 30.0, now)


def end(store, taken, now, status=RunStatus.DONE):
    for one in taken:
        store.release(one.lease, status, now)


def minute(number):
    return f"tick@1970-01-01T{number // 60:02}:{number % 60:02}:00Z"


def test_a_schedule_enqueues_a_run_at_its_time_and_once(store):
    made = put(store, 5.0, job=Job(key="a", priority=2))
    assert (made.due, made.fired, made.last_run, made.paused) == (MINUTE, 0.0, "", False)
    assert fire(store, 59.0) == []
    assert store.fire_schedules(60.0, make) == [Fired("tick", 60.0, minute(1))]
    assert fire(store, 60.0) == []
    ((run, _, job),) = take(store, 60.0)
    assert run.spec == make(made.schedule, minute(1), 60.0)
    assert job == Job(key="a", priority=2)
    (info,) = store.schedules()
    assert (info.due, info.fired, info.last_run) == (120.0, 60.0, minute(1))


def test_what_was_due_while_nobody_looked_is_made_up_for_as_far_as_the_catch_up_goes(store):
    put(store, overlap=Overlap.QUEUE, catch_up_s=150.0)
    assert fire(store, 10 * MINUTE) == [(minute(8), ""), (minute(9), ""), (minute(10), "")]
    assert store.schedules()[0].due == 11 * MINUTE


def test_a_schedule_without_catch_up_fires_only_what_is_due_in_that_second(store):
    put(store, catch_up_s=0.0)
    assert fire(store, 10 * MINUTE + 1) == []
    assert fire(store, 11 * MINUTE) == [(minute(11), "")]


def test_much_that_was_missed_is_made_up_for_in_parts(store):
    put(store, overlap=Overlap.QUEUE, catch_up_s=1e6)
    assert [len(fire(store, 230 * MINUTE)) for _ in range(4)] == [100, 100, 30, 0]


def test_an_overlap_is_skipped_until_the_run_before_has_ended(store):
    put(store)
    assert fire(store, 1 * MINUTE) == [(minute(1), "")]
    assert fire(store, 2 * MINUTE) == [("", "overlap")]
    taken = take(store, 2 * MINUTE)
    assert fire(store, 3 * MINUTE) == [("", "overlap")]
    end(store, taken, 3.5 * MINUTE, RunStatus.FAILED)
    assert fire(store, 4 * MINUTE) == [(minute(4), "")]


def test_an_overlap_that_queues_begins_when_the_run_before_has_ended(store, make_row):
    put(store, overlap=Overlap.QUEUE)
    for number in (1, 2, 3):
        assert fire(store, number * MINUTE) == [(minute(number), "")]
    now = 3 * MINUTE
    for number in (1, 2, 3):
        (taken,) = take(store, now)
        assert taken.run.spec.run_id == minute(number)
        assert take(store, now) == []
        now += 1
        store.commit(taken.lease, 1, [make_row(1)], now, ending=Ending(RunStatus.DONE))
    assert store.jobs(now) == []


def test_a_signal_does_not_start_a_run_that_is_queued_behind_another(store):
    put(store, overlap=Overlap.QUEUE)
    fire(store, 1 * MINUTE)
    fire(store, 2 * MINUTE)
    store.send_signal(minute(2), "go", b"x", 130.0)
    assert [one.run.spec.run_id for one in take(store, 130.0)] == [minute(1)]


def test_an_overlap_that_cancels_begins_when_the_cancelled_run_has_ended(store):
    put(store, overlap=Overlap.CANCEL)
    fire(store, 1 * MINUTE)
    (taken,) = take(store, 1 * MINUTE)
    assert fire(store, 2 * MINUTE) == [(minute(2), "")]
    assert store.run(minute(1)).cancel_requested
    assert take(store, 2 * MINUTE) == []
    end(store, [taken], 125.0, RunStatus.CANCELLED)
    assert [one.run.spec.run_id for one in take(store, 125.0)] == [minute(2)]


def test_an_overlap_that_cancels_what_never_began_starts_at_once(store):
    put(store, overlap=Overlap.CANCEL)
    fire(store, 1 * MINUTE)
    fire(store, 2 * MINUTE)
    assert store.run(minute(1)).status is RunStatus.CANCELLED
    assert [one.run.spec.run_id for one in take(store, 2 * MINUTE)] == [minute(2)]


@pytest.mark.parametrize("overlap", list(Overlap))
def test_a_run_that_is_stuck_holds_up_no_schedule(store, overlap):
    store.put_queue(QueueSettings(deaths=1))
    put(store, overlap=overlap)
    fire(store, 1 * MINUTE)
    take(store, 1 * MINUTE)
    assert [one.stuck for one in store.sweep_jobs(1.5 * MINUTE)] == [True]
    assert fire(store, 2 * MINUTE) == [(minute(2), "")]
    assert [one.run.spec.run_id for one in take(store, 2 * MINUTE)] == [minute(2)]


def test_a_paused_schedule_fires_nothing_and_makes_nothing_up(store):
    put(store)
    store.pause_schedule("tick", True, 0.0)
    assert fire(store, 5 * MINUTE) == []
    assert [info.paused for info in store.schedules()] == [True]
    store.pause_schedule("tick", False, 5 * MINUTE + 1)
    assert fire(store, 5 * MINUTE + 2) == []
    assert fire(store, 6 * MINUTE) == [(minute(6), "")]


def test_a_schedule_that_is_put_again_keeps_its_pause_and_what_is_due(store):
    put(store)
    store.pause_schedule("tick", True, 0.0)
    made = put(store, 10 * MINUTE, overlap=Overlap.QUEUE)
    assert (made.paused, made.due) == (True, MINUTE)
    store.pause_schedule("tick", False, 10 * MINUTE)
    assert put(store, 10 * MINUTE, cron="30 * * * *").due == 30 * MINUTE
    assert [info.schedule.cron for info in store.schedules()] == ["30 * * * *"]


def test_a_schedule_that_is_removed_leaves_its_runs(store):
    put(store)
    put(store, name="tock", cron="@every 7m")
    fire(store, 1 * MINUTE)
    store.remove_schedule("tick")
    assert [info.schedule.name for info in store.schedules()] == ["tock"]
    assert fire(store, 2 * MINUTE) == []
    assert len(take(store, 2 * MINUTE)) == 1


def test_a_due_time_that_was_fired_by_an_earlier_schedule_of_the_name_is_the_same_run(store):
    put(store)
    fire(store, 1 * MINUTE)
    end(store, take(store, 1 * MINUTE), 61.0)
    store.remove_schedule("tick")
    put(store, 30.0)
    assert fire(store, 1 * MINUTE) == [(minute(1), "")]
    assert len(store.runs()) == 1
    assert take(store, 1 * MINUTE) == []


def test_a_due_time_that_finds_the_queue_full_is_tried_again(store):
    store.put_queue(QueueSettings(depth=1))
    store.enqueue(RunSpec(run_id="first", task="t"), Job(), 0.0)
    put(store, overlap=Overlap.QUEUE)
    assert fire(store, 2 * MINUTE) == [("", "full")]
    with pytest.raises(QueueFull):
        store.enqueue(RunSpec(run_id="second", task="t"), Job(), 0.0)
    end(store, take(store, 2 * MINUTE), 2 * MINUTE)
    assert fire(store, 2 * MINUTE)[0] == (minute(1), "")


@pytest.mark.parametrize(
    "action", [lambda store: store.remove_schedule("tack"), lambda store: store.pause_schedule("tack", True, 0.0)]
)
def test_a_schedule_that_is_not_there_is_named_with_those_that_look_like_it(store, action):
    put(store)
    with pytest.raises(UsageError, match="no schedule 'tack'; did you mean 'tick'"):
        action(store)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "61 * * * *"},
        {"cron": "0 0 31 feb *"},
        {"zone": "Mars/Olympus"},
        {"name": "a@b"},
        {"name": ""},
        {"catch_up_s": -1.0},
        {"job": Job(weight=0.0)},
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(store, wrong):
    with pytest.raises(UsageError):
        put(store, **wrong)
    assert store.schedules() == []


def test_a_run_a_day_where_clocks_are_changed_is_a_run_a_day(store):
    begin = 1_774_652_400.0  # 2026-03-28 00:00 in Berlin, a day before the change
    put(store, begin, name="night", cron="30 2 * * *", zone="Europe/Berlin", overlap=Overlap.QUEUE, catch_up_s=1e6)
    fired = [one.run_id for hour in range(72) for one in store.fire_schedules(begin + hour * HOUR, make)]
    assert fired == ["night@2026-03-28T01:30:00Z", "night@2026-03-29T01:30:00Z", "night@2026-03-30T00:30:00Z"]


def test_workers_that_fire_at_the_same_moment_make_one_run_of_a_due_time(openings):
    stores = [openings() for _ in range(3)]
    put(stores[0], overlap=Overlap.QUEUE)
    fired = all_at_once(*[lambda store=store: fire(store, 3 * MINUTE) for store in stores])
    assert sorted(one for part in fired for one in part) == [(minute(number), "") for number in (1, 2, 3)]
    assert [one.spec.run_id for one in stores[1].runs()] == [minute(number) for number in (1, 2, 3)]
    states = {one.run_id: one.state for one in stores[2].jobs(3 * MINUTE)}
    assert states == {minute(1): JobState.WAITING, minute(2): JobState.PARKED, minute(3): JobState.PARKED}
