"""Queues on disk: what a repair saves of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import headway as hw
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings, park
from headway.journal.shared.schedules import Schedule
from headway.journal.upkeep.gc import gc
from headway.journal.upkeep.repair import repair
from headway.storage.blobs import hash_blob

NOW = 100.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with hw.SqliteStore(tmp_path / "store") as store:
        store.put_queue(QueueSettings(limit=4, deaths=1))
        store.put_schedule(Schedule(name="night", cron="@daily", spec=RunSpec(run_id="", task="t")), NOW)
        for run_id in ("stuck", "parked", "behind", "taken", "delayed", "waiting"):
            store.enqueue(RunSpec(run_id=run_id, task="t"), Job(key=run_id, at=500.0 if run_id == "delayed" else 0.0), NOW)
        leases = {one.run.spec.run_id: one.lease for one in store.take_jobs("worker", ["default"], ["t"], 4, 30.0, NOW)}
        store.release(leases["parked"], RunStatus.INTERRUPTED, NOW, after=park(until=900.0))
        store.release(leases["behind"], RunStatus.INTERRUPTED, NOW, after=park(runs=["waiting"]))
        store.sweep_jobs(NOW + 31)
        store.release(store.acquire("taken", "worker", 30.0, NOW + 32, take_over=True), RunStatus.INTERRUPTED, NOW)
        store.take_jobs("worker", ["default"], ["t"], 1, 30.0, NOW + 32)
    return tmp_path / "store"


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "journal.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def states(store: hw.SqliteStore) -> dict[str, JobState]:
    return {one.run_id: one.state for one in store.jobs(NOW + 33)}


def test_a_repair_keeps_queues_jobs_and_schedules(folder):
    with hw.SqliteStore(folder) as store:
        before, queues, schedules = states(store), store.queues(NOW), store.schedules()
    assert sorted(before.values()) == sorted(["stuck", "parked", "parked", "taken", "delayed", "waiting"])
    assert repair(folder, now=1000.0).dropped == ()
    with hw.SqliteStore(folder) as store:
        after = states(store)
        assert {name for name, state in before.items() if state != after[name]} == {
            name for name, state in before.items() if state is JobState.TAKEN
        }, "a job that was taken waits again"
        assert (store.schedules(), store.queues(NOW)[0].settings) == (schedules, queues[0].settings)
        leases = {one.run.spec.run_id: one.lease for one in store.take_jobs("w", ["default"], ["t"], 9, 30.0, 1000.0)}
        assert set(leases) == {"taken", "waiting", "parked", "delayed"}
        store.release(leases["waiting"], RunStatus.DONE, 1001.0)
        assert [one.run.spec.run_id for one in store.take_jobs("w", ["default"], ["t"], 9, 30.0, 1001.0)] == ["behind"]


def test_a_repair_names_what_is_damaged_and_strands_nobody(folder):
    change(folder, "UPDATE job SET weight='heavy' WHERE run_id='delayed'")
    change(folder, "UPDATE schedule SET body=x'ff'")
    change(folder, "UPDATE run SET spec=x'ff' WHERE run_id='waiting'")
    dropped = " ".join(finding.what for finding in repair(folder, now=1000.0).dropped)
    assert all(word in dropped for word in ("the job of run 'delayed'", "schedule 'night'", "run 'waiting'"))
    with hw.SqliteStore(folder) as store:
        assert set(states(store)) == {"stuck", "parked", "behind", "taken"}
        taken = store.take_jobs("w", ["default"], ["t"], 9, 30.0, 1000.0)
        assert {one.run.spec.run_id for one in taken} == {"taken", "parked", "behind"}


def test_gc_keeps_the_arguments_of_a_schedule(folder):
    with hw.SqliteStore(folder) as store:
        data = bytes(100_000)
        digest = hash_blob(data)
        store.put_blob(digest, data)
        store.put_schedule(Schedule(name="night", cron="@daily", spec=RunSpec(run_id="", task="t", blobs=(digest,))), NOW)
        gc(store, now=1e12, grace_s=0.0)
        assert store.get_blob(digest) == data
        store.remove_schedule("night")
        gc(store, now=1e12, grace_s=0.0)
        with pytest.raises(hw.StoreDamaged):
            store.get_blob(digest)
