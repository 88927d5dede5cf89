"""A store behind a pooler in transaction mode: nothing is expected of a session, and everything holds all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from backends import Doing, rows, until

from headway.errors import StoreError
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.claims import Wish
from headway.journal.shared.items import Item
from headway.journal.shared.limits import Ask, Want
from pooler import Pooler


@pytest.fixture(scope="module")
def pooler() -> Iterator[Pooler]:
    made = Pooler()
    yield made
    made.remove()


@pytest.fixture
def behind(pooler, url) -> str:
    """The store of `url`, by way of the pooler."""
    return f"{pooler.url}?{url.partition('?')[2]}&listen=off"


def test_many_drivers_share_few_sessions_and_none_of_them_keeps_anything_of_another_one(behind, admin):
    def drive(number):
        with PostgresStore(behind) as store:
            _, lease = store.begin_run(RunSpec(run_id=f"run {number}", task="t"), f"driver {number}", 30.0, 0.0)
            for seq in range(1, 13):
                store.commit(lease, seq, rows(b"%d" % number), 0.0)
            store.claim(lease, [Wish(bytes([number]) * 16)], 0.0)
            store.append_items("c", [Item(b"%16d" % number, b"v")])
            store.share(f"driver {number}", [Ask("gpu", capacity=4)], [Want(("gpu",), 1)], 0.0, 30.0)
            store.send_signal(f"run {number}", "go", b"", 0.0)
            store.renew(lease, 1.0)
            found = [row.body for _, row in store.rows(lease.uid)]
            store.release(lease, RunStatus.DONE, 2.0)
            return found == [b"%d" % number] * 12

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(drive, range(12)))
    with PostgresStore(behind) as store:
        assert store.count_items("c") == 12
        assert [run.status for run in store.runs()] == [RunStatus.DONE] * 12
    query = "SELECT count(*) FROM pg_prepared_statements"
    assert admin.execute(query).fetchone() == (0,)


def test_a_large_commit_and_a_large_read_pass_through(behind, opened):
    store = opened(behind)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, 0.0)
    bodies = [b"%d" % number * 50 for number in range(250)] * 20
    many = [row._replace(key=b"k" * 16) for row in rows(*bodies[:250])] * 20
    store.commit(lease, 1, many, 0.0)
    assert [row for _, row in store.rows(lease.uid)] == many


def test_a_pooler_that_is_started_again_costs_a_new_connection_and_nothing_else(pooler, behind, opened):
    store = opened(behind)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, 0.0)
    store.commit(lease, 1, rows(b"one"), 0.0)
    pooler.stop()
    committing = Doing(lambda: store.commit(lease, 2, rows(b"two"), 0.0))
    pooler.start()
    committing.result()
    assert [row.body for _, row in store.rows(lease.uid)] == [b"one", b"two"]


def test_who_forgets_to_say_that_there_is_a_pooler_is_told_so(pooler, url, opened):
    with pytest.raises(StoreError, match=r"is behind a pooler that keeps no session .*: put listen=off into its URL"):
        opened(f"{pooler.url}?{url.partition('?')[2]}")


def ask(pooler, query):
    with contextlib.suppress(psycopg.errors.AdminShutdown), psycopg.connect(pooler.url, autocommit=True) as connection:
        return connection.execute(query).fetchone()


def test_one_that_reports_commits_before_they_are_durable_is_refused(pooler, behind, opened, admin):
    opened(behind)
    admin.execute("ALTER ROLE headway SET synchronous_commit = off")
    try:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid<>pg_backend_pid() AND usename='headway'")
        until(lambda: ask(pooler, "SHOW synchronous_commit") == ("off",))
        with pytest.raises(StoreError, match="ALTER ROLE … SET synchronous_commit = on"):
            opened(behind).create_run(RunSpec(run_id="sky", task="t"))
    finally:
        admin.execute("ALTER ROLE headway RESET synchronous_commit")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid<>pg_backend_pid() AND usename='headway'")
