"""What is stopped is settled before the block that stopped it is left, and what is recorded is told before a bound is looked at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from notes import RAN

import headway as hw
from headway.journal.records import Kind, Row
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@hw.task(cost={"tokens": 80})
async def lingers(seconds: float = 100.0) -> int:
    """Says what it spent, and takes a moment to stop."""
    hw.charge(tokens=7)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.sleep(1)
    return 1


@hw.task
async def fails_soon() -> None:
    await asyncio.sleep(2)
    raise ValueError("soon")


@hw.task
async def wins_soon() -> int:
    await asyncio.sleep(2)
    return 2


@hw.task(cost={"tokens": 80})
async def fallback() -> str:
    hw.charge(tokens=5)
    return "answered"


async def by_deadline() -> None:
    with hw.deadline(seconds=2):
        await lingers()


async def by_quiet_deadline() -> None:
    with hw.deadline(seconds=2, raises=False):
        await lingers()


async def by_deadline_while_nobody_awaits_it() -> None:
    try:
        with hw.deadline(seconds=2):
            handle = lingers()
            await asyncio.sleep(50)
    finally:
        assert isinstance(handle.exception(), hw.DeadlineExceeded)


async def by_deadline_while_another_is_awaited() -> None:
    try:
        with hw.deadline(seconds=2):
            handle = lingers()
            await rest(60)
    finally:
        assert isinstance(handle.exception(), hw.DeadlineExceeded)


async def by_inner_deadline() -> None:
    with hw.deadline(seconds=50), hw.deadline(seconds=2):
        await hw.settle(lingers(), rest(60))


async def by_race() -> None:
    await hw.race(lingers(), wins_soon())


async def by_race_of_coroutines() -> None:
    async def slow() -> int:
        return await lingers()

    async def fast() -> int:
        return await wins_soon()

    await hw.race(slow(), fast())


async def by_gather() -> None:
    await hw.gather(lingers(), fails_soon())


async def by_asyncio_timeout() -> None:
    async with asyncio.timeout(2):
        await lingers()


async def by_asyncio_timeout_of_a_join() -> None:
    async with asyncio.timeout(2):
        await hw.settle(lingers(), rest(60))


async def by_asyncio_timeout_of_arrivals() -> None:
    async with asyncio.timeout(2):
        async for _ in hw.as_completed(lingers(), rest(60)):
            pass


async def by_cancel() -> None:
    handle = lingers()
    await rest(2)
    handle.cancel()
    await hw.settle(handle)


async def by_timeout() -> None:
    await lingers.options(timeout=2)()


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


STOPS: list[Callable[[], Any]] = [
    by_deadline,
    by_quiet_deadline,
    by_deadline_while_nobody_awaits_it,
    by_deadline_while_another_is_awaited,
    by_inner_deadline,
    by_race,
    by_race_of_coroutines,
    by_gather,
    by_asyncio_timeout,
    by_asyncio_timeout_of_a_join,
    by_asyncio_timeout_of_arrivals,
    by_cancel,
    by_timeout,
]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.__name__)
def test_what_was_stopped_is_booked_when_its_block_is_left_so_that_a_fallback_fits(go, stop):
    @hw.task
    async def program() -> tuple[float, str, float]:
        with hw.budget(tokens=100) as budget:
            with contextlib.suppress(TimeoutError, ValueError):
                await stop()
            spent = budget.spent["tokens"]
            return spent, await fallback(), budget.spent["tokens"]

    assert go(program) == (7, "answered", 12)


@hw.task(pool="thread")
def in_a_thread() -> tuple[float, str]:
    with hw.budget(tokens=100) as budget:
        with hw.deadline(seconds=2, raises=False):
            handle = lingers()
            hw.wait(hw.settle(rest(60)))
        assert isinstance(handle.exception(), hw.DeadlineExceeded)
        return budget.spent["tokens"], hw.wait(fallback())


@hw.task
async def asks_a_thread() -> tuple[float, str]:
    return await in_a_thread()


@hw.task
async def leaves_a_child_to_itself() -> str:
    lingers()
    return "early"


def test_a_call_whose_code_has_ended_is_stopped_with_the_children_that_it_waits_for(go, clock):
    @hw.task
    async def program() -> tuple[str, float]:
        began = hw.now()
        handle = leaves_a_child_to_itself()
        assert await hw.race(handle, wins_soon()) == 2
        return handle.state, hw.now() - began

    state, took = go(program)
    assert state == "cancelled", "it was stopped while a child ran, and the child did not end well"
    assert took < 10


def test_a_thread_leaves_its_deadline_when_what_it_stopped_is_settled():
    history = History(1, STEADY)
    assert history.live(asks_a_thread).value == (7, "answered")
    history.check()


def test_a_block_does_not_wait_for_ever_for_a_call_that_will_not_stop(go, clock):
    @hw.task
    async def deaf() -> int:
        until = asyncio.get_running_loop().time() + 1000
        while asyncio.get_running_loop().time() < until:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                RAN.append("told")
        return 1

    @hw.task
    async def program() -> float:
        began = clock.now
        with hw.deadline(seconds=2, raises=False):
            await deaf()
        RAN.append("left")
        return clock.now - began

    assert go(program) < 60
    assert "told" in RAN


# --- whose turn it is when a deadline passes -------------------------------------------------------------------------


@hw.task
async def collects(seconds: float) -> list[float]:
    """Ends at its own deadline with what it has."""
    found: list[float] = []
    with hw.deadline(seconds=seconds, raises=False):
        for after in (1.0, 1.5, 1000.0):
            found.append(await rest(after))
    return found


def test_a_block_inside_hands_on_what_it_has_when_the_deadline_around_it_passes_with_it(go):
    @hw.task
    async def program() -> list[list[float]]:
        with hw.deadline(seconds=5):
            return await hw.gather(collects(5), collects(100))

    assert go(program) == [[1.0, 1.5], [1.0, 1.5]]


def test_a_block_inside_coroutines_hands_on_what_it_has_too(go):
    async def inside() -> list[float]:
        return await collects.fn(100)

    @hw.task
    async def program() -> list[list[float]]:
        with hw.deadline(seconds=5):
            return await hw.gather(inside(), inside())

    assert go(program) == [[1.0, 1.5], [1.0, 1.5]]


def test_blocking_the_loop_until_both_deadlines_have_passed_loses_nothing(go, clock):
    @hw.task
    async def blocks() -> int:
        await asyncio.sleep(3)
        clock.advance(500)
        return 3

    @hw.task
    async def program() -> list[float]:
        with hw.deadline(seconds=10):
            found: list[float] = []
            with hw.deadline(seconds=9, raises=False):
                handles = [rest(1), rest(2), blocks(), rest(100)]
                async for handle in hw.as_completed(*handles):
                    found.append(handle.result())
            return found

    assert go(program) == [1, 2, 3]


def test_a_call_that_goes_on_after_the_block_inside_it_is_stopped(go, clock):
    @hw.task
    async def goes_on() -> None:
        with hw.deadline(seconds=5, raises=False):
            await rest(100)
        RAN.append("on")
        await asyncio.sleep(100)
        RAN.append("too long")

    @hw.task
    async def program() -> float:
        began = clock.now
        with pytest.raises(hw.DeadlineExceeded), hw.deadline(seconds=5):
            await goes_on()
        return clock.now - began

    assert go(program) < 7
    assert RAN == ["on"]


# --- taken up after the deadline -------------------------------------------------------------------------------------

FOUND: list[float] = []


@hw.task
async def one_by_one() -> str:
    FOUND.clear()
    try:
        with hw.deadline(seconds=10):
            for after in (1.0, 2.0, 3.0, 1000.0):
                FOUND.append(await rest(after))
    except hw.DeadlineExceeded:
        return f"{FOUND} and no more"
    return "all"


@hw.task
async def side_by_side() -> list[float]:
    found: list[float] = []

    async def one(after: float) -> None:
        found.append(await rest(after) + await rest(after / 2))

    with hw.deadline(seconds=10, raises=False):
        await hw.gather(one(1.0), one(2.0), one(1000.0))
    return found


@hw.task
async def below() -> list[float]:
    with hw.deadline(seconds=10):
        return await collects(9.9)


@hw.task
async def in_threads() -> list[float]:
    with hw.deadline(seconds=10):
        return await threaded()


@hw.task(pool="thread")
def threaded() -> list[float]:
    found: list[float] = []
    with hw.deadline(seconds=9, raises=False):
        for after in (1.0, 1.5, 1000.0):
            try:
                found.append(hw.wait(rest(after)))
            except hw.DeadlineExceeded:
                break
    return found


@pytest.mark.parametrize("program", [one_by_one, side_by_side, below, in_threads], ids=lambda program: program.fn.__name__)
def test_a_program_is_told_all_that_is_recorded_though_its_deadline_has_passed(program):
    whole = History(1, STEADY)
    expected = whole.live(program).value
    ends = [seq for seq, row in enumerate(whole.rows(), 1) if _is_end_of_rest(row)]
    history = History(1, STEADY)
    assert history.live(program, crash=Crash(ends[-1], "after")).how == "died"
    history.universe.now += 1000
    last = history.live(program)
    assert last.value == expected
    begun = [event.task for event in last.event_log if isinstance(event, hw.events.CallStarted)]
    assert "test_what_is_stopped.rest" not in begun
    history.check()


def _is_end_of_rest(row: Row) -> bool:
    return row.kind == Kind.OUTCOME and (end := decode_outcome(row.body)).task.endswith("rest") and not end.status


def test_what_is_new_is_refused_when_the_deadline_has_passed(go, clock):
    @hw.task
    async def program(more: int) -> str:
        with hw.deadline(seconds=10):
            await rest(1.0)
            if RAN:
                RAN.append("again")
                await rest(2.0)
            RAN.append("first")
            await asyncio.sleep(1000)
        return "all"

    with pytest.raises(hw.DeadlineExceeded):
        go(program, 1)
    clock.advance(100)
    with pytest.raises(hw.DeadlineExceeded):
        go(program, 1)
    assert RAN == ["first", "again"]


@hw.task
async def sums(after: float) -> float:
    RAN.append(after)
    await asyncio.sleep(after)
    return after


def test_a_call_of_which_nothing_is_recorded_is_not_begun_after_the_deadline(go, clock):
    @hw.task
    async def program() -> list[float]:
        found: list[float] = []
        with hw.deadline(seconds=10, raises=False):
            found.append(await sums(1.0))
            found.append(await sums(1000.0))
        raise ValueError(str(found))

    for _ in range(2):
        with pytest.raises(ValueError, match=r"^\[1.0\]"):
            go(program)
        clock.advance(1000)
    assert RAN == [1.0, 1000.0]
