"""Groups: calls that are added while their completions are read."""

from __future__ import annotations

import asyncio

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
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        RAN.append(("cancelled", value))
        raise
    RAN.append(value)
    return value


@hw.task
async def fail(text: str) -> int:
    raise ValueError(text)


def test_a_group_hands_out_calls_as_they_end_and_takes_more_meanwhile(go):
    @hw.task
    async def program() -> list[int]:
        got: list[int] = []
        group: hw.Group[int]
        async with hw.group() as group:
            group.add(rest(30, 1))
            group.add(rest(10, 2))
            async for handle in group:
                got.append(handle.result())
                if handle.result() == 2:
                    group.add(rest(5, 3))
                    group.add(rest(100, 4))
        return got

    assert go(program) == [2, 3, 1, 4]


def test_reading_ends_when_all_is_handed_out_and_goes_on_after_more_was_added(go):
    @hw.task
    async def program() -> list[list[int]]:
        rounds: list[list[int]] = []
        async with hw.group() as group:
            for number in range(3):
                group.add(rest(1, number))
                group.add(rest(2, number + 10))
                assert len(group) == 2
                rounds.append([handle.result() async for handle in group])
                assert len(group) == 0
        return rounds

    assert go(program) == [[0, 10], [1, 11], [2, 12]]


def test_a_group_of_nothing_ends_at_once(go):
    @hw.task
    async def program() -> int:
        async with hw.group() as group:
            return len([handle async for handle in group])

    assert go(program) == 0


def test_tags_say_what_a_call_was_for(go):
    @hw.task
    async def program() -> list[tuple[str, int]]:
        async with hw.group() as group:
            group.add(rest(2, 1), tag="slow")
            other = group.add(rest(1, 2), "quick")
            group.add(rest(3, 3))
            assert group.tag(other) == "quick"
            found = [(group.tag(handle), handle.result()) async for handle in group]
            assert group.tag(other) == "", "tags of what was handed out before the last are forgotten"
            return found

    assert go(program) == [("quick", 2), ("slow", 1), ("", 3)]


def test_a_failed_call_is_handed_out_like_any_other(go):
    @hw.task
    async def program() -> list[str]:
        async with hw.group() as group:
            group.add(rest(2, 1))
            group.add(fail("no"))
            return [str(handle.exception() or handle.result()) async for handle in group]

    assert go(program) == ["no", "1"]


def test_leaving_a_group_early_cancels_and_drains_the_rest(go, clock):
    @hw.task
    async def program() -> tuple[list[str], float]:
        began = hw.now()
        handles = [rest(1, 1), rest(50, 2), rest(60, 3)]
        async with hw.group() as group:
            for handle in handles:
                group.add(handle)
            async for _ in group:
                break
        return [handle.state for handle in handles], hw.now() - began

    states, took = go(program)
    assert states == ["ok", "cancelled", "cancelled"]
    assert took < 5
    assert set(RAN) == {1, ("cancelled", 2), ("cancelled", 3)}


def test_an_error_in_the_block_cancels_and_drains_the_rest(go):
    @hw.task
    async def program() -> str:
        slow = rest(50, 2)
        with pytest.raises(ValueError, match="no"):
            async with hw.group() as group:
                group.add(slow)
                group.add(fail("no"))
                async for handle in group:
                    handle.result()
        return slow.state

    assert go(program) == "cancelled"


@pytest.mark.on_postgres
def test_a_deadline_stops_what_a_group_waits_for(go):
    @hw.task
    async def program() -> tuple[list[int], str]:
        got: list[int] = []
        slow = rest(100, 2)
        with hw.deadline(seconds=10, raises=False):
            async with hw.group() as group:
                group.add(slow)
                group.add(rest(1, 1))
                async for handle in group:
                    got.append(handle.result())
        return got, slow.state

    assert go(program) == ([1], "cancelled")


@hw.task
async def grows(width: int) -> list[int]:
    """Which calls it makes hangs on the order in which others end."""
    got: list[int] = []
    async with hw.group() as group:
        for number in range(width):
            group.add(drawn(number))
        async for handle in group:
            got.append(handle.result())
            if len(got) < 4 * width:
                group.add(drawn(handle.result() * 10 + len(got) % 3))
    if FAIL:
        raise RuntimeError("stop")
    return got


@hw.task
async def drawn(number: int) -> int:
    RAN.append(number)
    await asyncio.sleep(hw.random().random() * 10)
    return number


@pytest.mark.on_postgres
def test_the_order_is_told_again_to_a_resumed_program(go):
    FAIL.append(True)
    with pytest.raises(RuntimeError):
        go(grows, 3)
    ran, before = sorted(map(str, RAN)), len(RAN)
    FAIL.clear()
    got = go(grows, 3)
    assert len(RAN) == before, "it asked for the same calls, though all had ended when it asked again"
    assert sorted(map(str, got)) == ran


