"""The program that test_kills kills: gathers, races, retries, budgets, effects and process tasks. Not a test by itself.

    python program.py STORE RESULT RAN SIZE

Each call appends its key to RAN before it does anything, each effect appends its idempotency key; the result goes to RESULT.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import headway as hw


def ran(kind: str) -> None:
    """One write, so that a kill leaves whole lines."""
    facts = hw.call()
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{kind} {facts.key} {facts.idempotency_key}\n")


@hw.task
async def leaf(x: int) -> int:
    ran("leaf")
    await asyncio.sleep(0.002 * (x % 5))
    return x * x


@hw.task(pool="process")
def heavy(x: int) -> int:
    ran("heavy")
    total = 0
    for k in range(20_000 + x):
        total += k % 7
        if k % 5_000 == 0:
            hw.charge(nodes=1)
    return total


@hw.task(effect=True)
async def pay(x: int) -> str:
    ran("pay")
    return f"paid {x}"


@hw.task(retry=hw.Retry(attempts=4, delay_s=0.005))
async def flaky(x: int) -> int:
    value = await leaf(x + 1000)
    if hw.call().attempt < 3:
        raise OSError("down")
    return value


@hw.task
async def slow(x: int) -> int:
    await asyncio.sleep(5)
    return -x


@hw.task
async def branch(x: int) -> tuple[int, int, int, str, int, dict[str, float]]:
    with hw.budget(nodes=100, calls=5_000) as budget:
        squares = await hw.gather(*(leaf(x * 10 + k) for k in range(5)))
        hw.charge(nodes=7)
        work = heavy(x)
        won = await hw.race(leaf(x + 5000), slow(x))
        tried, receipt = await hw.gather(flaky(x), pay(x))
        return sum(squares), await work, tried, receipt, won, {"nodes": budget.spent["nodes"]}


@hw.task
async def main(size: int) -> list[tuple[int, int, int, str, int, dict[str, float]]]:
    return [result async for result in hw.map(branch, range(size), window=4)]


if __name__ == "__main__":
    result = hw.run(main, int(sys.argv[4]), store=sys.argv[1], run_id="kills", progress=False)
    Path(sys.argv[2]).write_text(repr(result))
