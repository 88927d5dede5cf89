"""The program that is stopped and whose clock jumps: a long stream of short calls and effects. Not a test by itself.

    python stream.py STORE RESULT RAN SIZE

LEASE_S is how long its lease lasts, TAKE_OVER whether it takes the run from a living driver, CLOCK_FILE its clock. It leaves
with code 3 when somebody else drives the run, with 1 and one sentence after any other error of Headway's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import shifted  # noqa: F401 - sets the clock, so it comes before Headway

import headway as hw
from headway.engine.replay import claim


def tell(what: str) -> None:
    """One write, so that a kill leaves whole lines."""
    facts = hw.call()
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what} {facts.key} {facts.idempotency_key}\n")


@hw.task
async def step(x: int) -> int:
    tell("began")
    await asyncio.sleep(0.002 * (x % 4))
    tell("ended")
    return x * x


@hw.task(effect=True)
async def pay(x: int) -> str:
    tell("pay")
    return f"paid {x}"


@hw.task(retry=hw.Retry(attempts=3, delay_s=0.02))
async def flaky(x: int) -> int:
    if hw.call().attempt < 2:
        raise OSError("down")
    return -x


@hw.task
async def work(x: int) -> tuple[int, str, int]:
    with hw.deadline(seconds=172_800), hw.limit(3):  # no jump of the tests goes past it
        value = await step(x)
    paid = await pay(x) if x % 25 == 0 else ""
    return value, paid, await flaky(x) if x % 25 == 1 else 0


@hw.task
async def main(size: int) -> list[tuple[int, str, int]]:
    return [result async for result in hw.map(work, range(size), window=6)]


if __name__ == "__main__":
    claim.LEASE_S = float(os.environ.get("LEASE_S", claim.LEASE_S))
    try:
        result = hw.run(
            main, int(sys.argv[4]), store=sys.argv[1], run_id="kills", progress=False, take_over="TAKE_OVER" in os.environ
        )
    except hw.HeadwayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, hw.RunOwned) else 1)
    Path(sys.argv[2]).write_text(repr(result))
