"""The program of several processes that ask for the same shared results. Not a test by itself.

    python flyers.py STORE RESULT RAN RUN SIZE

Its run is called RUN. It says which results it begins and ends to compute, by a clock that all processes of the machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import headway as hw


def tell(what: str, name: str) -> None:
    """One write, so that a kill leaves whole lines."""
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what} {name} {time.monotonic():.6f}\n")


@hw.task(cache="forever")
async def compute(n: int) -> int:
    tell("began", f"compute-{n}")
    await asyncio.sleep(0.1)
    tell("ended", f"compute-{n}")
    return n


@hw.task(cache="forever")
async def combine(n: int) -> int:
    tell("began", f"combine-{n}")
    total = sum(await hw.gather(*(compute(k) for k in range(n, n + 4))))
    tell("ended", f"combine-{n}")
    return total


@hw.task
async def everything(size: int) -> int:
    """Each run begins elsewhere, so that all of them find something to compute."""
    first = sum(sys.argv[4].encode()) * 7 % size
    return sum([value async for value in hw.map(combine, [(first + n) % size for n in range(size)], window=6)])


@hw.task(cache="forever")
async def takes_long() -> int:
    tell("began", "long")
    if "first" in sys.argv[4]:
        await asyncio.sleep(3600)
    tell("ended", "long")
    return 7


@hw.task
async def one_long() -> int:
    return await takes_long()


if __name__ == "__main__":
    size = int(sys.argv[5])
    result = hw.run(
        everything if size else one_long, *([size] if size else []), store=sys.argv[1], run_id=sys.argv[4], progress=False
    )
    Path(sys.argv[2]).write_text(repr(result))
