"""What the workers of `figures` run: a run that does nothing, and one that stays."""

from __future__ import annotations

import asyncio

import headway as hw


@hw.task
async def nothing(number: int) -> int:
    return number


@hw.task
async def stay(number: int) -> int:
    await asyncio.sleep(3600)
    return number


@hw.task
async def hold(number: int) -> int:
    return await stay(number)
