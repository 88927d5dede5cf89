"""A run that is enqueued in a transaction of the user's own: it is there if and only if that commits."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Json

from headway.errors import QueueFull, StoreError, UsageError
from headway.journal.open import open_store
from headway.journal.postgres.queues.enqueue import enqueue_in
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec
from headway.journal.shared.queues import Job, QueueSettings
from postgres_server import shared_server

SPEC = RunSpec(run_id="sky", task="demo.answer", args=b"\x91\x01")


@pytest.fixture
def store() -> Iterator[PostgresStore]:
    with open_store(f"{shared_server().url}?schema=s{uuid.uuid4().hex[:12]}") as opened:
        assert isinstance(opened, PostgresStore)
        yield opened


@pytest.fixture
def conn(store: PostgresStore) -> Iterator[psycopg.Connection]:
    """The user's, with a search path and rows of his own, and a table that has the name of one of ours."""
    place = f"app{uuid.uuid4().hex[:12]}"
    with psycopg.connect(shared_server().url, row_factory=dict_row) as connection:
        connection.execute(f"CREATE SCHEMA {place}")
        connection.execute(f"SET search_path = {place}")
        connection.execute("CREATE TABLE run (id text, body jsonb)")
        connection.execute("CREATE TABLE job (id text)")
        connection.commit()
        yield connection


def take(store, most=9):
    return [one.run.spec.run_id for one in store.take_jobs("worker", ["default"], None, most, 30.0, time.time() + 5)]


def test_a_run_is_there_when_the_user_commits_and_not_before(store, conn):
    conn.execute("INSERT INTO run VALUES ('order 1', %s)", (Json({"user": 7}),))
    made = store.enqueue_in(conn, SPEC, Job(key="a", priority=2), time.time())
    assert made.spec == SPEC
    assert store.runs() == []
    assert take(store) == []
    conn.commit()
    assert store.run("sky") == made
    ((run, _, job),) = store.take_jobs("worker", ["default"], None, 9, 30.0, time.time() + 5)
    assert (run.spec, job) == (SPEC, Job(key="a", priority=2))
    assert conn.execute("SELECT id FROM run").fetchall() == [{"id": "order 1"}]


def test_nothing_is_there_when_the_user_rolls_back(store, conn):
    store.enqueue_in(conn, SPEC, Job(), time.time())
    conn.execute("INSERT INTO run VALUES ('order 1')")
    conn.rollback()
    assert store.runs() == []
    assert store.jobs(time.time()) == []
    assert take(store) == []


def test_a_savepoint_that_is_undone_takes_the_run_with_it(store, conn):
    class Undo(Exception):
        pass

    conn.execute("INSERT INTO run VALUES ('order 1')")
    with pytest.raises(Undo), conn.transaction():
        store.enqueue_in(conn, SPEC, Job(), time.time())
        raise Undo
    conn.commit()
    assert store.runs() == []


def test_a_run_id_is_enqueued_once(store, conn):
    first = store.enqueue_in(conn, SPEC, Job(), time.time())
    assert store.enqueue_in(conn, SPEC, Job(), time.time()) == first
    conn.commit()
    assert store.enqueue(SPEC, Job(), time.time()) == first
    assert store.enqueue_in(conn, SPEC, Job(), time.time()) == first
    assert take(store) == ["sky"]


def test_two_transactions_that_enqueue_one_run_id_make_one_run(store, conn):
    found = []
    made = store.enqueue_in(conn, SPEC, Job(), time.time())

    def enqueue_too():
        with psycopg.connect(shared_server().url) as other:
            found.append(store.enqueue_in(other, SPEC, Job(), time.time()))

    rival = threading.Thread(target=enqueue_too)
    rival.start()
    conn.commit()
    rival.join()
    assert found == [made]


def test_an_open_transaction_keeps_nobody_from_enqueueing_or_taking(store, conn):
    store.put_queue(QueueSettings(depth=100, limit=5, key_limit=5))
    store.enqueue_in(conn, SPEC, Job(key="a"), time.time())
    store.enqueue(RunSpec(run_id="sea", task="demo.answer"), Job(key="a"), time.time())
    assert take(store) == ["sea"]
    conn.commit()
    assert take(store) == ["sky"]


def test_a_queue_that_is_full_says_so_and_leaves_the_transaction_as_it_was(store, conn):
    store.put_queue(QueueSettings(depth=1))
    conn.execute("INSERT INTO run VALUES ('order 1')")
    store.enqueue_in(conn, SPEC, Job(), time.time())
    with pytest.raises(QueueFull):
        store.enqueue_in(conn, RunSpec(run_id="sea", task="demo.answer"), Job(), time.time())
    conn.commit()
    assert [run.spec.run_id for run in store.runs()] == ["sky"]
    assert len(conn.execute("SELECT id FROM run").fetchall()) == 1


def test_a_store_without_tables_says_so_and_leaves_the_transaction_as_it_was(conn):
    conn.execute("INSERT INTO run VALUES ('order 1')")
    with pytest.raises(StoreError, match="no tables of Headway yet"):
        enqueue_in(conn, "nowhere", "the store", SPEC, Job())
    conn.commit()
    assert len(conn.execute("SELECT id FROM run").fetchall()) == 1


def test_a_connection_that_commits_each_statement_enqueues_the_run_and_its_job_at_once(store, conn):
    conn.autocommit = True
    store.enqueue_in(conn, SPEC, Job(), time.time())
    assert take(store) == ["sky"]


def test_a_job_that_makes_no_sense_and_what_is_no_connection_are_refused(store, conn):
    with pytest.raises(UsageError, match="weight"):
        store.enqueue_in(conn, SPEC, Job(weight=0.0), time.time())
    with pytest.raises(UsageError, match=r"expected a psycopg\.Connection"):
        store.enqueue_in(object(), SPEC, Job(), time.time())
    conn.commit()
    assert store.runs() == []


def test_an_asynchronous_connection_enqueues_too(store):
    async def enqueue(run_id: str, commit: bool) -> None:
        spec = RunSpec(run_id=run_id, task="demo.answer")
        async with await psycopg.AsyncConnection.connect(shared_server().url, row_factory=dict_row) as connection:
            await store.aenqueue_in(connection, spec, Job(), time.time())
            with pytest.raises(UsageError, match=r"expected a psycopg\.Connection"):
                store.enqueue_in(connection, spec, Job(), time.time())
            await (connection.commit() if commit else connection.rollback())

    asyncio.run(enqueue("sky", True))
    asyncio.run(enqueue("sea", False))
    assert take(store) == ["sky"]


def test_a_transaction_that_can_not_see_the_run_of_another_fails_as_its_other_statements_do_and_finds_it_in_the_next(store, conn):
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.execute("SELECT 1")  # from here on it sees what was there
    made = store.enqueue(SPEC, Job(), time.time())
    with pytest.raises(psycopg.errors.SerializationFailure):
        store.enqueue_in(conn, SPEC, Job(), time.time())
    conn.rollback()
    assert store.enqueue_in(conn, SPEC, Job(), time.time()) == made
