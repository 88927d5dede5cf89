"""Shielded blocks beside other blocks, deadlines and timeouts of one call: each holds for as long as it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from notes import RAN

import headway as hw


@hw.task(effect=True)
async def do(what: str, seconds: float = 0) -> None:
    await asyncio.sleep(seconds)
    RAN.append(what)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 1)


def stop_after(seconds: float, make: Callable[[], hw.Handle[Any]]) -> Any:
    """A program that makes a call and cancels it: how the call ends, and when."""

    @hw.task
    async def program() -> tuple[str, float]:
        call = make()
        await hw.sleep(seconds)
        call.cancel()
        error = (await hw.settle(call))[0].error
        return type(error).__name__, now()

    return program


def test_a_short_block_inside_of_a_long_one_does_not_shorten_it(go):
    @hw.task
    async def nested() -> None:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded(timeout=100):
                with hw.shielded(timeout=2):
                    await do("inner", 1)
                await do("outer", 50)
            raise

    assert go(stop_after(10, nested)) == ("CallCancelled", 61)
    assert RAN == ["inner", "outer"]


def test_a_block_that_was_open_before_the_stop_and_ignores_its_timeout_is_left_behind(go):
    @hw.task
    async def deaf() -> None:
        with hw.shielded(timeout=20):
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1000)

    with pytest.warns(RuntimeWarning, match="still runs 4 s later"):
        assert go(stop_after(10, deaf)) == ("CallCancelled", 24)


def test_code_that_goes_on_after_a_block_that_took_too_long_hears_of_the_stop(go):
    @hw.task
    async def careless() -> None:
        with contextlib.suppress(hw.CallTimeout), hw.shielded(timeout=20):
            await do("slow", 1000)
        try:
            await asyncio.sleep(500)
        except asyncio.CancelledError:
            RAN.append("heard")
            raise

    assert go(stop_after(10, careless)) == ("CallCancelled", 20)
    assert RAN == ["heard"]


def test_a_deadline_that_passes_while_a_block_is_open_waits_for_its_end(go):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=10, raises=False) as deadline:
            with hw.shielded(timeout=100):
                await do("shielded", 20)
            await hw.sleep(100)
        assert deadline.expired
        return now()

    assert go(program) == 20
    assert RAN == ["shielded"]


def test_so_does_the_end_of_an_anytime_block(go):
    @hw.task
    async def program() -> tuple[str, float]:
        with hw.anytime(within_s=10) as block:
            with hw.shielded(timeout=100):
                await do("shielded", 20)
            await hw.sleep(100)
        return block.stopped, now()

    assert go(program) == ("deadline", 20)
    assert RAN == ["shielded"]


def test_a_deadline_inside_of_a_block_holds(go):
    @hw.task
    async def program() -> float:
        with hw.shielded(timeout=100), hw.deadline(seconds=10, raises=False):
            await do("too slow", 20)
        return now()

    assert go(program) == 10
    assert RAN == []


def test_a_block_that_ignores_its_timeout_does_not_hold_off_a_deadline_for_ever(go):
    @hw.task
    async def deaf() -> None:
        with hw.deadline(seconds=10), hw.shielded(timeout=20):
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1000)

    @hw.task
    async def program() -> str:
        return type((await hw.settle(deaf()))[0].error).__name__

    with pytest.warns(RuntimeWarning, match="left behind"):
        assert go(program) == "DeadlineExceeded"


def test_a_block_that_took_too_long_and_raised_an_error_of_its_own_leaves_no_cancellation_behind(go):
    @hw.task
    async def program() -> int:
        with contextlib.suppress(ValueError), hw.shielded(timeout=5):
            try:
                await do("slow", 100)
            finally:
                raise ValueError("its own")
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert go(program) == 0


def test_a_thread_of_an_async_task_is_refused_a_block():
    @hw.task
    async def program() -> str:
        def work() -> None:
            with hw.shielded():
                RAN.append("never")

        try:
            await asyncio.to_thread(work)
        except hw.UsageError as error:
            return str(error)
        return ""

    assert "open it in an async task" in hw.run(program, store=None)
    assert RAN == []
