"""Readers beside a writer: they see whole commits, never less than before, and are told that there is something new.

Each test runs with reader and writer on one object and, where a store can be opened twice, on an opening each; some with the
writer in another process. What a reader may see in the middle of a commit is asked there, and not left to luck.
"""

import subprocess
import sys
import threading

import pytest
from midway import Midway, Rival
from word import await_change, steady_version

from headway.journal.records import NO_PARENT, Row, RunSpec, RunStatus

BATCH = 7
KEY = b"k" * 16


def begin(store):
    store.create_run(RunSpec(run_id="sky", task="t"))
    return store.acquire("sky", "somebody", 30.0, 0.0)


def numbered(seq):
    return Row(3, seq.to_bytes(16, "big"), NO_PARENT, b"%d" % seq)


def read(store, uid):
    """What one look at a store finds: row count, rows, row count again."""
    return store.run("sky").nrows, list(store.rows(uid)), store.run("sky").nrows


def check_looks(looks):
    """Every look found whole commits of numbered rows, and no later one found less."""
    seen = 0
    for before, rows, after in looks:
        assert rows == [(seq, numbered(seq)) for seq in range(1, len(rows) + 1)]
        assert len(rows) % BATCH == before % BATCH == after % BATCH == 0
        assert seen <= before <= len(rows) <= after
        seen = after


@pytest.mark.parametrize(("size", "at"), [(BATCH, 0), (BATCH, BATCH - 1), (5000, 4500), (5000, 5000)])
@pytest.mark.parametrize("in_cache", [False, True], ids=["among-rows", "in-cache"])
def test_a_reader_in_the_middle_of_a_commit_sees_all_of_it_or_nothing(openings, size, at, in_cache):
    store, beside = openings(), openings()
    lease = begin(store)
    rows = [numbered(seq) for seq in range(1, size + 1)]
    cache = [(KEY, rows[0])] * 2
    rival = Rival(lambda: (beside.cached(KEY), beside.run("sky").nrows, len(list(beside.rows(lease.uid)))))
    if in_cache:
        store.commit(lease, 1, rows, 1.0, cache=Midway(cache, min(at, 2), rival.enter))
    else:
        store.commit(lease, 1, Midway(rows, at, rival.enter), 1.0, cache=cache)
    cached, nrows, found = rival.result()
    assert cached in (None, rows[0])
    assert nrows in ((0, size) if cached is None else (size,))
    assert found in ((0, size) if nrows == 0 else (size,))
    assert beside.cached(KEY) == rows[0]
    assert list(beside.rows(lease.uid)) == list(enumerate(rows, 1))


def test_readers_beside_a_busy_writer_see_prefixes_that_never_shrink(openings):
    store, others = openings(), [openings(), openings()]
    lease = begin(store)
    done = threading.Event()
    looks = [[], []]

    def look(number):
        while not done.is_set():
            looks[number].append(read(others[number], lease.uid))

    readers = [threading.Thread(target=look, args=(number,)) for number in range(2)]
    for reader in readers:
        reader.start()
    for batch in range(40):
        first = batch * BATCH + 1
        store.commit(lease, first, [numbered(seq) for seq in range(first, first + BATCH)], 1.0)
    done.set()
    for reader in readers:
        reader.join()
    for number in range(2):
        looks[number].append(read(others[number], lease.uid))
        assert looks[number][-1][0] == 40 * BATCH
        check_looks(looks[number])


def test_a_reader_that_began_before_a_commit_goes_on_to_the_end_of_a_whole_one(openings):
    store, beside = openings(), openings()
    lease = begin(store)
    sizes = [5000, 5000, BATCH]
    first, reader, seen = 1, None, []
    for size in sizes:
        store.commit(lease, first, [numbered(seq) for seq in range(first, first + size)], 1.0)
        first += size
        reader = reader or beside.rows(lease.uid)
        seen.append(next(reader))
    seen += reader
    assert seen == [(seq, numbered(seq)) for seq in range(1, len(seen) + 1)]
    assert len(seen) in (5000, 10000, 10000 + BATCH)


