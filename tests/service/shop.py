"""A program for workers in processes of their own: it notes what it does in the folder that SHOP names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import headway as hw

NOTES = Path(os.environ.get("SHOP", "."))


def note(text: str) -> None:
    with (NOTES / "notes.txt").open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


@hw.task(effect=True)
async def charge(order: int, part: int) -> int:
    note(f"charge {order}.{part}")
    await asyncio.sleep(0.05)
    (NOTES / hw.call().idempotency_key).touch()
    return part


@hw.task
async def sell(order: int, parts: int) -> int:
    return sum([await charge(order, part) for part in range(parts)])


@hw.task
async def ship(order: int) -> str:
    await charge(order, 0)
    note(f"waits {order}")
    return str(await hw.wait_event("approved"))


@hw.task
async def grind(order: int, seconds: float) -> int:
    await charge(order, 0)
    note(f"grinds {order}")
    await asyncio.sleep(seconds)
    return await charge(order, 1)


@hw.task
async def block(order: int) -> int:
    """Blocks its event loop, as no async code should."""
    import time

    if not (NOTES / "blocked").exists():
        (NOTES / "blocked").touch()
        note(f"blocks {order}")
        time.sleep(60)  # noqa: ASYNC251 - that is what is tested
    return order
