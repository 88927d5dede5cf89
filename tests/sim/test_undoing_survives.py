"""Undoing in the simulator: wherever a run is killed, what a stopped call did is undone, and no success hides what was undone."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

import headway as hw
from headway.journal.decisions import Stopped, is_told
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

booked: dict[str, str] = {}
"""The world outside: by idempotency key, what is booked now. A booking that is made again under its key is the same one."""

undone: list[str] = []
DONE: list[str] = []


@hw.task(effect=True)
async def book(seat: str) -> str:
    name = hw.call().idempotency_key
    await asyncio.sleep(0.3)
    if name not in undone:
        booked[name] = seat
    await asyncio.sleep(0.3)
    return name


@hw.task(effect=True)
async def cancel_booking(name: str) -> None:
    await asyncio.sleep(0.3)
    booked.pop(name, None)
    undone.append(name)
    await asyncio.sleep(0.3)


async def undo(names: list[str]) -> None:
    with hw.shielded(timeout=60):
        for name in reversed(names):
            await cancel_booking(name)


@hw.task
async def travel(*seats: str, seconds: float = 10) -> list[str]:
    """Book seats one after the other, and leave none booked if stopped."""
    names: list[str] = []
    try:
        for seat in seats:
            with hw.shielded():  # a booking that has begun is one that is known
                names.append(await book(seat))
        await hw.sleep(seconds)
    except asyncio.CancelledError:
        await undo(names)
        raise
    return names


@hw.task
async def tour(rest_s: float) -> list[str]:
    """A trip with another one inside: both undo theirs."""
    names = []
    try:
        with hw.shielded():
            names.append(await book("bus"))
        return names + await travel("train", seconds=rest_s)
    except asyncio.CancelledError:
        await undo(names)
        raise


async def by_cancel(trip: hw.Handle[Any], rest_s: float) -> None:
    await hw.sleep(rest_s)
    trip.cancel()


async def by_race(trip: hw.Handle[Any], rest_s: float) -> None:
    await hw.race(trip, hw.sleep(rest_s))


async def by_deadline(trip: hw.Handle[Any], rest_s: float) -> None:
    with contextlib.suppress(hw.DeadlineExceeded):
        await trip


@hw.task
async def hold(how: int, rest_s: float, nested: bool) -> list[str] | None:
    """What the trip has in the end: its bookings, or None where it was stopped."""
    ends = (by_cancel, by_race, by_deadline)
    with hw.deadline(seconds=rest_s, raises=False) if how == 2 else contextlib.nullcontext():
        trip = tour(10) if nested else travel("1", "2")
        await ends[how](trip, rest_s)
    end = (await hw.settle(trip))[0]
    return end.value if end.ok else None


@hw.task(timeout=2)
async def hasty() -> list[str]:
    return await travel("1", "2")


@hw.task
async def hold_hasty() -> list[str] | None:
    end = (await hw.settle(hasty()))[0]
    return end.value if end.ok else None


@hw.task
async def travel_together(rest_s: float) -> list[str]:
    """Bookings side by side, undone by the code that joined them."""
    names: list[str] = []

    async def one(seat: str) -> None:
        with hw.shielded():
            names.append(await book(seat))
        await hw.sleep(rest_s)

    try:
        await hw.gather(one("1"), one("2"), one("3"))
    except asyncio.CancelledError:
        await undo(sorted(names))
        raise
    return names


@hw.task
async def around(task: int) -> list[str]:
    """A call that does nothing itself."""
    return await (travel_together(10) if task else travel("1", "2"))


@hw.task
async def hold_around(task: int, rest_s: float) -> list[str] | None:
    trip = around(task)
    await hw.sleep(rest_s)
    trip.cancel()
    end = (await hw.settle(trip))[0]
    return end.value if end.ok else None


@hw.task
async def visit(seats: int) -> AsyncIterator[int]:
    """A stream that leaves nothing booked if it is stopped, at an item or in between."""
    names: list[str] = []
    ended = False
    try:
        for seat in range(seats):
            with hw.shielded():
                names.append(await book(str(seat)))
            yield seat
        await hw.sleep(10)
        ended = True
    finally:
        if not ended:
            await undo(names)


@hw.task
async def read(rest_s: float) -> None:
    with hw.deadline(seconds=rest_s, raises=False):
        async for _ in visit(3):
            pass


def is_clean(value: list[str] | None) -> bool:
    """Whether exactly what the program was told it has is booked."""
    return set(booked) == set(value or ())


def forget() -> None:
    booked.clear()
    undone.clear()


def live_to_the_end(history: History, root: Any, *args: Any) -> Any:
    for _ in range(4):
        life = history.live(root, *args)
        history.check()
        if life.how == "returned":
            return life
    raise AssertionError(f"it does not end: {life.error!r}")


def check_killed_everywhere(root: Any, *args: Any, how: str = "after") -> int:
    """Kill the run at each of its records, then once more in the life after; how many kills."""
    forget()
    whole = History(1, STEADY)
    live_to_the_end(whole, root, *args)
    size, kills = len(whole.rows()), 0
    for after in range(1, size):
        for again in (None, 1, 3, 6):
            forget()
            history = History(1, STEADY)
            history.live(root, *args, crash=Crash(after, how))
            if again is not None:
                history.live(root, *args, crash=Crash(again, how))
            life = live_to_the_end(history, root, *args)
            kills += 1
            assert is_clean(life.value), f"killed {how} row {after} of {size}, then {again}: {life.value} and {booked}, {undone}"
    return kills


@pytest.mark.parametrize("nested", [False, True], ids=["one call", "a call in a call"])
@pytest.mark.parametrize("rest_s", [0.4, 0.9, 1.5, 5])
@pytest.mark.parametrize("end", range(3), ids=["cancelled", "lost a race", "out of time"])
def test_a_run_that_is_killed_after_any_record_undoes_what_it_did(end, rest_s, nested):
    assert check_killed_everywhere(hold, end, rest_s, nested) >= 20


@pytest.mark.parametrize("rest_s", [0.2, 0.9, 5])
@pytest.mark.parametrize("task", [0, 1], ids=["one call", "coroutines side by side"])
def test_so_does_one_whose_calls_stand_below_calls_that_did_nothing(task, rest_s):
    assert check_killed_everywhere(hold_around, task, rest_s) >= 20


@pytest.mark.parametrize("rest_s", [0.4, 1.5, 5])
def test_so_does_a_stream(rest_s):
    assert check_killed_everywhere(read, rest_s) >= 20


@pytest.mark.parametrize("how", ["before", "torn"])
def test_also_before_a_record_is_whole(how):
    check_killed_everywhere(hold, 1, 1.5, True, how=how)


def test_also_where_a_call_took_too_long():
    check_killed_everywhere(hold_hasty)


@pytest.mark.parametrize("seed", range(60))
def test_a_run_that_is_killed_at_any_step_of_any_schedule_undoes_what_it_did(seed):
    forget()
    history = History(seed)
    args = (seed % 3, (0.4, 0.9, 1.5, 5)[seed % 4], seed % 2 == 0)
    step = 15 + 17 * (seed % 20)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(6):
            life = history.live(hold, *args, kill_in=step)
            history.check()
            if life.how == "returned":
                break
            step += 61
        life = live_to_the_end(history, hold, *args)
    if not said:  # where its code was not let run for all of its grace, it was left behind, and what it did with it
        assert is_clean(life.value), f"{life.value} and {booked}, {undone}"


def test_that_a_call_was_stopped_is_recorded_once():
    forget()
    history = History(1, STEADY)
    live_to_the_end(history, hold, 0, 5, False)
    assert sum(is_told(row.body, Stopped) for row in history.rows()) == 1


async def until_later() -> None:
    await hw.sleep(100)


async def until_nobody_says_anything() -> None:
    await hw.wait_event("never", timeout=100)


RESTS = {"sleep": until_later, "signal": until_nobody_says_anything}


@hw.task(effect=True)
async def does(what: str) -> str:
    DONE.append(what)
    return what


@hw.task
async def books_in_a_block(rests: str) -> str:
    """The deadline of its own block breaks in on its rest, which would have been over later."""
    with hw.deadline(seconds=10):
        await does("book")
        try:
            await RESTS[rests]()
        except BaseException:
            with hw.shielded(timeout=1000):
                await does("undo a part")
                await does("undo the rest")
            raise
        await does("go on")


@hw.task
async def late(rests: str) -> str:
    try:
        await books_in_a_block(rests)
    except hw.DeadlineExceeded:
        return "late"
    return "in time"


@pytest.mark.parametrize("rests", RESTS)
def test_code_in_a_block_hears_of_its_deadline_at_the_same_place_however_late_its_run_is_taken_up(rests):
    DONE.clear()
    whole = History(0, STEADY).live(late, rests)
    assert (whole.value, DONE) == ("late", ["book", "undo a part", "undo the rest"])
    for after in range(len(whole.after)):
        DONE.clear()
        history = History(0, STEADY)
        history.live(late, rests, crash=Crash(after, "after"))
        history.universe.now += 1000
        again = history.live(late, rests)
        history.check()
        assert again.value == "late"
        assert "go on" not in DONE
        assert "undo the rest" in DONE or "book" not in DONE, f"killed after row {after}: {DONE}"
