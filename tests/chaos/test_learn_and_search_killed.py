"""`make demo` killed with SIGKILL at drawn moments: its driver, a trainer. It goes on, and has the curve of one left alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, outcomes, rows

import headway as hw
from headway.journal.codec.codec import decode
from headway.journal.records import Row

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"
sys.path.insert(0, str(DEMO.parent))
import demo  # noqa: E402 - its results are decoded here

pytestmark = pytest.mark.long
STEPS, PUZZLES = 50, 12
RUN = f"demo-{PUZZLES}-{STEPS}"


def start(victims: Victims, store: str) -> subprocess.Popen[bytes]:
    folder = victims.folder / store
    options = ["--puzzles", str(PUZZLES), "--steps", str(STEPS), "--store", str(folder), "--out", str(folder / "out")]
    return victims.launch([sys.executable, str(DEMO), *options], victims.folder / f"{store}.said", {"COLUMNS": "200"})


def result(store: Path) -> demo.Result:
    """The result of the run: its last row."""
    (*_, outcome) = outcomes(rows(store, RUN))
    assert outcome.task == "demo.learn_and_search"
    with hw.SqliteStore(store) as opened:
        buffers = [opened.get_blob(digest) for digest in outcome.blobs]
    head = outcome.value or bytes(buffers.pop(0))
    found = decode(head, buffers)
    assert isinstance(found, demo.Result)
    return found


def trainers(process: subprocess.Popen[bytes]) -> list[int]:
    """Processes below the driver that have torch loaded."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            maps = (entry / "maps").read_text()
            if int(entry.name) != process.pid and "libtorch_cpu" in maps and str(process.pid) in ancestors(int(entry.name)):
                found.append(int(entry.name))
    return found


def ancestors(pid: int) -> list[str]:
    line = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        line.append(str(pid))
    return line


def test_a_killed_demo_goes_on_with_the_same_training_and_all_puzzles(victims: Victims) -> None:
    drawn = random.Random(20261122)
    assert start(victims, "undisturbed").wait(3 * LIMIT_S) == 0
    undisturbed = result(victims.folder / "undisturbed")
    store, before = "killed", list[Row]()
    for number in range(4):
        process = start(victims, store)
        try:
            process.wait(drawn.uniform(4, 14))
            break
        except subprocess.TimeoutExpired:
            pass
        if number % 2 == 0 and (pids := trainers(process)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(drawn.choice(pids), signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
        kill(process)
        if (victims.folder / store / "journal.db").exists():
            now = rows(victims.folder / store, RUN)
            assert now[: len(before)] == before
            before = now
    assert start(victims, store).wait(3 * LIMIT_S) == 0, (victims.folder / f"{store}.said").read_text(errors="replace")[-3000:]
    check_recorded_once(rows(victims.folder / store, RUN))
    found = result(victims.folder / store)
    assert found.trained.language == undisturbed.trained.language
    assert found.trained.value == undisturbed.trained.value
    tried = [(each.method, each.question) for each in found.attempts]
    assert tried == [(each.method, each.question) for each in undisturbed.attempts]
    assert found.tokens <= demo.SHARED * PUZZLES * len(demo.METHODS)
    assert (victims.folder / store / "out" / f"{RUN}.html").read_text().count("<svg") == 4
