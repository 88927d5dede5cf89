"""The program whose agents are killed, stopped, or lose a worker. Not a test by itself.

    python killed_machines.py STORE RESULT RAN SIZE

Each call of `doomed` says what is to happen to the machine that runs it, and waits for that in its first attempt.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import headway as hw

WAYS = ("worker", "agent", "stop")


def tell(what: str) -> None:
    facts = hw.call()
    with Path(os.environ["RAN"]).open("a") as file:
        file.write(f"{what} {facts.key} {facts.idempotency_key} {os.getpid()} {facts.attempt}\n")


@hw.task(pool="process", retry=hw.Retry(attempts=200, delay_s=0.01, factor=1.0, on=(hw.WorkerDied,)))
def heavy(x: int) -> int:
    tell("heavy")
    return sum(k % 7 for k in range(20_000 + x))


@hw.task(pool="process", retry=hw.Retry(attempts=200, delay_s=0.01, factor=1.0, on=(hw.WorkerDied,)))
def doomed(x: int, way: str) -> int:
    if not Path(f"{os.environ['RAN']}.{x}").exists():  # also where the driver died meanwhile
        Path(f"{os.environ['RAN']}.{x}").touch()
        tell(way)
        while True:
            signal.pause()
    tell("survived")
    return -x


@hw.task
async def part(x: int) -> int:
    return sum(await hw.gather(doomed(x, WAYS[x % 3]), heavy(x), heavy(-x - 1)))


@hw.task
async def main(size: int) -> list[int]:
    return [result async for result in hw.map(part, range(size), window=2)]


if __name__ == "__main__":
    os.environ["RAN"] = sys.argv[3]  # for the workers
    pools = {"process": hw.Hired("local:2x1cpu", patience_s=2.0)}
    result = hw.run(main, int(sys.argv[4]), store=sys.argv[1], run_id="kills", progress=False, pools=pools)
    Path(sys.argv[2]).write_text(repr(result))
