"""Word from other processes: heard at once, missed by nobody, and cheap where there is none."""

from __future__ import annotations

import gc
import os
import threading
import warnings

import psycopg
import pytest
from backends import Doing, append, group, rows, until, until_waiting

from headway.journal.postgres import word
from headway.journal.postgres.address import parse_address
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.limits import Ask, Want
from postgres_server import shared_server


def ends_with(thread_name):
    return [thread for thread in threading.enumerate() if thread.name == thread_name]


def test_a_reader_that_follows_signals_misses_none_when_two_transactions_overlap(url, opened, admin):
    """The second sender can't have its number before the first one's is committed."""
    store, follower = opened(url), opened(url)
    run = store.create_run(RunSpec(run_id="sky", task="t"))
    with psycopg.connect(shared_server().url) as first:
        schema = store.address.schema
        first.execute(f"UPDATE {schema}.run SET word=word+1")
        first.execute(f"INSERT INTO {schema}.signal SELECT uid, word, 'first', '', 0, 0, '' FROM {schema}.run")
        second = Doing(lambda: store.send_signal("sky", "second", b"", 0.0))
        until_waiting(admin, store._writer.session.pid)
        assert follower.signals(run.uid) == []
        first.commit()
        assert second.result() == 2
    query = "SELECT number, name FROM signal ORDER BY number"
    assert follower.reading(lambda connection: connection.execute(query).fetchall()) == [(1, "first"), (2, "second")]


@pytest.mark.parametrize("listen", ["on", "off"])
def test_word_comes_to_those_who_listen_and_to_those_who_only_ask(url, opened, listen):
    asks, tells = opened(f"{url}&listen={listen}"), opened(url)
    run = tells.create_run(RunSpec(run_id="sky", task="t"))
    if listen == "on":
        until(lambda: asks._listener._hears)
    for tell in (
        lambda: tells.send_signal("sky", "go", b"", 0.0),
        lambda: tells.request_cancel("sky", 0.0),
        lambda: tells.release(tells.acquire("sky", "me", 30.0, 0.0), RunStatus.DONE, 0.0),
    ):
        before = steady(asks, run.uid)
        tell()
        until(lambda before=before: heard(asks, run.uid) != before)


def heard(store, uid):
    """What was heard, without what is called new in any case."""
    return store.data_version(uid) // 1_000_000_000


def steady(store, uid):
    store.data_version(uid)
    store._teller._ended.wait(0.1)
    return heard(store, uid)


def test_somebody_who_begins_to_wait_for_a_place_is_heard_of_by_who_has_it(url, opened):
    has, waits = opened(url), opened(url)
    run = has.create_run(RunSpec(run_id="sky", task="t"))
    has.share("a", [Ask("gpu", capacity=1, used=0)], [Want(("gpu",), 1)], 0.0, 30.0)
    until(lambda: has._listener._hears)
    before = steady(has, run.uid)
    waits.share("b", [Ask("gpu", capacity=1)], [Want(("gpu",), 1)], 1.0, 30.0)
    until(lambda: heard(has, run.uid) != before)


def test_an_idle_driver_asks_one_small_question_a_second_at_most(url, opened, monkeypatch):
    asks = opened(f"{url}&listen=off")
    run = asks.create_run(RunSpec(run_id="sky", task="t"))
    polls, now = [], [1000.0]
    monkeypatch.setattr(word.time, "monotonic", lambda: now[0])
    for _ in range(100):  # ten seconds of a driver that looks ten times a second
        asks._listener.version(run.uid, lambda: polls.append(now[0]) or (0, 0))
        now[0] += 0.1
    assert len(polls) == 10
    listens = word.Listener(parse_address(url))
    listens._hears = True
    for _ in range(100):
        listens.version(run.uid, lambda: pytest.fail("what is heard is not asked for"))
        now[0] += 0.1


def test_what_a_commit_says_of_word_is_heard_without_asking(url, opened):
    store, beside = opened(f"{url}&listen=off"), opened(url)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, 0.0)
    store.data_version(lease.uid)
    store.commit(lease, 1, rows(b"one"), 0.0)
    notes = []
    store._listener.note = notes.append
    beside.send_signal("sky", "go", b"", 0.0)
    store.commit(lease, 2, rows(b"two"), 0.0)
    assert notes == [str(lease.uid)]


def test_a_listener_that_was_cut_off_calls_everything_new_when_it_hears_again(url, opened, admin):
    store = opened(url)
    run = store.create_run(RunSpec(run_id="sky", task="t"))
    until(lambda: store._listener._hears)
    before = steady(store, run.uid)
    query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query='LISTEN {word.channel(store.address)}'"
    assert admin.execute(query).fetchone() == (True,)
    until(lambda: heard(store, run.uid) != before and store._listener._hears)
    again = steady(store, run.uid)
    store.send_signal("sky", "go", b"", 0.0)
    until(lambda: heard(store, run.uid) != again)


def test_a_closed_store_leaves_no_thread_no_connection_and_no_warning(url, opened, admin):
    until(lambda: not ends_with("headway-postgres-word"))
    name = f"{url}&application_name=leaves"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stores = [opened(name) for _ in range(3)]
        assert len(ends_with("headway-postgres-word")) == 1
        stores[0].create_run(RunSpec(run_id="sky", task="t"))
        until(lambda: stores[0]._listener._hears)
        for store in stores:
            store.send_signal("sky", "go", b"", 0.0)
        for store in stores:
            store.close()
            store.close()
        gc.collect()
    assert ends_with("headway-postgres-word") == ends_with("headway-postgres-teller") == []
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name='leaves'"
    until(lambda: admin.execute(query).fetchone() == (0,))


def test_a_fork_has_connections_of_its_own_and_leaves_its_parents_alone(url, opened):
    store = opened(url)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, 0.0)
    mine = store._writer.session.pid
    reads, writes = os.pipe()
    with store._writer.lock, word._lock:  # as where another thread is just using them
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads
            child = os.fork()
        if not child:
            status = 1
            try:
                store.commit(lease, 1, rows(b"by the child"), 0.0)
                store.send_signal("sky", "go", b"", 0.0)
                store.data_version(lease.uid)
                os.write(writes, b"%d" % store._writer.session.pid)
                status = 0
            finally:
                os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    os.close(writes)
    with os.fdopen(reads, "rb") as said:
        assert int(said.read()) != mine
    store.commit(lease, 2, rows(b"by the parent"), 0.0)
    assert store._writer.session.pid == mine
    assert [row.body for _, row in store.rows(lease.uid)] == [b"by the child", b"by the parent"]


def test_what_is_told_in_a_moment_is_told_together_and_never_waits_for_the_disk(url, opened, admin):
    store = opened(url)
    teller = word.Teller(store.address)
    said = str(teller._say(["1", "2", "it's", word.SHARED]))
    assert "synchronous_commit=off" in said
    with psycopg.connect(shared_server().url, autocommit=True) as listener:
        listener.execute(f"LISTEN {word.channel(store.address)}")
        for number in range(3000):
            teller.tell(str(number))
        teller.close()
        payloads = [one.payload for one in listener.notifies(timeout=0.5)]
    assert sorted(map(int, " ".join(payloads).split())) == list(range(3000))
    assert len(payloads) < 30


def test_a_commit_notifies_nobody(store, lease, admin):
    with psycopg.connect(shared_server().url, autocommit=True) as other:
        assert append(other, store.address.schema, group(lease, 1, b"one")) is not None
        other.execute(f"LISTEN {word.channel(store.address)}")
        assert append(other, store.address.schema, group(lease, 2, b"two")) is not None
        assert list(other.notifies(timeout=0.0)) == []
