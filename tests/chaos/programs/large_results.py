"""The program whose disk fails: effects, budgets, and results large enough for a file of their own. Not a test by itself.

python large_results.py STORE RESULT RAN SIZE
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import headway as hw

BLOB_BYTES = 24_000


def ran(kind: str) -> None:
    facts = hw.call()
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{kind} {facts.key} {facts.idempotency_key}\n")


@hw.task
async def large(x: int) -> bytes:
    ran("large")
    return random.Random(x).randbytes(BLOB_BYTES)


@hw.task(effect=True)
async def pay(x: int, page: bytes) -> str:
    ran("pay")
    return f"paid {x} for {len(page)} bytes and {sum(page)}"


@hw.task
async def step(x: int) -> str:
    ran("step")
    with hw.budget(calls=10):
        return await pay(x, hw.ref(large(x)))


@hw.task
async def main(size: int) -> list[str]:
    return [result async for result in hw.map(step, range(size), window=2)]


if __name__ == "__main__":
    try:
        result = hw.run(main, int(sys.argv[4]), store=sys.argv[1], run_id="kills", progress=False)
    except hw.HeadwayError as error:
        notes = " ".join(getattr(error, "__notes__", ()))
        print(f"{type(error).__name__}: {error} {notes}", file=sys.stderr)
        sys.exit(1)
    Path(sys.argv[2]).write_text(repr(result))
