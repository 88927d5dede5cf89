"""Python's searches of the whole heap wait while the journal answers, and for nothing else."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headway as hw
from headway.engine.replay.garbage import NEVER

OURS = (701, 11, 9)  # thresholds that nobody else sets


@hw.task
async def double(x: int) -> int:
    return 2 * x


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*OURS)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def seen(go: Callable[..., Any]) -> list[tuple[int, int, int]]:
    """The thresholds of a run and of its resume, each when it has made calls and a turn of the loop later."""
    seen: list[tuple[int, int, int]] = []
    first = True

    @hw.task(name="watching")
    async def program() -> int:
        handles = [double(i) for i in range(5)]
        seen.append(gc.get_threshold())
        await asyncio.sleep(0)
        seen.append(gc.get_threshold())
        total = sum(await hw.gather(*handles))
        if first:
            raise OSError("down")
        return total

    with pytest.raises(OSError, match="down"):
        go(program)
    first = False
    assert go(program) == 20
    return seen


def test_they_wait_for_the_end_of_the_turn_in_which_the_journal_answers(seen):
    assert seen == [OURS, OURS, (*OURS[:2], NEVER), OURS]


def test_what_the_program_sets_meanwhile_stays(go):
    first = True

    @hw.task(name="setting")
    async def program() -> int:
        total = sum(await hw.gather(*[double(i) for i in range(5)]))
        if first:
            raise OSError("down")
        gc.set_threshold(500, 5, 5)
        return total

    with pytest.raises(OSError, match="down"):
        go(program)
    first = False
    assert go(program) == 20
    assert gc.get_threshold() == (500, 5, 5)


def test_what_is_off_stays_off(go):
    first = True

    @hw.task(name="off")
    async def program() -> bool:
        await hw.gather(*[double(i) for i in range(5)])
        if first:
            raise OSError("down")
        return gc.isenabled()

    gc.disable()
    try:
        with pytest.raises(OSError, match="down"):
            go(program)
        first = False
        assert go(program) is False
        assert not gc.isenabled()
    finally:
        gc.enable()
