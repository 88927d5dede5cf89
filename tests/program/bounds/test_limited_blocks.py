"""Limits, rates and resources: what a block or a task asks for, and how many get it at a time."""

from __future__ import annotations

import asyncio

import pytest

import headway as hw


@pytest.mark.on_postgres
def test_a_limit_bounds_concurrency_of_all_that_is_inside(go):
    high = [0, 0]

    @hw.task
    async def leaf() -> None:
        high[0] += 1
        high[1] = max(high)
        await asyncio.sleep(1)
        high[0] -= 1

    @hw.task
    async def branch() -> None:
        await hw.gather(*(leaf() for _ in range(5)))

    @hw.task
    async def program() -> int:
        with hw.limit(3):
            await hw.gather(*(branch() for _ in range(4)))
        return high[1]

    assert go(program) <= 3


@pytest.mark.on_postgres
def test_a_rate_spreads_starts_over_time(go, clock):
    @hw.task
    async def stamp() -> float:
        return clock.now

    @hw.task
    async def program() -> list[float]:
        with hw.limit(rate=10, per_s=60):
            return await hw.gather(*(stamp() for _ in range(25)))

    began = clock.now
    times = sorted(time - began for time in go(program))
    for start in times:
        assert sum(start <= other < start + 60 for other in times) <= 10
    assert times[-1] == pytest.approx(120, abs=1)


def test_a_named_limit_is_shared_through_the_store(go, tmp_path):
    @hw.task
    async def leaf() -> float:
        await asyncio.sleep(1)
        return 1

    @hw.task
    async def program() -> float:
        with hw.limit(2, name="provider"):
            return sum(await hw.gather(*(leaf() for _ in range(6))))

    assert go(program) == 6
    assert go(program, run_id="second") == 6


def test_resources_are_held_by_those_who_ask(go):
    high = [0, 0]

    @hw.task(resources={"gpu": 1})
    async def train() -> None:
        high[0] += 1
        high[1] = max(high)
        await asyncio.sleep(1)
        high[0] -= 1

    @hw.task
    async def program() -> int:
        await hw.gather(*(train() for _ in range(7)))
        return high[1]

    assert go(program, resources={"gpu": 2}) == 2
    with pytest.raises(hw.ResourceUnavailable, match="gpu"):
        go(program, run_id="none")
