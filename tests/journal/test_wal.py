"""A write-ahead log that was damaged after a crash must not lose commits without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import headway as hw
from headway.errors import StoreDamaged
from headway.journal.sqlite.wal import inspect_wal

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
