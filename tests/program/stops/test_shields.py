"""Code that is stopped undoes what it did, in a block that the stop does not interrupt."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from notes import RAN

import headway as hw

HEARD: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    HEARD.clear()


@hw.task(effect=True)
async def book(seat: str) -> str:
    RAN.append(f"book {seat}")
    return seat


@hw.task(effect=True)
async def cancel_booking(seat: str, rest_s: float = 0) -> None:
    await asyncio.sleep(rest_s)
    RAN.append(f"cancel {seat}")


@hw.task
async def travel(seat: str, seconds: float = 100, rest_s: float = 0) -> str:
    booked = await book(seat)
    try:
        await hw.sleep(seconds)
    except asyncio.CancelledError:
        HEARD.append(seat)
        with hw.shielded(timeout=60):
            await cancel_booking(booked, rest_s)
        raise
    return booked


async def cancelled() -> Any:
    trip = travel("7A")
    await hw.sleep(10)
    trip.cancel()
    return (await hw.settle(trip))[0].error


async def outlived_its_deadline() -> Any:
    with hw.deadline(seconds=10, raises=False):
        await travel("7A")


async def lost_its_race() -> Any:
    await hw.race(travel("7A"), hw.sleep(10))


async def waited_for_no_longer() -> Any:
    try:
        async with asyncio.timeout(10):
            await travel("7A")
    except TimeoutError:
        return None


@hw.task
async def around() -> str:
    return await travel("7A")


async def stopped_with_what_is_around_it() -> Any:
    trip = around()
    await hw.sleep(10)
    trip.cancel()
    await hw.settle(trip)


ENDS = (cancelled, outlived_its_deadline, lost_its_race, waited_for_no_longer, stopped_with_what_is_around_it)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.on_postgres
def test_what_a_stopped_call_did_is_undone_whoever_stopped_it(go, clock, end):
    @hw.task
    async def program() -> float:
        await end()
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(10, abs=0.2)
    assert RAN == ["book 7A", "cancel 7A"]


def test_a_timeout_of_the_task_is_a_stop_too(go):
    @hw.task(timeout=10)
    async def hasty() -> str:
        return await travel("7A")

    @hw.task
    async def program() -> str:
        return type((await hw.settle(hasty()))[0].error).__name__

    assert go(program) == "CallTimeout"
    assert RAN == ["book 7A", "cancel 7A"]


def test_a_stopped_call_still_makes_no_calls_outside_of_the_block(go):
    @hw.task
    async def stubborn() -> str:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded():
                await book("inside")
            await book("outside")
        return "never"

    @hw.task
    async def program() -> None:
        call = stubborn()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)

    go(program)
    assert RAN == ["book inside"]


def test_the_end_of_the_call_waits_for_the_block(go):
    @hw.task
    async def program() -> float:
        trip = travel("7A", 100, 50)
        await hw.sleep(10)
        trip.cancel()
        await hw.settle(trip)
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(60, abs=0.2)


def test_a_stop_that_comes_while_the_block_is_open_waits_for_its_end(go):
    @hw.task
    async def transfer() -> None:
        with hw.shielded(timeout=100):
            await cancel_booking("first half", 20)
            await cancel_booking("second half", 20)
        RAN.append("went on")
        await hw.sleep(1)

    @hw.task
    async def program() -> tuple[str, float]:
        call = transfer()
        await hw.sleep(10)
        call.cancel()
        end = (await hw.settle(call))[0]
        return type(end.error).__name__, asyncio.get_running_loop().time()

    error, at = go(program)
    assert (error, at) == ("CallCancelled", pytest.approx(40, abs=0.2))
    assert RAN == ["cancel first half", "cancel second half"]


def test_it_waits_for_blocks_in_other_coroutines_of_the_call(go):
    async def shielded_part() -> None:
        with hw.shielded(timeout=100):
            await cancel_booking("part", 20)
        RAN.append("went on")
        await hw.sleep(100)
        RAN.append("never")

    @hw.task
    async def both() -> None:
        await asyncio.gather(shielded_part(), hw.sleep(1000))

    @hw.task
    async def program() -> float:
        call = both()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(20, abs=0.2)
    assert RAN[0] == "cancel part"
    assert "never" not in RAN


def test_a_deadline_around_the_block_does_not_hold_inside_of_it(go):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=10, raises=False):
            try:
                await hw.sleep(100)
            except asyncio.CancelledError:
                with hw.shielded(timeout=100):
                    await cancel_booking("7A", 5)
                    assert hw.time_left() == float("inf")
                raise
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(15, abs=0.2)
    assert RAN == ["cancel 7A"]


def test_a_block_that_takes_too_long_is_broken_off_with_what_it_started(go):
    @hw.task
    async def slow() -> None:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded(timeout=20):
                await cancel_booking("7A", 1000)

    @hw.task
    async def program() -> tuple[str, float]:
        call = slow()
        await hw.sleep(10)
        call.cancel()
        end = (await hw.settle(call))[0]
        return str(end.error), asyncio.get_running_loop().time()

    error, at = go(program)
    assert error.endswith("slow() was in a shielded block for longer than its timeout of 20 s")
    assert at == pytest.approx(30, abs=0.2)
    assert RAN == []


def test_a_block_that_ignores_its_timeout_is_left_behind(go):
    @hw.task
    async def deaf() -> None:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded(timeout=20):
                while True:
                    try:
                        await asyncio.sleep(1000)
                    except asyncio.CancelledError:
                        RAN.append("heard")

    @hw.task
    async def program() -> float:
        call = deaf()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)
        return asyncio.get_running_loop().time()

    with pytest.warns(RuntimeWarning, match="still runs 4 s later"):
        assert go(program) == pytest.approx(34, abs=0.2)


def test_a_timeout_without_a_stop_is_an_error_of_the_block(go):
    @hw.task
    async def program() -> str:
        try:
            with hw.shielded(timeout=20):
                await cancel_booking("7A", 1000)
        except hw.CallTimeout as error:
            await book("goes on")
            return str(error)
        return ""

    assert "longer than its timeout of 20 s" in go(program)
    assert RAN == ["book goes on"]


def test_what_the_block_started_ends_with_its_time_also_where_nobody_awaits_it(go):
    @hw.task
    async def program() -> float:
        with contextlib.suppress(hw.CallTimeout), hw.shielded(timeout=20):
            call = cancel_booking("7A", 1000)
            await asyncio.sleep(500)
        await hw.settle(call)
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(20, abs=0.2)
    assert RAN == []


def test_blocks_inside_of_blocks_hold_until_the_outermost_ends(go):
    @hw.task
    async def nested() -> None:
        with hw.shielded(timeout=100):
            with hw.shielded(timeout=50):
                await cancel_booking("inner", 20)
            await cancel_booking("outer", 20)
        RAN.append("went on")

    @hw.task
    async def program() -> None:
        call = nested()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)

    go(program)
    assert RAN == ["cancel inner", "cancel outer"]


def test_what_is_called_in_the_block_can_be_stopped_in_it(go):
    @hw.task
    async def careful() -> None:
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded(timeout=60):
                first = await hw.race(cancel_booking("fast", 1), cancel_booking("slow", 30))
                assert first is None
            raise

    @hw.task
    async def program() -> float:
        call = careful()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)
        return asyncio.get_running_loop().time()

    assert go(program) == pytest.approx(11, abs=0.2)
    assert RAN == ["cancel fast"]


def test_who_asks_again_for_a_call_that_undid_something_gets_nothing_of_what_it_did_before(go):
    @hw.task
    async def program() -> str:
        if not RAN:
            trip = travel("7A", 100)
            await hw.sleep(10)
            trip.cancel()
            await hw.settle(trip)
            raise RuntimeError("stop")
        return await travel("7A", 100)

    with pytest.raises(RuntimeError, match="stop"):
        go(program)
    assert RAN == ["book 7A", "cancel 7A"]
    assert go(program) == "7A"
    assert RAN == ["book 7A", "cancel 7A", "book 7A"]
    assert HEARD == ["7A"]


def test_so_does_the_next_attempt_of_a_call_that_took_too_long(go):
    @hw.task(timeout=10, retry=hw.Retry(attempts=2, delay_s=1))
    async def hasty() -> str:
        booked = await book("7A")
        try:
            await hw.sleep(100 if hw.call().attempt == 1 else 5)
        except asyncio.CancelledError:
            with hw.shielded():
                await cancel_booking(booked)
            raise
        return booked

    @hw.task
    async def program() -> str:
        return await hasty()

    assert go(program) == "7A"
    assert RAN == ["book 7A", "cancel 7A", "book 7A"]


@pytest.mark.on_postgres
def test_a_run_that_stops_to_go_on_later_undoes_nothing(go):
    @hw.task
    async def program() -> None:
        try:
            hw.call()
            current_run_stops()
            await hw.sleep(100)
        finally:
            RAN.append("heard")
            with hw.shielded():
                RAN.append("never")

    def current_run_stops() -> None:
        from headway.engine.call import current

        frame = current.get()
        assert frame is not None
        frame.call.engine.fail(hw.StoreFull("no room"))

    with pytest.raises(hw.StoreFull):
        go(program)
    assert RAN == ["heard"]


@hw.task(pool="thread")
def in_a_thread() -> None:
    with hw.shielded():
        RAN.append("never")


@hw.task(batch=2)
async def in_a_batch(items: list[int]) -> list[int]:
    with hw.shielded():
        RAN.append("never")
    return items


@hw.task(pool="process")
def in_a_process() -> None:
    with hw.shielded():
        pass


@pytest.mark.parametrize("make", [in_a_thread, lambda: in_a_batch(1), in_a_process], ids=["thread", "batch", "process"])
def test_code_that_cannot_be_told_of_a_stop_cannot_be_shielded(make):
    @hw.task
    async def program() -> str:
        return str((await hw.settle(make()))[0].error)

    assert "open it in an async task" in hw.run(program, store=None)
    assert RAN == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "soon", None, True])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(hw.UsageError, match=r"hw\.shielded\(timeout="):
        hw.shielded(timeout)


def test_outside_of_a_run_the_block_does_nothing():
    with hw.shielded():
        RAN.append("ran")
    assert RAN == ["ran"]


def test_a_shield_is_opened_once(go):
    @hw.task
    async def program() -> None:
        shield = hw.shielded()
        with shield, shield:
            pass

    with pytest.raises(hw.UsageError, match="opened twice"):
        go(program)
