"""A commit whose answer is lost: what there is of it is found out, and it is reported or sent again, never both and never twice."""

from __future__ import annotations

import os
import socket

import psycopg
import pytest
from backends import Doing, append, group, is_there, leave_behind, rows, session_of, until, until_waiting

from headway.errors import LeaseLost, StoreDamaged, StoreError
from headway.journal.postgres.link import Statements
from headway.journal.records import Ending, Lease, RunInfo, RunSpec, RunStatus
from headway.journal.shared.outcome import Found, Sent, Standing, judge
from postgres_server import shared_server

MINE = Lease(uid=1, run_id="sky", owner="me", fence=2, ttl_s=30.0)
SENT = group(MINE, 3, b"three", b"four")
CRCS = SENT.columns().crcs
THERE = list(zip((3, 4), CRCS, strict=True))
END = Ending(RunStatus.DONE, None)


def run(nrows=2, *, owner="me", fence=2):
    return RunInfo(
        uid=1,
        spec=RunSpec(run_id="sky", task="t"),
        status=RunStatus.RUNNING,
        fence=fence,
        owner=owner,
        owned_since=0.0,
        lease_until=30.0,
        cancel_requested=False,
        error_floor=0,
        ended=0.0,
        nrows=nrows,
    )


def look(run, stored, sent=SENT, reported=2):
    sums = list(enumerate(sent.columns().crcs, sent.first_seq))
    told = Sent(sent.lease, sent.first_seq, sums, ends=sent.ending is not None)
    return judge(told, Found(run, stored or ()), is_unknown=stored is not None, reported=reported, where="the store")


@pytest.mark.parametrize(
    ("found", "stored", "standing"),
    [
        (run(4), THERE, Standing.DURABLE),
        (run(4, owner=""), THERE, Standing.DURABLE),  # and given back by its ending
        (run(9, owner="another", fence=3), THERE, Standing.DURABLE),  # and taken over since
        (run(2), [], Standing.ABSENT),
        (run(2), None, Standing.ABSENT),
        (run(2, owner="another", fence=3), [], Standing.LOST),
        (run(4, owner="another", fence=3), [(3, 1), (4, 2)], Standing.LOST),  # with rows of its own
        (run(2, owner=""), [], Standing.LOST),
        (None, [], Standing.LOST),
    ],
)
def test_what_there_is_of_a_group_is_told_by_its_checksums_and_the_run(found, stored, standing):
    assert look(found, stored) is standing


@pytest.mark.parametrize(
    ("found", "stored", "standing"),
    [
        (run(2, owner=""), [], Standing.DURABLE),
        (run(2), [], Standing.ABSENT),
        (run(2, owner="another", fence=3), [], Standing.LOST),
        (run(2, owner=""), None, Standing.LOST),  # before it was sent
    ],
)
def test_an_ending_without_rows_is_told_by_the_run_that_was_given_back(found, stored, standing):
    assert look(found, stored, group(MINE, 3, ending=END)) is standing


@pytest.mark.parametrize("found", [run(1), run(0), run(2, owner="another", fence=1)])
def test_a_store_that_went_back_behind_what_was_reported_is_named_and_nothing_more_is_reported(found):
    with pytest.raises(StoreDamaged, match="went back to an earlier state"):
        look(found, [])


@pytest.mark.parametrize("stored", [[(3, 1), (4, 2)], [], None])
def test_a_group_that_cannot_follow_is_refused(stored):
    with pytest.raises(StoreError, match="so row 3 cannot follow"):
        look(run(4), stored)


def test_a_group_that_is_sent_twice_by_its_caller_is_refused_although_it_is_there(store, lease):
    store.commit(lease, 1, rows(b"one"), 0.0)
    with pytest.raises(StoreError, match="so row 1 cannot follow"):
        store.commit(lease, 1, rows(b"one"), 0.0)


# --- on a server -------------------------------------------------------------------------------------------------------


def test_who_looks_for_a_group_waits_for_a_first_try_that_still_runs_and_sees_it_whole(store, lease, admin):
    sent = group(lease, 1, b"one", b"two")
    with psycopg.connect(shared_server().url) as first_try:
        assert append(first_try, store.address.schema, sent) is not None
        looking = Doing(lambda: store._look(sent))
        until_waiting(admin, session_of_writer(store))
        first_try.commit()
    assert list(looking.result().sums) == list(enumerate(sent.columns().crcs, 1))


