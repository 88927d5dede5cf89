"""What is told of runs that belong to a queue: they wait there, and nobody has interrupted them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from serving import OWNER, drive, put
from typer.testing import CliRunner

import headway as hw
from headway import testing
from headway.cli.app import app
from headway.journal.owner import LEASE_S
from headway.journal.records import RunStatus
from headway.journal.shared.queues import QueueSettings
from headway.journal.sqlite.store import SqliteStore
from headway.service.asking import ask_for

PROGRAM = """
import headway as hw


@hw.task
async def greet(name: str) -> str:
    return f"hello {name}, {await hw.wait_event('answer', timeout=86_400)}"
"""


@hw.task
async def ask(name: str) -> str:
    return str(await hw.wait_event("answer", timeout=86_400))


@hw.task
async def rest(seconds: float) -> None:
    await hw.sleep(seconds)


@hw.task
async def answer() -> int:
    return 42


@hw.task
async def start() -> int:
    return await hw.start(answer, queue="other")


@pytest.fixture
def clock() -> testing.VirtualClock:
    """Begins now, as whoever lists runs looks at the real clock."""
    return testing.VirtualClock(time.time() - 100.0)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(folder: str, clock: testing.VirtualClock) -> SqliteStore:
    """With a run in each state in which a run that belongs to a queue can be."""
    with SqliteStore(folder) as store:
        put(store, clock, ask, "ada", run_id="parked")
        drive(store, clock)
        put(store, clock, start, run_id="starter")
        drive(store, clock)
        store.put_queue(QueueSettings(name="deadly", deaths=1))
        put(store, clock, ask, "ada", run_id="stuck", queue="deadly")
        store.take_jobs(OWNER, ["deadly"], None, 1, 1.0, clock.now)
        store.sweep_jobs(clock.now + 2.0)
        put(store, clock, ask, "ada", run_id="crashed", queue="silent")
        store.take_jobs(OWNER, ["silent"], None, 1, 1.0, clock.now)
        put(store, clock, ask, "ada", run_id="taken", queue="busy")
        store.take_jobs(OWNER, ["busy"], None, 1, 100 * LEASE_S, clock.now)
        put(store, clock, ask, "ada", run_id="handed over", queue="paused")
        ((_, lease, _),) = store.take_jobs(OWNER, ["paused"], None, 1, LEASE_S, clock.now)
        store.release(lease, RunStatus.INTERRUPTED, clock.now)
        put(store, clock, ask, "ada", run_id="new", queue="paused")
        put(store, clock, ask, "ada", run_id="later", queue="paused", at=clock.now + 7200)
        yield store


STATUSES = {
    "parked": "parked",
    "starter": "parked",
    "stuck": "stuck",
    "crashed": "crashed",
    "taken": "running",
    "handed over": "queued",
    "new": "queued",
    "later": "delayed",
}


def test_a_run_that_waits_in_its_queue_was_not_interrupted(store: SqliteStore, clock: testing.VirtualClock) -> None:
    listed = {run.run_id: run for run in hw.runs(store=store)}
    (child,) = listed.keys() - STATUSES.keys()
    assert {run_id: run.status for run_id, run in listed.items()} == {**STATUSES, child: "queued"}
    assert (listed["stuck"].queue, listed["new"].queue, listed[child].queue) == ("deadly", "paused", "other")
    times = {run_id: run.until for run_id, run in listed.items() if run.until is not None}
    assert times.keys() == {"parked", "later"}
    assert times["later"] == pytest.approx(clock.now + 7200, abs=1.0)
    for run_id, status in STATUSES.items():
        assert hw.view(run_id, store=store).status == status


@pytest.mark.parametrize("status", ["parked", "stuck", "crashed", "running", "queued", "delayed", "interrupted", "new"])
def test_runs_are_asked_for_by_the_status_that_is_shown(store: SqliteStore, status: str) -> None:
    every = [run for run in hw.runs(store=store) if run.status == status]
    assert hw.runs(store=store, status=status) == every
    assert hw.runs(store=store, status=status, most=1) == every[:1]


def test_a_run_that_is_to_be_cancelled_and_waits_for_a_worker_says_so(store: SqliteStore) -> None:
    hw.cancel("parked", store=store)
    assert [run.run_id for run in hw.runs(store=store, status="cancelling")] == ["parked"]


def test_a_run_that_has_ended_belongs_to_no_queue(store: SqliteStore, clock: testing.VirtualClock) -> None:
    drive(store, clock, queue="other")
    (done,) = hw.runs(store=store, status="done")
    assert (done.queue, done.until) == (None, None)


def test_going_on_with_everything_leaves_the_runs_of_queues_to_their_workers(store: SqliteStore) -> None:
    store.release(store.begin_run(_spec_of(store, "by hand"), OWNER, LEASE_S, 0.0)[1], RunStatus.INTERRUPTED, 0.0)
    before = {run.run_id: run for run in hw.runs(store=store)}
    assert before["by hand"].status == "interrupted"
    ended = hw.resume_all(store=store, task="answer")
    assert {run_id: settled.value for run_id, settled in ended.items()} == {"by hand": 42}
    assert hw.resume_all(store=store) == {}
    del before["by hand"]
    assert {run.run_id: run for run in hw.runs(store=store) if run.run_id != "by hand"} == before


def _spec_of(store: SqliteStore, run_id: str) -> object:
    return ask_for(answer, (), {}, run_id, "a test").spec


@pytest.mark.parametrize("status", ["parked", "queued", "delayed", "stuck"])
def test_a_status_that_only_runs_of_queues_have_is_refused_there(status: str) -> None:
    with pytest.raises(hw.UsageError, match=rf"only runs of a queue are {status}, and its workers go on with them"):
        hw.resume_all(store="nowhere", status=["crashed", status])


def test_one_run_of_a_queue_goes_on_here_when_it_is_asked_for_by_name(store: SqliteStore, clock: testing.VirtualClock) -> None:
    hw.signal("parked", "answer", "yes", store=store)
    assert hw.resume("parked", store=store) == "yes"
    assert store.job("parked", clock.now) is None


# --- the commands ----------------------------------------------------------------------------------------------------


def headway(*args: str) -> str:
    done = CliRunner().invoke(app, list(args), env={"COLUMNS": "220"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_list_of_runs_says_until_when_and_for_what_they_wait(store: SqliteStore, folder: str) -> None:
    lines = {line.split("  ")[0]: line for line in headway("ls", "--store", folder).splitlines()}
    assert "parked until 2" in lines["parked"]
    assert "waits for 'answer'" in lines["parked"]
    (child,) = store.job("starter", 0.0).awaits
    assert f"parked, waits for '{child}'" in lines["starter"]
    assert "delayed until 2" in lines["later"]
    assert "interrupted" not in "".join(lines.values())
    listed = json.loads(headway("ls", "--store", folder, "--state", "parked", "--json"))["runs"]
    assert [(run["run_id"], run["queue"], run["waits_for"], run["waits_for_runs"]) for run in listed] == [
        ("parked", "default", ["answer"], []),
        ("starter", "default", [], [child]),
    ]


@pytest.mark.parametrize(
    ("run_id", "said"),
    [
        ("parked", "it waits until 2... UTC or for a signal ('answer') without a process; then a worker of queue 'default' goes"),
        ("starter", "it waits for the end of '"),
        ("new", "it waits for a worker of queue 'paused'"),
        ("later", "queue 'paused' holds it back until 2"),
        ("stuck", "its drivers died again and again: workers of queue 'deadly' take it after `headway queue retry stuck`"),
        ("crashed", "is gone: a worker of queue 'silent' takes it up"),
    ],
)
def test_a_run_that_waits_says_what_it_takes_to_go_on(store: SqliteStore, folder: str, run_id: str, said: str) -> None:
    shown = headway("show", run_id, "--store", folder)
    for part in said.split("..."):
        assert part in shown


def test_the_command_that_resumes_a_run_of_a_queue_says_that_it_goes_on_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greeting_here.py").write_text(PROGRAM)
    headway("enqueue", "greeting_here.py:greet", "ada", "--run-id", "greet")
    headway("signal", "greet", "answer", '"yes"')
    said = headway("resume", "greet")
    assert "run greet is queued in queue 'default'; it goes on here now, past the queue's limits" in said
    assert "hello ada, yes" in said
