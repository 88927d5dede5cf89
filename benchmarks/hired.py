"""What a call on a Ray-hired agent costs, beside a task of Ray's own: `python -m benchmarks.hired`.

One cluster, started by this command, with two processes for each side. Both sides do nothing, one call after another and many at
once, in rounds that alternate; a number is the median of the rounds, in microseconds a call. Ray's tasks are what one would write
without Headway, with no retries. Headway's calls are made by a run, kept nowhere or journaled in a folder, on an agent that Ray
placed. A call on the agent should take at most 0.2 times as long as a task of Ray's.

    python -m benchmarks.hired --calls 2000 --repeats 5
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import headway as hw
from benchmarks import machine
from benchmarks.sides import ROOT
from benchmarks.tables import Table, terminal

SLOTS = 2
SEQUENTIAL = 10
"""A sequence has a tenth of the calls that a fan-out has: its calls take longer, and vary less."""


@hw.task(pool="process")
def nothing(x: int) -> int:
    return x


def make_ray_task() -> Any:
    import ray

    ray.init("local", num_cpus=2 * SLOTS, include_dashboard=False, log_to_driver=False, configure_logging=False)

    @ray.remote(max_retries=0)
    def ray_nothing(x: int) -> int:
        return x

    return ray_nothing


async def time_it(work: Callable[[], Awaitable[None]], calls: int) -> float:
    """Microseconds a call."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) / calls * 1e6


@hw.task(on_change="reuse")
async def compare(calls: int, repeats: int) -> dict[str, list[float]]:
    """The figures of all rounds, by side and shape."""
    import ray

    task = TASKS[0]
    few = calls // SEQUENTIAL
    found: dict[str, list[float]] = {}

    async def fan_out(first: int) -> None:
        await hw.gather(*(nothing(first + i) for i in range(calls)))

    async def chain(first: int) -> None:
        for i in range(few):
            await nothing(-first - i - 1)

    async def ray_fan_out() -> None:
        await asyncio.to_thread(lambda: ray.get([task.remote(i) for i in range(calls)]))

    async def ray_chain() -> None:
        def work() -> None:
            for i in range(few):
                ray.get(task.remote(i))

        await asyncio.to_thread(work)

    for each in range(repeats + 1):
        first = each * calls
        figures = {
            "headway fan-out": await time_it(lambda first=first: fan_out(first), calls),
            "ray fan-out": await time_it(ray_fan_out, calls),
            "headway sequential": await time_it(lambda first=first: chain(first), few),
            "ray sequential": await time_it(ray_chain, few),
        }
        if each:  # the first round starts processes
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    return found


TASKS: list[Any] = []


def measure(calls: int, repeats: int, store: Path | None) -> dict[str, list[float]]:
    """All rounds of one comparison."""
    return hw.run(compare, calls, repeats, store=store, progress=False, pools={"process": hw.Hired(f"ray:{SLOTS}cpu")})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hired", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="of a fan-out; a sequence has a tenth of them (2000)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; a result is the median (5)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="where the store lies while measuring (build)")
    options, console = parser.parse_args(), terminal()
    options.folder.mkdir(parents=True, exist_ok=True)
    for line in machine.describe(options.folder).lines():
        console.print(line, highlight=False, soft_wrap=True)
    TASKS.append(make_ray_task())
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="benchmarks-") as folder:
        for kept, store in (("nowhere", None), ("in a folder", Path(folder))):
            found = measure(options.calls, options.repeats, store)
            for shape in ("sequential", "fan-out"):
                ours, theirs = found[f"headway {shape}"], found[f"ray {shape}"]
                ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                rows.append((shape, kept, f"{median(ours):,.0f}", f"{median(theirs):,.0f}", f"{median(ratios):.2f}", spread))
    columns = ("shape", "journaled", "agent, µs a call", "Ray's task, µs", "ratio", "all rounds")
    Table(f"A call that does nothing, {options.calls:,} at once, median of {options.repeats} rounds", columns, tuple(rows)).show(
        console
    )


if __name__ == "__main__":
    main()