def session_of_writer(store):
    """Without waiting for whoever uses it."""
    return store._writer.session.pid


def test_a_first_try_that_comes_late_is_found_and_not_written_again(url, opened, admin):
    """As where a pooler passes it on after its client has gone."""
    store = opened(url)
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "somebody", 30.0, 0.0)
    sent = group(lease, 1, b"one", b"two")
    with psycopg.connect(shared_server().url) as holder, psycopg.connect(shared_server().url, autocommit=True) as late:
        holder.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        first_try = Doing(lambda: append(late, store.address.schema, sent))
        until_waiting(admin, late.info.backend_pid)
        again = Doing(lambda: store._append(sent, sent.columns()))
        until_waiting(admin, session_of_writer(store))
        admin.execute("SELECT pg_terminate_backend(%s)", (session_of_writer(store),))
        holder.commit()
        assert again.result() is True
        first_try.result()
    assert [row for _, row in store.rows(lease.uid)] == list(sent.rows)
    assert store.run("sky").nrows == 2


def test_a_session_that_is_ended_while_it_waits_for_the_run_has_its_commit_sent_again(store, lease, admin):
    with psycopg.connect(shared_server().url) as holder:
        holder.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        before = session_of_writer(store)
        committing = Doing(lambda: store.commit(lease, 1, rows(b"one"), 0.0))
        until_waiting(admin, before)
        admin.execute("SELECT pg_terminate_backend(%s)", (before,))
        until(lambda: not is_there(admin, before))
        holder.commit()
        committing.result()
    assert [row for _, row in store.rows(lease.uid)] == rows(b"one")
    assert session_of_writer(store) != before


def test_a_socket_that_fails_under_a_store_costs_a_new_connection_and_nothing_else(store, lease):
    for seq in range(1, 6):
        break_wire(store._writer)
        break_wire(store._reader)
        store.commit(lease, seq, rows(b"%d" % seq), 0.0)
        store.renew(lease, 0.0)
        assert store.run("sky").nrows == seq
        break_wire(store._writer)
        assert store.append_items("c", [make_item(seq)]) == [seq - 1]
    assert [row.body for _, row in store.rows(lease.uid)] == [b"1", b"2", b"3", b"4", b"5"]


def break_wire(link):
    wire = socket.socket(fileno=os.dup(link.open().raw.fileno()))
    wire.shutdown(socket.SHUT_RDWR)
    wire.close()


def make_item(number):
    from headway.journal.shared.items import Item

    return Item(b"%16d" % number, b"value")


def test_a_session_that_outlives_its_connection_is_ended_by_the_next_one(store, lease, admin):
    """The wire broke between the statement and its end: the server keeps the run's row locked for a client that is gone."""
    store.commit(lease, 1, rows(b"one"), 0.0)
    old = session_of(store)
    leave_behind(store._writer.open().raw, f"SELECT 1 FROM {store.address.schema}.run WHERE uid=$1 FOR UPDATE", lease.uid)
    until(lambda: admin.execute("SELECT 1 FROM pg_locks WHERE pid=%s AND mode='RowShareLock'", (old.pid,)).fetchone())
    left_alone = store._writer._statements  # the server is not told that it is gone
    store._writer._statements = None
    store.commit(lease, 2, rows(b"two"), 0.0)
    until(lambda: not is_there(admin, old.pid))
    assert store.run("sky").nrows == 2
    left_alone.raw.close()


def test_a_group_that_another_driver_has_overtaken_is_kept_aside(url, store, lease, opened):
    taker = opened(url)
    taker.acquire("sky", "another", 30.0, 100.0)
    with pytest.raises(LeaseLost, match="another drives it"):
        store.commit(lease, 1, rows(b"late"), 100.0)
    query = "SELECT fence, seq, body FROM rejected WHERE run=?"
    assert store.reading(lambda connection: connection.execute(query, (lease.uid,)).fetchall()) == [(lease.fence, 1, b"late")]


