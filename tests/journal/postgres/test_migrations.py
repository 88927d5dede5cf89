"""How tables become those of the next version: beside live drivers, by one of many, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from backends import rows

from headway.errors import StoreError, StoreVersion
from headway.journal.postgres import link, schema
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec
from postgres_server import shared_server

NEXT = schema.Migration(
    ("ALTER TABLE {}.run ADD COLUMN note text NOT NULL DEFAULT ''", "CREATE TABLE {}.extra (a integer)"),
    (("run_by_note", "ON {}.run (note)"),),
)


def migrate(url, *more):
    """Open a store with a newer Headway, which knows more migrations."""
    newer = (*schema.MIGRATIONS, *more)
    with PostgresStore(url) as store, store._writer.lock:
        statements = store._writer.open()
        state = schema.migrate(statements, store.address.schema, store.url, newer)
        if state.indexed < len(newer):
            schema.make_indexes(store._reader.open(), statements, store.address.schema, newer)


def state_of(admin, store):
    return admin.execute(f"SELECT number, least, indexed FROM {store.address.schema}.version").fetchone()


def indexes_of(admin, store):
    query = """SELECT relname::text, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid=indexrelid
        WHERE relnamespace=%s::regnamespace"""
    return dict(admin.execute(query, (store.address.schema,)).fetchall())


def test_many_that_open_a_new_store_at_once_make_it_once(url, admin):
    def open_one(number):
        with PostgresStore(url) as store:
            return store.create_run(RunSpec(run_id=f"run {number}", task="t")).uid

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(open_one, range(8)))) == 8
    with PostgresStore(url) as store:
        assert state_of(admin, store) == (schema.VERSION, 0, schema.VERSION)
        assert all(indexes_of(admin, store).values())
        assert {"run_by_status", "claim_by_run", "rejected_by_run"} <= set(indexes_of(admin, store))


def test_a_driver_goes_on_beside_a_schema_that_was_added_to_and_so_does_one_that_opens_it_then(store, lease, url, opened, admin):
    store.commit(lease, 1, rows(b"one"), 0.0)
    migrate(url, NEXT)
    store.commit(lease, 2, rows(b"two"), 0.0)
    older = opened(url)
    assert [row.body for _, row in older.rows(lease.uid)] == [b"one", b"two"]
    assert older.create_run(RunSpec(run_id="sea", task="t")).nrows == 0
    assert state_of(admin, store) == (schema.VERSION + 1, 0, schema.VERSION + 1)
    assert indexes_of(admin, store)["run_by_note"] is True


def test_a_migration_that_older_drivers_cannot_live_with_keeps_them_out(url, opened):
    opened(url)
    migrate(url, NEXT, schema.Migration(("ALTER TABLE {}.extra ADD COLUMN b integer",), breaks=True))
    with pytest.raises(StoreVersion, match="upgrade headway"):
        opened(url)
    with pytest.raises(StoreVersion, match="upgrade headway"):
        opened(url, readonly=True)


def test_a_migration_that_fails_leaves_nothing(url, opened, admin):
    store = opened(url)
    before = state_of(admin, store), indexes_of(admin, store)
    with pytest.raises(psycopg.errors.UndefinedTable):
        migrate(url, NEXT, schema.Migration(("ALTER TABLE {}.nowhere ADD COLUMN b integer",)))
    assert (state_of(admin, store), indexes_of(admin, store)) == before
    query = "SELECT to_regclass(%s)"
    assert admin.execute(query, (f"{store.address.schema}.extra",)).fetchone() == (None,)


def test_a_new_store_that_is_interrupted_leaves_nothing(url, admin, monkeypatch):
    broken = (*schema.MIGRATIONS, schema.Migration(("SELECT 1/0",)))
    monkeypatch.setattr(schema.migrate, "__defaults__", (broken,))
    with pytest.raises(StoreError, match="division by zero"):
        PostgresStore(url)
    name = url.rpartition("=")[2]
    assert admin.execute("SELECT to_regnamespace(%s)", (name,)).fetchone() == (None,)
    monkeypatch.undo()
    with PostgresStore(url) as store:
        assert store.runs() == []


def test_a_migration_that_meets_a_lock_lets_drivers_pass_and_is_tried_again(store, lease, url, admin, monkeypatch):
    monkeypatch.setattr(schema, "LOCK_TIMEOUT_MS", 100)
    with psycopg.connect(shared_server().url) as reader:
        reader.execute(f"SELECT count(*) FROM {store.address.schema}.run")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(url, NEXT)
        store.commit(lease, 1, rows(b"one"), 0.0)
    migrate(url, NEXT)
    store.commit(lease, 2, rows(b"two"), 0.0)


def test_an_index_that_was_left_half_made_is_made_again_by_the_next_one(url, opened, admin):
    store = opened(url)
    name = store.address.schema
    admin.execute(f"UPDATE {name}.version SET indexed=0")
    admin.execute(f"DROP INDEX {name}.claim_by_run")
    admin.execute("UPDATE pg_index SET indisvalid=false WHERE indexrelid=%s::regclass", (f"{name}.run_by_status",))
    assert indexes_of(admin, store)["run_by_status"] is False
    opened(url)
    found = indexes_of(admin, store)
    assert (found["run_by_status"], found["claim_by_run"]) == (True, True)
    assert state_of(admin, store) == (schema.VERSION, 0, schema.VERSION)


def test_an_index_that_somebody_is_just_making_is_left_to_him(url, opened, admin):
    store = opened(url)
    name = store.address.schema
    admin.execute(f"UPDATE {name}.version SET indexed=0")
    admin.execute("UPDATE pg_index SET indisvalid=false WHERE indexrelid=%s::regclass", (f"{name}.run_by_status",))
    with psycopg.connect(shared_server().url) as maker:
        maker.execute("SELECT pg_advisory_xact_lock(%s)", (schema.LOCK,))
        assert opened(url).runs() == []
        assert indexes_of(admin, store)["run_by_status"] is False


def test_a_long_transaction_keeps_an_index_from_being_made_and_nobody_from_opening(url, opened, admin, monkeypatch):
    store = opened(url)
    name = store.address.schema
    admin.execute(f"UPDATE {name}.version SET indexed=0")
    admin.execute(f"DROP INDEX {name}.claim_by_run")
    monkeypatch.setattr(link, "_OPTIONS", link._OPTIONS.replace("lock_timeout=5000", "lock_timeout=200"))
    with psycopg.connect(shared_server().url) as holder:
        holder.execute(f"UPDATE {name}.claim SET since=0")
        assert opened(url).runs() == []
        assert indexes_of(admin, store).get("claim_by_run") is not True
    opened(url)
    assert indexes_of(admin, store)["claim_by_run"] is True


def test_a_reader_makes_nothing(url, opened, admin):
    with pytest.raises(StoreError, match="there is no store in"):
        opened(url, readonly=True)
    store = opened(url)
    admin.execute(f"UPDATE {store.address.schema}.version SET indexed=0")
    reader = opened(url, readonly=True)
    assert reader.runs() == []
    assert state_of(admin, store) == (schema.VERSION, 0, 0)
    with pytest.raises(StoreError, match="was opened for reading"):
        reader.create_run(RunSpec(run_id="sky", task="t"))
    admin.execute(f"UPDATE {store.address.schema}.version SET number=0")
    with pytest.raises(StoreVersion, match="open it once with a run, which adds to it"):
        opened(url, readonly=True)


def test_opening_a_store_that_is_there_and_beginning_a_run_costs_a_handful_of_round_trips(url, opened, monkeypatch):
    opened(url).close()
    asked = []
    real = psycopg.Connection.execute

    def execute(self, query, *values, **options):
        asked.append(query)
        return real(self, query, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    store = opened(f"{url}&listen=off")  # without the thread that listens
    assert len(asked) == 2  # what server this is, and which version
    asked.clear()
    _, lease = store.begin_run(RunSpec(run_id="sky", task="t"), "me", 30.0, 0.0)
    assert len(asked) == 2  # the connection that writes, and the run
    asked.clear()
    store.commit(lease, 1, rows(b"one"), 0.0)
    store.renew(lease, 0.0)
    assert len(asked) == 2
    asked.clear()
    store.acquire("sky", "another", 30.0, 100.0)
    assert len(asked) <= 6
