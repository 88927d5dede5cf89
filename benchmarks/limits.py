"""What a limit costs: `python -m benchmarks.limits`.

The same nested calls without a limit, under one of this run's own, and under one that is shared by name through the store. In
rounds, in an order that turns; a number is the median. A call under a limit with a name should take at most 1.5 times as long as
one without a limit.

A limit has as many places as calls are under way, so that it never holds a call back: with half as many, the calls of 5 ms would
take twice as long however cheap the limit is.

    python -m benchmarks.limits --calls 600 --repeats 7
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import headway as hw
from benchmarks import machine
from benchmarks.sides import ROOT
from benchmarks.tables import Table, terminal

PLACES = 50
WAYS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "concurrency": {"concurrency": PLACES},
    "concurrency, by name": {"concurrency": PLACES, "name": "provider"},
    "rate": {"rate": 1e6, "per_s": 1.0},
    "rate, by name": {"rate": 1e6, "per_s": 1.0, "name": "door"},
}


@hw.task
async def ask(x: int) -> int:
    await asyncio.sleep(0.005)
    return x


@hw.task
async def one(x: int) -> int:
    return await ask(x) + await ask(-x)


@hw.task
async def pipeline(calls: int, limits: dict[str, Any] | None) -> int:
    with nullcontext() if limits is None else hw.limit(**limits):
        return sum([value async for value in hw.map(one, range(calls), window=PLACES)])


def measure(calls: int, limits: dict[str, Any] | None, folder: Path) -> float:
    began = time.perf_counter()
    assert hw.run(pipeline, calls, limits, store=folder, progress=False) == 0
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=600, help="each makes two more (600)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds; a result is the median (7)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="where stores lie while measuring (build)")
    options, console = parser.parse_args(), terminal()
    options.folder.mkdir(parents=True, exist_ok=True)
    for line in machine.describe(options.folder).lines():
        console.print(line, highlight=False, soft_wrap=True)
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    names = list(WAYS)
    for turn in range(options.repeats):
        for way in names[turn % len(names) :] + names[: turn % len(names)]:
            with tempfile.TemporaryDirectory(dir=options.folder, prefix="benchmarks-") as folder:
                took[way].append(measure(options.calls, WAYS[way], Path(folder) / "store"))
    rows = []
    for way, each in took.items():
        spread = f"{min(each):.3f} to {max(each):.3f}"
        rows.append((way, f"{median(each):.3f}", spread, times(took, way, "none"), times(took, way, unnamed(way))))
    columns = ("limit", "seconds", "all rounds", "times without a limit", "times without the name")
    Table(f"{options.calls:,} calls of two calls each, median of {options.repeats} rounds", columns, tuple(rows)).show(console)


def times(took: dict[str, list[float]], way: str, base: str) -> str:
    """How much longer one way takes than another, by the median of the rounds' ratios."""
    return f"{median(a / b for a, b in zip(took[way], took[base], strict=True)):.2f}" if way != base else ""


def unnamed(way: str) -> str:
    """The same limit without its name."""
    return way.removesuffix(", by name")


if __name__ == "__main__":
    main()
