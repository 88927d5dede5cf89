"""The doctor says what waits in queues, and whether there is anybody to take it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.journal.open import open_store
from headway.journal.owner import this_process
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job, QueueSettings, WorkerInfo, park
from headway.journal.store import Store
from headway.journal.upkeep.doctor import examine
from postgres_server import shared_server

_numbers = itertools.count()


@pytest.fixture(params=["folder", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "a") if request.param == "folder" else f"{shared_server().url}?schema=examined{next(_numbers)}"


def fill(store: Store) -> None:
    now = time.time()
    store.put_queue(QueueSettings(name="mail", deaths=1))
    for number in range(6):
        store.enqueue(RunSpec(run_id=f"run {number}", task="t"), Job(queue="mail"), now - 10.0)
    parked, _, _ = store.take_jobs("worker of a test", ["mail"], None, 3, 1.0, now - 8.0)
    store.release(parked.lease, RunStatus.INTERRUPTED, now, after=park())
    assert len(store.sweep_jobs(now, 1)) == 1
    store.enqueue(RunSpec(run_id="later", task="t"), Job(queue="mail", at=now + 900.0), now)
    store.enqueue(RunSpec(run_id="else", task="t"), Job(queue="another"), now)


def told(place: str) -> list[str]:
    found = examine(place).findings
    assert all(finding.severity in ("info", "risk") for finding in found), found
    return [str(finding) for finding in found if finding.what.startswith("queue")]


def test_what_waits_is_counted_by_queue_and_nobody_who_would_take_it_is_told(place: str) -> None:
    with open_store(place) as store:
        fill(store)
    start = "no worker was heard of in the last minute: start one with `headway worker`"
    again = "see why with `headway queue jobs mail --state stuck`, try one again with `headway queue retry RUN`"
    assert told(place) == [
        f"queue 'another': 1 waiting (0 workers in all queues): {start}",
        f"queue 'mail': 1 delayed, 1 parked, 1 running, 1 stuck, 3 waiting (0 workers in all queues): {start}; {again}",
    ]


@pytest.mark.parametrize(
    ("owner", "ago_s", "there"),
    [
        (this_process, 0.0, "1 worker"),
        (this_process, 900.0, "0 workers"),
        (lambda: this_process().replace("(started ", "(started 1"), 0.0, "0 workers"),
        (lambda: "pid 5 on another machine", 0.0, "1 worker"),
    ],
)
def test_only_workers_that_may_be_there_are_counted(place: str, owner: Callable[[], str], ago_s: float, there: str) -> None:
    with open_store(place) as store:
        store.enqueue(RunSpec(run_id="sky", task="t"), Job(), time.time())
        store.see_worker(WorkerInfo(owner=owner(), queues=("default",)), time.time() - ago_s)
    (said,) = told(place)
    assert said.startswith(f"queue 'default': 1 waiting ({there} in all queues)")
    assert ("start one with" in said) == (there == "0 workers")


def test_a_store_without_jobs_says_nothing_of_queues(place: str) -> None:
    with open_store(place) as store:
        store.put_queue(QueueSettings(name="mail"))
    assert told(place) == []


def test_a_job_that_makes_no_sense_is_damage(place: str) -> None:
    with open_store(place) as store:
        store.enqueue(RunSpec(run_id="sky", task="t"), Job(), time.time())
        query = "UPDATE job SET state='napping'"
        if isinstance(store, PostgresStore):
            with store.talking() as statements:
                statements.execute(query)
        else:
            with store.writing() as connection:
                connection.execute(query)
    report = examine(place)
    assert not report.whole
    assert "the job of run 'sky' is damaged: no worker takes the run; a repair drops the job" in map(str, report.findings)
