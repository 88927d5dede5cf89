"""A budget is found again by its place. An edit, or another attempt, may open it inside of another one than before."""

from __future__ import annotations

import pytest
from failing_store import BreakingStore
from notes import RAN, SWITCH
from steps import reach_the_disk, work

import headway as hw


@hw.task
async def die(life: int) -> None:
    """The disk is full, in this life; what was before is written."""
    await reach_the_disk()
    if SWITCH["life"] == life:
        SWITCH["store"].broken = True
        await reach_the_disk()


@hw.task
async def pieces() -> int:
    with hw.budget(calls=40) as own:
        for number in range(6):
            await work(number)
            if number in (1, 3):
                await die(number // 2 + 1)
    return int(own.spent["calls"])


@hw.task
async def program() -> tuple[int, int]:
    if SWITCH["life"] == 1:
        return await pieces(), 0
    with hw.budget(calls=40) as around:  # as if somebody had edited it
        return await pieces(), int(around.spent["calls"])


def test_what_a_budget_spent_before_an_edit_put_it_inside_of_another_does_not_count_there(go):
    store = SWITCH["store"] = BreakingStore()
    for life in (1, 2):
        SWITCH["life"], store.broken = life, False
        with pytest.raises(hw.StoreFull):
            go(program, store=store)
    SWITCH["life"], store.broken = 3, False
    own, around = go(program, store=store)
    assert RAN == [0, 1, 2, 3, 4, 5]
    before_the_edit, attempts = 4, 2
    assert around == own - before_the_edit + attempts  # of the call that opens it


def test_a_budget_that_another_attempt_opens_with_more_takes_what_is_inside_of_it_along(go):
    @hw.task(retry=hw.Retry(attempts=2, delay_s=1.0))
    async def tries() -> tuple[int, float]:
        attempt = hw.call().attempt
        with hw.budget(calls=2 * attempt) as outer, hw.budget(calls=20):
            ends = await hw.settle(*(work(number) for number in range(5)))
        if attempt == 1:
            raise OSError("try again")
        return sum(end.ok for end in ends), outer.spent["calls"]

    assert go(tries) == (4, 4.0)


def test_a_budget_that_another_attempt_opens_with_less_binds_what_is_inside_of_it(go):
    @hw.task(retry=hw.Retry(attempts=2, delay_s=1.0))
    async def tries() -> tuple[int, float]:
        attempt = hw.call().attempt
        with hw.budget(calls=4 if attempt == 1 else 3) as outer, hw.budget(calls=20):
            ends = await hw.settle(*(work(number) for number in range(2 * attempt)))
        if attempt == 1:
            raise OSError("try again")
        return sum(end.ok for end in ends), outer.spent["calls"]

    assert go(tries) == (3, 3.0)


def test_a_budget_that_another_attempt_opens_by_itself_is_not_inside_of_another_any_more(go):
    @hw.task(retry=hw.Retry(attempts=2, delay_s=1.0))
    async def tries() -> tuple[int, float]:
        with hw.budget(calls=2) as outer:
            if hw.call().attempt == 1:
                with hw.budget(calls=3):
                    await work("first")
                raise OSError("try again")
        with hw.budget(calls=3):
            ends = await hw.settle(*(work(number) for number in range(3)))
        return sum(end.ok for end in ends), outer.spent["calls"]

    assert go(tries) == (2, 1.0)
