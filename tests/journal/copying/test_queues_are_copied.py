"""A store that is moved takes its queues along: what waits in the one goes on in the other, and never in both."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.journal.copying import queues as room
from headway.journal.memory import MemoryStore
from headway.journal.open import open_store
from headway.journal.owner import this_process
from headway.journal.records import Kind, Outcome, Row, RunSpec, RunStatus
from headway.journal.recovery.recovered import encode_body
from headway.journal.shared.queues import Job, JobState, QueueSettings, park
from headway.journal.shared.schedules import Schedule, ScheduleInfo
from headway.journal.store import Store

TTL_S = 30.0


def spec(run_id: str) -> RunSpec:
    return RunSpec(run_id=run_id, task="demo.answer")


def begin(store: Store, run_id: str, *, now: float, **job: object) -> object:
    """Enqueue a run and take it; its lease."""
    store.enqueue(spec(run_id), Job(queue="first", **job), now)
    ((_, lease, _),) = store.take_jobs("worker 1 of a test", ["first"], None, 1, TTL_S, now)
    return lease


def fill(store: Store, now: float) -> None:
    """A run of each kind that belongs to a queue, one that belongs to none, and one that has ended."""
    child = begin(store, "child", now=now)
    store.release(begin(store, "parent", now=now), RunStatus.INTERRUPTED, now, after=park(runs=("child",)))
    store.release(begin(store, "parked", now=now, key="ada"), RunStatus.INTERRUPTED, now, after=park(until=now + 900.0))
    store.release(child, RunStatus.INTERRUPTED, now, after=park())
    store.release(begin(store, "over", now=now), RunStatus.DONE, now)
    store.put_queue(QueueSettings(name="deadly", deaths=1, limit=7))
    store.enqueue(spec("stuck"), Job(queue="deadly"), now)
    store.take_jobs("worker 1 of a test", ["deadly"], None, 1, 1.0, now)
    store.sweep_jobs(now + 2.0)
    store.enqueue(spec("queued"), Job(queue="first", key="ada", priority=3, weight=2.0, version="v7"), now)
    store.enqueue(spec("later"), Job(queue="first", at=now + 700.0), now)
    store.create_run(spec("by hand"))


def pause(store: Store) -> None:
    for name in ("first", "deadly"):
        store.pause_queue(name, True)


WAITS = {
    "child": JobState.PARKED,
    "parent": JobState.PARKED,
    "parked": JobState.PARKED,
    "stuck": JobState.STUCK,
    "queued": JobState.WAITING,
    "later": JobState.DELAYED,
}


def waiting(store: Store) -> dict[str, object]:
    jobs = store.find_jobs([run.uid for run in store.runs()], time.time())
    return {job.run_id: (job.job, job.state, job.at, job.deaths, job.awaits) for job in jobs.values()}


def test_what_waits_in_a_store_waits_in_the_other_one_in_the_same_way(pair: tuple[Store, Store]) -> None:
    source, target = pair
    now = time.time() - 100.0
    fill(source, now)
    pause(source)
    before = waiting(source)
    report = hw.copy_runs(source, target)
    assert report.whole, [(run.run_id, run.why) for run in report.runs]
    assert {run.run_id: run.job for run in report.runs} == {**WAITS, "over": "", "by hand": ""}
    assert waiting(source) == before == waiting(target)
    assert {queue.settings.name: (queue.settings.limit, queue.paused) for queue in target.queues(now)} == {
        "first": (None, False),
        "deadly": (7, False),
    }
    taken = target.take_jobs("another", ["first", "deadly"], None, 9, TTL_S, time.time(), versions=("v7",))
    assert [one.run.spec.run_id for one in taken] == ["queued"]
    assert source.take_jobs("worker", ["first", "deadly"], None, 9, TTL_S, time.time(), versions=("v7",)) == []


def test_the_runs_that_waited_are_woken_there_by_what_they_waited_for(pair: tuple[Store, Store]) -> None:
    source, target = pair
    fill(source, time.time() - 100.0)
    pause(source)
    assert hw.copy_runs(source, target).whole
    now = time.time()
    assert target.send_signal("child", "go", b"x", now)
    first = target.take_jobs("another", ["first"], None, 9, TTL_S, now + 1)
    assert [one.run.spec.run_id for one in first] == ["child"]
    target.release(first[0].lease, RunStatus.DONE, now + 2)
    second = target.take_jobs("another", ["first"], None, 9, TTL_S, now + 3)
    assert [one.run.spec.run_id for one in second] == ["parent"]
    assert source.job("parent", now).state is JobState.PARKED


def test_a_run_that_a_worker_may_take_at_any_moment_is_refused_and_the_others_are_copied(pair: tuple[Store, Store]) -> None:
    source, target = pair
    fill(source, time.time() - 100.0)
    source.pause_queue("deadly", True)
    report = hw.copy_runs(source, target)
    refused = {run.run_id: run.why for run in report.runs if run.outcome == "refused"}
    assert refused.keys() == WAITS.keys() - {"stuck"}
    assert "run 'queued' waits in queue 'first', whose workers may go on with it" in refused["queued"]
    assert f"headway queue pause first --store {source.url}" in refused["queued"]
    assert waiting(target).keys() == {"stuck"}
    source.pause_queue("first", True)
    again = {run.run_id: run.outcome for run in hw.copy_runs(source, target).runs}
    assert {name for name, outcome in again.items() if outcome == "there already"} == {"stuck", "over", "by hand"}
    assert waiting(target) == waiting(source)


def test_a_copy_that_was_killed_before_it_came_to_the_queues_goes_on_there(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    fill(source, time.time() - 100.0)
    pause(source)
    with monkeypatch.context() as patch:
        patch.setattr(room.QueueCopy, "put_jobs", _die)
        with pytest.raises(KeyboardInterrupt):
            hw.copy_runs(source, target)
    assert waiting(target) == {}
    report = hw.copy_runs(source, target)
    assert report.whole
    assert {run.outcome for run in report.runs} == {"there already"}
    assert waiting(target) == waiting(source)


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_whose_driver_has_died_waits_for_a_worker_there(pair: tuple[Store, Store]) -> None:
    source, target = pair
    now = time.time()
    dead = this_process().replace("(started ", "(started 1")
    source.enqueue(spec("sky"), Job(), now)
    source.take_jobs(dead, ["default"], None, 1, TTL_S, now)
    source.pause_queue("default", True)
    (copied,) = hw.copy_runs(source, target).runs
    assert (copied.outcome, copied.job) == ("copied", "waiting")
    assert [one.run.fence for one in target.take_jobs("another", ["default"], None, 1, TTL_S, time.time())] == [2]


def test_a_run_that_waits_for_one_that_stays_behind_is_not_left_to_wait_for_nothing(pair: tuple[Store, Store]) -> None:
    source, target = pair
    fill(source, time.time() - 100.0)
    pause(source)
    report = hw.copy_runs(source, target, ["parent"])
    (parent,) = report.runs
    assert not report.whole
    assert "its place in queue 'first': it waits for run 'child', which is not in" in parent.why
    assert waiting(target) == {}
    assert hw.copy_runs(source, target, ["child", "parent"]).whole
    assert waiting(target).keys() == {"child", "parent"}


@pytest.mark.parametrize("change", ["signal", "resumed"])
def test_a_job_that_changes_while_it_is_copied_is_left_out(change: str) -> None:
    source, target = MemoryStore(), MemoryStore()
    fill(source, time.time() - 100.0)
    pause(source)

    def meddle(progress: object) -> None:
        if progress.run_id == "by hand":  # the last one that is copied
            if change == "signal":
                source.send_signal("parked", "go", b"x", time.time())
            else:
                source.pause_queue("first", False)

    source.commit(source.acquire("by hand", "me", 0.0, 0.0), 1, [one_row()], 0.0)
    report = hw.copy_runs(source, target, on_progress=meddle)
    left = {run.run_id for run in report.runs if "it has changed while it was copied" in run.why}
    assert left == ({"parked"} if change == "signal" else WAITS.keys() - {"stuck"})
    assert waiting(target).keys() == WAITS.keys() - left


def one_row() -> Row:
    body = encode_body(Outcome(task="t", label="", status=0, started=0.0, ended=0.0, value=b"\xc0"))
    return Row(int(Kind.OUTCOME), b"k" * 16, b"\0" * 16, body)


NIGHTLY = Schedule(name="nightly", cron="0 3 * * *", spec=spec("nightly"), job=Job(queue="first"))


def test_schedules_go_along_with_what_is_due(pair: tuple[Store, Store]) -> None:
    source, target = pair
    due = source.put_schedule(NIGHTLY, 0.0).due
    source.put_schedule(Schedule(name="idle", cron="0 3 * * *", spec=spec("idle"), job=Job(queue="other")), 0.0)
    source.pause_schedule("idle", True, 0.0)
    refused = {one.name: (one.outcome, one.why) for one in hw.copy_runs(source, target).schedules}
    assert refused["idle"] == ("copied", "")
    assert refused["nightly"][0] == "refused"
    assert "schedule 'nightly' fills queue 'first', whose workers may go on" in refused["nightly"][1]
    source.pause_queue("first", True)
    assert [(one.name, one.outcome) for one in hw.copy_runs(source, target).schedules] == [
        ("idle", "there already"),
        ("nightly", "copied"),
    ]
    assert target.schedules() == source.schedules()
    assert target.schedules()[1] == ScheduleInfo(schedule=NIGHTLY, due=due)


def test_another_schedule_of_the_same_name_is_left_as_it_is(pair: tuple[Store, Store]) -> None:
    source, target = pair
    source.put_schedule(NIGHTLY, 0.0)
    source.pause_queue("first", True)
    there = target.put_schedule(Schedule(name="nightly", cron="0 4 * * *", spec=spec("nightly")), 0.0)
    report = hw.copy_runs(source, target)
    assert not report.whole
    assert "has another schedule 'nightly'" in report.schedules[0].why
    assert target.schedules() == [there]


def test_the_command_says_how_runs_wait_and_what_was_left(tmp_path: Path) -> None:
    source, target = str(tmp_path / "a"), str(tmp_path / "b")
    with open_store(source) as store:
        fill(store, time.time() - 100.0)
        store.put_schedule(NIGHTLY, 0.0)
        refused = CliRunner().invoke(app, ["store", "copy", source, target], env={"COLUMNS": "250"})
        pause(store)
    assert refused.exit_code == 3
    assert "headway queue pause first" in refused.output
    done = CliRunner().invoke(app, ["store", "copy", source, target], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    assert "copied, parked" in done.output
    assert "schedule nightly" in done.output
    told = json.loads(CliRunner().invoke(app, ["store", "copy", source, target, "--json"]).stdout)
    assert [(one["name"], one["outcome"]) for one in told["schedules"]] == [("nightly", "there already")]
    assert {run["job"] for run in told["runs"]} == {"", *WAITS.values()}
