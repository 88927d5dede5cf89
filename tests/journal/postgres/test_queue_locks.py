"""Queues on Postgres where it differs from a folder: locks of others, answers that are lost, drivers that hang half-way."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headway.journal.open import open_store
from headway.journal.postgres.store import PostgresStore
from headway.journal.postgres.troubles import ConnectionLost
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings, Taken, park
from postgres_server import shared_server

TTL_S = 30.0


@pytest.fixture
def url() -> str:
    return f"{shared_server().url}?schema=s{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with open_store(url) as opened:
        assert isinstance(opened, PostgresStore)
        yield opened


@pytest.fixture
def rival(store: PostgresStore) -> Iterator[psycopg.Connection[Any]]:
    """Another session, in the store's schema."""
    with psycopg.connect(shared_server().url, options=f"-csearch_path={store.address.schema}") as connection:
        yield connection


def put(store, run_id, **job):
    return store.enqueue(RunSpec(run_id=run_id, task="t"), Job(**job), 0.0)


def take(store, most=9, now=1.0):
    return store.take_jobs("worker", ["default"], None, most, TTL_S, now)


def names(taken: list[Taken]) -> list[str]:
    return [one.run.spec.run_id for one in taken]


def beside(store: PostgresStore, do: Callable[[], Any], then: Callable[[], Any]) -> Any:
    """What `do` gives, where `then` happens as soon as it has ended or waits for a lock."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(do()))
    thread.start()
    with psycopg.connect(shared_server().url, autocommit=True) as looking:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type='Lock' AND query LIKE %s"
        while thread.is_alive() and looking.execute(query, (f"%{store.address.schema}%",)).fetchone() == (0,):
            thread.join(0.01)
    then()
    thread.join()
    return found[0]


def test_a_limit_counts_what_was_taken_while_it_waited_for_the_queue(store, rival):
    store.put_queue(QueueSettings(limit=1))
    put(store, "first")
    put(store, "second")
    store._promote("default", 1.0, patient=True)
    rival.execute("SELECT 1 FROM queue FOR UPDATE")
    rival.execute("UPDATE job SET state='taken', owner='another', at=1000 WHERE run_id='first'")
    assert beside(store, lambda: take(store), rival.commit) == []


def test_jobs_and_runs_that_somebody_has_locked_are_passed_over(store, rival):
    for run_id in ("locked run", "locked job", "free"):
        put(store, run_id)
    store._promote("default", 1.0, patient=True)
    rival.execute("SELECT 1 FROM run WHERE run_id='locked run' FOR UPDATE")
    rival.execute("SELECT 1 FROM job WHERE run_id='locked job' FOR UPDATE")
    assert names(take(store)) == ["free"]
    rival.rollback()
    assert names(take(store)) == ["locked run", "locked job"]


def test_a_queue_without_a_limit_is_taken_from_while_its_row_is_locked(store, rival):
    put(store, "sky")
    store._promote("default", 1.0, patient=True)
    rival.execute("SELECT 1 FROM queue FOR UPDATE")
    assert names(take(store)) == ["sky"]


def test_while_somebody_lets_jobs_wait_others_take_those_that_do(store, rival):
    put(store, "waits")
    store._promote("default", 1.0, patient=True)
    put(store, "is due")
    rival.execute("SELECT 1 FROM queue FOR UPDATE")
    assert names(take(store)) == ["waits"]
    rival.rollback()
    assert names(take(store)) == ["is due"]


def test_who_finds_nothing_that_waits_waits_for_who_lets_jobs_wait(store, rival):
    put(store, "is due")
    store.put_queue(QueueSettings())
    rival.execute("SELECT 1 FROM queue FOR UPDATE")
    assert names(beside(store, lambda: take(store), rival.rollback)) == ["is due"]


def test_the_end_of_a_run_sees_who_began_to_wait_while_it_waited_for_the_lock(store, rival):
    put(store, "child")
    put(store, "parent")
    leases = {one.run.spec.run_id: one.lease for one in take(store)}
    parent, child = (store.run(run_id).uid for run_id in ("parent", "child"))
    rival.execute("SELECT 1 FROM run ORDER BY uid FOR UPDATE")
    rival.execute("UPDATE run SET owner='', lease_until=0 WHERE uid=%s", (parent,))
    rival.execute("UPDATE job SET state='parked', at='infinity' WHERE run=%s", (parent,))
    rival.execute("INSERT INTO awaits (run, waiter) VALUES (%s, %s)", (child, parent))
    beside(store, lambda: store.release(leases["child"], RunStatus.DONE, 2.0), rival.commit)
    assert names(take(store, now=2.0)) == ["parent"]


def test_who_parks_sees_a_signal_that_came_while_it_waited_for_the_lock(store, rival):
    uid = put(store, "sky").uid
    ((_, lease, _),) = take(store)
    rival.execute("UPDATE run SET word=word+1 WHERE uid=%s", (uid,))
    rival.execute("INSERT INTO signal (run, number, name, value, at, crc, token) VALUES (%s, 1, 'go', '', 0, 0, '')", (uid,))
    beside(store, lambda: store.release(lease, RunStatus.INTERRUPTED, 2.0, after=park()), rival.commit)
    assert names(take(store, now=2.0)) == ["sky"]


class Forgetful(PostgresStore):
    """A store whose connection breaks after a batch was taken, before its answer comes."""

    lost = 0

    def _take_freely(self, *asked: Any) -> list[Taken]:
        taken = super()._take_freely(*asked)
        if taken and not self.lost:
            self.lost += 1
            raise ConnectionLost("cut by the test")
        return taken


def test_a_batch_whose_answer_was_lost_is_found_again(store, url):
    for number in range(4):
        put(store, f"r{number}")
    with Forgetful(url) as forgetful:
        taken = take(forgetful, 3)
        assert forgetful.lost == 1
    assert names(taken) == ["r0", "r1", "r2"]
    assert [one.run for one in taken] == [store.run(run_id) for run_id in names(taken)]
    for one in taken:
        store.renew(one.lease, 2.0)
    assert [one.run_id for one in store.jobs(1.0, state=JobState.TAKEN)] == names(taken)


def test_a_driver_that_hangs_inside_a_transaction_is_cut_off_and_its_run_is_swept(store, url):
    put(store, "sky")
    with open_store(url) as hanging:
        take(hanging)
        raw = hanging._writer.open().raw
        raw.execute("BEGIN")
        raw.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        raw.execute(f"SELECT 1 FROM {store.address.schema}.job FOR UPDATE")
        assert store.sweep_jobs(20.0) == []
        assert store.sweep_jobs(40.0) == []
        assert [one.run_id for one in store.sweep_jobs(41.0)] == ["sky"]


def test_plans_of_a_poll_go_by_an_index_whatever_the_size(store, rival):
    put(store, "sky")
    many = "SELECT g, 'r' || g, 't', 'default', '', 0, 0, 1, '', 'parked', 'infinity' FROM generate_series(9, 5000) AS g"
    rival.execute(f"INSERT INTO job {many}")
    for query in (
        "SELECT run FROM job WHERE queue='default' AND state='waiting' ORDER BY priority DESC, vtime, run LIMIT 20",
        "SELECT 1 FROM job WHERE queue='default' AND state='delayed' AND at<=5",
        "SELECT MIN(owner) FROM job WHERE state='taken' AND owner>'a'",
        "SELECT run FROM job WHERE state='taken' AND owner IN ('a', 'b') AND at<=9 ORDER BY at, run LIMIT 100",
        "SELECT 1 FROM awaits WHERE run=3",
        "DELETE FROM awaits WHERE waiter IN (3)",
    ):
        plan = " ".join(line for (line,) in rival.execute(f"EXPLAIN {query}").fetchall())
        assert "Seq Scan on job" not in plan, plan
