"""Runs under a hail of kills: `kills.py` for a while, in a process of its own, since it forks its drivers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import kills
import pytest
from tellers import Till
from victims import LIMIT_S, Victims, often

LONGER = pytest.mark.skipif("HEADWAY_CHAOS" not in os.environ, reason="takes minutes: `make chaos`")


def check_kills(victims: Victims, seed: int, most: int, kinds: Iterable[str], *options: str) -> None:
    command = [sys.executable, kills.__file__, "--kills", str(most), "--seed", str(seed), *options]
    process = victims.launch(command, victims.folder / "kills.err")
    assert process.wait(most * 10 + 300) == 0, victims.said("kills")
    said = victims.said("kills")
    assert "violations: 0" in said, said
    for kind in kinds:
        (line,) = (one for one in said.splitlines() if one.startswith(f"| {kind} |"))
        assert int(line.split("|")[2].replace(",", "")) >= 1, f"never struck: {kind}"


def test_runs_end_right_whoever_is_killed(victims):
    check_kills(victims, 1, 24, kills.KINDS, "--size", "15", "--drivers", "1", "--served", "2", "--workers", "2", "--hired", "1")


@LONGER
def test_runs_end_right_under_hundreds_of_kills(victims):
    check_kills(victims, 2, often(150), kills.KINDS)


@LONGER
def test_runs_end_right_whichever_of_rays_processes_is_killed(victims):
    pytest.importorskip("ray")
    nobody = ("--drivers", "0", "--served", "0", "--workers", "0", "--hired", "0")
    check_kills(victims, 3, often(5), kills.OF_RAY, *nobody, "--ray", "1", "--size", "20", "--only", "Ray")


def test_the_program_says_what_is_wrong(victims, tmp_path: Path):
    """A row that is gone, one that was reported and is not there, a call that is made again: each is told."""
    arena = kills.Arena(tmp_path, 1, drivers=1, size=5)
    try:
        slot = arena.slots[0]
        till = slot.till = Till(arena.server.url, tmp_path, 5)
        assert till.start(victims, "driver").wait(LIMIT_S) == 0, victims.said("driver")
        slot.look()
        assert not arena.violations
        table = f"{kills.SCHEMA}.record"
        arena.server.ask(f"DELETE FROM {table} WHERE seq=(SELECT max(seq) FROM {table})")
        again = next(line for line in till.lines("step") if line[1] in slot.known)
        with till.ran.open("a") as file:
            file.write(" ".join(again) + "\n")
        reported = len(slot.seen)
        slot.look()
        assert arena.violations == [
            "kills: rows that were read before are gone or changed",
            f"kills: {reported} rows were reported as durable, {reported - 1} are there",
            f"kills: recorded calls ran again: ['{again[1]}']",
        ]
    finally:
        arena.close()
