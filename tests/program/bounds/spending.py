"""Calls that spend, and what the tests of budgets that wait note of them."""

from __future__ import annotations

import asyncio
from typing import Any

import headway as hw

ORDER: list[str] = []
HANDLES: list[Any] = []  # for calls that wait for what is no part of them


@hw.task(cost={"tokens": 40})
async def spends(name: str, seconds: float = 1, tokens: float = 10) -> str:
    ORDER.append(name)
    await asyncio.sleep(seconds)
    hw.charge(tokens=tokens)
    return name


def priced(cost: float, **options: Any) -> Any:
    return spends.options(cost={"tokens": cost}, **options)
