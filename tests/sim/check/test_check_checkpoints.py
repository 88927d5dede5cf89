"""`hw.testing.check` on programs whose calls keep checkpoints: real ones, found again after each simulated crash."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np

import headway as hw
from headway.sim.check import Kind, check
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

SEEN: list[tuple[int, int]] = []  # at which step each life of a call began and ended


@hw.task(pool="process")
def train(total: int) -> float:
    state = {"weights": np.zeros(3)}
    began = done = -1
    for step in hw.checkpoints().steps(state, total=total, every=1):
        began, done = (step if began < 0 else began), step
        state["weights"] += step
    SEEN.append((began, done))
    return float(state["weights"].sum())


@hw.task(pool="process")
def forgets(total: int) -> int:
    """Keeps a number beside its state."""
    state = {"weights": np.zeros(3)}
    return sum(1 for _ in hw.checkpoints("forgets").steps(state, total=total, every=1))


@hw.task
async def first() -> int:
    return 3


@hw.task
async def trains(task: hw.Task[[int], Any]) -> Any:
    return await task(await first())


def test_a_program_that_saves_and_goes_on_passes_under_every_schedule_and_crash():
    report = check(trains, train, schedules=4)
    assert report.ok, str(report)
    assert report.findings == []
    assert report.crashes > 1


def test_a_program_that_keeps_something_beside_its_state_is_found_out():
    report = check(trains, forgets, schedules=4)
    assert Kind.VALUE_DIFFERS in [finding.kind for finding in report.findings], str(report)


def test_a_call_that_was_killed_at_any_record_finds_its_own_checkpoints_again():
    whole = History(1, STEADY)
    expected = whole.live(trains, train).value
    assert expected == 9.0
    rows = len(whole.rows())
    for after in range(rows):
        SEEN.clear()
        history = History(1, STEADY)
        assert history.live(trains, train, crash=Crash(after, "before")).how == "died"
        life = history.live(trains, train)
        history.check()
        assert life.value == expected
        assert [began for began, _ in SEEN[1:]] in ([], [-1]), f"killed at row {after}, the call trained again: {SEEN}"


def test_another_world_begins_without_checkpoints_and_leaves_no_files():
    SEEN.clear()
    roots = []
    for _ in range(2):
        history = History(1, STEADY)
        history.live(trains, train)
        roots.append(Path(history.store.checkpoint_root("run")))
        assert roots[-1].is_dir()
    assert SEEN[0] == SEEN[1]
    del history
    gc.collect()
    assert not any(root.exists() for root in roots)
