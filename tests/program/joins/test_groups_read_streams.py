"""Groups that read streams: items and completions, in one recorded order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from notes import RAN

import headway as hw
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

FAIL: list[bool] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    FAIL.clear()


@hw.task
async def rest(seconds: float, value: int = 0) -> int:
    await asyncio.sleep(seconds)
    RAN.append(value)
    return value


@hw.task
async def numbers(count: int, apart_s: float = 0.0) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(apart_s)
        yield number


@hw.task
async def breaks(after: int) -> AsyncIterator[int]:
    for number in range(after):
        yield number
    raise ValueError("broken")


async def read_all(group: hw.Group[int]) -> list[str]:
    """What a group hands out, each part as a word."""
    said = []
    async for part in group:
        kind = "item" if isinstance(part, hw.StreamItem) else "end" if isinstance(part, hw.Stream) else "call"
        said.append(f"{kind} {part.exception() or part.result()}")
    return said


def test_items_come_between_calls_and_the_stream_itself_comes_last(go):
    @hw.task
    async def program() -> list[str]:
        async with hw.group() as group:
            group.add(rest(15, 77))
            group.read(numbers(2, 10))
            return await read_all(group)

    assert go(program) == ["item 0", "call 77", "item 1", "end 2"]


def test_calls_begin_while_the_stream_goes_on(go, clock):
    @hw.task
    async def program() -> float:
        began = hw.now()
        async with hw.group() as group:
            group.read(numbers(5, 10))
            async for part in group:
                if isinstance(part, hw.StreamItem):
                    group.add(rest(50, part.value))
        return hw.now() - began

    assert go(program) == pytest.approx(100, abs=1)


def test_items_carry_the_tag_and_the_place_in_their_stream(go):
    @hw.task
    async def program() -> list[tuple[bool, int, int]]:
        async with hw.group() as group:
            stream = group.read(numbers(3))
            return [(part.stream is stream, part.number, part.value) async for part in group if isinstance(part, hw.StreamItem)]

    assert go(program) == [(True, 0, 0), (True, 1, 1), (True, 2, 2)]


def test_a_stream_that_fails_is_handed_out_after_its_items(go):
    @hw.task
    async def program() -> list[str]:
        async with hw.group() as group:
            group.read(breaks(2))
            return await read_all(group)

    assert go(program) == ["item 0", "item 1", "end broken"]


def test_an_empty_stream_is_only_its_end(go):
    @hw.task
    async def program() -> list[str]:
        async with hw.group() as group:
            group.read(numbers(0))
            return await read_all(group)

    assert go(program) == ["end 0"]


def test_two_streams_are_read_side_by_side(go):
    @hw.task
    async def program() -> list[str]:
        async with hw.group() as group:
            group.read(numbers(2, 10))
            group.read(numbers(3, 7))
            return await read_all(group)

    assert go(program) == ["item 0", "item 0", "item 1", "item 1", "end 2", "item 2", "end 3"]


def test_leaving_the_group_stops_the_stream(go):
    @hw.task
    async def program() -> str:
        async with hw.group() as group:
            stream = group.read(numbers(100, 10))
            async for _ in group:
                break
        return stream.state

    assert go(program) == "cancelled"


def test_a_deadline_stops_a_stream_that_a_group_reads(go):
    @hw.task
    async def program() -> tuple[int, str]:
        got = 0
        with hw.deadline(seconds=25, raises=False):
            async with hw.group() as group:
                stream = group.read(numbers(100, 10))
                async for _ in group:
                    got += 1
        return got, stream.state

    assert go(program) == (2, "failed"), "as where it is read in a loop"


def test_a_stream_runs_no_further_ahead_than_its_window(go):
    made: list[int] = []

    @hw.task(window=4)
    async def counted() -> AsyncIterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    @hw.task
    async def program() -> list[int]:
        ahead = []
        async with hw.group() as group:
            group.read(counted())
            async for part in group:
                if isinstance(part, hw.StreamItem):
                    await asyncio.sleep(1)
                    ahead.append(len(made) - part.number)
        return ahead

    assert max(go(program)) <= 6


def test_only_streams_are_read(go):
    @hw.task
    async def program() -> None:
        async with hw.group() as group:
            group.read(rest(1))

    with pytest.raises(hw.UsageError, match=r"hw\.group\(\)\.read takes a stream, .* got Handle"):
        go(program)


def test_outside_of_a_run_async_generators_are_read():
    async def program() -> list[str]:
        async with hw.group() as group:
            group.read(numbers(2))
            return [f"{type(part).__name__} {part.result()}" async for part in group][:2]

    assert asyncio.run(program()) == ["StreamItem 0", "StreamItem 1"]


@hw.task
async def plan(width: int) -> AsyncIterator[int]:
    for number in range(width):
        yield await drawn(number)


@hw.task
async def drawn(number: int) -> int:
    RAN.append(number)
    await asyncio.sleep(hw.random().random() * 10)
    return number


@hw.task
async def grows(width: int) -> list[str]:
    """What it asks for hangs on the order of items and completions."""
    said: list[str] = []
    async with hw.group() as group:
        group.read(plan(width))
        group.add(drawn(90))
        async for part in group:
            said.append(f"{type(part).__name__}:{part.result()}")
            if len(said) < 4 * width and not isinstance(part, hw.Stream):
                group.add(drawn(part.result() * 10 + len(said)))
    if FAIL:
        raise RuntimeError("stop")
    return said


@pytest.mark.on_postgres
def test_the_order_of_items_and_calls_is_told_again(go):
    FAIL.append(True)
    with pytest.raises(RuntimeError):
        go(grows, 4)
    before = len(RAN)
    FAIL.clear()
    said = go(grows, 4)
    assert len(RAN) == before, "it asked for the same calls, though all had ended when it asked again"
    assert said.count("Stream:4") == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_group_that_reads_ends_as_it_would_have_wherever_it_is_killed(seed):
    whole = History(seed)
    whole.live(grows, 3)
    whole.check()
    for after in range(0, len(whole.rows()), 3):
        history = History(seed)
        history.live(grows, 3, crash=Crash(after, "after"))
        last = history.live(grows, 3)
        history.check()
        assert last.how == "returned"


def test_a_program_with_a_group_that_reads_passes_the_check(headway_check):
    headway_check(grows, 2, schedules=6)


TOLD: list[str] = []


@hw.task
async def reader() -> int:
    async with hw.group() as group:
        group.read(numbers(5, 10))
        async for part in group:
            TOLD.append(type(part).__name__)
    return 0


@hw.task
async def cancels_its_reader() -> None:
    handle = reader()
    await hw.sleep(15)
    handle.cancel()
    await hw.settle(handle)


def test_code_that_was_told_of_an_item_is_never_told_that_there_was_none():
    """A reader that was stopped hears of its stop where the stream has gone, and not that it ended."""
    whole = History(1, STEADY)
    whole.live(cancels_its_reader)
    for after in range(1, len(whole.rows())):
        TOLD.clear()
        history = History(1, STEADY)
        history.live(cancels_its_reader, crash=Crash(after, "after"))
        history.live(cancels_its_reader)
        history.check()
        assert "Stream" not in TOLD, after
