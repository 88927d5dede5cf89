"""Measures rows as a run of Headway: each row and seed is a call, so a killed measurement goes on where it stopped.

A row is measured in a Python of its own (`python -m benchmarks.methods.measuring PACKAGE ROW SEED`) that is no worker of the run:
so rows can open runs and blocks like any program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import headway as hw
from benchmarks.agents import AGENTS
from benchmarks.methods import METHODS
from benchmarks.methods.row import Pair
from benchmarks.plans import PLANS
from benchmarks.scale_out import SCALE
from benchmarks.sides import ROOT


class Asked(NamedTuple):
    """A row of a catalogue, and a seed."""

    row: str
    seed: int
    package: str = METHODS.package


class Measured(NamedTuple):
    """What a row gave for a seed, or the error that it ended with."""

    row: str
    seed: int
    pair: Pair | None
    error: str = ""


@hw.task
async def measure_rows(asked: Sequence[Asked]) -> list[Measured]:
    """Measure rows, each for a seed."""
    found: list[Measured] = []
    async for end in hw.map(measure, asked, failed="keep"):
        row, seed, _ = asked[len(found)]
        found.append(Measured(row, seed, end.value) if end.ok else Measured(row, seed, None, f"{end.error!r:.500}"))
        hw.progress(len(found), len(asked))
    return found


@hw.task(pool="process")
def measure(asked: Asked) -> Pair:
    """Measure one row for one seed."""
    command = [sys.executable, "-m", "benchmarks.methods.measuring", asked.package, asked.row, str(asked.seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"it ended with {done.returncode}")[-400:])
    return Pair(*json.loads(done.stdout.splitlines()[-1]))


def measure_here(package: str, row: str, seed: int) -> Pair:
    """Measure a row of a catalogue in this process."""
    (catalogue,) = (each for each in (METHODS, AGENTS, PLANS, SCALE) if each.package == package)
    return catalogue.row(row).measure(seed)


if __name__ == "__main__":
    print(json.dumps([float(figure) for figure in measure_here(sys.argv[1], sys.argv[2], int(sys.argv[3]))]))
