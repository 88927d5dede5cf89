"""Tasks that are async generators: their items are recorded, handed out as they come, and handed out again after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest

import headway as hw
from headway.joins.base import Settled

made: list[object] = []


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()


@hw.task
async def double(n: int) -> int:
    made.append(("double", n))
    return 2 * n


@hw.task
async def doubles(to: int, fail_at: int = -1) -> AsyncIterator[int]:
    try:
        for n in range(to):
            if n == fail_at:
                raise ValueError(f"no {n}")
            made.append(n)
            yield await double(n)
    finally:
        made.append("closed")


def yields() -> list[object]:
    return [each for each in made if isinstance(each, int)]


async def read(stream: hw.Stream[int], most: int = 1000) -> list[int]:
    seen = []
    async for item in stream:
        seen.append(item)
        if len(seen) >= most:
            break
    return seen


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


# --- resuming ------------------------------------------------------------------------------------------------------------


class Stop(Exception):
    """What ends a life of a run in the middle."""


def test_a_resume_hands_out_the_recorded_items_before_the_task_runs_and_goes_on_after_them(go):
    lives: list[int] = []

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in doubles(8):
            seen.append(item)
            if len(lives) == 1 and item == 6:
                raise Stop
            if len(lives) == 2 and item == 6:
                made.append("read four")
        return seen

    with pytest.raises(Stop):
        go(program)
    before = [each for each in made if isinstance(each, tuple)]
    made.clear()
    assert go(program) == [2 * n for n in range(8)]
    ran = [each for each in made if isinstance(each, tuple)]
    assert not set(before) & set(ran)
    assert made.index("read four") < made.index(0)


def test_a_resume_of_a_loop_that_is_left_gets_the_same_items_although_the_task_would_yield_others(go):
    @hw.task
    async def samples() -> AsyncIterator[float]:
        while True:
            yield time.perf_counter()

    lives: list[float] = []

    @hw.task
    async def program() -> float:
        async for sample in samples():
            lives.append(sample)
            break
        if len(lives) == 1:
            raise Stop
        return sample

    with pytest.raises(Stop):
        go(program)
    assert go(program) == lives[0]


def test_a_finished_stream_is_answered_from_the_journal_without_running(go):
    lives: list[int] = []

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = await read(doubles(40))
        if len(lives) == 1:
            raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    made.clear()
    assert go(program) == [2 * n for n in range(40)]
    assert made == []


@pytest.mark.parametrize("way", ["other", "fewer"])
def test_a_stream_that_yields_something_else_when_it_runs_again_fails_and_says_so(go, way):
    lives: list[int] = []

    @hw.task(window=1)
    async def unsteady() -> AsyncIterator[int]:
        for n in range(2 if len(lives) == 2 and way == "fewer" else 6):
            yield n if len(lives) == 1 or n < 2 else -n

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in unsteady():
            seen.append(item)
            if len(lives) == 1 and item == 3:
                await hw.sleep(1)
                raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    with pytest.raises(hw.ItemChanged, match="had handed out item 2"):
        go(program)


def test_with_on_change_rerun_the_new_items_are_handed_out(go):
    lives: list[int] = []

    @hw.task(on_change="rerun", window=1)
    async def edited() -> AsyncIterator[int]:
        for n in range(4):
            yield n + 10 * len(lives)

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        seen = []
        async for item in edited():
            seen.append(item)
            if len(lives) == 1 and len(seen) == 2:
                raise Stop
        return seen

    with pytest.raises(Stop):
        go(program)
    assert go(program) == [20, 21, 22, 23]


def test_what_a_reader_or_the_task_does_to_an_item_changes_no_other_reader_s(go):
    @hw.task
    async def grows() -> AsyncIterator[list[int]]:
        items: list[int] = []
        for n in range(3):
            items.append(n)
            yield items

    async def spoil(stream: hw.Stream[list[int]]) -> list[list[int]]:
        seen = []
        async for item in stream:
            seen.append(list(item))
            item.append(-1)
        return seen

    @hw.task
    async def program() -> list[list[list[int]]]:
        stream = grows()
        return [await spoil(stream), await spoil(stream)]

    assert go(program) == [[[0], [0, 1], [0, 1, 2]]] * 2


@dataclass
class Found:
    name: str
    data: np.ndarray


@hw.task
async def large_ones(count: int) -> AsyncIterator[Found]:
    data = np.zeros(100_000)
    for n in range(count):
        made.append(n)
        data += 1
        yield Found("x" * 40_000 if n % 2 else "short", data)


@pytest.mark.parametrize("stored", [True, False])
def test_large_items_come_back_as_they_were_yielded(go, stored):
    lives: list[int] = []

    @hw.task
    async def program() -> list[tuple[int, float]]:
        lives.append(1)
        stream = large_ones(6)
        seen = []
        async for found in stream:
            seen.append((len(found.name), float(found.data.sum())))
            await hw.sleep(10)
        again = [(len(found.name), float(found.data.sum())) async for found in stream]
        assert again == seen
        if len(lives) == 1 and stored:
            raise Stop
        return seen

    if stored:
        with pytest.raises(Stop):
            go(program)
        made.clear()
    wanted = [(40_000 if n % 2 else 5, (n + 1) * 100_000.0) for n in range(6)]
    assert go(program, **({} if stored else {"store": None})) == wanted
    assert made == ([] if stored else list(range(6)))


# --- trying again ----------------------------------------------------------------------------------------------------------


def test_a_retry_goes_on_after_the_items_that_were_handed_out(go):
    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=3, delay_s=1))
    async def flaky() -> AsyncIterator[int]:
        tries.append(1)
        for n in range(6):
            if len(tries) == 1 and n == 4:
                raise ValueError("by itself")
            yield await double(n)

    @hw.task
    async def program() -> list[int]:
        return await read(flaky())

    assert go(program) == [2 * n for n in range(6)]
    assert len(tries) == 2
    assert sorted(each for each in made if isinstance(each, tuple)) == [("double", n) for n in range(6)]  # each once


def test_a_retry_that_can_not_yield_them_again_fails(go):
    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=5, delay_s=1))
    async def flaky() -> AsyncIterator[int]:
        tries.append(1)
        yield len(tries)
        raise ValueError("by itself")

    @hw.task
    async def program() -> list[int]:
        return await read(flaky())

    with pytest.raises(hw.ItemChanged):
        go(program)
    assert len(tries) == 2


def test_a_caller_that_is_tried_again_because_of_a_child_gets_the_items_that_it_had(go):
    tries: list[int] = []

    @hw.task
    async def breaks(item: int) -> int:
        if item == 6 and len(tries) == 1:
            raise ValueError("no six")
        return item

    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def reads() -> list[int]:
        tries.append(1)
        return [await breaks(item) async for item in doubles(40)]

    assert go(reads) == [2 * n for n in range(40)]
    assert len(tries) == 2
    assert len([each for each in made if isinstance(each, tuple)]) == 40  # no call was made again


def test_a_failed_stream_that_is_asked_again_may_yield_other_items(go):
    lives: list[int] = []

    @hw.task
    async def unsteady() -> AsyncIterator[int]:
        for n in range(2):
            yield n + 10 * len(lives)
        if len(lives) == 1:
            raise ValueError("by itself")

    @hw.task
    async def program() -> list[int]:
        lives.append(1)
        return await read(unsteady())

    with pytest.raises(ValueError, match="by itself"):
        go(program)
    assert go(program) == [20, 21]
    assert go(program) == [20, 21]


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

    with pytest.raises(hw.UsageError, match=r"got test_streams.doubles\(3.*a stream of items"):
        go(program)


def test_a_stream_as_an_argument_is_refused_with_a_sentence(go):
    @hw.task
    async def program() -> int:
        stream = doubles(3)
        await stream
        return await double(hw.ref(stream))

    with pytest.raises(hw.UsageError, match="can't be an argument"):
        go(program)
