"""The programs behind `benchmarks.scale`, each run in a process of its own so that memory and time are its alone.

python -m benchmarks.scaling cost 10000 FOLDER        -> a line of JSON
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import headway as hw
from benchmarks.shapes import WINDOW

SETTLE_S = 1.0  # for the writer to commit what is queued before the process is killed
_executed = 0
_gate: asyncio.Event


@hw.task
async def same(i: int) -> int:
    global _executed
    _executed += 1
    return i


@hw.task
async def empty() -> int:
    return 0


@hw.task
async def mapped(calls: int) -> int:
    total = 0
    async for value in hw.map(same, range(calls), window=WINDOW):
        total += value
    return total


def cost(calls: int, folder: Path) -> dict[str, float]:
    """Time a durable run of `calls` mapped calls and an empty one."""
    began = perf_counter()
    hw.run(empty, store=folder / "empty", progress=False)
    constant = perf_counter() - began
    began = perf_counter()
    total = hw.run(mapped, calls, store=folder / "store", progress=False)
    seconds = perf_counter() - began
    assert total == calls * (calls - 1) // 2
    disk = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
    return {"seconds": seconds, "empty_s": constant, "peak_mb": peak_mb(), "disk_bytes": disk}


@hw.task
async def held(i: int) -> int:
    await _gate.wait()
    return i


@hw.task
async def holding(calls: int, read: str) -> dict[str, float]:
    global _gate
    _gate = asyncio.Event()
    measure = READERS[read]
    _gate.set()
    await hw.gather(*[held(-1 - i) for i in range(2 * WINDOW)])  # everything that is made once is made
    _gate.clear()
    gc.collect()
    before = measure()
    handles = [held(i) for i in range(calls)]
    await asyncio.sleep(0.2)  # those that may start do, and wait at the gate
    gc.collect()
    live = measure() - before
    _gate.set()
    await hw.gather(*handles)
    del handles
    gc.collect()
    return {"live_bytes": live / calls, "joined_bytes": (measure() - before) / calls}


def rss_bytes() -> float:
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traced_bytes() -> float:
    return float(tracemalloc.get_traced_memory()[0])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


READERS: dict[str, Callable[[], float]] = {"rss": rss_bytes, "traced": traced_bytes}


def memory_rss(calls: int, folder: Path) -> dict[str, float]:
    """Resident memory that a call takes while it lives, and after it was joined."""
    return hw.run(holding, calls, "rss", store=folder / "store", progress=False)


def memory_traced(calls: int, folder: Path) -> dict[str, float]:
    """The same as `tracemalloc` counts it."""
    tracemalloc.start()
    return hw.run(holding, calls, "traced", store=folder / "store", progress=False)


@hw.task
async def interrupted(calls: int) -> int:
    values = await hw.gather(*[same(i) for i in range(calls)])
    if _dies:
        _report({"seconds": perf_counter() - _began, "cpu_s": process_time() - _cpu_began, "executed": _executed})
        await asyncio.sleep(SETTLE_S)
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(values)


_dies = False
_began = _cpu_began = 0.0


def first(calls: int, folder: Path) -> dict[str, float]:
    """Run `calls` calls and die by SIGKILL just before the root returns."""
    global _dies
    _dies = True
    return second(calls, folder)


def second(calls: int, folder: Path) -> dict[str, float]:
    """Run it to the end, from whatever the store remembers."""
    global _began, _cpu_began
    _began, _cpu_began = perf_counter(), process_time()
    total = hw.run(interrupted, calls, store=folder / "store", run_id="run", take_over=True, progress=False)
    assert total == calls * (calls - 1) // 2
    return {"seconds": perf_counter() - _began, "cpu_s": process_time() - _cpu_began, "executed": _executed}


@hw.task(pool="thread")
def in_thread(i: int) -> int:
    return i


@hw.task(pool="process")
def in_process(i: int) -> int:
    return i


@hw.task
async def pooled(calls: int) -> dict[str, float]:
    facts: dict[str, float] = {}
    for name, task in (("thread", in_thread), ("process", in_process)):
        await hw.gather(*[task(-1 - i) for i in range(64)])  # workers are up
        began = perf_counter()
        for i in range(calls):
            await task(i)
        facts[f"{name}_round_trip_us"] = (perf_counter() - began) / calls * 1e6
        began = perf_counter()
        await hw.gather(*[task(calls + i) for i in range(10 * calls)])
        facts[f"{name}_fan_us"] = (perf_counter() - began) / (10 * calls) * 1e6
    return facts


def pools(calls: int, folder: Path) -> dict[str, float]:
    """Time calls that run in a thread or in a worker process: one at a time, and all together."""
    return hw.run(pooled, calls, store=folder / "store", progress=False, pools={"thread": 2, "process": 2})


PROGRAMS = {
    "cost": cost,
    "memory_rss": memory_rss,
    "memory_traced": memory_traced,
    "first": first,
    "second": second,
    "pools": pools,
}


def _report(facts: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    program, calls, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    _report(PROGRAMS[program](calls, folder))


if __name__ == "__main__":
    main()
