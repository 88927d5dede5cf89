"""A rank, or its helper, dies at each named point of a save or a load: the others end with an error that says so, in time, and what
is there afterwards is a checkpoint from which a new gang goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway.checkpoint.process.failpoints import HELPER, LOAD, TRAINER, VARIABLE

SCRIPT = Path(__file__).with_name("dying_rank.py")
SIZE = 2
WAIT_S = 120.0
ALL = "HEADWAY_CHAOS" in os.environ  # `make chaos`; else a few, as each waits for those that died
SAVES = [(point, dies) for point in (*TRAINER, *HELPER) for dies in range(SIZE)]
LOADS = [(point, dies) for point in LOAD for dies in range(SIZE)]
if not ALL:
    SAVES = [("trainer:begun", 0), ("trainer:staged", 1), ("helper:before-manifest", 0)]
    LOADS = [("load:half-filled", 1)]


def gang(root: Path, *acts: str, dies: int | None = None, point: str = "") -> list[list[Any]]:
    """What each rank said at its end; `[SIGKILL]` of one that was killed."""
    meeting = root.with_name("-".join(("meeting", *acts, point.replace(":", "-"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(root), str(rank), str(SIZE), str(meeting), *acts],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, VARIABLE: point} if rank == dies else environment,
            text=True,
        )
        for rank in range(SIZE)
    ]
    said: list[list[Any]] = []
    try:
        for rank in ranks:
            out, errors = rank.communicate(timeout=WAIT_S)
            said.append([signal.Signals(-rank.returncode)] if rank.returncode < 0 else json.loads(out) if out else [errors])
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    return said


@pytest.mark.long
@pytest.mark.parametrize(("point", "dies"), SAVES)
def test_a_save_in_which_somebody_dies_costs_at_most_itself(tmp_path: Path, point: str, dies: int) -> None:
    root = tmp_path / "root"
    said = gang(root, "save1", "die", "save2", dies=dies, point=point)
    if point in TRAINER:
        assert said[dies] == [signal.SIGKILL]
    elif not (dies and point in ("helper:before-manifest", "helper:before-head", "helper:after-head")):  # the first rank's alone
        assert "SIGKILL" in said[dies][1]
    assert all(each[0] == 1 for rank, each in enumerate(said) if each != [signal.SIGKILL])
    found, *rest = zip(*gang(root, "load", "save3", "load"), strict=True)
    assert found in ((1, 1), (2, 2))
    if point == "helper:after-head":
        assert found == (2, 2)
    assert rest == [(3, 3), (3, 3)]
    assert hw.Checkpoints(root).verify().whole


@pytest.mark.long
@pytest.mark.parametrize(("point", "dies"), LOADS)
def test_a_load_in_which_somebody_dies_ends_for_all(tmp_path: Path, point: str, dies: int) -> None:
    root = tmp_path / "root"
    said = gang(root, "save1", "die", "load", dies=dies, point=point)
    assert said[dies] == [signal.SIGKILL]
    assert said[1 - dies][0] == 1
    assert isinstance(said[1 - dies][1], str)
    assert gang(root, "load", "save2") == [[1, 2]] * SIZE
    assert hw.Checkpoints(root).verify().whole