@pytest.mark.parametrize("words", ["COMMIT", "INTO"])
def test_what_came_too_late_is_kept_aside_once_although_the_answer_was_lost(url, store, lease, opened, words):
    opened(url).acquire("sky", "another", 30.0, 100.0)
    cuts = Cuts(store)
    query = "SELECT seq, body FROM rejected WHERE run=? ORDER BY id"
    for now in (100.0, 101.0):  # it may bring the same again: that is two words too late
        cuts.what = words
        with pytest.raises(LeaseLost, match="another drives it"):
            store._reject(group(lease, 1, b"late", b"later")._replace(now=now))
    found = store.reading(lambda connection: connection.execute(query, (lease.uid,)).fetchall())
    assert (found, cuts.struck) == ([(1, b"late"), (2, b"later")] * 2, 2)


class Cuts:
    """Cuts the wire of a store right after the server has answered a statement that holds some words, once for each word said."""

    def __init__(self, store):
        self.what, self.struck = None, 0
        real = store._writer.open

        def open_it():
            statements = real()
            return Statements(Breaking(statements.raw, self), store.address.schema, statements.session)

        store._writer.open = open_it

    def heard(self, query, wire):
        if self.what is not None and (self.what == query if self.what == "COMMIT" else self.what in str(query)):
            self.what, self.struck = None, self.struck + 1
            end_of_wire = socket.socket(fileno=os.dup(wire))
            end_of_wire.shutdown(socket.SHUT_RDWR)
            end_of_wire.close()
            return True
        return False


class Breaking:
    """A connection under cuts."""

    def __init__(self, raw, cuts):
        self._raw, self._cuts = raw, cuts

    def __getattr__(self, name):
        return getattr(self._raw, name)

    def execute(self, query, *args, **options):
        done = self._raw.execute(query, *args, **options)
        return self._raw.execute("SELECT 1") if self._cuts.heard(query, self._raw.fileno()) else done


def test_what_was_done_before_its_answer_was_lost_is_done_once(url, opened):
    store = opened(url)
    beside = opened(url)
    cuts = Cuts(store)
    cuts.what = "INTO"
    run, lease = store.begin_run(RunSpec(run_id="sky", task="t"), "me", 30.0, 0.0)
    assert lease is not None
    assert beside.begin_run(RunSpec(run_id="sky", task="t"), "me", 30.0, 0.0)[1] is None
    for words, do, check in (
        ("COMMIT", lambda: store.send_signal("sky", "go", b"", 0.0), lambda: len(store.signals(run.uid)) == 1),
        ("moved", lambda: store.commit(lease, 1, rows(b"one"), 0.0), lambda: store.run("sky").nrows == 1),
        ("COMMIT", lambda: store.append_items("c", [make_item(1)]), lambda: store.count_items("c") == 1),
        ("COMMIT", lambda: store.fork_run(RunSpec(run_id="sea", task="t"), run.uid, lambda *_: True), lambda: True),
        ("COMMIT", lambda: store.acquire("sea", "me", 30.0, 0.0), lambda: store.run("sea").fence == 1),
        ("moved", lambda: store.release(lease, RunStatus.DONE, 1.0), lambda: store.run("sky").status is RunStatus.DONE),
        ("COMMIT", lambda: store.delete_run("sky", 1.0), lambda: [one.spec.run_id for one in store.runs()] == ["sea"]),
    ):
        cuts.what = words
        do()
        assert check(), words
    assert cuts.struck == 8, "each of them"


def test_a_claim_of_a_driver_that_died_is_still_said_to_be_left_when_the_answer_was_lost(url, opened):
    from headway.journal.shared.claims import Wish

    store, beside = opened(url), opened(url)
    for name, owner in (("sky", "dead"), ("sea", "me")):
        store.create_run(RunSpec(run_id=name, task="t"))
        beside.acquire(name, owner, 30.0, 0.0)
    dead = Lease(uid=store.run("sky").uid, run_id="sky", owner="dead", fence=1, ttl_s=30.0)
    mine = Lease(uid=store.run("sea").uid, run_id="sea", owner="me", fence=1, ttl_s=30.0)
    beside.claim(dead, [Wish(b"n" * 16)], 0.0)
    cuts = Cuts(store)
    cuts.what = "COMMIT"
    (reply,) = store.claim(mine, [Wish(b"n" * 16)], 100.0)
    assert (reply.mine, reply.left, cuts.struck) == (True, True, 1)
