"""The program whose wall clock jumps: rests, deadlines, shared rates and limits. Not a test by itself.

    python alarm.py STORE RESULT RAN WHAT

CLOCK_FILE is its clock (shifted.py). It leaves with 1 and one sentence after an error of Headway's.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import shifted  # noqa: F401 - sets the clock, so it comes before Headway

import headway as hw


def tell(what: str) -> None:
    facts = hw.call()
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what} {facts.key} {facts.idempotency_key}\n")


@hw.task
async def quick(x: int) -> int:
    tell("quick")
    await asyncio.sleep(0.01)
    return x


@hw.task
async def endless() -> int:
    tell("endless")
    await asyncio.Event().wait()
    return 0


@hw.task
async def rest(seconds: float) -> str:
    tell("resting")
    await hw.sleep(seconds)
    return "rested"


@hw.task
async def rated(size: int) -> int:
    """Shared by all runs of the store, so it is kept in wall time."""
    with hw.limit(2, name="desk"), hw.limit(rate=100, per_s=1.0, name="door"):
        return sum([value async for value in hw.map(quick, range(size), window=4)])


@hw.task
async def bounded(seconds: float) -> str:
    try:
        with hw.deadline(seconds=seconds):
            await endless()
    except hw.DeadlineExceeded:
        return "too late"
    return "ended"


PROGRAMS = {"rest": (rest, 3_600), "short rest": (rest, 1.0), "rated": (rated, 150), "bounded": (bounded, 3_600)}

if __name__ == "__main__":
    task, argument = PROGRAMS[sys.argv[4]]
    try:
        result = hw.run(task, argument, store=sys.argv[1], run_id="kills", progress=False)
    except hw.HeadwayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    Path(sys.argv[2]).write_text(repr(result))
