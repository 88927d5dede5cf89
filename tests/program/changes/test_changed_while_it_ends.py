"""Arguments that change as their call ends: by code that is stopped, or by a caller that goes on filling a list."""

from __future__ import annotations

import asyncio

import pytest
from changing import quick, slow

import headway as hw


@hw.task
async def waits() -> None:
    await slow([])


def test_a_timeout_does_not_hide_the_change(go):
    with pytest.raises(hw.ArgumentChanged, match=r"history .*also failed, with CallTimeout: .*slow"):
        go(waits)


@pytest.mark.parametrize("how", ["race", "cancel", "deadline"])
def test_one_that_is_stopped_after_it_changed_its_argument_fails_whoever_made_it(go, how):
    """Nobody looks at the error of a loser, and the others see what it has changed."""

    @hw.task(name="program")
    async def program() -> int:
        history: list[str] = []
        if how == "race":
            await hw.race(slow.options(timeout=None)(history), quick([]))
        elif how == "cancel":
            handle = slow(history)
            await asyncio.sleep(1)
            handle.cancel()
            await hw.settle(handle)
        else:
            with hw.deadline(seconds=1, raises=False):
                await slow(history)
        return len(history)

    with pytest.raises((ExceptionGroup, hw.ArgumentChanged)) as caught:
        go(program)
    assert "slow: argument history (a list) was changed" in str([caught.value, *getattr(caught.value, "exceptions", [])])


@hw.task
async def stops_itself(history: list[str]) -> None:
    history.append("x")
    raise asyncio.CancelledError


def test_code_that_ends_like_a_stopped_one_is_looked_at_as_well(go):
    with pytest.raises(hw.ArgumentChanged, match="CallExited"):
        go(stops_itself, [])


def test_calls_below_one_that_is_cancelled_may_end_as_they_like(go):
    """Nobody goes on with what they have changed."""

    @hw.task(name="below")
    async def below() -> None:
        await slow([])

    @hw.task(name="program")
    async def program() -> bool:
        handle = below()
        await asyncio.sleep(1)
        handle.cancel()
        return (await hw.settle(handle))[0].cancelled

    assert go(program)


def test_a_caller_that_goes_on_filling_the_list_is_told(go):
    """Each of the calls would have computed what the last one asks."""

    @hw.task(name="program")
    async def program() -> list[int]:
        history: list[str] = []
        calls = []
        for turn in range(3):
            history.append(f"turn {turn}")
            calls.append(quick(history))
        return await hw.gather(*calls)

    with pytest.raises(hw.ArgumentChanged, match=r"quick: argument history .*by the task or by other code that has it"):
        go(program)


def test_a_caller_that_gives_copies_is_not(go):
    @hw.task(name="program")
    async def program() -> list[int]:
        history: list[str] = []
        calls = []
        for turn in range(3):
            history.append(f"turn {turn}")
            calls.append(quick(list(history)))
        return await hw.gather(*calls)

    assert go(program) == [1, 2, 3]


def test_a_caller_may_go_on_filling_the_list_once_the_call_has_ended(go):
    @hw.task(name="program")
    async def program() -> list[int]:
        history: list[str] = []
        found = []
        for turn in range(3):
            history.append(f"turn {turn}")
            found.append(await quick(history))
        return found

    assert go(program) == [1, 2, 3]
