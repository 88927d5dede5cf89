"""Processes on one store at once: each gets what it would get if they came one after another."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest
from backends import Doing, rows, until, until_waiting

from headway.journal.owner import this_process
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunSpec
from headway.journal.shared.claims import Wish
from headway.journal.shared.limits import Ask, Board, Place, Want
from headway.journal.sql import limits
from postgres_server import shared_server

MANY = 4

APPEND = """
items = [Item(b"%16d" % ((number * 7 + count * 3) % 40), b"%d" % number) for count in range(60)]
numbers = []
for at in range(0, 60, 6):
    numbers += store.append_items("c", items[at : at + 6])
said = [[item.token.decode(), place] for item, place in zip(items, numbers)]
"""
SHARE = """
said = []
for count in range(30):
    wants = [Want(("gpu", "cpu") if (number + count) % 2 else ("cpu", "gpu"), 1)]
    asks = [Ask("gpu", capacity=2), Ask("cpu", capacity=3)]
    grants = store.share(f"holder {number}", asks if count % 2 else asks[::-1], wants, float(count), 1e6)
    boards = store.reading(lambda connection: limits._read_boards(connection, ["gpu", "cpu"]))
    said.append({name: sum(place.amount for place in board.places.values()) for name, board in boards.items()})
    store.share(f"holder {number}", asks, [], float(count), 1e6)
"""
CLAIM = """
_, lease = store.begin_run(RunSpec(run_id=f"run {number}", task="t"), f"driver {number}", 30.0, 0.0)
names = [bytes([name]) * 16 for name in range(40)]
said = []
for at in range(0, 40, 4):
    part = names[at : at + 4] if number % 2 else names[at : at + 4][::-1]
    mine = [wish for wish, reply in zip(part, store.claim(lease, [Wish(name) for name in part], 0.0)) if reply.mine]
    said += [name.hex() for name in mine]
    cache = [(name, Row(3, name, b"p" * 16, b"%d" % number)) for name in mine]
    store.commit(lease, store.run(lease.run_id).nrows + 1, [], 0.0, cache=cache)
