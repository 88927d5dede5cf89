"""The program of several processes that share limits. Not a test by itself.

    python sharers.py STORE RESULT RAN RUN WHAT SIZE

Its run is called RUN. WHAT: `places`, two for all of them, or `starts`, ten in half a second. It says when calls began and ended,
by a clock that all processes of the machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import headway as hw

PLACES = 2
STARTS, PER_S = 10, 0.5


def tell(what: str) -> None:
    """One write, so that a kill leaves whole lines."""
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what} {hw.call().key} {time.monotonic():.6f}\n")


@hw.task
async def hold(x: int) -> int:
    tell("began")
    await asyncio.sleep(0.02 + 0.01 * (x % 3))
    tell("ended")
    return x


@hw.task
async def start(x: int) -> int:
    tell("began")
    return x


@hw.task
async def places(size: int) -> int:
    with hw.limit(PLACES, name="desk"):
        return sum([value async for value in hw.map(hold, range(size), window=8)])


@hw.task
async def starts(size: int) -> int:
    with hw.limit(rate=STARTS, per_s=PER_S, name="door"):
        return sum([value async for value in hw.map(start, range(size), window=20)])


if __name__ == "__main__":
    program = {"places": places, "starts": starts}[sys.argv[5]]
    result = hw.run(program, int(sys.argv[6]), store=sys.argv[1], run_id=sys.argv[4], progress=False)
    Path(sys.argv[2]).write_text(repr(result))
