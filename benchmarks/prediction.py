"""Does a prediction come true? Runs with one worker, predicted for others, and run with those; and how long predicting takes.

    python -m benchmarks.prediction            # a few minutes; prints tables for docs/prediction.md

Nothing here fails: it prints what was measured. The programs wait in real worker processes and threads, so that other numbers of
workers are free to help on any machine; `--burn` computes instead, which is fair only up to the number of cores.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import headway as hw
from headway.journal.open import open_existing
from headway.observe.reading import read_run
from headway.sim.predict import Stage, estimate_workload, predict, read_workload

WORKERS = (1, 2, 4)


def _seconds(number: int) -> float:
    """Between 0.05 and 0.35 s, the same each time."""
    return 0.05 + 0.3 * (number * 7919 % 101) / 101


def _take(seconds: float, burn: bool) -> None:
    if not burn:
        time.sleep(seconds)
        return
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.sha256(b"x" * 4096).digest()


@hw.task(pool="process")
def in_process(number: int, stage: int, burn: bool) -> int:
    _take(_seconds(number + stage), burn)
    return number


@hw.task(pool="thread")
def in_thread(number: int, stage: int, burn: bool) -> int:
    _take(_seconds(number + stage), burn)
    return number


@hw.task(pool="process")
def total(*numbers: int) -> int:
    return sum(numbers)


@hw.task
async def stages(burn: bool) -> int:
    """Three rounds of 40 calls, each after all of the one before."""
    for stage in range(3):
        await hw.gather(*(in_process(number, stage, burn) for number in range(40)))
    return 0


@hw.task
async def chain(number: int, burn: bool) -> None:
    for stage in range(6):
        await in_process(number, stage, burn)


@hw.task
async def chains(burn: bool) -> int:
    """Ten chains of six calls."""
    await hw.gather(*(chain(number, burn) for number in range(10)))
    return 0


@hw.task
async def threads(burn: bool) -> int:
    """80 calls in threads."""
    await hw.gather(*(in_thread(number, 0, burn) for number in range(80)))
    return 0


@hw.task
async def sums(burn: bool) -> int:
    """A tree of handles over 48 leaves."""
    level: list[Any] = [in_process(number, 0, burn) for number in range(48)]
    while len(level) > 1:
        level = [total(*level[i : i + 4]) for i in range(0, len(level), 4)]
    return await level[0]  # type: ignore[no-any-return]


def measure(program: Callable[..., Any], store: str, workers: int, burn: bool) -> float:
    """How long a run with so many workers takes, from its root's start to its end."""
    run_id = f"{program.__name__}-{workers}"
    hw.run(program, burn, store=store, run_id=run_id, pools={"process": workers, "thread": workers}, progress=False)  # type: ignore[arg-type]

    opened = open_existing(store)
    try:
        recorded = read_run(opened, run_id)
    finally:
        opened.close()
    root = recorded.calls[recorded.root]
    return root.ended - root.started


def compare(burn: bool) -> None:
    print("| program | recorded with | predicted for | predicted (1 to 9 in 10) | measured | off by |")
    print("|---|---:|---:|---:|---:|---:|")
    for program in (stages, chains, sums, threads):
        with tempfile.TemporaryDirectory() as store:
            took = {workers: measure(program, store, workers, burn) for workers in WORKERS}
            for recorded, asked in ((1, 1), (1, 2), (1, 4), (4, 1), (2, 4)):
                workload = read_workload(f"{program.__name__}-{recorded}", store)
                made = predict(workload, workers=asked, curve=()).makespan_s
                off = made.p50 / took[asked] - 1
                between = f"{made.p50:.2f} s ({made.p10:.2f} – {made.p90:.2f})"
                print(f"| {program.__name__} | {recorded} | {asked} | {between} | {took[asked]:.2f} s | {off:+.1%} |", flush=True)


def scale() -> None:
    print("| calls | workers | trials in all | seconds |")
    print("|---:|---:|---:|---:|")
    for calls, workers in ((100, 8), (1000, 32), (10_000, 100), (100_000, 1000)):
        began = time.perf_counter()
        answer = predict(
            estimate_workload([Stage("search", calls, 60.0, 20.0, cost={"tokens": 500})]), workers=workers, mtbf_s=6 * 3600.0
        )
        trials = sum(point.trials for point in answer.curve)
        print(f"| {calls:,} | {workers:,} | {trials} | {time.perf_counter() - began:.1f} |", flush=True)
        print(f"  {answer.conclusion()}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--burn", action="store_true", help="compute instead of waiting")
    parser.add_argument("--only", choices=["compare", "scale"])
    asked = parser.parse_args()
    if asked.only != "scale":
        compare(asked.burn)
    if asked.only != "compare":
        scale()
