"""Streams after a crash or a failure: what was handed out is handed out again, and what follows goes on after it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
from doubles import double, doubles, made, read

import headway as hw


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()


# --- resuming ------------------------------------------------------------------------------------------------------------


class Stop(Exception):
    """What ends a life of a run in the middle."""


@pytest.mark.on_postgres
def test_a_resume_hands_out_the_recorded_items_before_the_task_runs_and_goes_on_after_them(go):
    lives: list[int] = []

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in doubles(8):
            seen.append(item)
            if len(lives) == 1 and item == 6:
                raise Stop
            if len(lives) == 2 and item == 6:
                made.append("read four")
        return seen

    with pytest.raises(Stop):
        go(program)
    before = [each for each in made if isinstance(each, tuple)]
    made.clear()
    assert go(program) == [2 * n for n in range(8)]
    ran = [each for each in made if isinstance(each, tuple)]
    assert not set(before) & set(ran)
    assert made.index("read four") < made.index(0)


def test_a_resume_of_a_loop_that_is_left_gets_the_same_items_although_the_task_would_yield_others(go):
    @hw.task
    async def samples() -> AsyncIterator[float]:
        while True:
            yield time.perf_counter()

    lives: list[float] = []

    @hw.task
    async def program() -> float:
        async for sample in samples():
            lives.append(sample)
            break
        if len(lives) == 1:
            raise Stop
        return sample

    with pytest.raises(Stop):
        go(program)
    assert go(program) == lives[0]


@pytest.mark.on_postgres
def test_a_finished_stream_is_answered_from_the_journal_without_running(go):
    lives: list[int] = []

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = await read(doubles(40))
        if len(lives) == 1:
            raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    made.clear()
    assert go(program) == [2 * n for n in range(40)]
    assert made == []


@pytest.mark.parametrize("way", ["other", "fewer"])
def test_a_stream_that_yields_something_else_when_it_runs_again_fails_and_says_so(go, way):
    lives: list[int] = []

    @hw.task(window=1)
    async def unsteady() -> AsyncIterator[int]:
        for n in range(2 if len(lives) == 2 and way == "fewer" else 6):
            yield n if len(lives) == 1 or n < 2 else -n

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in unsteady():
            seen.append(item)
            if len(lives) == 1 and item == 3:
                await hw.sleep(1)
                raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    with pytest.raises(hw.ItemChanged, match="had handed out item 2"):
        go(program)


def test_with_on_change_rerun_the_new_items_are_handed_out(go):
    lives: list[int] = []

    @hw.task(on_change="rerun", window=1)
    async def edited() -> AsyncIterator[int]:
        for n in range(4):
            yield n + 10 * len(lives)

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in edited():
            seen.append(item)
            if len(lives) == 1 and len(seen) == 2:
                raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    assert go(program) == [20, 21, 22, 23]


def test_what_a_reader_or_the_task_does_to_an_item_changes_no_other_reader_s(go):
    @hw.task
    async def grows() -> AsyncIterator[list[int]]:
        items: list[int] = []
        for n in range(3):
            items.append(n)
            yield items

    async def spoil(stream: hw.Stream[list[int]]) -> list[list[int]]:
        seen = []
        async for item in stream:
            seen.append(list(item))
            item.append(-1)
        return seen

    @hw.task
    async def program() -> list[list[list[int]]]:
        stream = grows()
        return [await spoil(stream), await spoil(stream)]

    assert go(program) == [[[0], [0, 1], [0, 1, 2]]] * 2


@dataclass
class Found:
    name: str
    data: np.ndarray


@hw.task
async def large_ones(count: int) -> AsyncIterator[Found]:
    data = np.zeros(100_000)
    for n in range(count):
        made.append(n)
        data += 1
        yield Found("x" * 40_000 if n % 2 else "short", data)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.on_postgres
def test_large_items_come_back_as_they_were_yielded(go, stored):
    lives: list[int] = []

    @hw.task
    async def program() -> list[tuple[int, float]]:
        lives.append(1)
        stream = large_ones(6)
        seen = []
        async for found in stream:
            seen.append((len(found.name), float(found.data.sum())))
            await hw.sleep(10)
        again = [(len(found.name), float(found.data.sum())) async for found in stream]
        assert again == seen
        if len(lives) == 1 and stored:
            raise Stop
        return seen

    if stored:
        with pytest.raises(Stop):
            go(program)
        made.clear()
    wanted = [(40_000 if n % 2 else 5, (n + 1) * 100_000.0) for n in range(6)]
    assert go(program, **({} if stored else {"store": None})) == wanted
    assert made == ([] if stored else list(range(6)))


# --- trying again ----------------------------------------------------------------------------------------------------------


@pytest.mark.on_postgres
def test_a_retry_goes_on_after_the_items_that_were_handed_out(go):
    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=3, delay_s=1))
    async def flaky() -> AsyncIterator[int]:
        tries.append(1)
        for n in range(6):
            if len(tries) == 1 and n == 4:
                raise ValueError("by itself")
            yield await double(n)

    @hw.task
    async def program() -> list[int]:
        return await read(flaky())

    assert go(program) == [2 * n for n in range(6)]
    assert len(tries) == 2
    assert sorted(each for each in made if isinstance(each, tuple)) == [("double", n) for n in range(6)]  # each once


def test_a_retry_that_can_not_yield_them_again_fails(go):
    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=5, delay_s=1))
    async def flaky() -> AsyncIterator[int]:
        tries.append(1)
        yield len(tries)
        raise ValueError("by itself")

    @hw.task
    async def program() -> list[int]:
        return await read(flaky())

    with pytest.raises(hw.ItemChanged):
        go(program)
    assert len(tries) == 2


def test_a_caller_that_is_tried_again_because_of_a_child_gets_the_items_that_it_had(go):
    tries: list[int] = []

    @hw.task
    async def breaks(item: int) -> int:
        if item == 6 and len(tries) == 1:
            raise ValueError("no six")
        return item

    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def reads() -> list[int]:
        tries.append(1)
        return [await breaks(item) async for item in doubles(40)]

    assert go(reads) == [2 * n for n in range(40)]
    assert len(tries) == 2
    assert len([each for each in made if isinstance(each, tuple)]) == 40  # no call was made again


def test_a_failed_stream_that_is_asked_again_may_yield_other_items(go):
    lives: list[int] = []

    @hw.task
    async def unsteady() -> AsyncIterator[int]:
        for n in range(2):
            yield n + 10 * len(lives)
        if len(lives) == 1:
            raise ValueError("by itself")

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        return await read(unsteady())

    with pytest.raises(ValueError, match="by itself"):
        go(program)
    assert go(program) == [20, 21]
    assert go(program) == [20, 21]
