"""A run dies while a stopped call undoes what it did: the next life stops it at the same place, and goes on there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from failing_store import BreakingStore
from notes import RAN, SWITCH
from steps import reach_the_disk

import headway as hw
from headway import events


@hw.task(effect=True)
async def do(what: str) -> str:
    RAN.append(what)
    return what


@hw.task
async def die() -> None:
    """The disk is full, in the first life; what was before is written."""
    await reach_the_disk()
    if not SWITCH.get("died"):
        SWITCH["died"] = True
        SWITCH["store"].broken = True
    await do("never in the first life")


async def undo_in_two_lives() -> None:
    with hw.shielded(timeout=1000):
        await do("undo a part")
        await die()
        await do("undo the rest")


@pytest.fixture
def lives(go) -> Callable[..., Any]:
    """Run a program twice: in the first life the disk is full, in the second it has room."""

    def start(program: Any, between: Callable[[], None] = lambda: None, **options: Any) -> Any:
        store = SWITCH["store"] = BreakingStore()
        with pytest.raises(hw.StoreFull):
            go(program, store=store, **options)
        store.broken = False
        RAN.append("second life")
        between()
        return go(program, store=store, **options)

    return start


def second_life() -> list[Any]:
    return RAN[RAN.index("second life") + 1 :]


@hw.task
async def rests(seconds: float) -> str:
    try:
        await hw.sleep(seconds)
    except asyncio.CancelledError:
        await undo_in_two_lives()
        raise
    await do("went on")
    return "rested"


@hw.task
async def stops_it() -> str:
    call = rests(100)
    await hw.sleep(10)
    call.cancel()
    return str((await hw.settle(call))[0].error)


def test_what_was_undone_is_not_undone_again_and_the_rest_is(lives):
    assert "was cancelled" in lives(stops_it)
    assert RAN == ["undo a part", "second life", "never in the first life", "undo the rest"]


def test_a_rest_that_was_broken_off_is_not_over_because_time_has_passed(lives, clock):
    assert "was cancelled" in lives(stops_it, lambda: clock.advance(1000))
    assert second_life() == ["never in the first life", "undo the rest"]


def test_a_call_that_nobody_stops_in_this_life_undoes_what_it_did_and_begins_afresh(lives):
    @hw.task
    async def program() -> str:
        call = rests(100)
        if not SWITCH.get("died"):
            await asyncio.sleep(10)
            call.cancel()
        return await call

    assert lives(program) == "rested"
    assert second_life() == ["never in the first life", "undo the rest", "went on"]


@hw.task
async def ends_late() -> str:
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        await asyncio.sleep(2)
    return "late"


@hw.task
async def ends_soon() -> str:
    await asyncio.sleep(5)
    return "soon"


@hw.task
async def awaits(which: str) -> str:
    try:
        await (ends_late() if which == "late" else ends_soon())
    except asyncio.CancelledError:
        with hw.shielded(timeout=1000):
            await hw.sleep(5)
            await do("undo a part")
            await die()
            await do("undo the rest")
        raise
    await do("went on")
    return "awaited"


def test_an_end_that_was_recorded_after_the_stop_was_heard_of_is_not_told(lives):
    @hw.task
    async def program() -> str:
        call = awaits("late")
        await hw.sleep(10)
        call.cancel()
        return str((await hw.settle(call))[0].error)

    assert "was cancelled" in lives(program)
    assert second_life() == ["never in the first life", "undo the rest"]


def test_nor_is_one_that_was_recorded_in_the_same_moment(lives):
    made: list[hw.Handle[Any]] = []

    def stop_it(event: events.Event) -> None:
        if isinstance(event, events.CallEnded) and event.task.endswith("ends_soon") and not SWITCH.get("died"):
            made[-1].cancel()

    @hw.task
    async def program() -> str:
        made.append(awaits("soon"))
        return str((await hw.settle(made[-1]))[0].value)

    assert lives(program, events=stop_it) == "awaited"  # nobody stops it in the second life
    assert second_life() == ["never in the first life", "undo the rest", "went on"]


def test_a_stop_that_a_block_held_off_comes_at_the_end_of_that_block_again(lives):
    @hw.task
    async def transfers() -> None:
        with hw.shielded(timeout=1000):
            await do("first half")
            await hw.sleep(20)
            await die()
            await do("second half")
        RAN.append("went on")
        with hw.shielded(timeout=1000):
            await do("too much")

    @hw.task
    async def program() -> str:
        call = transfers()
        await hw.sleep(10)
        call.cancel()
        return str((await hw.settle(call))[0].error)

    assert "was cancelled" in lives(program)
    assert RAN == ["first half", "second life", "never in the first life", "second half"]


@hw.task(effect=True)
async def charges() -> None:
    RAN.append("charge")
    SWITCH["store"].broken = True
    await asyncio.sleep(100)


@hw.task
async def pays() -> None:
    try:
        await charges()
    except asyncio.CancelledError:
        with hw.shielded():
            await do("refund")
        raise


def test_a_call_that_is_stopped_before_its_code_runs_again_hears_of_it(lives, clock):
    @hw.task
    async def program() -> None:
        call = pays()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)

    @hw.task
    async def beside() -> None:
        await asyncio.sleep(1)
        await do("fill the disk")

    @hw.task
    async def both() -> None:
        await hw.gather(program(), beside())

    lives(both, lambda: clock.advance(100))
    assert RAN[0] == "charge"
    assert "charge" not in second_life()
    assert "refund" in second_life()


def test_a_stop_waits_until_running_code_was_told_all_that_it_had_been_told(lives, clock):
    @hw.task
    async def slow_to_begin() -> None:
        await asyncio.sleep(0.2)  # in the second life the stop comes here
        booked = await do("book")
        try:
            await hw.sleep(100)
        except asyncio.CancelledError:
            with hw.shielded():
                await do(f"cancel the {booked}")
            raise

    @hw.task
    async def program() -> None:
        call = slow_to_begin()
        await hw.sleep(10)
        await asyncio.sleep(0.1)
        call.cancel()
        await hw.settle(call)

    @hw.task
    async def beside() -> None:
        await asyncio.sleep(5)
        await die()

    @hw.task
    async def both() -> None:
        await hw.gather(program(), beside())

    lives(both, lambda: clock.advance(50))
    assert "cancel the book" in second_life()
    assert "book" not in second_life()


def test_a_call_that_did_nothing_in_the_life_before_is_not_run_to_hear_of_its_stop(lives):
    @hw.task
    async def idle() -> None:
        RAN.append("idle")
        await hw.sleep(100)

    @hw.task
    async def program() -> None:
        call = idle()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)
        await die()

    lives(program)
    assert "idle" not in second_life()


@hw.task
async def wraps() -> str:
    return await rests(100)


@hw.task
async def wraps_twice() -> str:
    return await wraps()


def test_a_stop_reaches_what_has_to_undo_something_through_calls_that_did_nothing_themselves(lives, clock):
    @hw.task
    async def program() -> None:
        call = wraps_twice()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)

    lives(program, lambda: clock.advance(1000))
    assert second_life() == ["never in the first life", "undo the rest"]


def test_also_where_the_run_died_in_the_moment_of_the_stop(lives, clock):
    @hw.task
    async def wraps_payment() -> None:
        await pays()

    @hw.task
    async def program() -> None:
        call = wraps_payment()
        await hw.sleep(10)
        call.cancel()
        await hw.settle(call)

    @hw.task
    async def beside() -> None:
        await asyncio.sleep(1)
        await do("fill the disk")

    @hw.task
    async def both() -> None:
        await hw.gather(program(), beside())

    lives(both, lambda: clock.advance(100))
    assert "charge" not in second_life()
    assert "refund" in second_life()


@pytest.mark.parametrize("effect", [False, True])
def test_a_new_call_that_is_stopped_before_it_begins_does_not_succeed_because_others_are_unfinished(lives, effect):
    @hw.task(effect=effect)
    async def new() -> str:
        RAN.append("new")
        return "done"

    @hw.task
    async def program() -> str:
        going_on = die()
        if not SWITCH.get("died"):
            await going_on
        call = new()
        call.cancel()
        end = (await hw.settle(call))[0]
        await going_on
        return "ok" if end.ok else type(end.error).__name__

    assert lives(program) == "CallCancelled"
    assert "new" not in second_life() or not effect


@hw.task
async def hands_out() -> AsyncIterator[int]:
    try:
        for number in range(3):
            await do(f"book {number}")
            yield number
        await asyncio.sleep(1000)
    finally:
        with hw.shielded():
            await do("undo")


def test_a_stream_hears_of_a_stop_that_comes_while_it_waits_for_readers_to_catch_up(lives):
    @hw.task
    async def program() -> None:
        async for _ in hands_out():
            await asyncio.sleep(1)  # it hands out all that it has
            await die()
            await asyncio.sleep(10)
            break

    lives(program)
    assert second_life() == ["never in the first life", "undo"]


def test_a_call_that_is_kept_from_what_it_asks_for_does_not_succeed(lives, clock):
    """Its code comes to its end without waiting for the call that was not over when the run died."""

    @hw.task(effect=True)
    async def goes_on() -> None:
        await asyncio.sleep(100)

    @hw.task
    async def careless() -> str:
        await do("first")
        goes_on()  # nobody awaits it
        return "done"

    @hw.task
    async def program() -> str:
        call = careless()
        await hw.sleep(10)
        call.cancel()
        return type((await hw.settle(call))[0].error).__name__

    @hw.task
    async def beside() -> None:
        await asyncio.sleep(5)
        await die()

    @hw.task
    async def both() -> str:
        return (await hw.gather(program(), beside()))[0]

    assert lives(both, lambda: clock.advance(50)) == "CallCancelled"
    assert "first" not in second_life()


@hw.task(retry=hw.Retry(attempts=2, delay_s=1.0))
async def dislikes_it_once() -> str:
    told = await do("a part")
    if not SWITCH.get("died"):
        await die()
    if hw.call().attempt == 1:
        raise ValueError(f"does not like {told}")
    return told


def test_an_attempt_that_fails_before_it_hears_of_a_stop_does_not_end_the_call_for_good(lives):
    """It has attempts left: nothing but the stop keeps it from going on, and whoever asks for it again gets its result."""

    @hw.task
    async def program() -> list[str]:
        call = dislikes_it_once()
        if SWITCH.get("died"):
            call.cancel()
        return [type(end.error).__name__ for end in await hw.settle(call)]

    assert lives(program) == ["CallCancelled"]
    assert second_life() == []


def test_an_attempt_that_fails_before_it_hears_of_a_stop_ends_the_call_if_it_is_the_last(lives):
    @hw.task
    async def program() -> list[str]:
        call = dislikes_it_once.options(retry=hw.Retry(attempts=1))()
        if SWITCH.get("died"):
            call.cancel()
        return [type(end.error).__name__ for end in await hw.settle(call)]

    assert lives(program) == ["ValueError"]


@hw.task
async def waits_for_both(joins: bool, block_s: float) -> int:
    """Its own code waits for coroutines, and they ask for what is new."""

    async def one(what: str) -> str:
        if what == "a" and block_s:
            with hw.shielded(timeout=1000):
                await hw.sleep(block_s)
                return await do("undo a")
        return await do(what)

    await do("first")
    if not SWITCH.get("died"):
        await die()
    both = (one("a"), one("b"))
    ends = await hw.settle(*both) if joins else await asyncio.gather(*both, return_exceptions=True)
    RAN.append("went on")
    return len(ends)


@pytest.mark.parametrize("joins", [True, False], ids=["settle", "asyncio.gather"])
@pytest.mark.parametrize(("block_s", "undone"), [(0.0, []), (5.0, ["undo a"])], ids=["plain", "shielded"])
def test_the_code_of_a_call_hears_of_a_stop_that_its_coroutines_are_the_first_to_hear_of(lives, joins, block_s, undone):
    @hw.task
    async def program() -> list[str]:
        call = waits_for_both(joins, block_s)
        if SWITCH.get("died"):
            call.cancel()
        return [type(end.error).__name__ for end in await hw.settle(call)]

    assert lives(program) == ["CallCancelled"]
    assert second_life() == undone