@pytest.mark.parametrize("seed", range(4))
def test_a_group_ends_as_it_would_have_wherever_it_is_killed(seed):
    whole = History(seed)
    whole.live(grows, 2)
    whole.check()
    for after in range(0, len(whole.rows()), 3):
        history = History(seed)
        history.live(grows, 2, crash=Crash(after, "after"))
        told = [row.body for row in history.rows()]
        last = history.live(grows, 2)
        history.check()
        assert last.how == "returned"
        assert [row.body for row in history.rows()][: len(told)] == told


def test_a_program_with_a_group_passes_the_check(headway_check):
    headway_check(grows, 2, schedules=6)


def test_a_call_that_waits_for_the_reader_is_refused(go):
    @hw.task
    async def inner(above: list[hw.Handle[int]]) -> str:
        async with hw.group() as group:
            with pytest.raises(hw.CycleError, match="neither could ever end"):
                group.add(waiting[0])
        return "refused"

    @hw.task
    async def outer() -> str:
        return await inner([])

    @hw.task
    async def program() -> str:
        waiting.append(handle := outer())  # type: ignore[arg-type]
        return await handle

    waiting: list[hw.Handle[int]] = []
    assert go(program) == "refused"


def test_two_that_begin_to_wait_for_each_other_are_told(go):
    """Neither waits yet when each adds the other."""

    @hw.task
    async def reads(name: str) -> str:
        async with hw.group() as group:
            await asyncio.sleep(1)
            group.add(both["b" if name == "a" else "a"])
            await asyncio.sleep(1)
            try:
                async for _ in group:
                    pass
            except hw.CycleError:
                return f"{name} was refused"
        return f"{name} read"

    @hw.task
    async def program() -> list[str]:
        both.update(a=reads("a"), b=reads("b"))
        return [end.value or "stopped" for end in await hw.settle(both["a"], both["b"])]

    both: dict[str, hw.Handle[str]] = {}
    found = go(program)
    assert sorted(text.split()[-1] for text in found) == ["refused", "stopped"], "who leaves its group stops what is in it"


def test_a_group_is_added_to_by_the_code_that_reads_it(go):
    @hw.task
    async def program() -> str:
        async def adds(group: hw.Group[int]) -> None:
            group.add(rest(1, 1))

        async with hw.group() as group:
            with pytest.raises(hw.UsageError, match="let the loop that reads the group add the calls"):
                await asyncio.create_task(adds(group))
        return "refused"

    assert go(program) == "refused"


def test_a_group_says_how_it_is_opened_and_what_it_takes(go):
    async def plain() -> int:
        return 1

    @hw.task
    async def program() -> None:
        group = hw.group()
        with pytest.raises(hw.UsageError, match=r"async with hw\.group"):
            group.add(rest(1))
        with pytest.raises(hw.UsageError, match=r"async with hw\.group"):
            await anext(aiter(group))
        async with group:
            with pytest.raises(hw.UsageError, match=r"hw.group\(\).add takes calls of tasks, got coroutine"):
                group.add(plain())  # type: ignore[arg-type]
            with pytest.raises(hw.UsageError, match=r"takes one call, got int"):
                group.add(1)  # type: ignore[arg-type]
        with pytest.raises(hw.UsageError, match="open another one"):
            await group.__aenter__()

    go(program)


def test_a_plain_task_reads_a_group_in_an_async_helper(go):
    @hw.task(pool="thread")
    def program() -> list[int]:
        async def reads() -> list[int]:
            async with hw.group() as group:
                group.add(rest(2, 1))
                group.add(rest(1, 2))
                return [handle.result() async for handle in group]

        return hw.wait(reads())

    assert go(program) == [2, 1]


def test_outside_of_a_run_a_group_takes_coroutines():
    async def program() -> list[int]:
        got: list[int] = []
        async with hw.group() as group:
            group.add(rest(0.02, 1), tag="slow")
            group.add(rest(0, 2))
            async for handle in group:
                got.append(handle.result())
                if handle.result() == 1:
                    assert group.tag(handle) == "slow"
                    group.add(rest(0, 3))
                    group.add(rest(60, 4))
                if handle.result() == 3:
                    break
        return got

    assert asyncio.run(program()) == [2, 1, 3]
    assert ("cancelled", 4) in RAN


def test_outside_of_a_run_completions_are_handed_out_too():
    async def program() -> list[int]:
        return [handle.result() async for handle in hw.as_completed(rest(0.02, 1), rest(0, 2), rest(0.01, 3))]

    assert asyncio.run(program()) == [2, 3, 1]


def test_a_steady_group_needs_no_more_rows_than_its_calls_and_their_order():
    history = History(1, STEADY)
    life = history.live(grows, 2)
    calls = sum(isinstance(event, hw.events.CallStarted) for event in life.event_log)
    assert len(history.rows()) <= 2 * calls + 3
