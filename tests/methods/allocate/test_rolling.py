"""Calls that are kept running, each chosen by what those before it came to."""

from __future__ import annotations

import asyncio

import pytest

import headway as hw
from headway.engine.handle import Handle
from headway.methods.allocate.rolling import keep_running


@hw.task
async def work(price: int, seconds: float) -> int:
    await buy.options(cost={"tokens": price})()
    await asyncio.sleep(seconds)
    return price


@hw.task
async def buy() -> None:
    pass


async def keep(tried: list[tuple[int, float]], parallel: int) -> tuple[list[int], list[int]]:
    """Work on what is tried, within 10 tokens: what was asked, and what was told."""
    asked, told = list[int](), list[int]()

    def ask() -> tuple[int, Handle[int]] | None:
        if len(asked) == len(tried):
            return None
        price, seconds = tried[len(asked)]
        asked.append(price)
        return price, work(price, seconds)

    with hw.budget(tokens=10), pytest.raises(hw.BudgetExceeded):
        await keep_running(ask, lambda price, call: told.append(call.result()), parallel)
    return asked, told


def test_nothing_more_is_asked_after_a_refusal_and_what_runs_beside_it_is_told(go):
    @hw.task
    async def program() -> tuple[list[int], list[int]]:
        return await keep([(4, 5.0), (99, 1.0), (3, 1.0), (2, 1.0)], parallel=2)

    assert go(program) == ([4, 99], [4])


def test_a_refusal_is_raised_though_what_runs_beside_it_could_go_on(go):
    @hw.task
    async def program() -> tuple[list[int], list[int]]:
        return await keep([(1, 9.0), (2, 1.0), (99, 1.0), (1, 1.0)], parallel=3)

    assert go(program) == ([1, 2, 99], [2, 1])
