"""Durable shapes on Postgres, beside a folder and DBOS on the same server; limits; several drivers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import headway as hw
from benchmarks import measure
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.alone import server
from benchmarks.shapes import SHAPES
from benchmarks.sides import DBOS_ON_POSTGRES, DURABLE, ON_POSTGRES, ROOT, Cell, Side, environ

LIMIT_S = 120.0
CALLS = 20_000
DRIVER_CALLS = 10_000


def seconds_a_call(cells: list[Cell]) -> list[float]:
    """How long a call of each cell took, one after the other on one server."""
    with server(), tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        results = measure.run(cells, 1, LIMIT_S, Path(folder), lambda said: None)
    if results.missing:
        raise RuntimeError(str(results.missing))
    return [results.seconds[cell][0] / cell.calls for cell in cells]


def beside(shape: str, other: Side, calls: int | None = None) -> Callable[[int], Pair]:
    """Measure a shape on Postgres, and on another side with at most so many calls: microseconds a call."""

    def take(seed: int) -> Pair:
        known = SHAPES[shape]
        cells = [
            Cell(ON_POSTGRES, shape, known.kind, known.calls),
            Cell(other, shape, known.kind, min(known.calls, calls or known.calls)),
        ]
        ours, theirs = seconds_a_call(cells if seed % 2 else cells[::-1])[:: 1 if seed % 2 else -1]
        return Pair(1e6 * ours, 1e6 * theirs)

    return take


@hw.task
async def nothing(i: int) -> int:
    return i


@hw.task
async def limited(calls: int) -> int:
    with hw.limit(64, name="bench"):
        return sum(await hw.gather(*[nothing(i) for i in range(calls)]))


@hw.task
async def unlimited(calls: int) -> int:
    return sum(await hw.gather(*[nothing(i) for i in range(calls)]))


def with_a_limit(seed: int) -> Pair:
    """Microseconds a call inside of a named limit, and outside."""

    def take(url: str, program: Callable[[int], int]) -> float:
        began = time.perf_counter()
        hw.run(program, CALLS, store=url, progress=False)
        return 1e6 * (time.perf_counter() - began) / CALLS

    with server() as url:
        take(url, unlimited)
        pair = [take(url, limited), take(url, unlimited)] if seed % 2 else [take(url, unlimited), take(url, limited)][::-1]
    return Pair(*pair)


def with_drivers(count: int) -> Callable[[int], Pair]:
    """Calls a second of so many drivers on one server, and of one."""

    def take(url: str, drivers: int) -> float:
        command = [sys.executable, "-m", "benchmarks.scale_out.driver", url, str(DRIVER_CALLS)]
        found = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ(ROOT))
            for _ in range(drivers)
        ]
        for each in found:
            assert each.stdout is not None
            each.stdout.readline()  # it is ready
        for each in found:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        times = [json.loads(each.communicate()[0]) for each in found]
        return drivers * DRIVER_CALLS / (max(end for _, end in times) - min(begin for begin, _ in times))

    def measure_both(seed: int) -> Pair:
        with server() as url:
            take(url, 1)
            return Pair(take(url, count), take(url, 1))

    return measure_both


STORE = "headway.PostgresStore"
TEST = "tests/conformance/test_fencing.py::test_a_driver_that_lost_its_lease_changes_nothing_and_its_rows_are_kept_as_rejected"
FAN, CHAIN = "durable fan-out of 20,000 calls", "durable chain of 1,000 calls"

ROWS: list[Row | Held] = [
    Row(
        method="Postgres",
        function=STORE,
        item="postgres",
        claim="durable calls cost little more on Postgres than in a folder",
        shows=f"{FAN}: at most 3x of its cost on SQLite",
        baseline="SQLite, synchronous=FULL",
        unit="µs a call",
        measure=beside("fan-20k", DURABLE),
        reached=lambda low, high: high <= 3,
        test=TEST,
    ),
    Row(
        method="Postgres",
        function=STORE,
        item="postgres",
        claim="durable calls cost little more on Postgres than in a folder",
        shows=f"{CHAIN}: at most 4x of its cost on SQLite",
        baseline="SQLite, synchronous=FULL",
        unit="µs a call",
        measure=beside("chain-1k", DURABLE),
        reached=lambda low, high: high <= 4,
        test=TEST,
    ),
    Row(
        method="Postgres",
        function=STORE,
        item="postgres",
        claim="a step costs far less than where each is a transaction",
        shows=f"{FAN}: at least 40x faster a step than DBOS on the same server",
        baseline="DBOS, 1,000 steps",
        unit="µs a call",
        measure=beside("fan-20k", DBOS_ON_POSTGRES, 1_000),
        reached=lambda low, high: high <= 1 / 40,
        test=TEST,
    ),
    Row(
        method="Postgres",
        function=STORE,
        item="postgres",
        claim="a step costs far less than where each is a transaction",
        shows=f"{CHAIN}: at least 10x faster a step than DBOS on the same server",
        baseline="DBOS, 1,000 steps",
        unit="µs a call",
        measure=beside("chain-1k", DBOS_ON_POSTGRES),
        reached=lambda low, high: high <= 1 / 10,
        test=TEST,
    ),
    Row(
        method="Postgres",
        function=STORE,
        item="postgres",
        claim="a limit that all machines share costs no transaction a call",
        shows="a call inside of a named limit costs at most 2x of one outside",
        baseline="the same calls without it",
        unit="µs a call",
        measure=with_a_limit,
        reached=lambda low, high: high <= 2,
        test="tests/conformance/test_races.py::test_no_more_than_the_capacity_get_a_place",
        reason="getting a place and giving it back costs the driver's core as much as the rest of a call that does nothing",
    ),
    *(
        Row(
            method="Drivers",
            function=STORE,
            item="postgres",
            claim="drivers share a server and nothing else",
            shows=f"{count} drivers on one server make more calls a second than one, as far as two cores show it",
            baseline="one driver",
            unit="calls/s",
            measure=with_drivers(count),
            reached=lambda low, high: low > 1,
            test="tests/conformance/test_races.py::test_no_more_than_the_capacity_get_a_place",
            reason="two cores carry the drivers and the server",
        )
        for count in (2, 4)
    ),
]
