"""Blocks with a deadline are left in each life as they were left before, however slow a life is to come to the same end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import rest

import headway as hw
from headway.engine.scopes.bounds import HELD_BACK_S, PATIENCE_S
from headway.journal.decisions import DeadlineLeft, is_told
from headway.journal.records import COSTED, Kind
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

LATER_S = 60.0  # between two lives: every deadline here has passed
STALL_S = 5.0  # for which a later life gets no recorded answer in a block

BLOCKS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "deadline": lambda: hw.deadline(seconds=2),
    "quiet deadline": lambda: hw.deadline(seconds=2, raises=False),
    "anytime": lambda: hw.anytime(within_s=2),
}


async def stall() -> None:
    """Code beside the calls, which takes longer when it runs again."""
    if SWITCH.get("again"):
        await asyncio.sleep(STALL_S)


@hw.task
async def service(works: bool) -> str:
    if not works:
        raise OSError("down")
    return "up"


async def ask(works: bool) -> str:
    await stall()
    return await service(works)


async def take_long() -> str:
    return str(await rest(100))


async def ask_beside(other: Awaitable[str], works: bool) -> str:
    if works:
        return await hw.race(other, ask(works))
    return str(await hw.gather(other, ask(works)))


async def tell(code: Callable[[], Any]) -> str:
    try:
        return str(await code())
    except (OSError, hw.DeadlineExceeded, ExceptionGroup) as error:
        return type(error).__name__


@hw.task
async def alone(block: str, works: bool) -> str:
    async def code() -> str:
        with BLOCKS[block]():
            return await ask(works)
        return "cut"

    told = await tell(code)
    await rest(1)
    return told


@hw.task
async def beside_others(block: str, works: bool) -> str:
    """What ran beside it in the earlier life is asked for again, and neither it nor its refusal comes first."""

    async def code() -> str:
        with BLOCKS[block]():
            return await ask_beside(take_long(), works)
        return "cut"

    told = await tell(code)
    await rest(1)
    return told


@hw.task
async def below(block: str, works: bool) -> str:
    """A call in the block has a block of its own that nothing ended."""

    async def code() -> str:
        with BLOCKS[block]():
            return await ask_beside(waits_in_a_block(), works)
        return "cut"

    told = await tell(code)
    await rest(1)
    return told


@hw.task(effect=True)
async def book() -> None:
    await asyncio.sleep(100)


@hw.task
async def books() -> None:
    await book()


@hw.task
async def waits_in_a_block() -> str:
    with hw.deadline(seconds=1.5):
        await rest(100)
    return "never"


@hw.task
async def in_coroutines(block: str, works: bool) -> str:
    async def code() -> str:
        with BLOCKS[block]():
            return await ask(works)
        return "cut"

    told = await hw.gather(tell(code), tell(code))
    await rest(1)
    return str(told)


@hw.task(pool="thread")
def in_a_thread(block: str, works: bool) -> str:
    try:
        with BLOCKS[block]():
            told = hw.wait(ask_beside(take_long(), works))
    except (OSError, hw.DeadlineExceeded) as error:
        told = type(error).__name__
    hw.wait(rest(1))
    return told


def live_twice(program: Any, *args: object) -> tuple[Any, Any]:
    """What a program returns, and what it returns when it died before its last row and is told the same again later, slowly."""
    SWITCH["again"] = False
    whole = History(0, STEADY).live(program, *args)
    history = History(0, STEADY)
    assert history.live(program, *args, crash=Crash(len(whole.after) - 1, "before")).how == "died"
    SWITCH["again"] = True
    history.universe.now += LATER_S
    again = history.live(program, *args)
    history.check()
    assert whole.how == again.how == "returned", (whole.error, again.error)
    return whole.value, again.value


@pytest.mark.parametrize("works", [False, True], ids=["fails", "works"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("program", [alone, beside_others, below, in_coroutines, in_a_thread], ids=lambda each: each.__name__)
def test_a_block_that_was_left_in_time_is_left_so_again(program, block, works):
    told, again = live_twice(program, block, works)
    assert ("up" if works else "OSError") in told
    assert again == told


def test_an_end_that_the_crash_took_away_is_decided_anew():
    whole = History(0, STEADY)
    whole.live(alone, "deadline", False)
    left = next(number for number, row in enumerate(whole.rows()) if is_told(row.body, DeadlineLeft))
    history = History(0, STEADY)
    history.live(alone, "deadline", False, crash=Crash(left, "after"))
    SWITCH["again"] = True
    history.universe.now += LATER_S
    again = history.live(alone, "deadline", False)
    history.check()
    assert again.value == "DeadlineExceeded"


@hw.task
async def leaves_a_call_running(block: str) -> str:
    """Leaves its block by an error, and what it asked in it goes on until the deadline stops it."""
    made = []

    async def code() -> str:
        with BLOCKS[block]():
            made.append(books())
            return await ask(False)
        return "cut"

    told = await tell(code)
    await hw.settle(*made)
    return told


@pytest.mark.parametrize("block", BLOCKS)
def test_a_call_that_went_on_behind_its_block_hears_of_its_stop_in_the_next_life(block):
    SWITCH["again"] = False
    whole = History(0, STEADY)
    whole.live(leaves_a_call_running, block)
    ended = [number for number, row in enumerate(whole.rows()) if row.kind & ~COSTED == Kind.OUTCOME][1]  # first the service
    history = History(0, STEADY)
    history.live(leaves_a_call_running, block, crash=Crash(ended, "before"))
    SWITCH["again"] = True
    history.universe.now += LATER_S
    again = history.live(leaves_a_call_running, block)
    history.check()
    assert again.value == "OSError"


@hw.task
async def tidies_up() -> str:
    """Is interrupted, and takes longer to tidy up when it runs again than any block is waited for that nobody has left."""
    with hw.deadline(seconds=2, raises=False):
        try:
            await rest(100)
        finally:
            if SWITCH["again"]:
                await asyncio.sleep(PATIENCE_S + 5.0)
    await rest(1)
    return "cut"


def test_code_that_left_its_block_before_may_take_longer_to_leave_it_again():
    assert live_twice(tidies_up) == ("cut", "cut")


@hw.task
async def asks_slowly() -> str:
    """Lets more time pass before each answer, when it runs again, than half of that for which its block is held back."""
    with hw.deadline(seconds=2):
        for each in range(4):
            if SWITCH["again"]:
                await asyncio.sleep(0.6 * HELD_BACK_S)
            await rest(each / 10)
    await rest(1)
    return "in time"


def test_a_block_is_held_back_anew_after_each_recorded_answer():
    assert live_twice(asks_slowly) == ("in time", "in time")


@hw.task
async def changed() -> str:
    """Goes on with something else when it runs again, in a block that it left at once before."""
    with hw.deadline(seconds=2, raises=False):
        await service(True)
        if SWITCH.get("again"):
            await hw.gather(rest(3), asyncio.sleep(1000))
        return "up"
    return "cut"


def test_a_block_whose_code_goes_on_otherwise_is_broken_off_in_the_end():
    SWITCH["again"] = False
    history = History(0, STEADY)
    history.live(changed, crash=Crash(3, "after"))
    SWITCH["again"] = True
    history.universe.now += LATER_S
    began = history.universe.now
    again = history.live(changed)
    history.check()
    assert again.value == "cut"
    assert HELD_BACK_S < history.universe.now - began < 2 * HELD_BACK_S
    assert 3 not in RAN, "what is new under a deadline that has passed is not begun"


@pytest.mark.parametrize(("works", "told"), [(True, "up"), (False, "DeadlineExceeded")])
def test_a_block_that_failed_before_its_run_did_may_end_otherwise(go, clock, works, told):
    @hw.task
    async def program() -> tuple[str, bool]:
        async def code() -> str:
            with hw.deadline(seconds=2):
                return await ask(works)

        began = asyncio.get_running_loop().time()
        told = await tell(code)
        if not SWITCH.get("again"):
            raise RuntimeError("stop")
        return told, asyncio.get_running_loop().time() - began < HELD_BACK_S

    SWITCH["again"] = False
    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(LATER_S)
    SWITCH["again"] = True
    assert go(program) == (told, True)


@pytest.mark.parametrize(("bounded", "rows"), [(False, 0), (True, 1)])
def test_how_a_block_was_left_is_recorded_where_there_is_a_deadline(bounded, rows):
    @hw.task
    async def program() -> None:
        with hw.budget(calls=9), hw.anytime(within_s=9 if bounded else None):
            await rest(1)

    history = History(0, STEADY)
    assert history.live(program).how == "returned"
    assert sum(is_told(row.body, DeadlineLeft) for row in history.rows()) == rows
