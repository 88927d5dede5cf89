"""Another server answers: one that takes writes is looked for, and one that lacks what was durable is not written to."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from backends import Doing, rows, until, until_waiting

from headway.errors import StoreDamaged, StoreError, StoreNotReplicated
from headway.journal.postgres import database
from headway.journal.postgres.link import Server
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.items import Item
from headway.storage.blobs import hash_blob
from postgres_server import _free_port, shared_server


def begin(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    return store.acquire("sky", "me", 30.0, 0.0)


def test_a_session_that_became_read_only_is_given_up_until_one_takes_writes(store, lease, admin):
    """As when the primary was made a standby under its clients."""
    store.commit(lease, 1, rows(b"one"), 0.0)
    with store.talking() as statements:
        before = statements.session
        statements.raw.execute("SET default_transaction_read_only = on")
    store.commit(lease, 2, rows(b"two"), 0.0)
    with store.talking() as statements:
        assert statements.session != before
        statements.raw.execute("SET default_transaction_read_only = on")
    store.send_signal("sky", "go", b"", 0.0)
    assert store.run("sky").nrows == 2


def test_a_server_that_takes_no_writes_says_so_when_patience_is_over(store, lease, admin, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_S", 0.0)
    with store._writer.lock:
        store._writer.close()
    admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreError, match=r"is read-only .*name the server that takes writes, or all of them"):
            store.request_cancel("sky", 0.0)
    finally:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        with store._writer.lock:
            store._writer.close()
    store.request_cancel("sky", 0.0)


def test_of_several_hosts_the_one_that_takes_writes_is_used_and_the_dead_one_passed_over(url, opened, server):
    shared = shared_server()
    standby = server()
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE headway SET default_transaction_read_only = on")
    hosts = f"127.0.0.1:{_free_port()},127.0.0.1:{standby.port},127.0.0.1:{shared.port}"
    store = opened(url.replace(f"127.0.0.1:{shared.port}", hosts))
    store.commit(begin(store), 1, rows(b"one"), 0.0)
    with store.talking() as statements:
        assert statements.raw.info.port == shared.port


def move(store):
    """Have the store believe that it had talked to the server of before a failover."""
    assert store._server is not None
    assert store._server.timeline
    store._server = Server(store._server.system, "00000000")
    for link in (store._writer, store._reader):
        with link.lock:
            link.close()


def test_a_standby_that_has_everything_is_gone_on_with(store, lease):
    store.commit(lease, 1, rows(b"one"), 0.0)
    store.put_blob(hash_blob(b"blob"), b"blob")
    store.append_items("c", [Item(b"t" * 16, b"v")])
    move(store)
    store.commit(lease, 2, rows(b"two"), 0.0)
    assert store._server.timeline == "00000001"


LOSSES = {
    "rows": "DELETE FROM {0}.record WHERE seq=2; UPDATE {0}.run SET nrows=1",
    "the run": "DELETE FROM {0}.run",
    "the lease": "UPDATE {0}.run SET fence=0, owner='', nrows=0",
    "a blob": "DELETE FROM {0}.blob",
    "an item": "DELETE FROM {0}.item",
    "a signal that was read": "DELETE FROM {0}.signal WHERE number=2; UPDATE {0}.run SET word=1",
    "a signal whose number another one has": "UPDATE {0}.signal SET value='', crc=crc+1 WHERE number=2",
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_a_standby_that_lacks_what_was_reported_is_not_written_to(store, lease, admin, loss):
    store.commit(lease, 1, rows(b"one", b"two"), 0.0)
    store.put_blob(hash_blob(b"blob"), b"blob")
    store.append_items("c", [Item(b"t" * 16, b"v")])
    for name in ("one", "two"):
        store.send_signal("sky", name, b"", 0.0)
    assert len(store.signals(lease.uid)) == 2
    admin.execute(loss.format(store.address.schema))
    move(store)
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"went back to an earlier state.*resume the run"):
            store.commit(lease, 3, rows(b"three"), 0.0)
        with pytest.raises(StoreDamaged):
            store.run("sky")
    assert admin.execute(f"SELECT count(*) FROM {store.address.schema}.record WHERE seq>2").fetchone() == (0,)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_a_store_whose_drivers_have_given_up_goes_on_with_what_there_is(url, opened, admin, loss):
    """A worker is to go on with other runs, and with these ones once they are taken anew."""
    store, taker = opened(url), opened(url)
    leases = [store.begin_run(RunSpec(run_id=name, task="t"), "me", 30.0, 0.0)[1] for name in ("sky", "sea")]
    store.commit(leases[0], 1, rows(b"one", b"two"), 0.0)
    store.put_blob(hash_blob(b"blob"), b"blob")
    store.append_items("c", [Item(b"t" * 16, b"v")])
    for name in ("one", "two"):
        store.send_signal("sky", name, b"", 0.0)
    store.signals(leases[0].uid)
    admin.execute(loss.format(store.address.schema))
    move(store)
    for lease in leases:  # all that go on with this store hear of it
        with pytest.raises(StoreDamaged, match="went back"):
            store.renew(lease, 0.0)
    for lease in leases:
        with contextlib.suppress(StoreDamaged):
            store.release(lease, RunStatus.INTERRUPTED, 0.0)
    assert [one.spec.run_id for one in store.runs()] == [one.spec.run_id for one in taker.runs()]
    assert store.begin_run(RunSpec(run_id="new", task="t"), "me", 30.0, 0.0)[1] is not None


def test_signals_that_somebody_else_reads_are_not_looked_for(url, opened, admin):
    store, reader = opened(url), opened(url)
    lease = begin(store)
    store.send_signal("sky", "go", b"", 0.0)
    assert len(reader.signals(lease.uid)) == 1
    admin.execute(f"DELETE FROM {store.address.schema}.signal")
    move(reader)
    assert reader.signals(lease.uid) == []


def test_what_was_given_back_or_lost_is_not_looked_for(url, opened, admin):
    store, taker = opened(url), opened(url)
    lease = begin(store)
    store.commit(lease, 1, rows(b"one"), 0.0)
    store.release(lease, RunStatus.DONE, 0.0)
    taker.delete_run("sky", 0.0)
    move(store)
    assert store.runs() == []


def test_a_commit_whose_wait_for_standbys_was_cancelled_is_not_reported(server):
    own = server(wal_level="replica", max_wal_senders="2")
    from headway.journal.postgres.store import PostgresStore

    with PostgresStore(own.url) as store, psycopg.connect(own.url, autocommit=True) as admin:
        lease = begin(store)
        store.commit(lease, 1, rows(b"one"), 0.0)
        admin.execute("SET synchronous_commit = local")
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute("SELECT pg_reload_conf()")
        until(lambda: admin.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",))
        for do in (
            lambda: store.commit(lease, 2, rows(b"two"), 0.0),
            lambda: store.append_items("c", [Item(b"t" * 16, b"v")]),
            lambda: store.put_blob(hash_blob(b"blob"), b"blob"),
        ):
            doing = Doing(do)
            cancel_wait(admin, store._writer.session.pid)
            with pytest.raises(StoreNotReplicated, match=r"stopped waiting for its standbys.*is not durable"):
                doing.result()
        assert store._told.rows(lease) == 1

        # A session that is ended while it waits says nothing of it: who asks again waits for the standbys too.
        pid = store._writer.session.pid
        doing = Doing(lambda: store.append_items("c", [Item(b"u" * 16, b"v")]))
        until(lambda: waits_for_standbys(admin, pid))
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        until(lambda: another_waits(admin, pid))
        admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        admin.execute("SELECT pg_reload_conf()")
        assert doing.result() == [1]


def waits_for_standbys(admin, pid):
    return admin.execute("SELECT wait_event FROM pg_stat_activity WHERE pid=%s", (pid,)).fetchone() == ("SyncRep",)


def another_waits(admin, pid):
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid<>%s AND wait_event='SyncRep'"
    return admin.execute(query, (pid,)).fetchone() != (0,)


def cancel_wait(admin, pid):
    until(lambda: waits_for_standbys(admin, pid))
    admin.execute("SELECT pg_cancel_backend(%s)", (pid,))


def test_an_isolation_that_the_database_asks_for_changes_nothing(url, opened, admin):
    """A commit that waited for another writer of its run would otherwise fail."""
    store = opened(url)
    lease = begin(store)
    admin.execute("ALTER ROLE headway SET default_transaction_isolation = 'serializable'")
    try:
        store = opened(url)
        with psycopg.connect(store.address.conninfo) as other:
            other.execute(f"UPDATE {store.address.schema}.run SET cancel=0")
            with store.talking() as statements:
                pid = statements.session.pid
                assert statements.raw.execute("SHOW default_transaction_isolation").fetchone() == ("read committed",)
            committing = Doing(lambda: store.commit(lease, 1, rows(b"one"), 0.0))
            until_waiting(admin, pid)
            other.commit()
            committing.result()
    finally:
        admin.execute("ALTER ROLE headway RESET default_transaction_isolation")
