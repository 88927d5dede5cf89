"""A program that outgrows one driver: a run that starts runs, each of many calls and one effect. Not a test by itself.

    python starters.py STORE RESULT RAN RUNS CALLS

Workers of the same file drive what it starts, and say in the file that RAN_EFFECTS names what effect began: one line `KEY` each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import headway as hw

RUN = "kills"
QUEUE = "parts"


@hw.task
async def leaf(n: int) -> int:
    return n


@hw.task(effect=True, pool="thread")
def file(part: int) -> int:
    with Path(os.environ["RAN_EFFECTS"]).open("a") as ran:
        ran.write(f"{hw.call().idempotency_key}\n")
    return part


@hw.task
async def part(number: int, calls: int) -> int:
    found = sum(await hw.gather(*[leaf(number * calls + n) for n in range(calls)]))
    await file(number)
    return found


@hw.task
async def main(runs: int, calls: int) -> int:
    return sum(await hw.gather(*[hw.start(part, number, calls, queue=QUEUE) for number in range(runs)]))


if __name__ == "__main__":
    store, result, _, runs, calls = sys.argv[1:]
    found = hw.run(main, int(runs), int(calls), store=store, run_id=RUN, progress=False)
    Path(result).write_text(str(found))
