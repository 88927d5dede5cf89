"""What a store in Postgres says when something is wrong: what happened, where, and what to do next."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys

import psycopg
import pytest
from backends import rows

from headway.errors import StoreDamaged, StoreError, StoreFull, StoreVersion
from headway.journal.postgres import database, link, troubles
from headway.journal.postgres.address import parse_address
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec
from headway.journal.shared.items import Item
from postgres_server import _free_port, shared_server


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(database, "OPENING_PATIENCE_S", 0.0)


def port():
    return shared_server().port


def read_aloud(url):
    with pytest.raises(StoreError) as caught:
        PostgresStore(url).close()
    return str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_no_server():
    said = read_aloud(f"postgresql://me:secret@127.0.0.1:{_free_port()}/db")
    assert said.startswith("postgresql://me:***@127.0.0.1:")
    assert "does not answer (connection failed: " in said
    assert said.endswith("see that the server runs and can be reached; what was committed is safe")
    assert "secret" not in said


@pytest.mark.usefixtures("impatient")
def test_no_host_of_that_name():
    assert "does not answer" in read_aloud("postgresql://me@no-such-host.invalid/db")


def test_wrong_password(admin):
    admin.execute("DO $$ BEGIN CREATE ROLE locked LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN END $$")
    folder = shared_server().data
    before = (folder / "pg_hba.conf").read_text()
    try:
        (folder / "pg_hba.conf").write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + before)
        admin.execute("SELECT pg_reload_conf()")
        until_refused = f"postgresql://locked:wrong@127.0.0.1:{port()}/postgres"
        said = read_aloud(until_refused)
    finally:
        (folder / "pg_hba.conf").write_text(before)
        admin.execute("SELECT pg_reload_conf()")
    assert "does not let this user in" in said
    assert said.endswith("check user and password")
    assert "wrong@" not in said


def test_no_such_role():
    assert "does not let this user in" in read_aloud(f"postgresql://nobody@127.0.0.1:{port()}/postgres")


def test_no_database():
    said = read_aloud(f"postgresql://headway@127.0.0.1:{port()}/nowhere")
    assert "does not exist" in said
    assert said.endswith("make the database with `createdb`")


def test_no_permission(admin, url, opened):
    admin.execute("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    as_guest = url.replace("headway@", "guest@")
    wanted = "GRANT the role USAGE and CREATE on the schema, or have its owner make the tables"
    assert wanted in read_aloud(as_guest)
    store = opened(url)
    assert wanted in read_aloud(as_guest)
    admin.execute(f"GRANT USAGE ON SCHEMA {store.address.schema} TO guest")
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {store.address.schema} TO guest")
    guest = opened(as_guest)
    assert guest.runs() == []
    with pytest.raises(StoreError, match="refuses this"):
        guest.create_run(RunSpec(run_id="sky", task="t"))


def test_a_role_that_may_use_a_schema_need_not_be_able_to_make_one(admin, url, opened):
    admin.execute("DO $$ BEGIN CREATE ROLE tenant LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    admin.execute(f"CREATE SCHEMA {parse_address(url).schema} AUTHORIZATION tenant")
    store = opened(url.replace("headway@", "tenant@"))
    assert store.create_run(RunSpec(run_id="sky", task="t")).nrows == 0


def test_a_name_with_a_nul(store):
    for ask in (
        lambda: store.create_run(RunSpec(run_id="a\0b", task="t")),
        lambda: store.run("a\0b"),
        lambda: store.append_items("a\0b", [Item(b"t" * 16, b"v")]),
    ):
        with pytest.raises(StoreError, match=r"a character that Postgres can't keep, such as NUL .*: choose another name"):
            ask()
    assert store.runs() == []


def test_a_name_that_is_too_long_for_an_index(store):
    name = random.Random(1).randbytes(10_000).hex()  # that can't be compressed
    with pytest.raises(StoreError, match="a name is too long for an index of Postgres"):
        store.create_run(RunSpec(run_id=name, task="t"))


def test_a_newer_schema(url, opened, admin):
    schema = opened(url).address.schema
    admin.execute(f"UPDATE {schema}.version SET number=99, least=98")
    with pytest.raises(StoreVersion, match=r"was written by schema 99, .*: upgrade headway to one that knows schema 98"):
        opened(url)


@pytest.mark.parametrize("table", ["run", "item", "version"])
def test_a_schema_with_somebody_elses_tables_is_left_alone(url, admin, table):
    schema = parse_address(url).schema
    admin.execute(f"CREATE SCHEMA {schema}")
    admin.execute(f"CREATE TABLE {schema}.{table} (mine integer)")
    assert f"has a table '{table}' that is not Headway's: name another schema, as in ?schema=headway2" in read_aloud(url)
    query = "SELECT relname::text FROM pg_class WHERE relnamespace=%s::regnamespace"
    assert admin.execute(query, (schema,)).fetchall() == [(table,)]


def test_a_store_whose_tables_are_gone(url, opened, admin):
    store = opened(url)
    admin.execute(f"DROP SCHEMA {store.address.schema} CASCADE")
    with pytest.raises(StoreError, match=r"lacks a table .*restore it from a copy"):
        store.runs()


@pytest.mark.usefixtures("impatient")
def test_too_many_connections(server):
    own = server(max_connections="5", superuser_reserved_connections="0")
    with psycopg.connect(own.url) as first:
        held = [first]
        try:
            while True:
                held.append(psycopg.connect(own.url))
        except psycopg.OperationalError:
            pass
        said = read_aloud(own.url)
        for one in held:
            one.close()
    assert "has no connection left" in said
    assert "raise max_connections or put a pooler in front" in said


def test_a_full_disk(store, lease, monkeypatch):
    """The server's own error, raised by a function of the database: a disk of a few megabytes is the chaos tests' business."""
    schema = store.address.schema
    with store.talking() as statements:
        statements.raw.execute(
            f"CREATE FUNCTION {schema}.fill() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE='53100'; END $$"
        )
        statements.raw.execute(f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.record EXECUTE FUNCTION {schema}.fill()")
    with pytest.raises(StoreFull, match=r"has no room .*free some space on the server; what was committed is safe") as caught:
        store.commit(lease, 1, rows(b"one"), 0.0)
    assert caught.value.errno == errno.ENOSPC
    assert store.run("sky").nrows == 0
    with store.talking() as statements:
        statements.raw.execute(f"DROP TRIGGER full_disk ON {schema}.record")
    store.commit(lease, 1, rows(b"one"), 0.0)


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        ("XX001", StoreDamaged, "is damaged"),
        ("53200", StoreError, "has no memory left"),
        ("26000", StoreError, "put listen=off into its URL"),
        ("55P03", StoreError, "was locked for too long"),
        ("25006", troubles.ConnectionLost, "is read-only"),
        ("57P01", troubles.ConnectionLost, "does not answer"),
        ("99999", StoreError, "run `headway doctor` on it"),
    ],
)
def test_what_servers_say_means_an_error_of_a_store_with_a_way_on(state, kind, words):
    error = psycopg.errors.lookup(state)("said") if state != "99999" else psycopg.DatabaseError("said")
    found = troubles.explain(error, "the store")
    assert type(found) is kind
    assert words in str(found)
    assert "(said)" in str(found) or state == "99999"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://h/db?schema=Mine", "write small letters, digits and _"),
        ("postgresql://h/db?schema=pg_mine", "pg_… is Postgres' own"),
        ("postgresql://h/db?schema=a;drop", "write small letters, digits and _"),
        ("postgresql://h/db?listen=perhaps", "write listen=off behind a pooler"),
        ("postgresql://me:***@h/db", "is hidden: name it in the URL, in PGPASSWORD or in ~/.pgpass"),
        ("postgresql://me@h/db?password=***", "is hidden"),
        ("postgresql://me:a#b@h/db", "%23 for #"),
        ("postgresql://[::1/db", " is no URL of a Postgres store: write postgresql://"),
        ("postgresql://h/db?x", " is no URL of a Postgres store: write postgresql://"),
    ],
)
def test_a_url_that_names_no_store_is_refused_before_anything_is_done(address, words):
    with pytest.raises(StoreError) as caught:
        parse_address(address)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@h:1,h2:2/db", "postgresql://me:***@h:1,h2:2/db"),
        ("postgres://h/db?password=secret&sslpassword=secret", "postgresql://h/db?password=***&sslpassword=***"),
        ("postgresql:///db?host=/var/run/postgresql", "postgresql:///db?host=/var/run/postgresql"),
        ("postgresql://me:s%23cret@[::1]:5432/db", "postgresql://me:***@[::1]:5432/db"),
    ],
)
def test_what_people_are_shown_of_a_url_has_no_password(address, shown):
    found = parse_address(address)
    assert found.url == shown
    assert "cret" not in found.url
    assert psycopg.conninfo.conninfo_to_dict(found.conninfo)["dbname"] == "db"


def test_of_several_hosts_the_one_that_takes_writes_is_looked_for_unless_the_url_says_otherwise():
    for address, wanted in (
        ("postgresql://a,b/db", "read-write"),
        ("postgresql:///db?host=a,b", "read-write"),
        ("postgresql://a,b/db?target_session_attrs=any", "any"),
        ("postgresql://a/db", None),
    ):
        assert psycopg.conninfo.conninfo_to_dict(parse_address(address).conninfo).get("target_session_attrs") == wanted


def test_without_psycopg_there_is_one_sentence_with_the_line_of_pip():
    program = """
import sys
sys.modules["psycopg"] = None
from headway.journal.postgres.store import PostgresStore
try:
    PostgresStore("postgresql://h/db")
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "headway[postgres]" in said


def test_a_server_that_is_too_old(url, monkeypatch):
    monkeypatch.setattr(link, "OLDEST", 990_000)
    said = read_aloud(url)
    assert " is Postgres " in said
    assert said.endswith(": Headway needs 99 or newer")


def test_without_libpq_there_is_one_sentence_with_the_line_of_pip():
    program = """
from headway.journal.postgres.store import PostgresStore
try:
    PostgresStore("postgresql://h/db")
except Exception as error:
    print(type(error).__name__, error)
"""
    env = {**os.environ, "PSYCOPG_IMPL": "c", "PYTHONPATH": os.pathsep.join(sys.path)}  # which is not installed
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env).stdout
    assert said == "UsageError a Postgres store needs libpq: pip install 'headway[postgres]'\n"
