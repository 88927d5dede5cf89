"""A process that stood still has lost no time: what was ready has its turns before anything is broken off for being late.

Code of these programs freezes its own process: the clock is later when it goes on, and nothing ran meanwhile. All timers of that
time are due at once then, as after SIGSTOP or in a laptop that was asleep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import rest

import headway as hw
from headway.engine.scopes.bounds import HELD_BACK_S, PATIENCE_AGAIN_S, PATIENCE_S
from headway.engine.scopes.patience import SLICE_S
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History
from headway.sim.loop import SimLoop
from headway.sim.store import Crash

FROZEN_S = 10 * max(HELD_BACK_S, PATIENCE_AGAIN_S)
TURNS = 20  # that an answer takes on its way from call to call
AWAY_S = 3600.0  # between two lives

pytestmark = pytest.mark.filterwarnings("ignore:.*left behind:RuntimeWarning")  # how long a call has for its end is another matter


@pytest.fixture
def freeze(clock) -> Callable[[], None]:
    return lambda: clock.advance(FROZEN_S)


async def take_turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.mark.parametrize("before_s", [0.0, PATIENCE_S - SLICE_S / 2], ids=["at once", "when little patience is left"])
def test_a_block_whose_code_was_frozen_on_its_way_out_is_left_with_what_it_has(go, freeze, before_s):
    @hw.task
    async def program() -> str:
        with hw.deadline(seconds=2, raises=False) as bound:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(before_s)
                freeze()
                await take_turns()
        return f"the best so far, {bound.expired}"

    assert go(program) == "the best so far, True"


def test_after_a_freeze_code_has_the_time_that_it_had_left(go, freeze):
    @hw.task
    async def program() -> str:
        with hw.deadline(seconds=2, raises=False):
            try:
                await asyncio.sleep(1000)
            finally:
                freeze()
                await asyncio.sleep(PATIENCE_S / 2)
        return "the best so far"

    assert go(program) == "the best so far"


def test_the_deadline_around_a_block_that_was_frozen_does_not_take_its_result(go, freeze):
    @hw.task
    async def program() -> tuple[dict[int | str, object], str]:
        with hw.deadline(seconds=10), hw.anytime() as block:
            block.keep(1, await rest(1))
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)  # the deadline around it has passed, too
                freeze()
                await take_turns()
        return block.kept, block.stopped

    assert go(program) == ({1: 1}, "deadline")


def test_code_that_blocks_its_loop_again_and_again_uses_up_its_patience(go, clock):
    @hw.task
    async def program() -> None:
        with hw.deadline(seconds=2, raises=False):
            while len(RAN) < 1000:
                RAN.append("turn")
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    RAN.append("told")
                clock.advance(3)

    with pytest.raises(hw.DeadlineExceeded, match="did not leave the block of its deadline"):
        go(program)
    assert PATIENCE_S / SLICE_S < len(RAN) < 1000


@hw.task
async def takes_long(again: bool) -> str:
    """Is frozen when it runs again: while its deadline holds back, or while that passes."""
    with hw.deadline(seconds=2):
        await rest(1)
        if SWITCH["again"]:
            await asyncio.sleep(SWITCH["before_s"])
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SimLoop)
            loop.universe.freeze(loop, FROZEN_S)
            await take_turns()
        await rest(0.5)
    await rest(3)
    return "in time"


@pytest.mark.parametrize("away_s", [0.0, AWAY_S], ids=["due while it is frozen", "due before"])
@pytest.mark.parametrize("before_s", [0.0, 1.0])
def test_a_block_that_was_left_in_time_is_left_so_again_though_its_process_was_frozen(away_s, before_s):
    SWITCH.update(again=False, before_s=before_s)
    whole = History(0, STEADY)
    assert whole.live(takes_long, True).value == "in time"
    history = History(0, STEADY)
    assert history.live(takes_long, True, crash=Crash(len(whole.rows()) - 1, "before")).how == "died"
    SWITCH["again"] = True
    history.universe.now += away_s
    again = history.live(takes_long, True)
    history.check()
    assert (again.how, again.value) == ("returned", "in time"), again.error


def test_what_a_shielded_block_does_at_its_end_is_not_broken_off_after_a_freeze(go, freeze):
    @hw.task
    async def program() -> str:
        with hw.deadline(seconds=1, raises=False), hw.shielded(timeout=10):
            try:
                await asyncio.sleep(1000)
            finally:  # its own time has passed
                await asyncio.sleep(1)
                freeze()
                await take_turns()
                RAN.append("undone")
        return "left"

    with contextlib.suppress(hw.CallTimeout):
        go(program)
    assert RAN == ["undone"]


def test_what_a_wait_has_stopped_is_waited_for_though_the_process_was_frozen(go, freeze):
    @hw.task
    async def undoes() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            with hw.shielded(timeout=1000):
                await asyncio.sleep(1)
                freeze()
                await take_turns()
                RAN.append("undone")
            raise

    @hw.task
    async def program() -> None:
        try:
            async with asyncio.timeout(2):
                await undoes()
        except TimeoutError:
            RAN.append("goes on")

    go(program)
    assert RAN == ["undone", "goes on"]


@hw.task
async def keeps_the_best() -> tuple[Any, str]:
    with hw.deadline(seconds=10), hw.anytime() as block:
        for each in range(1, 100):
            block.keep(each, await rest(each))
    return max(block.kept.values(), default=0), block.stopped


@pytest.mark.parametrize("seed", range(20))
def test_no_step_that_is_held_up_costs_a_block_its_result(seed):
    held_up = SimConfig(stall=0.3, stall_s=20.0, shuffle=0.5)
    life = History(seed, held_up).live(keeps_the_best)
    assert life.how == "returned", life.error
    assert life.value[1] == "deadline"
