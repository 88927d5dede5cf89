"""Calls in a block of `hw.anytime` are numbered apart: one that comes to less, or to more, in another life shifts nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import rest, work

import headway as hw
from headway.journal.decisions import BlockEnded, DeadlineLeft, is_told
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

LATER_S = 60.0  # between two lives: every deadline here has passed


@hw.task
async def number() -> int:
    """Equal calls, and each gives another number."""
    RAN.append(len(RAN))
    return len(RAN)


async def fill(found: dict[int, int], calls: int) -> None:
    """Make equal calls until the budget refuses one. In a later life the first block comes to one of them only: it was to end
    before, as it is recorded."""
    with hw.budget(calls=calls), hw.anytime(found) as block:
        for place in range(9):
            if SWITCH.get("again") and place:
                raise KeyError("after the end of the block")
            block.keep(place, await number())


def live(program: Any, rows: int | None = None) -> History:
    """A run that dies when so many rows are durable (without: one before the last), and the same run taken up later."""
    SWITCH["again"] = False
    whole = History(0, STEADY)
    assert whole.live(program).how == "returned"
    after = len(whole.rows()) - 1 if rows is None else rows
    RAN.clear()
    history = History(0, STEADY)
    assert history.live(program, crash=Crash(after, "after" if rows is not None else "before")).how == "died"
    SWITCH["again"] = True
    history.universe.now += LATER_S
    history.live(program)
    history.check()
    SWITCH["again"] = False
    return history


def rows_before(program: Any, kind: Any) -> int:
    """How many rows a run has before the first of this kind of decision."""
    SWITCH["again"] = False
    whole = History(0, STEADY)
    whole.live(program)
    return next(number for number, row in enumerate(whole.rows()) if is_told(row.body, kind))


@hw.task
async def one_behind() -> tuple[list[int], int]:
    found: dict[int, int] = {}
    await fill(found, 2)
    return list(found.values()), await number()


def test_a_call_behind_a_block_is_given_nothing_that_its_equals_in_the_block_were_given_or_refused():
    inside, behind = live(one_behind, rows_before(one_behind, BlockEnded) + 1).lives[-1].value
    assert inside == [1, 2]
    assert behind > 2, "a number of its own"


@hw.task
async def ends_otherwise() -> tuple[str, int]:
    with hw.budget(calls=1), hw.anytime(within_s=2) as block:
        await number()
        if SWITCH.get("again"):
            await asyncio.sleep(5)
        await number()
    return block.stopped, await number()


def test_a_call_behind_a_block_whose_end_is_not_recorded_is_not_given_a_failure_from_inside():
    stopped, behind = live(ends_otherwise, rows_before(ends_otherwise, DeadlineLeft)).lives[-1].value
    assert stopped == "deadline", "before it asks for what the budget refused before"
    assert behind > 1


@hw.task
async def two_blocks() -> tuple[Any, ...]:
    first: dict[int, int] = {}
    second: dict[int, int] = {}
    await fill(first, 3)
    drawn = hw.random().random()
    await fill(second, 2)
    behind = await number(), hw.now(), hw.random().random()
    return list(first.values()), drawn, list(second.values()), behind


def test_equal_calls_and_decisions_in_two_blocks_and_behind_them_are_told_apart_alike_in_each_life():
    wanted = History(0, STEADY).live(two_blocks).value
    assert [*wanted[0], *wanted[2], wanted[3][0]] == [1, 2, 3, 4, 5, 6]
    RAN.clear()
    assert live(two_blocks).lives[-1].value == wanted
    assert len(RAN) == 6, "nothing is made twice"


@hw.task
async def decides_inside() -> tuple[float, float]:
    with hw.budget(calls=3), hw.anytime():
        for _ in range(3):
            hw.now()
            hw.random().random()
            await number()
            if SWITCH.get("again"):
                raise KeyError("after the end of the block")
            await rest(1)
    return hw.now(), hw.random().random()


def test_what_is_decided_in_a_block_shifts_nothing_behind_it():
    wanted = History(0, STEADY).live(decides_inside).value
    assert live(decides_inside).lives[-1].value == wanted


@hw.task
async def comes_to_more() -> int:
    with hw.anytime(within_s=2):
        if SWITCH.get("again"):
            await number()
        await rest(100)
    return await number()


def test_a_block_that_comes_to_more_than_before_takes_nothing_that_the_code_behind_it_was_given():
    assert live(comes_to_more).lives[-1].value == 1
    assert RAN == [0]


async def plainly() -> int:
    return await work(1) + await work(2) + await work(2)


async def in_a_block() -> int:
    with hw.anytime():
        return await plainly()


async def behind_another() -> int:
    with hw.anytime():
        await work(0)
    return await in_a_block()


async def in_coroutines() -> int:
    return sum(await hw.gather(in_a_block(), plainly()))


@pytest.mark.parametrize("after", [plainly, in_a_block, behind_another, in_coroutines], ids=lambda each: each.__name__)
@pytest.mark.parametrize("before", [plainly, in_a_block, behind_another, in_coroutines], ids=lambda each: each.__name__)
def test_a_block_that_somebody_puts_around_code_or_takes_away_costs_no_work(go, before, after):
    @hw.task
    async def program() -> int:
        found = await (before if not SWITCH.get("again") else after)()
        if not SWITCH.get("again"):
            raise RuntimeError("stop")
        return found

    SWITCH["again"] = False
    with pytest.raises(RuntimeError):
        go(program)
    done = RAN[:]
    SWITCH["again"] = True
    go(program)
    wanted = {plainly: [1, 2, 2], in_a_block: [1, 2, 2], behind_another: [0, 1, 2, 2], in_coroutines: [1, 1, 2, 2, 2, 2]}[after]
    for each in done:
        if each in wanted:
            wanted.remove(each)
    assert sorted(RAN[len(done) :]) == wanted
