"""A run killed with SIGKILL at random moments, again and again until it ends, gives the result of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import headway as hw
from headway.journal.known import decode_outcome
from headway.journal.records import COSTED, Kind, Status

PROGRAM = Path(__file__).parent / "program.py"


def start(folder: Path, store: str, size: int) -> subprocess.Popen[bytes]:
    arguments = [str(folder / store), str(folder / f"{store}.result"), str(folder / f"{store}.ran"), str(size)]
    return subprocess.Popen([sys.executable, str(PROGRAM), *arguments])


def recorded(store: Path) -> set[str]:
    """Keys of the calls whose success is durable."""
    if not (store / "journal.db").exists():
        return set()
    with hw.SqliteStore(store) as opened:
        try:
            uid = opened.run("kills").uid
        except hw.UnknownRun:
            return set()
        rows = [row for _, row in opened.rows(uid) if row.kind & ~COSTED == Kind.OUTCOME]
    return {row.key.hex() for row in rows if decode_outcome(row.body).status == Status.OK}


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def kill_until_done(folder: Path, size: int, seed: int, longest_s: float, most: int) -> int:
    """Start, kill, check that nothing recorded runs again, repeat. Returns how often it was killed."""
    drawn = random.Random(seed)
    for kills in range(most):
        before, seen = recorded(folder / "store"), len(lines(folder / "store.ran"))
        process = start(folder, "store", size)
        try:
            process.wait(drawn.uniform(0.2, longest_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        again = {line[1] for line in lines(folder / "store.ran")[seen:]} & before
        assert not again, f"recorded calls ran again after kill {kills}: {again}"
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL
    raise AssertionError(f"not done after {most} starts")


def check(folder: Path, size: int, seed: int, longest_s: float, most: int) -> None:
    undisturbed = start(folder, "whole", size)
    assert undisturbed.wait(120) == 0
    kills = kill_until_done(folder, size, seed, longest_s, most)
    assert kills > 0, "the program ended before the first kill: give it more to do"
    assert (folder / "store.result").read_text() == (folder / "whole.result").read_text()
    paid = Counter(line[2] for line in lines(folder / "store.ran") if line[0] == "pay")
    assert len(paid) == size
    with hw.SqliteStore(folder / "store") as store:
        rows = [row for _, row in store.rows(store.run("kills").uid) if row.kind & ~COSTED == Kind.OUTCOME]
    ends = Counter(row.key for row in rows if decode_outcome(row.body).status == Status.OK)
    assert set(ends.values()) == {1}, "an outcome was recorded twice"


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    check(tmp_path, size=30, seed=1, longest_s=1.2, most=60)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_many_kills_at_many_moments(tmp_path, seed):
    check(tmp_path, size=60, seed=seed, longest_s=0.3 + 0.2 * seed, most=200)
