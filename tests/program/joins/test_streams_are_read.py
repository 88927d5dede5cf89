"""Tasks that are async generators: their items are handed out as they come, to all who read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from doubles import double, doubles, made, read, yields

import headway as hw
from headway.joins.base import Settled


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()


# --- reading -------------------------------------------------------------------------------------------------------------


def test_items_are_handed_out_while_the_task_runs(go):
    @hw.task
    async def program() -> int:
        async for item in doubles(100):
            if item == 6:
                return len(yields())
        return -1

    assert go(program) < 30


def test_a_stream_that_is_awaited_gives_the_number_of_its_items_and_the_items_after_that(go):
    @hw.task
    async def program() -> tuple[int, list[int]]:
        stream = doubles(40)
        return await stream, await read(stream)

    assert go(program) == (40, [2 * n for n in range(40)])


def test_every_reader_gets_all_items_in_order(go):
    @hw.task
    async def program() -> list[list[int]]:
        stream = doubles(40)

        async def slowly() -> list[int]:
            seen = []
            async for item in stream:
                await hw.sleep(1)
                seen.append(item)
            return seen

        together = await hw.gather(read(stream), slowly())
        return [*together, await read(stream)]

    assert go(program) == [[2 * n for n in range(40)]] * 3


def test_a_stream_is_read_by_another_call_and_by_a_thread(go):
    held: list[hw.Stream[int]] = []

    @hw.task
    async def reads() -> list[int]:
        return await read(held[0])

    @hw.task(pool="thread")
    def reads_in_a_thread() -> list[int]:
        return hw.wait(read(doubles(30)))

    @hw.task
    async def program() -> tuple[list[int], list[int]]:
        held.append(doubles(30))
        return await reads(), await reads_in_a_thread()

    wanted = [2 * n for n in range(30)]
    assert hw.run(program, store=None) == (wanted, wanted)


def test_outside_of_a_run_a_stream_is_the_async_generator():
    @hw.task
    async def letters(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    async def outside() -> list[str]:
        return [letter async for letter in letters("abc")]

    assert asyncio.run(outside()) == ["a", "b", "c"]


def test_an_error_comes_after_the_items_before_it_and_the_same_again_on_a_resume(go):
    @hw.task
    async def program(end: bool) -> tuple[list[int], str]:
        seen, said = [], ""
        try:
            async for item in doubles(5, fail_at=3):
                seen.append(item)
        except ValueError as error:
            said = str(error)
        if not end:
            raise KeyError("stops here")
        return seen, said

    wanted = ([0, 2, 4], "no 3")
    assert go(program, True) == wanted
    assert go(program, True) == wanted


def test_an_error_of_a_stream_that_nobody_reads_fails_the_caller(go):
    @hw.task
    async def program() -> int:
        doubles(5, fail_at=3)
        return 1

    with pytest.raises(ExceptionGroup) as failed:
        go(program)
    assert failed.group_contains(ValueError, match="no 3")


# --- being ahead ---------------------------------------------------------------------------------------------------------


def test_the_task_is_ahead_of_its_reader_by_a_window_of_items_and_no_more(go):
    @hw.task(window=4)
    async def ahead() -> AsyncIterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    @hw.task
    async def program() -> list[int]:
        gaps = []
        async for item in ahead():
            await hw.sleep(1)
            gaps.append(len(made) - item)
        return gaps

    gaps = go(program)
    assert len(gaps) == 20
    assert max(gaps) == 1 + 4
    assert gaps[5] == 1 + 4


def test_a_stream_that_waits_for_its_reader_gives_its_limit_to_others(go):
    @hw.task
    async def program() -> list[int]:
        with hw.limit(1):
            stream = doubles(50)
            first = await double(1000)  # while the stream waits for a reader
            return [first, *await read(stream)]

    assert go(program, max_active=1) == [2000, *(2 * n for n in range(50))]


def test_a_stream_that_nobody_reads_goes_on_to_its_end_when_its_caller_has_ended(go):
    @hw.task
    async def program() -> int:
        doubles(60)
        return 1

    assert go(program) == 1
    assert len(yields()) == 60


def test_a_reader_may_wait_for_the_call_whose_stream_it_reads(go):
    held: list[hw.Stream[int]] = []

    @hw.task
    async def makes() -> int:
        held.append(doubles(60))
        await hw.sleep(5)
        return 7

    @hw.task
    async def reads(maker: int) -> list[int]:
        return [item + await makers[maker] async for item in held[0]]

    makers: list[hw.Handle[int]] = []

    @hw.task
    async def program() -> list[int]:
        makers.append(makes())
        await hw.sleep(1)
        return await reads(0)

    assert go(program, store=None) == [7 + 2 * n for n in range(60)]


def test_closing_a_stream_stops_its_call(go):
    @hw.task
    async def program() -> int:
        async with contextlib.aclosing(doubles(1000)) as stream:
            async for item in stream:
                if item == 4:
                    break
        return len(yields()) if "closed" in made else -1

    assert 3 <= go(program) < 40


# --- leaving ---------------------------------------------------------------------------------------------------------------


def test_leaving_the_loop_cancels_the_call_and_runs_its_finally(go):
    @hw.task
    async def program() -> tuple[list[int], bool, str]:
        stream = doubles(1000)
        seen = await read(stream, 3)
        await hw.sleep(1)
        try:
            await read(stream)
        except hw.CallCancelled as error:
            return seen, "closed" in made, str(error)
        return seen, False, ""

    seen, closed, said = go(program)
    assert seen == [0, 2, 4]
    assert closed
    assert "the loop that read its items was left" in said
    assert len(yields()) < 40


def test_a_reader_that_leaves_does_not_stop_the_others(go):
    @hw.task
    async def program() -> list[list[int]]:
        stream = doubles(50)
        return await hw.gather(read(stream, 3), read(stream))

    few, all_of_them = go(program)
    assert (few, len(all_of_them)) == ([0, 2, 4], 50)


@pytest.mark.parametrize("bound", ["timeout", "deadline", "cancel"])
def test_a_stream_that_waits_for_its_reader_can_be_stopped(go, bound):
    @hw.task(timeout=5 if bound == "timeout" else None, window=1)
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            made.append("closed")

    @hw.task
    async def program() -> str:
        stream = endless()
        if bound == "deadline":
            with pytest.raises(hw.DeadlineExceeded), hw.deadline(seconds=5):
                async for _ in endless():
                    await hw.sleep(3)
        async for _ in stream:
            if bound != "timeout":
                stream.cancel("enough")
            await hw.sleep(10)
            break
        await hw.sleep(1)
        try:
            await stream
        except hw.HeadwayError as error:
            return type(error).__name__
        return ""

    assert go(program) == ("CallTimeout" if bound == "timeout" else "CallCancelled")
    assert made.count("closed") == (2 if bound == "deadline" else 1)


def test_a_call_that_is_cancelled_while_it_reads_stops_its_stream(go):
    @hw.task
    async def never() -> AsyncIterator[int]:
        try:
            yield 1
            await hw.sleep(1000)
            yield 2
        finally:
            made.append("closed")

    @hw.task
    async def reads() -> list[int]:
        return await read(never())

    @hw.task
    async def program() -> float:
        reader = reads()
        await hw.sleep(1)
        reader.cancel()
        with pytest.raises(hw.CallCancelled):
            await reader
        return hw.now()

    go(program)
    assert made == ["closed"]


def test_two_streams_that_wait_for_each_other_are_told(go):
    held: dict[str, hw.Stream[int]] = {}

    @hw.task
    async def passes_on(mine: str, other: str) -> AsyncIterator[int]:
        await hw.sleep(1)
        async for item in held[other]:
            yield item

    @hw.task
    async def program() -> list[int]:
        held["a"], held["b"] = passes_on("a", "b"), passes_on("b", "a")
        return await read(held["a"])

    with pytest.raises(hw.CycleError, match="waits for it"):
        go(program)


# --- what can't be ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pool": "thread"}, "runs on the event loop"),
        ({"batch": 3}, "batch="),
        ({"cache": "forever"}, "forever"),
        ({"effect": True}, "effect="),
        ({"window": 0}, "at least"),
        ({"window": "3"}, "whole number"),
    ],
)
def test_an_option_that_a_stream_can_not_have_is_refused(options, said):
    async def items(n: int) -> AsyncIterator[int]:
        yield n

    with pytest.raises(hw.UsageError, match=said):
        hw.task(**options)(items)


def test_a_window_is_for_streams():
    with pytest.raises(hw.UsageError, match="async generators"):

        @hw.task(window=3)
        async def plain() -> int:
            return 1


@pytest.mark.parametrize("join", [hw.gather, hw.settle, hw.race, hw.as_completed, hw.gather_affordable])
def test_a_join_refuses_a_stream_with_a_sentence(go, join):
    @hw.task
    async def program() -> Settled[int]:
        stream = doubles(3)
        joined = join(stream, double(1))
        if join is hw.as_completed:
            await anext(joined)
        return await joined

    with pytest.raises(hw.UsageError, match=r"got doubles.doubles\(3.*a stream of items"):
        go(program)


def test_a_stream_as_an_argument_is_refused_with_a_sentence(go):
    @hw.task
    async def program() -> int:
        stream = doubles(3)
        await stream
        return await double(hw.ref(stream))

    with pytest.raises(hw.UsageError, match="can't be an argument"):
        go(program)
