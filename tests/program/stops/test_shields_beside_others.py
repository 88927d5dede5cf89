"""Shielded blocks beside other blocks, deadlines and timeouts of one call: each holds for as long as it says."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
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


async def undo_late(what: str, seconds: float) -> None:
    try:
        await hw.sleep(100)
    except asyncio.CancelledError:
        with hw.shielded(timeout=60):
            await do(what, seconds)
        raise


def test_coroutines_of_a_join_undo_what_they_did_however_long_it_takes(go):
    @hw.task
    async def both() -> None:
        await hw.gather(undo_late("one", 20), undo_late("two", 30))

    assert go(stop_after(10, both)) == ("CallCancelled", 40)
    assert RAN == ["one", "two"]


def test_a_coroutine_that_hears_of_the_stop_first_breaks_in_on_no_block_beside_it(go):
    async def part(what: str, seconds: float) -> None:
        with hw.shielded(timeout=60):
            await do(what, seconds)
        await hw.sleep(100)

    @hw.task
    async def both() -> None:
        await hw.gather(part("one", 15), part("two", 30))

    assert go(stop_after(10, both)) == ("CallCancelled", 30)
    assert RAN == ["one", "two"]


def test_a_coroutine_that_loses_a_race_leaves_its_block_first(go):
    async def loses() -> str:
        with hw.shielded(timeout=60):
            await do("whole", 20)
        await hw.sleep(100)
        return "lost"

    async def wins() -> str:
        await hw.sleep(10)
        return "won"

    @hw.task
    async def program() -> tuple[str, float]:
        return await hw.race(loses(), wins()), now()

    assert go(program) == ("won", 20)
    assert RAN == ["whole"]


def test_a_race_inside_of_a_block_stops_who_loses_it(go):
    async def rests(seconds: float) -> float:
        await hw.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> tuple[float, float]:
        with hw.shielded(timeout=60):
            return await hw.race(rests(1), rests(30)), now()

    assert go(program) == (1, 1)


def test_a_scope_of_code_that_is_freed_in_another_context_is_left_without_a_word():
    class Ever:
        def __await__(self) -> Any:
            yield

    async def inside() -> None:
        with hw.budget(tokens=1):
            await Ever()

    @hw.task
    async def program() -> str:
        coroutine = inside()
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()
        return "closed"

    assert hw.run(program, store=None) == "closed"


def test_code_in_a_block_need_not_stop(go):
    @hw.task
    async def asks() -> None:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded():
                RAN.append(hw.stopping())
            RAN.append(hw.stopping())
            raise

    go(stop_after(10, asks))
    assert RAN == [False, True]


@hw.task(cost={"usd": 1})
async def pay() -> None:
    RAN.append("pay")


@hw.task(cost={"usd": 0})
async def refund() -> None:
    RAN.append("refund")


def test_what_promises_to_spend_nothing_undoes_also_where_the_budget_is_used_up(go):
    @hw.task
    async def buys() -> None:
        await pay()
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded():
                await refund()
            raise

    @hw.task
    async def program() -> None:
        with hw.budget(usd=1):
            call = buys.options(cost={"usd": 0})()
            await hw.sleep(10)
            call.cancel()
            await hw.settle(call)

    go(program)
    assert RAN == ["pay", "refund"]
