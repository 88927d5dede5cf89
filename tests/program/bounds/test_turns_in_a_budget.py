"""Budgets that wait: whose turn it is. The first to come goes first, but for what somebody ahead waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from spending import HANDLES, ORDER, priced, spends

import headway as hw
from headway import events


@pytest.fixture(autouse=True)
def _forget() -> None:
    ORDER.clear()
    HANDLES.clear()


def test_a_large_reservation_is_not_overtaken_by_small_ones(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            calls = [spends("a", 1), spends("b", 2), priced(90)("large"), *(priced(5)(f"small {n}") for n in range(3))]
            return [end.ok for end in await hw.settle(*calls)]

    assert go(program) == [True, True, False, True, True, True]  # what a and b spend leaves 80
    assert ORDER == ["a", "b", "small 0", "small 1", "small 2"]
    ORDER.clear()

    @hw.task
    async def wider() -> Any:
        with hw.budget(tokens=120, wait=True):
            calls = [spends("a", 1), spends("b", 2), priced(90)("large"), *(priced(5)(f"small {n}") for n in range(3))]
            return await hw.gather(*calls)

    go(wider, run_id="wider")
    assert ORDER == ["a", "b", "large", "small 0", "small 1", "small 2"]


def test_a_part_of_a_call_that_has_reserved_nothing_waits_its_turn(go):
    @hw.task
    async def parent() -> str:
        await asyncio.sleep(1)
        return await priced(5)("small")

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await hw.gather(priced(60)("first", 5), parent(), priced(90)("large"))

    go(program)
    assert ORDER == ["first", "large", "small"]


def test_what_a_holder_needs_to_end_passes_those_who_wait_for_the_holder(go):
    @hw.task(cost={"tokens": 60})
    async def parent() -> str:
        hw.charge(tokens=1)
        await asyncio.sleep(1)
        return await priced(20)("child")

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            return await hw.gather(parent(), priced(80)("large"))

    go(program)
    assert ORDER == ["child", "large"]


def test_it_passes_also_where_the_holder_only_has_its_handle(go):
    @hw.task(cost={"tokens": 60})
    async def holder() -> Any:
        hw.charge(tokens=1)
        await asyncio.sleep(1)
        return await HANDLES[0]

    @hw.task
    async def program() -> Any:
        with hw.deadline(seconds=100), hw.budget(tokens=100, wait=True):
            first, large = holder(), priced(80)("large")
            HANDLES.append(priced(20)("small"))
            return await hw.gather(first, large, HANDLES[0])

    go(program)
    assert ORDER == ["small", "large"]


def test_who_can_go_on_leaves_the_line_when_those_ahead_give_up(go):
    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            running, large, small = priced(60)("a", 50), priced(90)("large"), spends("small", 1)
            await asyncio.sleep(1)
            large.cancel()
            await small
            return running.done()

    assert go(program) is False


def test_who_lacked_room_when_it_was_let_go_has_its_old_place_again(go):
    @hw.task(resources={"gpu": 1})
    async def on_gpu() -> None:
        await asyncio.sleep(5)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            first = priced(70)("first", 1)
            both = spends.options(resources={"gpu": 1}, cost={"tokens": 60})("needs both")
            await asyncio.sleep(0.1)
            gpu = on_gpu()
            await asyncio.sleep(2)
            quick = priced(60)("quick", 10)
            await asyncio.sleep(1)
            return await hw.gather(first, both, gpu, quick, priced(50)("late"))

    go(program, resources={"gpu": 1})
    assert ORDER == ["first", "quick", "needs both", "late"]


def test_as_many_are_let_go_as_fit_and_not_all_that_each_would(go):
    told: list[Any] = []

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=130, wait=True), hw.limit(20):
            return len(await hw.gather(*(priced(90)(str(n), 1, 1) for n in range(30))))

    assert go(program, events=told.append) == 30
    assert sum(isinstance(event, events.CallWaits) and not event.over for event in told) <= 30


def test_who_is_let_go_has_its_money_before_others_that_become_ready_in_that_moment(go):
    @hw.task(cost={"tokens": 60})
    async def after(name: str, before: str) -> str:
        return await spends.fn(name)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=100, wait=True):
            first = priced(70)("first", 1)
            with hw.limit(2):
                late = after("late", hw.ref(first))  # made sooner, so it is looked at sooner
            with hw.limit(3):
                waits = priced(60)("waits", 1)
            return await hw.gather(first, late, waits)

    go(program)
    assert ORDER == ["first", "waits", "late"]


def test_a_large_reservation_is_not_overtaken_by_the_parts_of_a_call_that_it_need_not_wait_for(go):
    """The holder keeps 10 to its end, which leaves enough for the large one. What its parts hold between them does not."""

    @hw.task(cost={"tokens": 10})
    async def holder() -> None:
        await hw.gather(*(chain(name, n / 3) for n, name in enumerate("abc")))

    @hw.task
    async def chain(name: str, late_s: float) -> None:
        await asyncio.sleep(late_s)
        for n in range(4):
            await priced(30)(f"{name}{n}", 1, 1)

    @hw.task
    async def program() -> Any:
        with hw.budget(tokens=110, wait=True):
            calls = holder(), later()
            return await hw.gather(*calls)

    @hw.task
    async def later() -> str:
        await asyncio.sleep(0.9)
        return await priced(80)("large", 1, 1)

    go(program)
    assert ORDER.index("large") == 3, ORDER