"""
FRAME = """
import json, sys
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Row, RunSpec
from headway.journal.shared.claims import Wish
from headway.journal.shared.items import Item
from headway.journal.shared.limits import Ask, Want
from headway.journal.sql import limits
store, number = PostgresStore(sys.argv[1]), int(sys.argv[2])
sys.stdin.readline()
"""
SAYS = """
print(json.dumps(said))
"""
PROGRAM = SAYS.join([FRAME + APPEND, SHARE, CLAIM, "store.close()"])


@pytest.fixture(scope="module")
def shared_url():
    return f"{shared_server().url}?schema=processes"


@pytest.fixture(scope="module")
def said(shared_url):
    """What each of many processes said of what it appended, of the places that it saw taken, and of the names that it claimed."""
    PostgresStore(shared_url).close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, shared_url, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(MANY)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * MANY
    return list(zip(*(map(json.loads, one.splitlines()) for one in found), strict=True))


def test_items_that_processes_append_at_once_have_one_number_each(said, shared_url, opened):
    numbers = {}
    for token, number in (pair for one in said[0] for pair in one):
        assert numbers.setdefault(token, number) == number
    assert sorted(numbers.values()) == list(range(len(numbers)))
    assert [item.token.decode() for item in opened(shared_url).items("c")] == sorted(numbers, key=numbers.__getitem__)


def test_no_process_sees_more_places_given_than_a_limit_has(said):
    seen = [taken for one in said[1] for taken in one]
    assert all(taken.get("gpu", 0) <= 2 and taken.get("cpu", 0) <= 3 for taken in seen)
    assert any(taken.values() for taken in seen)


def test_each_name_that_processes_claim_at_once_is_computed_by_one(said, shared_url, opened):
    claimed = [name for one in said[2] for name in one]
    assert len(claimed) == len(set(claimed)) == 40
    store = opened(shared_url)
    for number, one in enumerate(said[2]):
        assert all(store.cached(bytes.fromhex(name)).body == b"%d" % number for name in one)


def test_a_deadlock_ends_for_both_with_what_they_asked_for(store, lease, admin):
    """The server ends one of the two: its commit is sent again."""
    store.commit(lease, 1, rows(b"one"), 0.0, cache=[(b"k" * 16, rows(b"old")[0])])
    schema = store.address.schema
    with psycopg.connect(store.address.conninfo) as other:
        other.execute("SET deadlock_timeout = '1h'; SET lock_timeout = '1min'")  # it is never the one that is ended
        other.execute(f"UPDATE {schema}.cache SET crc=crc")
        with store.talking() as statements:
            statements.raw.execute("SET deadlock_timeout = '1s'; SET lock_timeout = 0")  # looked at once, when both wait
        committing = Doing(lambda: store.commit(lease, 2, rows(b"two"), 0.0, cache=[(b"k" * 16, rows(b"new")[0])]))
        until_waiting(admin, store._writer.session.pid)
        other.execute(f"UPDATE {schema}.run SET cancel=0")
        other.commit()
        committing.result()
    assert store.run("sky").nrows == 2
    assert store.cached(b"k" * 16) == rows(b"new")[0]


def test_a_lock_that_somebody_keeps_is_waited_for_and_an_answer_is_given_when_it_goes(store, lease, admin):
    with store.talking() as statements:
        statements.raw.execute("SET lock_timeout = '20ms'")
        pid = statements.session.pid
    with psycopg.connect(store.address.conninfo) as other:
        other.execute(f"LOCK TABLE {store.address.schema}.record IN ACCESS EXCLUSIVE MODE")
        committing = Doing(lambda: store.commit(lease, 1, rows(b"one"), 0.0))
        until_waiting(admin, pid)
        query = "SELECT count(*) FROM pg_locks WHERE pid=%s AND NOT granted"
        until(lambda: admin.execute(query, (pid,)).fetchone() == (0,))  # it gave up, and asks again
        other.commit()
        committing.result()
    assert store.run("sky").nrows == 1


@pytest.mark.parametrize("swept_first", [True, False])
def test_a_board_that_somebody_just_uses_is_never_swept(url, opened, admin, swept_first):
    """Who opens a store drops boards of which nothing matters any more, while another process writes to one of them."""
    sweeper, user = opened(url), opened(url)
    dead = this_process().replace("(started ", "(started 1") + " call 1"
    schema = user.address.schema
    board = Board(at=1.0)
    board.places[dead] = _place()
    values = (limits._encode(board),)
    admin.execute(f"INSERT INTO {schema}.shared_limit VALUES ('gpu', %s, 0)", values)
    asks, wants = [Ask("gpu", capacity=1)], [Want(("gpu",), 1)]
    if swept_first:
        sweeper.share("sweeper", [Ask("cpu", capacity=1)], [], 2.0, 30.0)
        assert user.share("user", asks, wants, 2.0, 30.0)["gpu"].room == 1
    else:
        with psycopg.connect(user.address.conninfo) as other:  # as the other process writes
            new = Board(at=2.0)
            new.places["another machine call 1"] = _place(1e9)
            other.execute(f"UPDATE {schema}.shared_limit SET board=%s, until=1e9", (limits._encode(new),))
            sweeping = Doing(lambda: sweeper.share("sweeper", [Ask("cpu", capacity=1)], [], 2.0, 30.0))
            until_waiting(admin, wait_for_writer(sweeper))
            other.commit()
            sweeping.result()
        assert user.share("user", asks, wants, 2.0, 30.0)["gpu"].room == 0


def _place(end=1.0):
    return Place(1, 0, 0.0, end)


def wait_for_writer(store):
    return until(lambda: store._writer.session.pid)


def test_a_driver_of_a_run_and_one_that_only_asks_do_not_wait_for_each_other_s_names(store, lease, url, opened):
    beside = opened(url)
    beside.create_run(RunSpec(run_id="sea", task="t"))
    other = beside.acquire("sea", "another", 30.0, 0.0)
    assert store.claim(lease, [Wish(b"a" * 16)], 0.0)[0].mine
    assert beside.claim(other, [Wish(b"b" * 16)], 0.0)[0].mine
    assert beside.claim(other, [Wish(b"a" * 16)], 0.0)[0].by == "somebody"
