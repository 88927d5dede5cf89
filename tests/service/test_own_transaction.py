"""A run that is enqueued in the caller's own transaction is there when that commits, and never was when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

import headway as hw
from headway.errors import QueueFull
from headway.journal.open import open_store
from headway.journal.postgres.store import PostgresStore
from postgres_server import shared_server


@hw.task
async def send(order: int) -> int:
    return order


@pytest.fixture
def store() -> Iterator[PostgresStore]:
    opened = open_store(f"{shared_server().url}?schema=enqueue_in")
    assert isinstance(opened, PostgresStore)
    yield opened
    opened.close()
    with psycopg.connect(shared_server().url, autocommit=True) as conn:
        conn.execute("DROP SCHEMA enqueue_in CASCADE")
        conn.execute("DROP TABLE IF EXISTS orders")


@pytest.fixture
def conn() -> Iterator[psycopg.Connection]:
    with psycopg.connect(shared_server().url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id int PRIMARY KEY)")
        connection.commit()
        yield connection
        connection.rollback()


def count(conn: psycopg.Connection) -> int:
    return len(conn.execute("SELECT id FROM orders").fetchall())


def jobs(store: PostgresStore) -> list[str]:
    return [job.run_id for job in store.jobs(0.0)]


def test_a_row_and_its_run_are_there_together_when_the_transaction_commits(store: PostgresStore, conn: psycopg.Connection) -> None:
    conn.execute("INSERT INTO orders VALUES (1)")
    run_id = hw.enqueue(send, 1, run_id="order-1", store=store, conn=conn)
    assert jobs(store) == []  # for everybody else
    conn.commit()
    assert (count(conn), jobs(store), run_id) == (1, ["order-1"], "order-1")


def test_neither_is_there_when_it_is_rolled_back(store: PostgresStore, conn: psycopg.Connection) -> None:
    conn.execute("INSERT INTO orders VALUES (1)")
    hw.enqueue(send, 1, run_id="order-1", store=store, conn=conn)
    conn.rollback()
    assert (count(conn), jobs(store)) == (0, [])


def test_the_first_statement_of_a_transaction_may_be_the_run(store: PostgresStore, conn: psycopg.Connection) -> None:
    hw.enqueue(send, 1, run_id="order-1", store=store, conn=conn)
    conn.rollback()
    assert jobs(store) == []


def test_a_connection_that_commits_each_statement_writes_run_and_job_together(store: PostgresStore) -> None:
    with psycopg.connect(shared_server().url, autocommit=True, row_factory=dict_row) as conn:
        hw.enqueue(send, 1, run_id="order-1", store=store, conn=conn)
    assert jobs(store) == ["order-1"]


def test_a_queue_that_is_full_leaves_the_callers_transaction_as_it_was(store: PostgresStore, conn: psycopg.Connection) -> None:
    hw.set_queue("small", depth=1, store=store)
    conn.execute("INSERT INTO orders VALUES (1)")
    hw.enqueue(send, 1, run_id="order-1", queue="small", store=store, conn=conn)
    with pytest.raises(QueueFull, match="queue 'small' is full"):
        hw.enqueue(send, 2, run_id="order-2", queue="small", store=store, conn=conn)
    conn.execute("INSERT INTO orders VALUES (2)")
    conn.commit()
    assert (count(conn), jobs(store)) == (2, ["order-1"])


def test_a_run_that_is_there_is_not_made_again_and_another_of_its_name_is_refused(
    store: PostgresStore, conn: psycopg.Connection
) -> None:
    hw.enqueue(send, 1, run_id="order-1", store=store)
    hw.enqueue(send, 1, run_id="order-1", store=store, conn=conn)
    with pytest.raises(hw.RunMismatch, match="with other arguments"):
        hw.enqueue(send, 2, run_id="order-1", store=store, conn=conn)
    conn.commit()
    assert jobs(store) == ["order-1"]


def test_an_asynchronous_connection_is_used_by_aenqueue(store: PostgresStore) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(shared_server().url) as conn:
            await hw.aenqueue(send, 1, run_id="order-1", store=store, conn=conn)
            assert await asyncio.to_thread(jobs, store) == []
            await conn.commit()
            with pytest.raises(hw.UsageError, match=r"await hw\.aenqueue"):
                hw.enqueue(send, 1, store=store, conn=conn)

    asyncio.run(main())
    assert jobs(store) == ["order-1"]


def test_a_connection_that_can_not_be_used_is_refused_in_a_sentence(store: PostgresStore, conn: psycopg.Connection) -> None:
    with pytest.raises(hw.UsageError, match=r"expected a psycopg\.Connection"):
        hw.enqueue(send, 1, store=store, conn="postgresql://")
    with pytest.raises(hw.UsageError, match="is not in Postgres"):
        hw.enqueue(send, 1, store=hw.MemoryStore(), conn=conn)
    with (
        psycopg.connect(shared_server().url.replace("/postgres", "/template1")) as elsewhere,
        pytest.raises(hw.StoreError, match="has no tables of Headway yet"),
    ):
        hw.enqueue(send, 1, store=store, conn=elsewhere)
