"""The program of several processes that fill one collection. Not a test by itself.

    python collectors.py STORE RESULT RAN RUN SIZE

Its run is called RUN. It says which items it is about to append, and leaves the numbers that it got.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headway as hw

things = hw.collection("things", str)


def say(what: str) -> None:
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what}\n")


@hw.task
async def make(n: int) -> str:
    say(f"made {n}")
    return f"{sys.argv[4]} {n}"


@hw.task
async def collect(n: int) -> int:
    return await things.append(make(n))


@hw.task
async def main(size: int) -> list[int]:
    return [number async for number in hw.map(collect, range(size), window=6)]


if __name__ == "__main__":
    result = hw.run(main, int(sys.argv[5]), store=sys.argv[1], run_id=sys.argv[4], progress=False)
    Path(sys.argv[2]).write_text(repr(result))
