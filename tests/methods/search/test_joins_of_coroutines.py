"""Joins of plain coroutines inside of a run: what they cancel has stopped when they return, and no error is left lying about."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import headway as hw
from headway.sim.config import STEADY
from headway.sim.history import History


@hw.task
async def stubborn(seconds: float) -> float:
    """Takes half a second to stop, and says what it cost only then."""
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.sleep(0.5)
        hw.charge(tokens=1)
    return seconds


@hw.task
async def broken() -> None:
    await asyncio.sleep(1)
    raise KeyError("broken")


async def plainly(awaitable: Any) -> Any:
    return await awaitable


def test_a_gather_drains_the_calls_that_its_coroutines_waited_for(go):
    @hw.task
    async def program() -> tuple[float, list[str]]:
        with hw.budget(tokens=100) as budget:
            handles = [stubborn(50), stubborn(60)]
            with pytest.raises(KeyError):
                await hw.gather(*(plainly(handle) for handle in (*handles, broken())))
            return budget.spent["tokens"], [handle.state for handle in handles]

    assert go(program) == (2.0, ["cancelled", "cancelled"])


def test_a_race_drains_the_calls_that_its_coroutines_waited_for(go):
    @hw.task
    async def program() -> tuple[float, float]:
        with hw.budget(tokens=100) as budget:
            won = await hw.race(*(plainly(stubborn(seconds)) for seconds in (1, 50, 60)))
            return won, budget.spent["tokens"]

    assert go(program) == (1, 3.0)


def test_other_calls_of_the_program_are_not_waited_for(go, clock):
    @hw.task
    async def program() -> tuple[float, str]:
        other = stubborn(100)
        began = hw.now()
        await hw.race(*(plainly(stubborn(seconds)) for seconds in (1, 50)))
        return hw.now() - began, other.state

    took, state = go(program)
    assert took < 3
    assert state == "running"


def test_an_error_of_what_was_cancelled_is_not_complained_of(go, caplog):
    async def messy() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("it failed as it was stopped")

    @hw.task
    async def program() -> None:
        with pytest.raises(KeyError):
            await hw.gather(plainly(broken()), messy(), messy())

    go(program)
    gc.collect()
    assert not caplog.records


@hw.task
async def quick(x: int) -> int:
    return x


def test_the_winner_of_a_race_of_coroutines_stays_the_winner(go):
    """All of them have ended when the program runs again; the first to have ended is the one that won before."""
    stop = True

    async def slowly(x: int) -> int:
        await asyncio.sleep(10 - x if stop else x)
        return await quick(x)

    @hw.task
    async def program() -> tuple[int, int]:
        won = await hw.race(*(slowly(x) for x in range(4)), accept=lambda x: x != 3)
        other = await hw.race(*(slowly(x) for x in range(4)))
        if stop:
            raise RuntimeError("stop")
        return won, other

    with pytest.raises(RuntimeError):
        go(program)
    stop = False
    assert go(program) == (2, 3)
    assert go(program, run_id="another") == (0, 0)


def test_a_race_that_now_has_fewer_contestants_is_another_race(go):
    contestants = 3

    async def plain(x: int) -> int:
        await asyncio.sleep(10 - x if contestants == 3 else x)
        return x

    @hw.task
    async def program() -> int:
        won = await hw.race(*(plain(x) for x in range(contestants)))
        if contestants == 3:
            raise RuntimeError("stop")
        return won

    with pytest.raises(RuntimeError):
        go(program)
    contestants = 2
    assert go(program) == 0


def test_a_winner_that_would_not_win_again_does_not(go):
    refused: list[int] = []

    async def plain(x: int) -> int:
        await asyncio.sleep(x)
        return x

    @hw.task
    async def program() -> int:
        won = await hw.race(*(plain(x) for x in range(3)), accept=lambda x: x not in refused)
        if not refused:
            raise RuntimeError("stop")
        return won

    with pytest.raises(RuntimeError):
        go(program)
    refused.append(0)
    assert go(program) == 1


@hw.task
async def stopped_while_a_loser_fails() -> str:
    async def wins() -> str:
        await asyncio.sleep(1)
        return "won"

    async def fails_when_stopped() -> str:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.shield(asyncio.sleep(5))
        return "never"

    async def fails_at_once_when_stopped() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise ValueError("stopped") from None
        return "never"

    with hw.deadline(seconds=2, raises=False):
        return await hw.race(wins(), fails_when_stopped(), fails_at_once_when_stopped())
    await asyncio.sleep(10)
    return "stopped"


def test_errors_of_losers_are_heard_though_the_race_is_stopped_while_it_waits_for_them():
    history = History(1, STEADY)
    assert history.live(stopped_while_a_loser_fails).value == "stopped"
    history.check()
