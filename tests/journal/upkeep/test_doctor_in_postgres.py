"""The doctor looks at a database as at a folder, and says what its server promises."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner

from headway.cli.app import app
from headway.errors import UsageError
from headway.journal.postgres import schema
from headway.journal.postgres.address import parse_address
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Kind, Outcome, Row, RunSpec, RunStatus
from headway.journal.shared.items import Item
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.repair import repair
from headway.journal.upkeep.server import Server, Session, judge, read_server
from headway.storage.blobs import hash_blob
from postgres_server import Server as PostgresServer

ROOT = b"r" * 16
BLOB, LARGE = b"a result " * 1000, b"a large result " * 100_000


def outcome(number: int, *blobs: bytes, parent: bytes = ROOT, key: bytes = b"") -> Row:
    body = Outcome(task="demo.search", label=f"page {number}", status=0, started=1.0, ended=2.0, value=b"v" * 60, blobs=blobs)
    return Row(Kind.OUTCOME, key or number.to_bytes(16, "big"), parent, msgspec.msgpack.encode(body))


@pytest.fixture
def built(url: str) -> str:
    """The URL of a closed store with a run of six records, a signal, a cached result and a collection."""
    with PostgresStore(url) as store:
        for blob in (BLOB, LARGE):
            store.put_blob(hash_blob(blob), blob)
        store.create_run(RunSpec(run_id="sky", task="demo.answer", root=ROOT, created=1.0))
        lease = store.acquire("sky", "somebody", 30.0, 0.0)
        rows = [outcome(1, hash_blob(BLOB)), outcome(2, hash_blob(LARGE)), *(outcome(number) for number in range(3, 7))]
        store.commit(lease, 1, rows, 1.0, cache=[(b"c" * 16, outcome(77))])
        store.send_signal("sky", "go", b"value", 2.0)
        store.release(lease, RunStatus.INTERRUPTED, 3.0)
        store.append_items("seen", [Item(b"one" * 5), Item(b"two" * 5), Item(b"six" * 5)])
    return url


def change(url: str, query: str, *values: object) -> None:
    address = parse_address(url)
    with psycopg.connect(address.conninfo, autocommit=True, options=f"-csearch_path={address.schema}") as connection:
        connection.execute(query, values or None)


def said(url: str) -> list[str]:
    """What the doctor says of the store, without what it says of the server."""
    return [str(finding) for finding in examine(url).findings if finding.severity == "error"]


def test_a_whole_store_is_called_whole(built):
    report = examine(built)
    assert (report.whole, report.runs, report.records, report.blobs, report.blob_bytes) == (
        True,
        1,
        6,
        2,
        len(BLOB) + len(LARGE),
    )
    assert said(built) == []


DAMAGE = {
    "UPDATE record SET body='\\xff' WHERE seq=3": "record 3 .* is damaged: its result is lost: a resume runs that call again",
    "DELETE FROM record WHERE seq=3": "record 3 is missing or unreadable",
    "DELETE FROM record WHERE seq=6": "record 6 is missing or unreadable",
    "UPDATE record SET seq=9 WHERE seq=6": "record 6 is missing",
    "UPDATE run SET spec='\\xff'": "run 'sky' .* is damaged",
    "UPDATE run SET status='asleep'": "run 'sky' .* is damaged",
    "UPDATE signal SET value='\\xff'": "signal .* is damaged: send it again",
    "UPDATE cache SET body='\\xff'": "the cached result .* is damaged: the call runs again",
    "UPDATE item SET body='\\xff' WHERE number=1": "collection 'seen': item 1 is damaged",
    "DELETE FROM item WHERE number=1": "collection 'seen': item 1 missing",
    "UPDATE blob SET data=set_byte(data, 5, 0) WHERE data IS NOT NULL": r"record 1 .*blob \w+ is damaged",
    "DELETE FROM blob WHERE data IS NOT NULL": r"record 1 .*blob \w+ is missing",
    "DELETE FROM blob WHERE data IS NULL": r"record 2 .*blob \w+ is missing",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_damage_is_found_and_what_it_means_for_the_run_is_said(built, statement):
    change(built, statement)
    report = examine(built)
    assert (report.whole, report.verdict) == (False, "damaged")
    assert any(re.search(DAMAGE[statement], text) for text in said(built)), said(built)


def test_a_large_blob_that_changed_in_its_place_is_found(built, tmp_path):
    name = hash_blob(LARGE).hex()
    (tmp_path / "large" / "blobs" / name[:2] / name[2:]).write_bytes(LARGE[:-1] + b"!")
    assert re.search(r"record 2 .*blob \w+ is damaged", said(built)[0])


def test_damage_that_only_one_of_several_runs_has_leaves_the_others_looked_at(built):
    with PostgresStore(built) as store:
        for number in range(3):
            store.create_run(RunSpec(run_id=f"r{number}", task="t"))
            store.commit(store.acquire(f"r{number}", "somebody", 30.0, 0.0), 1, [outcome(1)], 1.0)
    change(built, "UPDATE run SET spec='\\xff' WHERE run_id='r1'")
    report = examine(built)
    assert (report.runs, report.records, report.whole) == (3, 8, False)


def test_tables_are_read_past_the_first_page(built, monkeypatch):
    monkeypatch.setattr("headway.journal.upkeep.postgres_doctor.PAGE", 2)
    with PostgresStore(built) as store:
        for number in range(5):
            store.send_signal("sky", f"s{number}", b"", 2.0)
    change(built, "UPDATE signal SET value='\\xff' WHERE name='s4'")
    change(built, "UPDATE item SET body='\\xff' WHERE number=2")
    assert [text.partition(" is")[0] for text in said(built)] == ["signal 6 ('s4')", "collection 'seen': item 2"]


def test_a_run_that_is_deleted_or_goes_on_while_it_is_looked_at_is_not_called_damaged(built, monkeypatch):
    from headway.journal.sql import checked_rows

    read_rows, changed = checked_rows.read_rows, []

    def read_and_change(connection, uid, after):
        found = read_rows(connection, uid, after)
        if not changed:
            changed.append(True)
            change(built, "DELETE FROM run")
            change(built, "DELETE FROM record")
            return found[:3]
        return read_rows(connection, uid, after)

    monkeypatch.setattr(checked_rows, "read_rows", read_and_change)
    assert said(built) == []


# --- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_and_exits_with_3(built):
    change(built, "UPDATE record SET body='\\xff' WHERE seq=3")
    answer = CliRunner().invoke(app, ["doctor", "--store", built])
    assert answer.exit_code == 3
    assert "error: run sky: record 3" in answer.stdout
    assert "damaged; checked 1 run, 6 records, 2 blobs" in answer.stdout
    assert "--repair" not in answer.stderr


def test_a_server_without_fsync_is_at_risk(built):
    """The server of these tests is one."""
    answer = CliRunner().invoke(app, ["doctor", "--store", built])
    assert answer.exit_code == 3
    assert "risk: the server does not wait for its disk (fsync = off)" in answer.stdout
    assert "at risk; checked 1 run" in answer.stdout


def test_a_repair_is_refused_with_what_to_do_instead(built):
    answer = CliRunner().invoke(app, ["doctor", "--repair", "--store", built])
    assert (answer.exit_code, "restore a database from a backup" in answer.stderr) == (2, True)
    with pytest.raises(UsageError, match="headway store copy"):
        repair(built, now=0.0)


def test_a_newer_schema_is_not_called_damage(built):
    change(built, f"UPDATE version SET number={schema.VERSION + 1}, least={schema.VERSION + 1}")
    answer = CliRunner().invoke(app, ["doctor", "--store", built])
    assert (answer.exit_code, "upgrade headway" in answer.stderr) == (3, True)


# --- the server --------------------------------------------------------------------------------------------------------

SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "autovacuum": "on",
    "default_transaction_read_only": "off",
}
TWO = (("a", "sync"), ("b", "async"))

JUDGED = [
    (Server(settings=SAFE), "info", "not the loss of its disk"),
    (Server(settings=SAFE, standbys=TWO), "info", "its 2 standbys follow later, and a failover can lose the last results"),
    (Server(settings=SAFE | {"synchronous_standby_names": "a"}, standbys=TWO), "info", "on 1 synchronous standbys before"),
    (
        Server(settings=SAFE | {"synchronous_standby_names": "a", "synchronous_commit": "remote_write"}, standbys=TWO),
        "info",
        "not when the standby's machine fails with it",
    ),
    (
        Server(settings=SAFE | {"synchronous_standby_names": "a", "synchronous_commit": "local"}, standbys=TWO),
        "info",
        "a failover can lose the last results",
    ),
    (Server(settings=SAFE | {"synchronous_standby_names": "a"}), "risk", "every commit waits until one connects"),
    (Server(settings=SAFE | {"fsync": "off"}), "risk", "set fsync = on"),
    (Server(settings=SAFE | {"full_page_writes": "off"}), "risk", "half-written pages"),
    (Server(settings=SAFE | {"synchronous_commit": "off"}), "info", "Headway turns it on in its own sessions"),
    (Server(settings=SAFE | {"default_transaction_read_only": "on"}), "risk", "no run can go on here"),
    (Server(settings=SAFE, is_standby=True), "risk", "target_session_attrs=read-write"),
    (Server(settings=SAFE | {"autovacuum": "off"}), "risk", "set autovacuum = on"),
    (Server(settings=SAFE, old=(Session(7, "me", "idle in transaction", 900.0),)), "risk", "pg_terminate_backend(7)"),
    (Server(settings=SAFE, prepared_s=900.0), "risk", "ROLLBACK PREPARED"),
    (Server(settings=SAFE, idle_slots=("old",)), "risk", "pg_drop_replication_slot('old')"),
    (Server(settings=SAFE, is_pooled=True), "risk", "add listen=off to the URL"),
    (Server(settings=SAFE, is_pooled=True, listens=False), "info", "noticed within a second"),
]


@pytest.mark.parametrize(("server", "severity", "words"), JUDGED)
def test_what_a_server_promises_follows_from_what_it_says(server: Server, severity: str, words: str):
    found = judge(server)
    assert [finding.severity for finding in found if words in str(finding)] == [severity], [str(finding) for finding in found]
    assert any(finding.severity == "risk" for finding in found) == (severity == "risk")


def test_a_server_says_of_itself_what_is_so(tmp_path: Path):
    server = PostgresServer(fsync="on", autovacuum="off", max_prepared_transactions="2", wal_level="replica", max_wal_senders="2")
    try:
        schema_name = f"u{hashlib.blake2b(str(tmp_path).encode(), digest_size=8).hexdigest()}"
        with (
            PostgresStore(f"{server.url}?schema={schema_name}") as store,
            psycopg.connect(server.url) as idle,
            psycopg.connect(server.url, autocommit=True) as other,
        ):
            idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            idle.execute("SELECT count(*) FROM pg_class")
            other.execute("BEGIN; CREATE TABLE prepared (x int); PREPARE TRANSACTION 'left'")
            other.execute("SELECT pg_create_physical_replication_slot('spare', true)")
            pid = idle.info.backend_pid
            found = store.reading(lambda connection: read_server(connection, listens=True))
            other.execute("ROLLBACK PREPARED 'left'")
            assert (found.settings["fsync"], found.settings["autovacuum"]) == ("on", "off")
            assert (found.is_standby, found.standbys, found.is_pooled) == (False, (), False)
            assert found.prepared_s > 0
            assert found.old == ()  # it is not open for long
            import headway.journal.upkeep.server as room

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(room, "OLD_S", 0.0)
                (session,) = store.reading(lambda connection: read_server(connection, listens=True)).old
            assert (session.pid, session.user, session.state) == (pid, "headway", "idle in transaction")
    finally:
        server.remove()
