"""Batches: single calls that are handed over as one list, and what each item is told and pays."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import until_set, wait_until_set

import headway as hw
from headway import events


def charge_each(items: list[int]) -> list[int]:
    for place, item in enumerate(items):
        hw.charge(place, tokens=item)
    hw.charge(tokens=len(items))  # for all of them
    return items


def charge_beyond(items: list[int]) -> list[int]:
    hw.charge(items[0], tokens=1)
    return items


def charge_alone(item: int) -> None:
    hw.charge(item, tokens=1)


def test_a_call_spends_no_seconds_while_its_batch_gathers(soon):
    @hw.task(batch=2, linger_s=5, batches=1)
    async def work(items: list[int]) -> list[int]:
        await asyncio.sleep(10)
        return items

    @hw.task
    async def program() -> list[float]:
        with hw.budget(seconds=1000):
            calls = [work(item) for item in range(3)]
            await hw.gather(*calls)
        return [call.cost["seconds"] for call in calls]

    assert soon(program) == pytest.approx([10, 10, 10])


def test_concurrent_single_calls_are_handed_over_as_one_list(soon):
    @hw.task(batch=4, linger_s=0.005)
    async def embed(texts: list[str]) -> list[int]:
        RAN.append(list(texts))
        return [len(text) for text in texts]

    @hw.task
    async def program() -> list[int]:
        values = await hw.gather(*(embed("x" * i) for i in range(10)))
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return values

    heard: list[Any] = []
    with pytest.raises(RuntimeError):
        soon(program, events=heard.append)
    assert [len(batch) for batch in RAN] == [4, 4, 2]
    assert [event.size for event in heard if isinstance(event, events.BatchStarted)] == [4, 4, 2]
    SWITCH["stop"] = False
    assert soon(program) == list(range(10))
    assert len(RAN) == 3


@pytest.mark.on_postgres
def test_an_exception_among_a_batchs_results_fails_only_its_own_call(soon):
    @hw.task(batch=3, linger_s=0.005)
    def check(items: list[int]) -> list[int]:
        return tuple(ValueError(item) if item == 1 else item for item in items)  # type: ignore[return-value]

    @hw.task
    async def program() -> list[bool]:
        return [end.ok for end in await hw.settle(*(check(i) for i in range(3)))]

    assert soon(program) == [True, False, True]


def test_a_batch_of_the_wrong_length_is_a_clear_error(soon):
    @hw.task(batch=3, linger_s=0.005)
    async def short(items: list[int]) -> list[int]:
        return items[:1]

    @hw.task
    async def program() -> None:
        await hw.gather(*(short(i) for i in range(3)))

    with pytest.raises(hw.UsageError, match="3 items and returned 1 results"):
        soon(program)


def test_a_cancelled_call_leaves_its_batch(soon):
    @hw.task(batch=2, linger_s=0.005)
    async def slow(items: list[int]) -> list[int]:
        await asyncio.sleep(10)
        return items

    @hw.task
    async def program() -> tuple[bool, int]:
        first, second = slow(1), slow(2)
        await asyncio.sleep(1)
        first.cancel()
        ends = await hw.settle(first, second)
        return ends[0].cancelled, ends[1].value or 0

    assert soon(program) == (True, 2)


def test_calls_with_other_options_share_a_batch(soon):
    @hw.task(batch=8, linger_s=0.005)
    def square(items: list[int]) -> list[int]:
        RAN.append(len(items))
        return [item * item for item in items]

    @hw.task
    async def program() -> list[int]:
        return await hw.gather(*(square.options(cost={"tokens": i})(i) for i in range(4)))

    assert soon(program) == [0, 1, 4, 9]
    assert RAN == [4]


def test_each_function_is_handed_its_own_calls(soon):
    @hw.task(batch=4, linger_s=0.005)
    async def double(items: list[int]) -> list[int]:
        RAN.append(("double", items))
        return [item * 2 for item in items]

    @hw.task(batch=4, linger_s=0.005)
    async def negate(items: list[int]) -> list[int]:
        RAN.append(("negate", items))
        return [-item for item in items]

    @hw.task
    async def program() -> list[int]:
        return await hw.gather(*(task(item) for item in (1, 2, 3) for task in (double, negate)))

    assert soon(program) == [2, -1, 4, -2, 6, -3]
    assert sorted(RAN) == [("double", [1, 2, 3]), ("negate", [1, 2, 3])]


def test_a_batch_begins_when_it_is_full_or_its_first_call_has_lingered(soon, clock):
    @hw.task(batch=3, linger_s=5)
    async def note(items: list[int]) -> list[int]:
        RAN.append((round(clock.elapsed, 1), items))
        await asyncio.sleep(1)
        return items

    @hw.task
    async def program() -> None:
        calls = [note(1)]
        await hw.sleep(3)
        calls.append(note(2))
        await hw.sleep(7)
        calls += [note(3), note(4), note(5)]
        await hw.sleep(0.5)
        calls.append(note(6))  # while the one before still runs
        await hw.settle(*calls)

    soon(program)
    assert RAN == [(5.0, [1, 2]), (10.0, [3, 4, 5]), (15.5, [6])]


def test_a_call_that_is_cancelled_while_its_batch_waits_is_not_handed_over(soon):
    @hw.task(batch=2, linger_s=0.005, batches=1)
    async def slow(items: list[int]) -> list[int]:
        RAN.append(items)
        await asyncio.sleep(10)
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [slow(0)]
        await hw.sleep(1)
        calls += [slow(item) for item in (1, 2, 3, 4)]
        await hw.sleep(1)
        calls[2].cancel()
        return [end.ok for end in await hw.settle(*calls)]

    assert soon(program) == [True, True, False, True, True]
    assert RAN == [[0], [1, 3], [4]]  # the one that left takes no place


def test_a_call_that_is_cancelled_while_its_batch_has_no_thread_is_not_handed_over(soon):
    occupied, go_on = threading.Event(), threading.Event()

    @hw.task
    def occupy() -> None:
        occupied.set()
        wait_until_set(go_on)

    @hw.task(batch=2, linger_s=0.005)
    def each(items: list[int]) -> list[int]:
        RAN.append(items)
        return items

    @hw.task(batch=2, linger_s=0.005, batches=1)
    def one_at_a_time(items: list[int]) -> list[int]:
        RAN.append(items)
        return items

    @hw.task(batch=2, linger_s=0.005)
    async def inline(items: list[int]) -> list[int]:
        RAN.append(items)
        return items

    @hw.task
    async def program() -> list[bool]:
        busy = occupy()
        await until_set(occupied)
        calls = [each(1), each(2), one_at_a_time(3), one_at_a_time(4), inline(5), inline(6)]
        await asyncio.gather(*calls[4:])  # they wait for nobody
        for place in (0, 2, 3):
            calls[place].cancel()
        calls += [one_at_a_time(7), one_at_a_time(8)]
        go_on.set()
        await busy
        return [end.ok for end in await hw.settle(*calls)]

    assert soon(program, pools={"thread": 1}) == [False, True, False, False, True, True, True, True]
    assert RAN == [[5, 6], [2], [7, 8]]


def test_while_as_many_batches_run_as_may_the_next_one_gathers(soon):
    @hw.task(batch=4, linger_s=0.005, batches=1)
    async def slow(items: list[int]) -> list[int]:
        RAN.append(len(items))
        await asyncio.sleep(10)
        return items

    @hw.task
    async def program() -> list[int]:
        calls = []
        for item in range(11):
            calls.append(slow(item))
            await hw.sleep(1)
        return await hw.gather(*calls)

    assert soon(program) == list(range(11))
    assert RAN == [1, 4, 4, 2]


def test_a_batch_that_fails_or_that_everybody_leaves_lets_the_next_one_run(soon):
    @hw.task(batch=4, linger_s=0.005, batches=1)
    async def fussy(items: list[int]) -> list[int]:
        RAN.append(items)
        await asyncio.sleep(10)
        if 0 in items:
            raise ValueError(items)
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [fussy(0)]
        await hw.sleep(1)
        calls.append(fussy(1))
        await hw.sleep(14)
        calls += [fussy(2), fussy(3)]
        calls[1].cancel()
        await hw.sleep(1)
        calls[2].cancel()
        return [end.ok for end in await hw.settle(*calls)]

    assert soon(program) == [False, False, False, True]
    assert RAN == [[0], [1], [2, 3]]


def test_a_batch_that_everybody_leaves_before_it_begins_lets_the_next_one_run(go):
    @hw.task(batch=1, batches=1)
    async def echo(items: list[int]) -> list[int]:
        RAN.append(items)
        return items

    @hw.task
    async def program() -> int:
        left = echo(1)  # a full batch: it has been started, and its code has not begun
        left.cancel()
        with hw.deadline(seconds=60):
            return await echo(2)

    assert go(program) == 2
    assert RAN == [[2]]


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_what_a_batch_spends_for_an_item_is_booked_to_its_call(soon, pool):
    each = hw.task(batch=4, linger_s=0.05, pool=pool)(charge_each)

    @hw.task
    async def one(item: int) -> float:
        with hw.budget(tokens=100) as book:
            await each(item)
        return book.spent["tokens"]

    @hw.task
    async def program() -> list[float]:
        return await hw.gather(*(one(i) for i in range(4)))

    assert soon(program) == [1.0, 2.0, 3.0, 4.0]


def test_who_left_a_batch_pays_no_share_of_what_it_spends_afterwards(soon):
    @hw.task(batch=3, linger_s=0.005, cost={"tokens": 1})
    async def work(items: list[int]) -> list[int]:
        hw.charge(tokens=30)
        await asyncio.sleep(10)
        hw.charge(tokens=30)
        for place in range(3):
            hw.charge(place, tokens=100)
        return items

    @hw.task
    async def program() -> tuple[list[float], float]:
        with hw.budget(tokens=1000) as book:
            calls = [work(item) for item in range(3)]
            await asyncio.sleep(1)
            calls[1].cancel()
            await hw.settle(*calls)
            return [call.cost["tokens"] for call in calls], book.spent["tokens"]

    assert soon(program) == ([10.0 + 15.0 + 100.0, 10.0, 10.0 + 15.0 + 100.0], 260.0)


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_charging_an_item_where_there_is_none_is_a_clear_error(pool):
    beyond, alone = hw.task(batch=2, linger_s=0.05, pool=pool)(charge_beyond), hw.task(pool=pool)(charge_alone)

    @hw.task
    async def program() -> list[str]:
        return [str(end.error) for end in await hw.settle(beyond(2), beyond(2), beyond(-1), beyond(-1), alone(0))]

    *beyond_it, last = hw.run(program, store=None, deadline_s=20)  # a real clock goes on while a worker is silent
    assert all("items 0 to 1" in said for said in beyond_it)
    assert "only a batch function has items" in last


@pytest.mark.parametrize(("item", "said"), [(2, "this batch has items 0 to 1"), (-1, "this batch has items 0 to 1")])
def test_nobody_can_ask_about_an_item_that_is_not_there(soon, item, said):
    @hw.task(batch=2, linger_s=0.005)
    async def look(items: list[int]) -> list[bool]:
        return [hw.stopping(item) for _ in items]

    @hw.task
    async def alone() -> bool:
        return hw.stopping(item)

    @hw.task
    async def program() -> list[str]:
        ends = await hw.settle(look(1), look(2), alone())
        return [str(end.error) for end in ends]

    one, other, single = soon(program)
    assert one == other
    assert f"hw.stopping({item}) in batch task" in one
    assert said in one
    assert "only a batch function has items" in single
