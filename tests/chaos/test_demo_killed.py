"""The demo (`make demo`) killed with SIGKILL again and again: the answers of the undisturbed run, and nothing finished done again.

Which of two searches wins a race may differ from run to run, and with it the text of an answer where a puzzle has several. So
what is compared is which puzzles have an answer that the judge takes; and, across kills, that what was finished stays to the byte.
`make chaos` kills it 300 times.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, outcomes, rows

from headway.journal.codec.codec import decode
from headway.journal.open import open_store
from headway.journal.records import Row

PUZZLES = Path(__file__).resolve().parents[2] / "examples" / "puzzles.py"
RUN = "puzzles"
sys.path.insert(0, str(PUZZLES.parent))
import puzzles  # noqa: E402, F401 - its results are decoded here

pytestmark = pytest.mark.long


def start(victims: Victims, store: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(PUZZLES), "--count", str(count), "--store", victims.store(store), "--run", RUN]
    return victims.launch(command, victims.folder / f"{store}.said", {"COLUMNS": "200"})


def said(victims: Victims, store: str) -> str:
    return (victims.folder / f"{store}.said").read_text(errors="replace")


def answers(store: str) -> list[tuple[str, int, bool]]:
    """Which puzzles are solved, from the result of the run: its last row."""
    (*_, outcome) = outcomes(rows(store, RUN))
    assert outcome.task == "puzzles.solve_all"
    with open_store(store) as opened:
        buffers = [opened.get_blob(digest) for digest in outcome.blobs]
    head = outcome.value or bytes(buffers.pop(0))  # a large one is a blob itself
    return [(one.family, one.number, one.score == 1.0) for one in decode(head, buffers)]


def kill_until_done(victims: Victims, store: str, count: int, drawn: random.Random, most: int, longest_s: float) -> int:
    """Kill at drawn moments until it was killed so often or has ended. Returns how often it was killed."""
    before: list[Row] = []
    for number in range(most):
        process = start(victims, store, count)
        try:
            process.wait(drawn.uniform(0.3, longest_s))
        except subprocess.TimeoutExpired:
            kill(process)
        else:
            assert process.returncode == 0, said(victims, store)
            return number
        now = rows(victims.store(store), RUN)
        assert now[: len(before)] == before, "a record changed"
        check_recorded_once(now)
        before = now
    return most


def finish(victims: Victims, store: str, count: int, expected: list[tuple[str, int, bool]]) -> None:
    """Let the run end, and look at what became of what was finished before."""
    before = rows(victims.store(store), RUN)
    known = sum(outcome.task == "puzzles.solve" for outcome in outcomes(before))
    assert start(victims, store, count).wait(10 * LIMIT_S) == 0, said(victims, store)
    found = rows(victims.store(store), RUN)
    assert answers(victims.store(store)) == expected
    assert found[: len(before)] == before
    check_recorded_once(found)
    last = re.findall(r"(\d+) puzzles computed now, (\d+) from the journal", said(victims, store))[-1]
    assert last == (str(count - known), str(known)), "a finished puzzle was solved again"


def check(victims: Victims, count: int, kills: int, longest_s: float) -> None:
    """Kill so often: one run, or one after another where a fast machine ends them sooner."""
    whole = start(victims, "whole", count)
    assert whole.wait(10 * LIMIT_S) == 0, said(victims, "whole")
    expected, drawn, left = answers(victims.store("whole")), random.Random(kills), kills
    assert len(expected) == count
    while left > 0:
        store = f"killed{left}"
        killed = kill_until_done(victims, store, count, drawn, left, longest_s)
        assert killed, "it ended before the first kill: give it more puzzles"
        finish(victims, store, count, expected)
        left -= killed


@pytest.mark.on_postgres("make chaos")
def test_the_demo_killed_a_few_times_gives_the_answers_of_the_undisturbed_run(victims):
    check(victims, count=30, kills=10, longest_s=2.0)


@pytest.mark.skipif("HEADWAY_CHAOS" not in os.environ, reason="takes a quarter of an hour: `make chaos`")
def test_the_demo_killed_three_hundred_times_gives_the_answers_of_the_undisturbed_run(victims):
    check(victims, count=300, kills=300, longest_s=3.0)
