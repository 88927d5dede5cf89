"""Measures rows as a run of Headway: each row and seed is a call in a process, so a killed measurement goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import headway as hw
from benchmarks.methods import all_rows
from benchmarks.methods.row import Pair, Row


class Asked(NamedTuple):
    """A row and a seed."""

    row: str
    seed: int


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
        row, seed = asked[len(found)]
        found.append(Measured(row, seed, end.value) if end.ok else Measured(row, seed, None, f"{end.error!r:.500}"))
        hw.progress(len(found), len(asked))
    return found


@hw.task(pool="process")
def measure(asked: Asked) -> Pair:
    """Measure one row for one seed."""
    return Pair(*map(float, rows_by_name()[asked.row].measure(asked.seed)))


@cache
def rows_by_name() -> dict[str, Row]:
    """All rows by their names."""
    return {row.name: row for row in all_rows()[0]}
