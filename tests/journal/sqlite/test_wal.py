"""A write-ahead log that was damaged after a crash must not lose commits without a word."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import headway as hw
from headway.errors import StoreDamaged
from headway.journal.sqlite.wal import frames_in_use, inspect_wal

DIES = """
import os, sys
import headway as hw
from headway.journal.owner import this_process
from headway.journal.records import Row, RunSpec
store = hw.SqliteStore(sys.argv[1])
store.create_run(RunSpec(run_id="sky", task="demo.answer"))
lease = store.acquire("sky", this_process(), 30.0, 0.0)
for seq in range(1, 9):
    store.commit(lease, seq, [Row(3, seq.to_bytes(16, "big"), bytes(16), bytes(3000))], 0.0)
os._exit(9)
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The store of a driver that died after eight commits, its log still there."""
    assert subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "store")], check=False).returncode == 9
    return tmp_path / "store"


def flip(file: Path, share: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * share)] ^= 1
    file.write_bytes(bytes(data))


def test_commits_that_damage_hides_are_not_written_over(left):
    wal = left / "journal.db-wal"
    assert inspect_wal(wal).lost_commits == 0
    flip(wal, 0.5)
    with hw.SqliteStore(left) as store, pytest.raises(StoreDamaged, match=r"damaged before its last \d+ transactions.*--repair"):
        store.acquire("sky", "another driver", 30.0, 0.0)


def test_a_torn_last_commit_is_no_damage(left):
    wal = left / "journal.db-wal"
    wal.write_bytes(wal.read_bytes()[:-100])
    with hw.SqliteStore(left) as store:
        lease = store.acquire("sky", "another driver", 30.0, 0.0)
        assert lease.fence == 2
        assert len(list(store.rows(lease.uid))) == 7


def test_a_whole_log_is_taken_up(left):
    with hw.SqliteStore(left) as store:
        assert len(list(store.rows(store.acquire("sky", "another driver", 30.0, 0.0).uid))) == 8


@pytest.mark.parametrize("share", [None, 0.05, 0.3, 0.5, 0.7, 0.95])
def test_sqlites_own_index_says_what_all_checksums_say(left: Path, share: float | None) -> None:
    wal, index = left / "journal.db-wal", left / "journal.db-shm"
    if share is not None:
        flip(wal, share)
    by_checksums = inspect_wal(wal)
    reading = sqlite3.connect(left / "journal.db")  # which makes the index
    reading.execute("SELECT 1 FROM run").fetchall()
    in_use = frames_in_use(index)
    assert in_use is not None
    assert inspect_wal(wal, in_use) == by_checksums
    assert (by_checksums.lost_commits > 0) == (share is not None)
    reading.close()


def test_what_is_no_index_of_a_log_says_nothing(left: Path) -> None:
    index = left / "journal.db-shm"
    assert frames_in_use(left / "none") is None
    index.write_bytes(b"short")
    with index.open("rb"):
        assert frames_in_use(index) is None
        index.write_bytes(bytes(range(96)))
        assert frames_in_use(index) is None


WRITES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1] + "/journal.db", timeout=0, isolation_level=None)
try:
    connection.execute(sys.argv[2])
except sqlite3.OperationalError as error:
    print(error)
"""


def other_process(folder: Path, statement: str) -> str:
    return subprocess.run([sys.executable, "-c", WRITES, str(folder), statement], capture_output=True, text=True, check=True).stdout


def test_looking_at_the_index_keeps_the_lock_of_a_write_that_is_under_way(left: Path) -> None:
    with hw.SqliteStore(left) as store, store.writing():
        assert frames_in_use(left / "journal.db-shm") is not None
        assert other_process(left, "BEGIN IMMEDIATE") == "database is locked\n"


def test_opening_a_store_a_second_time_keeps_the_locks_of_the_first(left: Path) -> None:
    with hw.SqliteStore(left) as store:
        hw.SqliteStore(left).close()
        assert other_process(left, "PRAGMA journal_mode=DELETE") == "database is locked\n"  # it takes all locks that there are
        assert len(store.runs()) == 1
