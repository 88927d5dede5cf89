"""A limit that a task has by itself: as if its block stood around each of its calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import headway as hw

NOW: list[str] = []
MOST: list[int] = []
STARTS: list[float] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    for notes in (NOW, MOST, STARTS):
        notes.clear()


async def work(name: str) -> str:
    NOW.append(name)
    MOST.append(len(NOW))
    await asyncio.sleep(1)
    NOW.remove(name)
    return name


@hw.task(limit=2)
async def few(n: int) -> str:
    return await work(f"few {n}")


@hw.task(limit=hw.limit(3, name="desk"))
async def named(n: int) -> str:
    return await work(f"named {n}")


@hw.task
async def many(task: str, size: int) -> int:
    calls = {"few": few, "named": named}[task]
    return len(await hw.gather(*(calls(n) for n in range(size))))


def test_so_many_calls_run_at_a_time(go, clock):
    assert go(many, "few", 10) == 10
    assert max(MOST) == 2
    assert clock.elapsed >= 5


def test_calls_in_different_places_share_the_limit_of_their_task(go):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather(many("few", 3), many("few", 4))

    assert go(program) == [3, 4]
    assert max(MOST) == 2


@pytest.mark.on_postgres
def test_a_limit_with_a_name_is_that_of_blocks_with_its_name(go):
    @hw.task
    async def free(n: int) -> str:
        return await work(f"free {n}")

    async def in_a_block() -> int:
        with hw.limit(3, name="desk"):
            return len(await hw.gather(*(free(n) for n in range(5))))

    @hw.task
    async def program() -> list[int]:
        return await hw.gather(many("named", 5), in_a_block())

    assert go(program) == [5, 5]
    assert max(MOST) == 3


def test_a_block_around_the_call_counts_too(go):
    @hw.task
    async def program() -> int:
        with hw.limit(1):
            return len(await hw.gather(*(few(n) for n in range(4))))

    assert go(program) == 4
    assert max(MOST) == 1


def test_a_task_that_calls_itself_under_its_limit_goes_on(go):
    @hw.task(limit=1)
    async def deep(n: int) -> int:
        return 0 if n == 0 else 1 + await deep(n - 1)

    assert go(deep, 5) == 5


def test_a_rate_bounds_the_starts_of_all_calls_in_any_window(go, clock):
    @hw.task(limit=hw.limit(rate=2, per_s=10))
    async def rated(n: int) -> int:
        STARTS.append(clock.elapsed)
        return n

    @hw.task
    async def program() -> int:
        return len(await hw.gather(*(rated(n) for n in range(3)))) + len(await hw.gather(*(rated(n) for n in range(3, 6))))

    assert go(program) == 6
    assert all(later - earlier >= 10 for earlier, later in zip(STARTS, STARTS[2:], strict=False))


def test_the_first_task_of_a_run_has_its_limit_too(go):
    @hw.task(limit=hw.limit(1, name="one program"))
    async def program() -> int:
        with hw.limit(1, name="one program"):
            return len(await hw.gather(*(few(n) for n in range(3))))

    assert go(program) == 3
    assert max(MOST) == 1


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, "3", {"rate": 3}])
def test_what_is_no_limit_is_refused(limit: Any):
    with pytest.raises(hw.UsageError, match="limit="):

        @hw.task(limit=limit)
        async def wrong() -> None: ...


def test_outside_of_a_run_it_does_nothing():
    assert asyncio.run(few(1)) == "few 1"
