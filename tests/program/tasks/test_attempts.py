"""Retries: which children an attempt keeps, and attempts that are counted over a crash."""

from __future__ import annotations

import asyncio

import pytest
from failing_store import BreakingStore
from notes import RAN, SWITCH
from steps import reach_the_disk, rest, work

import headway as hw
from headway.engine.call import current


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
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


def test_waits_that_an_attempt_leaves_behind_do_not_count_for_the_next(go):
    """asyncio.gather passes a failure on at once; what else it waits for ends later, when the call already rests."""

    @hw.task
    async def flaky() -> None:
        RAN.append("flaky")
        if RAN.count("flaky") == 1:
            raise OSError("down")

    @hw.task(retry=hw.Retry(attempts=2, delay_s=10, jitter=0))
    async def parent() -> tuple[int, int]:
        await asyncio.gather(flaky(), rest(100))
        frame = current.get()
        assert frame is not None
        return frame.call.extra().parks, frame.call.engine.ready.active

    @hw.task
    async def program() -> tuple[int, int]:
        return await parent()

    assert go(program) == (0, 1)


def test_an_attempt_that_waits_for_its_place_in_a_limit_takes_none_for_the_next(go):
    busy: list[str] = []

    async def fail_later() -> None:
        await asyncio.sleep(5)
        if hw.call().attempt == 1:
            raise OSError("down")

    async def alone(name: str, seconds: float) -> None:
        busy.append(name)
        assert busy == [name]
        await asyncio.sleep(seconds)
        busy.remove(name)

    @hw.task(limit=hw.limit(1, name="door"), retry=hw.Retry(attempts=2, delay_s=10, jitter=0))
    async def tried_twice() -> None:
        await asyncio.gather(fail_later(), hw.sleep(1))
        await hw.sleep(1)
        await alone("tried twice", 50)

    @hw.task(limit=hw.limit(1, name="door"))
    async def occupy() -> None:
        await alone("occupier", 100)

    @hw.task
    async def program() -> None:
        await hw.gather(tried_twice(), *[occupy() for _ in range(4)])

    go(program)
    assert busy == []
