"""A driver that vanishes between a statement and its end leaves a session that holds its run: whoever may take the run ends it."""

from __future__ import annotations

import psycopg
import pytest
from backends import Doing, is_there, leave_behind, rows, session_of, until, until_waiting

from headway.errors import LeaseLost, RunOwned
from headway.journal.owner import this_process
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.queues import Job
from headway.storage.blobs import hash_blob

DEAD = this_process().replace("(started ", "(started 1")


def vanish(store, lease, admin):
    """Leave the session of a driver with a lock on its run, as on a machine that lost its power; its process on the server."""
    store.commit(lease, 1, rows(b"one"), 0.0)
    pid = session_of(store).pid
    raw = store._writer.open().raw
    leave_behind(raw, f"UPDATE {store.address.schema}.run SET nrows=2 WHERE uid=$1", lease.uid)
    until(lambda: admin.execute("SELECT wait_event FROM pg_stat_activity WHERE pid=%s", (pid,)).fetchone() == ("ClientRead",))
    until(lambda: admin.execute("SELECT 1 FROM pg_locks WHERE pid=%s AND mode='RowExclusiveLock'", (pid,)).fetchone())
    return pid


def test_a_driver_takes_over_from_one_that_vanished_in_the_middle_of_a_commit(url, opened, admin):
    gone, taker = opened(url), opened(url)
    gone.create_run(RunSpec(run_id="sky", task="t"))
    pid = vanish(gone, gone.acquire("sky", "somebody", 30.0, 0.0), admin)
    lease = taker.acquire("sky", "another", 30.0, 100.0)
    assert lease.fence == 2
    assert not is_there(admin, pid)
    assert taker.run("sky").nrows == 1
    taker.commit(lease, 2, rows(b"two"), 100.0)


def test_a_dead_process_of_this_machine_is_followed_at_once(url, opened, admin):
    gone, taker = opened(url), opened(url)
    gone.create_run(RunSpec(run_id="sky", task="t"))
    pid = vanish(gone, gone.acquire("sky", DEAD, 30.0, 0.0), admin)
    assert taker.acquire("sky", "another", 30.0, 1.0).fence == 2
    assert not is_there(admin, pid)


def test_a_driver_that_may_be_there_keeps_its_session_and_its_run(url, opened, admin):
    gone, taker = opened(url), opened(url)
    gone.create_run(RunSpec(run_id="sky", task="t"))
    pid = vanish(gone, gone.acquire("sky", "somebody", 30.0, 0.0), admin)
    with pytest.raises(RunOwned):
        taker.acquire("sky", "another", 30.0, 1.0)
    assert is_there(admin, pid)
    assert taker.acquire("sky", "another", 30.0, 1.0, take_over=True).fence == 2


def test_a_session_that_got_the_process_id_of_another_one_is_left_alone(url, opened, admin):
    store, taker = opened(url), opened(url)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "somebody", 30.0, 0.0)
    pid = session_of(taker).pid
    with psycopg.connect(store.address.conninfo) as other:
        admin.execute(f"UPDATE {store.address.schema}.run SET backend=%s", (other.info.backend_pid,))  # its start is an older one's
        other.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        taking = Doing(lambda: taker.acquire("sky", "another", 30.0, 100.0))
        until_waiting(admin, pid)
        until(lambda: admin.execute("SELECT count(*) FROM pg_locks WHERE pid=%s AND NOT granted", (pid,)).fetchone() == (0,))
        other.commit()
        assert taking.result().fence == lease.fence + 1
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_the_session_that_writes_to_a_run_is_named_there_also_after_a_reconnection(store, lease, admin):
    def named():
        query = f"SELECT backend FROM {store.address.schema}.run"
        return admin.execute(query).fetchone()[0]

    assert named() == session_of(store).pid
    for do in (
        lambda: store.commit(lease, 1, rows(b"one"), 0.0),
        lambda: store.renew(lease, 0.0),
        lambda: store.put_blob(hash_blob(b"blob"), b"blob"),
        lambda: store.drop_void_claims(0.0),
    ):
        store._writer.close()
        do()
        assert named() == session_of(store).pid


def test_a_session_is_named_in_the_runs_that_are_driven_from_there_and_in_no_other(url, opened, admin):
    store, beside = opened(url), opened(url)
    query = f"SELECT run_id, backend FROM {store.address.schema}.run"
    leases = {name: store.begin_run(RunSpec(run_id=name, task="t"), "me", 30.0, 0.0)[1] for name in ("mine", "lost", "over")}
    store.enqueue(RunSpec(run_id="taken", task="t"), Job(), 0.0)
    assert [one.run.spec.run_id for one in store.take_jobs("me", ["default"], None, 1, 30.0, 0.0)] == ["taken"]
    beside.acquire("lost", "another", 30.0, 0.0, take_over=True)
    store.release(leases["over"], RunStatus.DONE, 0.0)
    with psycopg.connect(store.address.conninfo) as other:
        other.execute(f"SELECT 1 FROM {store.address.schema}.run WHERE run_id='over' FOR UPDATE")
        before = session_of(store).pid
        store._writer.close()
        store.put_blob(hash_blob(b"blob"), b"blob")
    now, theirs = session_of(store).pid, session_of(beside).pid
    assert dict(admin.execute(query).fetchall()) == {"mine": now, "taken": now, "lost": theirs, "over": before}


def test_a_connection_that_is_made_anew_waits_for_nobody_who_has_the_run_locked(store, lease, admin):
    with psycopg.connect(store.address.conninfo) as other:
        other.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        store._writer.close()
        store.put_blob(hash_blob(b"blob"), b"blob")


def test_a_driver_that_comes_back_after_its_session_was_ended_hears_that_it_lost_the_run(url, opened, admin):
    first, taker = opened(url), opened(url)
    first.create_run(RunSpec(run_id="sky", task="t"))
    lease = first.acquire("sky", "somebody", 30.0, 0.0)
    vanish(first, lease, admin)
    taker.acquire("sky", "another", 30.0, 100.0)
    broken, first._writer._statements = first._writer._statements, None  # as its driver finds it
    with pytest.raises(LeaseLost):
        first.commit(lease, 2, rows(b"two"), 100.0)
    broken.raw.close()


def test_a_session_that_went_away_inside_a_transaction_is_ended_by_the_server(store, admin):
    for link in (store._writer, store._reader):
        with link.lock:
            raw = link.open().raw
            assert raw.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("15s",)
            assert raw.execute("SHOW tcp_user_timeout").fetchone() == ("15000",)
            assert raw.execute("SHOW tcp_keepalives_idle").fetchone() == ("5",)
