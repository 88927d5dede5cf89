"""`hw.map(…, failed=…)`: what a map does about calls that fail."""

from __future__ import annotations

import asyncio

import pytest
from notes import RAN

import headway as hw
from headway.sim.history import History
from headway.sim.store import Crash


@hw.task
async def odd(number: int) -> int:
    """Fails for even numbers."""
    RAN.append(number)
    await asyncio.sleep(number % 3)
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


@hw.task
async def ends(count: int, failed: str | int | float, ordered: bool) -> list[str]:
    found: list[str] = []
    async for end in hw.map(odd, range(count), window=3, failed=failed, ordered=ordered):  # type: ignore[call-overload]
        found.append(str(end.value if end.ok else end.error))
    return found


@pytest.mark.parametrize("ordered", [True, False])
def test_keep_hands_out_how_each_call_ended(go, ordered):
    found = go(ends, 5, "keep", ordered)
    wanted = ["0 is even", "1", "2 is even", "3", "4 is even"]
    assert (found if ordered else sorted(found)) == wanted


def test_the_first_failure_is_raised_by_default(go):
    with pytest.raises(ValueError, match="0 is even"):
        go(ends, 5, "raise", True)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("share", [False, True])
def test_failures_are_tolerated_up_to_a_limit(go, ordered, share):
    assert len(go(ends, 6, 0.5 if share else 3, ordered)) == 6
    with pytest.raises(ExceptionGroup, match=r"of the [0-9]+ calls handed out have failed") as caught:
        go(ends, 6, 0.49 if share else 2, ordered, run_id="another")
    assert sorted(str(error) for error in caught.value.exceptions) == ["0 is even", "2 is even", "4 is even"]


def test_no_failure_is_tolerated_with_a_limit_of_none(go):
    with pytest.raises(ExceptionGroup) as caught:
        go(ends, 6, 0, True)
    assert len(caught.value.exceptions) == 1


def test_too_many_failures_stop_the_rest(go):
    @hw.task
    async def slow(number: int) -> int:
        if number:
            await asyncio.sleep(1000)
        raise ValueError("no")

    @hw.task
    async def program() -> float:
        began = hw.now()
        with pytest.raises(ExceptionGroup):
            await hw.map(slow, range(5), failed=0)
        return hw.now() - began

    assert go(program) < 100


def test_a_share_of_a_number_that_nobody_knows_is_looked_at_in_the_end(go):
    @hw.task
    async def program(share: float) -> int:
        return len(await hw.map(odd, (number for number in range(4)), failed=share))

    assert go(program, 0.5, run_id="half") == 4
    RAN.clear()
    with pytest.raises(ExceptionGroup, match=r"hw.map\(failed=0.25\): 2 of the 4 calls handed out have failed"):
        go(program, 0.25, run_id="quarter")
    assert len(RAN) == 4


def test_a_call_that_was_cancelled_has_failed(go):
    def gone(number: int) -> hw.Handle[int]:
        handle = odd(number)
        handle.cancel()
        return handle

    @hw.task
    async def program() -> list[bool]:
        return [end.cancelled for end in await hw.map(gone, [1, 2], failed="keep")]  # type: ignore[arg-type]

    assert go(program) == [True, True]


def test_a_map_that_is_stopped_is_no_failure_of_its_calls(go):
    @hw.task
    async def slow(number: int) -> int:
        await asyncio.sleep(1000)
        return number

    @hw.task
    async def program() -> list[str]:
        got: list[str] = []
        with hw.deadline(seconds=5, raises=False):
            async for end in hw.map(slow, range(3), failed="keep"):
                got.append(str(end))
        return got

    assert go(program) == []


@pytest.mark.parametrize("inside", [True, False])
def test_plain_functions_are_tolerated_too(go, inside):
    async def plain(number: int) -> int:
        await asyncio.sleep(0)
        if number == 1:
            raise ValueError("no")
        return number

    async def maps() -> list[bool]:
        return [end.ok for end in await hw.map(plain, range(3), failed="keep")]  # type: ignore[arg-type]

    @hw.task
    async def program() -> list[bool]:
        return await maps()

    assert (go(program) if inside else asyncio.run(maps())) == [True, False, True]


@pytest.mark.parametrize("wrong", ["all", -1, 1.5, 1.0, 0.0, float("nan"), True, None])
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(hw.UsageError, match=r"hw.map\(failed=.*how many calls may fail"):
        hw.map(odd, [1], failed=wrong)


@pytest.mark.parametrize("seed", range(3))
def test_a_tolerant_map_ends_as_it_would_have_wherever_it_is_killed(seed):
    whole = History(seed)
    wanted = whole.live(ends, 6, 4, True)
    for after in range(0, len(whole.rows()), 2):
        history = History(seed)
        history.live(ends, 6, 4, True, crash=Crash(after, "after"))
        assert history.live(ends, 6, 4, True).value == wanted.value
        history.check(wanted.outcome)


def test_a_tolerant_map_passes_the_check(headway_check):
    headway_check(ends, 5, "keep", True, schedules=5)


def test_a_share_of_a_known_number_is_broken_as_soon_as_it_can_be(go):
    with pytest.raises(ExceptionGroup):
        go(ends, 100, 0.01, True)
    assert len(RAN) < 10
