"""Small tasks that the tests of budgets, deadlines and resumes are made of."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from notes import RAN, SWITCH

import headway as hw

PATIENCE_S = 60.0  # of a thread that is told something soon, on a machine that has other work


@hw.task
async def work(x: Any) -> Any:
    RAN.append(x)
    return x


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    RAN.append(seconds)
    return seconds


@hw.task
async def spend(tokens: float) -> float:
    RAN.append(tokens)
    hw.charge(tokens=tokens)
    return tokens


@hw.task(cost={"tokens": 40})
async def reserving(x: int, charged: float | None = None) -> int:
    await asyncio.sleep(1)
    RAN.append(x)
    if charged is not None:
        hw.charge(tokens=charged)
    return x


@hw.task(effect=True)
async def reach_the_disk() -> None:
    """An effect starts only when all before it is durable."""


def stop_once() -> None:
    """Fail the run the first time, and let the next one pass."""
    if not SWITCH.get("stopped"):
        SWITCH["stopped"] = True
        raise RuntimeError("stop")


async def until_set(event: threading.Event) -> None:
    """Wait on the loop for what a thread says. A virtual clock stands still meanwhile."""
    assert await asyncio.to_thread(event.wait, PATIENCE_S)


def wait_until_set(event: threading.Event) -> None:
    """Wait in a thread for what the loop says."""
    assert event.wait(PATIENCE_S)
