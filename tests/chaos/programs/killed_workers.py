"""The program whose worker processes are killed. Not a test by itself.

    python killed_workers.py STORE RESULT RAN SIZE

Each call says which process runs it. Calls of `doomed` and `lost` wait for the kill, so that it always meets a running call;
the others can be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import headway as hw


def tell(what: str) -> None:
    facts = hw.call()
    with Path(os.environ["RAN"]).open("a") as file:
        file.write(f"{what} {facts.key} {facts.idempotency_key} {os.getpid()} {facts.attempt}\n")


def wait_for_the_kill(what: str) -> None:
    tell(what)
    while True:
        signal.pause()


@hw.task(pool="process", retry=hw.Retry(attempts=200, delay_s=0.01, factor=1.0, on=(hw.WorkerDied,)))
def heavy(x: int) -> int:
    tell("heavy")
    total = 0
    for k in range(200_000 + x):
        total += k % 7
    return total


@hw.task(pool="process", retry=hw.Retry(attempts=3, delay_s=0.01, on=(hw.WorkerDied,)))
def doomed(x: int) -> int:
    if hw.call().attempt < 3:
        wait_for_the_kill("doomed")
    tell("survived")
    return -x


@hw.task(pool="process")
def lost(x: int) -> int:
    wait_for_the_kill("lost")
    return x


@hw.task
async def part(x: int) -> tuple[int, str]:
    work = [heavy(10 * x + k) for k in range(3)]
    special = doomed(x) if x % 4 == 1 else lost(x) if x % 4 == 3 else None
    total = sum(await hw.gather(*work))
    if special is None:
        return total, ""
    end = (await hw.settle(special))[0]
    return total, repr(end.value) if end.error is None else type(end.error).__name__


@hw.task
async def main(size: int) -> list[tuple[int, str]]:
    return [result async for result in hw.map(part, range(size), window=4)]


if __name__ == "__main__":
    os.environ["RAN"] = sys.argv[3]  # for the workers
    size, pools = int(sys.argv[4]), {"process": 3}
    result = hw.run(main, size, store=sys.argv[1], run_id="kills", progress=False, pools=pools)
    Path(sys.argv[2]).write_text(repr(result))
