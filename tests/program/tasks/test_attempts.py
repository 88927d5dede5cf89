"""Retries: which children an attempt keeps, and attempts that are counted over a crash."""

from __future__ import annotations

import pytest
from failing_store import BreakingStore
from notes import RAN, SWITCH
from steps import reach_the_disk, work

import headway as hw


def test_a_retry_after_a_childs_failure_keeps_the_children_that_succeeded(go):
    @hw.task
    async def flaky() -> int:
        RAN.append("flaky")
        if RAN.count("flaky") < 3:
            raise OSError("down")
        return 1

    @hw.task(retry=hw.Retry(attempts=5))
    async def parent() -> int:
        return await work("kept") and await flaky()

    @hw.task
    async def program() -> int:
        return await parent()

    assert go(program) == 1
    assert RAN == ["kept", "flaky", "flaky", "flaky"]


def test_a_retry_after_an_own_failure_asks_the_children_afresh(go):
    @hw.task
    async def draw() -> float:
        RAN.append("draw")
        return hw.random().random()

    @hw.task(retry=hw.Retry(attempts=3))
    async def parent() -> float:
        value = await draw()
        if len(RAN) < 2:
            raise ValueError("not good enough")
        return value

    @hw.task
    async def program() -> float:
        return await parent()

    go(program)
    assert RAN == ["draw", "draw"]


def test_attempts_are_counted_over_a_crash(go, clock):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=100, jitter=0))
    async def flaky() -> int:
        RAN.append(hw.call().attempt)
        if len(RAN) == 2:
            await reach_the_disk()
            SWITCH["store"].broken = True
        raise OSError("down")

    @hw.task
    async def program() -> int:
        return await flaky()

    store = BreakingStore()
    SWITCH["store"] = store
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.broken = False
    with pytest.raises(OSError, match="down"):
        go(program, store=store)
    assert RAN[:2] == [1, 2]  # a third attempt may begin before the disk is heard to be full
    assert RAN[-2:] == [2, 3]
