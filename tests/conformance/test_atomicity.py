"""A commit is all or nothing: whatever stops it half-way, nothing of it can be read, and the same rows can be committed after it.

What stops it is in the rows themselves: a sequence that raises while the store reads it, a row that no store can keep, the
death of the process while the transaction is open. Rows and cache entries are one transaction, whichever of them fails.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from midway import Midway

from headway.errors import UnknownRun
from headway.journal.records import Ending, Row, RunSpec, RunStatus

HERE = str(Path(__file__).parent)
KEY = b"k" * 16
LARGE = 5000  # more rows than one statement of a store is likely to take


class Broken(Exception):
    """What makes a commit fail half-way."""


def fail():
    raise Broken


@pytest.mark.parametrize(("size", "at"), [(3, 0), (3, 2), (3, 3), (LARGE, 4500), (LARGE, LARGE)])
def test_a_commit_whose_rows_fail_in_the_middle_leaves_nothing(store, lease, make_row, size, at):
    store.commit(lease, 1, [make_row(1)], 1.0)
    before = store.run("sky")
    rows = [make_row(number) for number in range(size)]
    with pytest.raises(Broken):
        store.commit(lease, 2, Midway(rows, at, fail), 2.0, cache=[(KEY, make_row(2))], ending=Ending(RunStatus.DONE))
    assert store.run("sky") == before
    assert list(store.rows(lease.uid)) == [(1, make_row(1))]
    assert store.cached(KEY) is None
    store.commit(lease, 2, rows, 3.0)
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1), *rows]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_commit_whose_cache_entries_fail_in_the_middle_leaves_nothing(store, lease, make_row, at):
    store.commit(lease, 1, [], 1.0, cache=[(KEY, make_row(1, b"old"))])
    entries = [(KEY, make_row(2, b"new")), (b"l" * 16, make_row(3))]
    with pytest.raises(Broken):
        store.commit(lease, 1, [make_row(2), make_row(3)], 2.0, cache=Midway(entries, at, fail))
    assert list(store.rows(lease.uid)) == []
    assert store.run("sky").nrows == 0
    assert store.cached(KEY) == make_row(1, b"old")
    assert store.cached(b"l" * 16) is None


WRONG = [
    Row(3, KEY, KEY, None),
    Row(3, KEY, KEY, "text"),
    Row(3, None, KEY, b""),
    Row(3, KEY, 7, b""),
    Row("outcome", KEY, KEY, b""),
    Row(None, KEY, KEY, b""),
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("in_cache", [False, True], ids=["among-rows", "in-cache"])
def test_a_row_that_cannot_be_stored_is_refused_with_its_whole_commit(store, lease, make_row, wrong, in_cache):
    rows, cache = [make_row(1), make_row(2)], [(b"l" * 16, make_row(4))]
    with pytest.raises(Exception):  # noqa: B017, PT011 - a programming error; its class is the store's affair
        store.commit(lease, 1, rows if in_cache else [*rows, wrong], 1.0, cache=[*cache, (KEY, wrong)] if in_cache else cache)
    assert list(store.rows(lease.uid)) == []
    assert store.run("sky").nrows == 0
    assert store.cached(KEY) is None
    assert store.cached(b"l" * 16) is None
    store.commit(lease, 1, rows, 2.0)
    assert [row for _, row in store.rows(lease.uid)] == rows


def test_a_commit_that_is_refused_for_its_place_leaves_the_cache_alone(store, lease, make_row):
    with pytest.raises(Exception, match="row 3 cannot follow"):
        store.commit(lease, 3, [make_row(1)], 1.0, cache=[(KEY, make_row(1))])
    assert store.cached(KEY) is None


def test_what_a_caller_changes_after_a_commit_does_not_reach_the_store(store, lease, make_row):
    rows, cache = [make_row(1), make_row(2)], [(KEY, make_row(1))]
    store.commit(lease, 1, rows, 1.0, cache=cache)
    rows.clear()
    cache[0] = (KEY, make_row(3))
    found = list(store.rows(lease.uid))
    found.clear()
    assert [row for _, row in store.rows(lease.uid)] == [make_row(1), make_row(2)]
    assert store.cached(KEY) == make_row(1)


@pytest.mark.parametrize("at", [1, 2500, LARGE - 1])
def test_a_fork_that_fails_in_the_middle_leaves_no_run(store, lease, make_row, at):
    store.commit(lease, 1, [make_row(number) for number in range(LARGE)], 1.0)

    def keep(seq, row):
        if seq == at:
            raise Broken
        return True

    with pytest.raises(Broken):
        store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, keep)
    with pytest.raises(UnknownRun):
        store.run("fork")
    assert [run.spec.run_id for run in store.runs()] == ["sky"]
    assert store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: seq <= at).nrows == at


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from midway import Midway
from headway.journal.open import open_store
from headway.journal.owner import this_process
from headway.journal.records import Ending, Row, RunSpec, RunStatus

url, where, at = sys.argv[1], sys.argv[3], int(sys.argv[4])
row = lambda number, body=b"body": Row(3, number.to_bytes(16, "big"), bytes(16), body)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
store = open_store(url)
store.create_run(RunSpec(run_id="sky", task="t"))
lease = store.acquire("sky", this_process(), 1e9, 0.0)
store.commit(lease, 1, [row(1)], 1.0, cache=[(b"k" * 16, row(1, b"old"))])
rows, cache = [row(number) for number in range(5000)], [(b"k" * 16, row(1, b"new")), (b"l" * 16, row(2))]
end = Ending(RunStatus.DONE, 9)
print("reported", flush=True)
if where == "rows":
    store.commit(lease, 2, Midway(rows, at, die), 2.0, cache=cache, ending=end)
elif where == "cache":
    store.commit(lease, 2, rows, 2.0, cache=Midway(cache, at, die), ending=end)
elif where == "fork":
    store.fork_run(RunSpec(run_id="fork", task="t"), lease.uid, lambda seq, row: die() or True)
"""


@pytest.mark.parametrize(("where", "at"), [("rows", 0), ("rows", 4900), ("cache", 0), ("cache", 2), ("fork", 0)])
def test_a_process_killed_inside_a_transaction_leaves_what_was_reported_and_nothing_else(url, opened, make_row, where, at):
    done = subprocess.run([sys.executable, "-c", KILLED, url, HERE, where, str(at)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-9, "reported\n"), done.stderr
    store = opened()
    (run,) = store.runs()
    assert (run.nrows, run.status, run.fence, run.error_floor) == (1, RunStatus.RUNNING, 1, 0)
    assert run.owner
    assert list(store.rows(run.uid)) == [(1, make_row(1))]
    assert store.cached(KEY) == make_row(1, b"old")
    assert store.cached(b"l" * 16) is None
    lease = store.acquire("sky", "somebody", 30.0, 2.0)
    store.commit(lease, 2, [make_row(2)], 3.0)
    assert [row for _, row in opened().rows(run.uid)] == [make_row(1), make_row(2)]