WRITER = """
import sys
from headway.journal.open import open_store
from headway.journal.owner import this_process
from headway.journal.records import NO_PARENT, Row
store = open_store(sys.argv[1])
lease = store.acquire("sky", this_process(), 30.0, 0.0)
print("writing", flush=True)
for first in range(1, 7 * 150, 7):
    store.commit(lease, first, [Row(3, seq.to_bytes(16, "big"), NO_PARENT, b"%d" % seq) for seq in range(first, first + 7)], 1.0)
store.close()
"""


def test_readers_in_another_process_than_the_writer_see_whole_commits(opened, url):
    store = opened()
    uid = store.create_run(RunSpec(run_id="sky", task="t")).uid
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        looks = [read(store, uid)]
        while writer.poll() is None:
            looks.append(read(store, uid))
    looks += [read(store, uid), read(opened(), uid)]
    assert writer.returncode == 0
    check_looks(looks)
    assert [look[0] for look in looks[-2:]] == [1050, 1050]


def test_a_reader_that_follows_signals_misses_none_whoever_sends_them(openings):
    store = openings()
    lease = begin(store)
    senders = [openings() for _ in range(3)]
    follower = openings()

    def send(number):
        for count in range(25):
            senders[number].send_signal("sky", f"sender {number}", b"%d" % count, 1.0)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    found = []
    going = True
    while going:
        going = any(thread.is_alive() for thread in threads)
        found += follower.signals(lease.uid, after=found[-1].number if found else 0)
    for thread in threads:
        thread.join()
    numbers = [signal.number for signal in found]
    assert sorted(set(numbers)) == numbers
    for number in range(3):
        assert [signal.value for signal in found if signal.name == f"sender {number}"] == [b"%d" % count for count in range(25)]
    assert follower.signals(lease.uid) == found


HEARD = {
    "a lease is released": lambda store, lease: store.release(lease, RunStatus.DONE, 1.0),
    "a cache entry is put": lambda store, lease: store.commit(lease, 1, [], 1.0, cache=[(KEY, numbered(1))]),
    "a cancel is asked for": lambda store, lease: store.request_cancel("sky", 1.0),
    "a signal is sent": lambda store, lease: store.send_signal("sky", "go", b"", 1.0),
}
SEEN = {
    "a run is created": lambda store, lease: store.create_run(RunSpec(run_id="sea", task="t")),
    "a run is forked": lambda store, lease: store.fork_run(RunSpec(run_id="sea", task="t"), lease.uid, lambda seq, row: True),
    "a run is deleted": lambda store, lease: store.delete_run("sky", 1e6),
    "a run is acquired": lambda store, lease: store.acquire("sky", "another", 30.0, 1e6),
    "a lease is renewed": lambda store, lease: store.renew(lease, 1.0),
    "rows are committed": lambda store, lease: store.commit(lease, 1, [numbered(1)], 1.0),
}


@pytest.mark.parametrize("change", HEARD.values(), ids=HEARD.keys())
def test_what_a_driver_waits_for_is_noticed_by_every_opening_and_can_be_read_then(openings, change):
    store, beside = openings(), openings()
    lease = begin(store)
    before = steady_version(beside, lease.uid)
    runs, signals = beside.runs(), beside.signals(lease.uid)
    change(store, lease)
    await_change(beside, lease.uid, before)
    assert steady_version(beside, lease.uid) != before
    assert (beside.runs(), beside.signals(lease.uid), beside.cached(KEY)) != (runs, signals, None)


@pytest.mark.parametrize("change", SEEN.values(), ids=SEEN.keys())
def test_whatever_else_is_changed_can_be_read_by_every_opening_at_once(openings, change):
    store, beside = openings(), openings()
    lease = begin(store)
    runs = beside.runs()
    change(store, lease)
    assert beside.runs() != runs
