"""A program whose calls run in pools that its run brings. It is killed and gone on with; files tell how often each call ran."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import own

import headway as hw

POOLS = {"box": own.ExecutorPool, "far": own.SocketPool}


@hw.task(pool="box")
def boxed(folder: str, x: int) -> int:
    _note(folder, f"boxed-{x}")
    hw.charge(steps=1)
    return x * 3


@hw.task(pool="far")
def far(folder: str, x: int) -> int:
    _note(folder, f"far-{x}")
    return x * 5


@hw.task
async def program(folder: str, n: int) -> int:
    total = 0
    with hw.budget(steps=100) as book:
        for x in range(n):
            total += sum(await hw.gather(boxed(folder, x), far(folder, x)))
            if x == 1 and not Path(folder, "killed").exists():
                await durable()
                Path(folder, "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
    return total + int(book.spent["steps"])


@hw.task(effect=True)
async def durable() -> None:
    """Begins when all before it is durable."""


def _note(folder: str, name: str) -> None:
    with Path(folder, name).open("a") as file:
        file.write("x")


if __name__ == "__main__":
    print(hw.run(program, sys.argv[1], 4, store=sys.argv[2], run_id="run", pools=POOLS))
