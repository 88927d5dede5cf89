"""Tasks that the tests of joins wait for."""

from __future__ import annotations

import asyncio

from notes import RAN

import headway as hw


@hw.task
async def add(a: int, b: int = 1) -> int:
    RAN.append((a, b))
    return a + b


@hw.task
async def fail(text: str) -> int:
    raise ValueError(text)


@hw.task
async def rest_so_long(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hw.task
async def rest(seconds: float, value: int = 0) -> int:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        RAN.append(("cancelled", seconds))
        raise
    RAN.append(("rested", seconds))
    return value
