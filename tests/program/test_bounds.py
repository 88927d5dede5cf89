"""Budgets, deadlines, limits, timeouts, batches."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import events
from headway.pools.workers import worker_process as remote

RAN: list[Any] = []
SWITCH: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    RAN.clear()
    SWITCH.clear()


@pytest.fixture
def soon(go):
    """As `go`, and what would wait for ever fails after an hour of the virtual clock."""
    return functools.partial(go, deadline_s=3600)


@hw.task
async def spend(tokens: float) -> float:
    RAN.append(tokens)
    hw.charge(tokens=tokens)
    return tokens


@hw.task(cost={"tokens": 40})
async def reserving(x: int, charged: float | None = None) -> int:
    await asyncio.sleep(1)
    RAN.append(x)
    if charged is not None:
        hw.charge(tokens=charged)
    return x


@hw.task(effect=True)
async def reach_the_disk() -> None:
    """An effect starts only when all before it is durable."""


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    RAN.append(seconds)
    return seconds


def test_parallel_children_never_pass_the_same_stale_check(go):
    @hw.task
    async def program() -> tuple[list[bool], dict[str, float]]:
        with hw.budget(tokens=100) as budget:
            ends = await hw.settle(*(reserving(i) for i in range(5)))
        assert all(isinstance(end.error, hw.BudgetExceeded) for end in ends if not end.ok)
        return [end.ok for end in ends], budget.spent

    assert go(program) == ([True, True, False, False, False], {"tokens": 80.0})


def test_what_was_reserved_and_not_charged_is_free_again(go):
    @hw.task
    async def program() -> tuple[float, float]:
        with hw.budget(tokens=100) as budget:
            await reserving(1, 5)
            during = hw.remaining("tokens")
            await hw.gather(reserving(2, 5), reserving(3, 5))
            return during, budget.spent["tokens"]

    assert go(program) == (95.0, 15.0)


def test_overspending_is_recorded_and_closes_the_scope(go):
    @hw.task
    async def program() -> tuple[float, bool]:
        with hw.budget(tokens=100) as budget:
            await spend(150)
            with pytest.raises(hw.BudgetExceeded, match="tokens"):
                await spend(1)
            return budget.spent["tokens"], budget.closed

    assert go(program) == (150.0, True)
    assert RAN == [150]


def test_an_inner_budget_counts_in_the_outer_one(go):
    @hw.task
    async def program() -> tuple[Any, ...]:
        with hw.budget(tokens=100) as outer:
            with hw.budget(tokens=70) as inner:
                await spend(60)
                left = hw.remaining("tokens")
            with hw.budget(tokens=70):
                return left, hw.remaining("tokens"), outer.spent, inner.spent

    assert go(program) == (10.0, 40.0, {"tokens": 60.0}, {"tokens": 60.0})


def test_budgets_count_calls_and_seconds_by_themselves(go):
    @hw.task
    async def program() -> tuple[int, dict[str, float]]:
        with hw.budget(calls=3, seconds=1000) as budget:
            ends = await hw.settle(*(rest(10) for _ in range(5)))
        return sum(end.ok for end in ends), budget.spent

    done, spent = go(program)
    assert done == 3
    assert spent["calls"] == 3
    assert spent["seconds"] == pytest.approx(30, abs=0.1)


def test_seconds_that_a_call_books_itself_are_not_booked_once_more(go):
    @hw.task
    async def rented() -> None:
        await asyncio.sleep(3)
        hw.charge(seconds=10)

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(seconds=100) as budget:
            await rented()
        return budget.spent

    assert go(program) == {"seconds": 10}


def _look_at_the_budget() -> list[float]:
    left = [hw.remaining("tokens")]
    hw.charge(tokens=10)
    return [*left, hw.remaining("tokens")]


@hw.task(cost={"tokens": 40})
async def look_inline() -> list[float]:
    return _look_at_the_budget()


@hw.task(cost={"tokens": 40}, pool="process")
def look_in_process() -> list[float]:
    return _look_at_the_budget()


@pytest.mark.parametrize("look", [look_inline, look_in_process], ids=["inline", "process"])
def test_what_is_reserved_for_a_call_is_its_own_to_spend(go, look):
    @hw.task
    async def program() -> tuple[list[float], float]:
        with hw.budget(tokens=100):
            return await look(), hw.remaining("tokens")

    assert go(program) == ([100, 90], 90)


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


def test_a_fixed_price_is_the_call_s_cost_also_where_nothing_bounds_it(go):
    @hw.task
    async def program() -> list[dict[str, float]]:
        calls = [reserving(1), reserving(2, charged=30)]
        await hw.gather(*calls)
        return [call.cost for call in calls]

    assert go(program) == [{"tokens": 40}, {"tokens": 30}]


def test_a_call_that_is_stopped_before_its_code_ran_costs_an_attempt_and_nothing_else(soon):
    @hw.task(batch=2, linger_s=5, cost={"tokens": 40})
    async def never_full(items: list[int]) -> list[int]:
        RAN.append(items)
        return items

    @hw.task
    async def program() -> tuple[dict[str, float], dict[str, float]]:
        with hw.budget(tokens=50, calls=10, seconds=100) as budget:
            call = never_full(1)
            await hw.sleep(1)
            call.cancel()
            await hw.settle(call)
        return call.cost, budget.remaining

    cost, remaining = soon(program)
    assert {unit: amount for unit, amount in cost.items() if amount} == {"calls": 1}
    assert remaining == {"tokens": 50, "calls": 9, "seconds": 100}
    assert not RAN


def test_a_parent_that_waits_spends_no_seconds(go):
    @hw.task
    async def parent() -> float:
        return await rest(20)

    @hw.task
    async def program() -> float:
        with hw.budget(seconds=1000) as budget:
            await parent()
        return budget.spent["seconds"]

    assert go(program) == pytest.approx(20, abs=0.1)


def test_a_resume_never_counts_twice(go):
    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=1000, calls=100) as budget:
            await hw.gather(*(spend(i) for i in range(4)))
            if SWITCH.get("stop", True):
                raise RuntimeError("stop")
            await spend(10)
            return budget.spent

    for _ in range(3):
        with pytest.raises(RuntimeError):
            go(program)
    SWITCH["stop"] = False
    assert go(program) == {"tokens": 16.0, "calls": 5.0}


def test_a_call_that_began_and_left_no_outcome_counts_at_its_reservation(go):
    class Dying(hw.MemoryStore):
        dead = False

        def commit(self, *args: Any, **kwargs: Any) -> None:
            if self.dead:
                raise hw.StoreFull(28, "dead")
            super().commit(*args, **kwargs)

    store = Dying()

    @hw.task(cost={"tokens": 40})
    async def call() -> int:
        if not RAN:
            await reach_the_disk()
            store.dead = True
        RAN.append(1)
        return 1

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100) as budget:
            await call()
            await reach_the_disk()
            return budget.spent

    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.dead = False
    assert go(program, store=store) == {"tokens": 80.0}


def test_the_cost_of_a_cancelled_loser_is_booked(go):
    @hw.task
    async def slow() -> int:
        hw.charge(tokens=7)
        await asyncio.sleep(100)
        return 1

    @hw.task
    async def quick() -> int:
        await asyncio.sleep(1)
        return 2

    @hw.task
    async def program() -> tuple[int, dict[str, float], dict[str, float]]:
        with hw.budget(tokens=100) as budget:
            loser = slow()
            won = await hw.race(loser, quick())
            return won, loser.cost, budget.spent

    assert go(program) == (2, {"tokens": 7.0}, {"tokens": 7.0})


def test_a_run_has_a_budget_and_a_deadline_of_its_own(go):
    @hw.task
    async def program() -> tuple[float, float]:
        return hw.remaining("tokens"), hw.time_left()

    left, time_left = go(program, budget={"tokens": 9}, deadline_s=50)
    assert left == 9
    assert time_left == pytest.approx(50, abs=1)


def test_a_timeout_is_an_error_of_that_one_call_and_can_be_retried(go):
    @hw.task(timeout=5, retry=hw.Retry(attempts=2, delay_s=1))
    async def slow() -> int:
        RAN.append(1)
        await asyncio.sleep(100)
        return 1

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.CallTimeout, match="5 s"):
            await slow()
        return "on"

    assert go(program) == "on"
    assert RAN == [1, 1]


def test_a_deadline_stops_everything_under_it(go):
    @hw.task
    async def program() -> tuple[bool, int]:
        with hw.deadline(seconds=10, raises=False) as deadline:
            await hw.gather(rest(5), rest(50))
        return deadline.expired, len(RAN)

    assert go(program) == (True, 1)


def test_a_deadline_raises_where_it_was_opened(go):
    @hw.task
    async def program() -> str:
        try:
            with hw.deadline(seconds=10):
                await asyncio.sleep(100)
        except hw.DeadlineExceeded as error:
            return str(error)
        return "no"

    assert "deadline" in go(program)


def test_children_inherit_the_deadline_and_an_inner_one_is_never_later(go):
    @hw.task
    async def left() -> float:
        with hw.deadline(seconds=1000):
            return hw.time_left()

    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=10):
            return await left()

    assert go(program) == pytest.approx(10, abs=0.1)


@hw.task(pool="process")
def looks_after_the_clock_was_set_back(seconds: float) -> float:
    wall = time.time
    time.time = lambda: wall() - seconds
    try:
        return hw.time_left()
    finally:
        time.time = wall


@pytest.mark.parametrize("seconds", [3600.0, 365 * 86_400.0])
def test_a_process_is_told_no_more_time_than_it_had_when_it_began_although_the_clock_was_set_back(seconds):
    async def program() -> float:
        with hw.deadline(seconds=600):
            return await looks_after_the_clock_was_set_back(seconds)

    assert 0 < hw.run(program, store=None) <= 600


def test_a_deadline_is_absolute_over_a_resume(go, clock):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=100):
            if SWITCH.get("stop", True):
                raise RuntimeError("stop")
            return hw.time_left()

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(60)
    SWITCH["stop"] = False
    assert go(program) == pytest.approx(40, abs=1)


def test_a_limit_bounds_concurrency_of_all_that_is_inside(go):
    high = [0, 0]

    @hw.task
    async def leaf() -> None:
        high[0] += 1
        high[1] = max(high)
        await asyncio.sleep(1)
        high[0] -= 1

    @hw.task
    async def branch() -> None:
        await hw.gather(*(leaf() for _ in range(5)))

    @hw.task
    async def program() -> int:
        with hw.limit(3):
            await hw.gather(*(branch() for _ in range(4)))
        return high[1]

    assert go(program) <= 3


def test_a_rate_spreads_starts_over_time(go, clock):
    @hw.task
    async def stamp() -> float:
        return clock.now

    @hw.task
    async def program() -> list[float]:
        with hw.limit(rate=10, per_s=60):
            return await hw.gather(*(stamp() for _ in range(25)))

    began = clock.now
    times = sorted(time - began for time in go(program))
    for start in times:
        assert sum(start <= other < start + 60 for other in times) <= 10
    assert times[-1] == pytest.approx(120, abs=1)


def test_a_named_limit_is_shared_through_the_store(go, tmp_path):
    @hw.task
    async def leaf() -> float:
        await asyncio.sleep(1)
        return 1

    @hw.task
    async def program() -> float:
        with hw.limit(2, name="provider"):
            return sum(await hw.gather(*(leaf() for _ in range(6))))

    assert go(program) == 6
    assert go(program, run_id="second") == 6


def test_resources_are_held_by_those_who_ask(go):
    high = [0, 0]

    @hw.task(resources={"gpu": 1})
    async def train() -> None:
        high[0] += 1
        high[1] = max(high)
        await asyncio.sleep(1)
        high[0] -= 1

    @hw.task
    async def program() -> int:
        await hw.gather(*(train() for _ in range(7)))
        return high[1]

    assert go(program, resources={"gpu": 2}) == 2
    with pytest.raises(hw.ResourceUnavailable, match="gpu"):
        go(program, run_id="none")


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
    @hw.task
    def occupy() -> None:
        SWITCH["occupied"] = True
        while "go on" not in SWITCH:
            time.sleep(0)

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
        while not SWITCH:  # noqa: ASYNC110
            await asyncio.sleep(0)
        calls = [each(1), each(2), one_at_a_time(3), one_at_a_time(4), inline(5), inline(6)]
        await asyncio.gather(*calls[4:])  # they wait for nobody
        for place in (0, 2, 3):
            calls[place].cancel()
        calls += [one_at_a_time(7), one_at_a_time(8)]
        SWITCH["go on"] = True
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


def test_an_interrupted_run_waits_for_a_batch_on_the_loop(go):
    @hw.task(batch=2, linger_s=0.005)
    async def work(items: list[int]) -> list[int]:
        RAN.append(items)
        if len(RAN) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        return items

    @hw.task
    async def program() -> list[int]:
        first = await hw.gather(work(1), work(2))
        return first + await hw.gather(work(3), work(4))

    with pytest.raises(hw.Interrupted):
        go(program)
    assert go(program) == [1, 2, 3, 4]
    assert RAN == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("seconds", "ran"), [(9, [9, 1]), (11, [11, 11, 1])], ids=["drained", "stopped"])
def test_a_run_that_is_told_to_end_drains_for_ten_seconds(go, capsys, seconds, ran):
    @hw.task
    async def work(seconds: float) -> float:
        RAN.append(seconds)
        if len(RAN) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> float:
        return await work(seconds) + await work(1)

    with pytest.raises(hw.Interrupted, match="Go on with: headway resume"):
        go(program)
    assert "told to end; no new calls, waiting for 1 running call to end and be journaled (10 s at most)" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert go(program) == seconds + 1
    assert ran == RAN


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_what_a_batch_spends_for_an_item_is_booked_to_its_call(soon, pool):
    each = {"inline": each_inline, "thread": each_in_thread, "process": each_in_process}[pool]

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


def _spend_for_each(items: list[int]) -> list[int]:
    for place, item in enumerate(items):
        hw.charge(place, tokens=item)
    hw.charge(tokens=len(items))  # for all of them
    return items


@hw.task(batch=4, linger_s=0.05)
async def each_inline(items: list[int]) -> list[int]:
    return _spend_for_each(items)


@hw.task(batch=4, linger_s=0.05)
def each_in_thread(items: list[int]) -> list[int]:
    return _spend_for_each(items)


@hw.task(batch=4, linger_s=0.05, pool="process")
def each_in_process(items: list[int]) -> list[int]:
    return _spend_for_each(items)


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_charging_an_item_where_there_is_none_is_a_clear_error(pool):
    beyond, alone = WITHOUT_ITEM[pool]

    @hw.task
    async def program() -> list[str]:
        return [str(end.error) for end in await hw.settle(beyond(2), beyond(2), beyond(-1), beyond(-1), alone(0))]

    *beyond_it, last = hw.run(program, store=None, deadline_s=20)  # a real clock goes on while a worker is silent
    assert all("items 0 to 1" in said for said in beyond_it)
    assert "only a batch function has items" in last


def _charge_beyond(items: list[int]) -> list[int]:
    hw.charge(items[0], tokens=1)
    return items


def _charge_alone(item: int) -> None:
    hw.charge(item, tokens=1)


@hw.task(batch=2, linger_s=0.05)
async def beyond_inline(items: list[int]) -> list[int]:
    return _charge_beyond(items)


@hw.task(batch=2, linger_s=0.05)
def beyond_in_thread(items: list[int]) -> list[int]:
    return _charge_beyond(items)


@hw.task(batch=2, linger_s=0.05, pool="process")
def beyond_in_process(items: list[int]) -> list[int]:
    return _charge_beyond(items)


@hw.task
async def alone_inline(item: int) -> None:
    _charge_alone(item)


@hw.task
def alone_in_thread(item: int) -> None:
    _charge_alone(item)


@hw.task(pool="process")
def alone_in_process(item: int) -> None:
    _charge_alone(item)


WITHOUT_ITEM = {
    "inline": (beyond_inline, alone_inline),
    "thread": (beyond_in_thread, alone_in_thread),
    "process": (beyond_in_process, alone_in_process),
}


def test_a_thread_hears_that_nobody_waits_for_it_any_more(go):
    @hw.task
    def spin() -> None:
        RAN.append("began")
        while not hw.stopping():
            time.sleep(0)
        RAN.append("ended")

    @hw.task
    async def program() -> bool:
        call = spin()
        while not RAN:  # noqa: ASYNC110
            await asyncio.sleep(0)
        call.cancel()
        return (await hw.settle(call))[0].cancelled

    assert go(program)
    while len(RAN) < 2:
        time.sleep(0)
    assert not hw.stopping()  # outside of a run


def test_a_batch_hears_which_of_its_items_are_not_wanted_any_more(soon):
    @hw.task(batch=3, linger_s=0.005)
    def work(items: list[int]) -> list[int]:
        RAN.append("began")
        while not hw.stopping(1):
            time.sleep(0)
        RAN.append([hw.stopping(0), hw.stopping(1), hw.stopping(2), hw.stopping()])
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [work(i) for i in range(3)]
        while not RAN:  # noqa: ASYNC110
            await asyncio.sleep(0)
        calls[1].cancel()
        return [end.ok for end in await hw.settle(*calls)]

    assert soon(program) == [True, False, True]
    assert RAN[1] == [False, True, False, False]


def test_a_batch_that_everybody_left_hears_that_nobody_waits_for_it(soon):
    @hw.task(batch=2, linger_s=0.005)
    def work(items: list[int]) -> list[int]:
        RAN.append(hw.stopping())
        while not hw.stopping() and not SWITCH:
            time.sleep(0)
        RAN.append(hw.stopping())
        return items

    @hw.task
    async def program() -> list[bool]:
        calls = [work(1), work(2)]
        while not RAN:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        ends = [end.cancelled for end in await hw.settle(*calls)]
        for _ in range(10_000):
            await asyncio.sleep(0)
        SWITCH["enough"] = True
        while len(RAN) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return ends

    assert soon(program) == [True, True]
    assert RAN == [False, True]


@hw.task(batch=2, linger_s=0.05, pool="process")
def sleep_in_process(items: list[str]) -> list[str]:
    Path(items[0]).write_text("asleep")
    try:
        time.sleep(1000)
    finally:
        Path(items[0]).write_text("interrupted")
    return items


def test_a_batch_in_a_process_is_interrupted_when_everybody_left(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "INTERRUPT_GRACE_S", 30.0)  # on a busy machine it may not get a processor for half a second
    said = tmp_path / "said"

    async def says(what: str) -> bool:
        for _ in range(3000):
            if said.exists() and said.read_text() == what:
                return True
            await asyncio.sleep(0.01)
        return False

    @hw.task
    async def program() -> list[bool]:
        calls = [sleep_in_process(str(said)), sleep_in_process(str(said))]
        begun = await says("asleep")
        calls[0].cancel()
        calls[1].cancel()
        return [begun, await says("interrupted"), *(end.cancelled for end in await hw.settle(*calls))]

    assert hw.run(program, store=None) == [True, True, True, True]


def test_what_a_call_left_behind_hears_that_the_call_has_ended(go):
    @hw.task
    def leave() -> bool:
        SWITCH["left behind"] = contextvars.copy_context()
        return hw.stopping()

    @hw.task
    async def program() -> tuple[bool, bool]:
        return await leave(), SWITCH["left behind"].run(hw.stopping)

    assert go(program) == (False, True)


def test_an_attempt_that_was_given_up_hears_of_it_though_the_call_goes_on(go):
    @hw.task(timeout=1, retry=hw.Retry(attempts=2, delay_s=0.01))
    def first_hangs() -> str:
        if hw.call().attempt == 1:
            while not hw.stopping():
                time.sleep(0)
            RAN.append("ended")
            return "late"
        while not RAN:
            time.sleep(0)
        return "second"

    assert hw.run(first_hangs, store=None) == "second"


def test_a_body_that_runs_again_is_not_charged_twice(go):
    @hw.task
    async def parent() -> float:
        hw.charge(tokens=7)
        seen = hw.remaining("tokens")
        hw.charge(tokens=3)
        await reach_the_disk()
        if SWITCH.get("stop", True):
            SWITCH["store"].dead = True
            await reach_the_disk.options(key="never")()
        return seen

    class Dying(hw.MemoryStore):
        dead = False

        def commit(self, *args: Any, **kwargs: Any) -> None:
            if self.dead:
                raise hw.StoreFull(28, "dead")
            super().commit(*args, **kwargs)

    @hw.task
    async def program() -> tuple[float, dict[str, float]]:
        with hw.budget(tokens=100) as budget:
            return await parent(), budget.spent

    SWITCH["store"] = store = Dying()
    for _ in range(3):
        with pytest.raises(hw.StoreFull):
            go(program, store=store)
        store.dead = False
    SWITCH["stop"] = False
    assert go(program, store=store) == (93.0, {"tokens": 10.0})


def test_a_call_that_promises_to_spend_none_of_a_unit_may_start_when_it_is_used_up(go):
    @hw.task(cost={"tokens": 0})
    async def judge() -> str:
        return "judged"

    @hw.task
    async def program() -> tuple[str, bool]:
        with hw.budget(tokens=10):
            await spend(10)
            ends = await hw.settle(spend(1))
            return await judge(), ends[0].ok

    assert go(program) == ("judged", False)


def test_a_timeout_covers_children_that_nobody_awaits(go, clock):
    @hw.task(timeout=5)
    async def parent() -> int:
        rest(100)
        return 1

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.CallTimeout):
            await parent()
        return "stopped"

    began = clock.now
    assert go(program) == "stopped"
    assert clock.now - began < 10


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


def test_a_run_keeps_its_deadline_until_a_resume_sets_another(tmp_path):
    options: dict[str, Any] = {"store": tmp_path, "run_id": "run"}
    with pytest.raises(hw.DeadlineExceeded) as failed:
        hw.run(spend, 1, deadline_s=0, **options)
    assert failed.value.__notes__[0].endswith(f"headway resume run --store {tmp_path} --deadline SECONDS")
    for go_on in (lambda: hw.run(spend, 1, deadline_s=60, **options), lambda: hw.resume("run", store=tmp_path)):
        with pytest.raises(hw.DeadlineExceeded):
            go_on()
    assert RAN == []
    assert hw.resume("run", store=tmp_path, deadline_s=60) == 1


@pytest.mark.parametrize("together", [False, True], ids=["one after another", "together"])
def test_a_block_whose_deadline_passed_while_nothing_ran_ends_with_what_was_found(go, clock, together):
    @hw.task
    async def program() -> tuple[list[float], bool, bool]:
        got: list[float] = []
        with hw.deadline(10, raises=False) as scope:
            if together:
                async for handle in hw.as_completed(rest(1), rest(2), rest(20)):
                    got.append(handle.result())
                    stop_once(got)
            else:
                for seconds in (1, 2, 20):
                    got.append(await rest(seconds))
                    stop_once(got)
        return got, scope.expired, asyncio.current_task().cancelling() > 0

    def stop_once(got: list[float]) -> None:
        if len(got) == 2 and not SWITCH.get("stopped"):
            SWITCH["stopped"] = True
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(100)
    assert go(program) == ([1, 2], True, False)


def test_a_block_that_ends_quietly_swallows_its_deadline_only(go):
    async def late(error: BaseException) -> None:
        try:
            await asyncio.sleep(20)
        finally:
            raise error

    async def told(error: BaseException, *, seconds: float) -> str:
        try:
            with hw.deadline(seconds, raises=False):
                await late(error)
        except BaseException as found:
            return type(found).__name__
        return "quiet"

    @hw.task
    async def program() -> list[str]:
        passed = hw.DeadlineExceeded("of a call inside")
        return [
            await told(passed, seconds=10),
            await told(ExceptionGroup("both", [passed, passed]), seconds=10),
            await told(ExceptionGroup("one", [passed, ValueError()]), seconds=10),
            await told(ValueError(), seconds=10),
            await told(passed, seconds=30),
        ]

    assert go(program) == ["quiet", "quiet", "ExceptionGroup", "ValueError", "DeadlineExceeded"]


@pytest.mark.parametrize("raises", [True, False])
def test_only_a_quiet_block_swallows_that_an_argument_came_too_late(go, raises):
    @hw.task
    async def program() -> str:
        try:
            with hw.deadline(0, raises=raises) as scope:
                await rest(rest(1))
        except hw.InputFailed:
            return "told"
        return "quiet" if scope.expired else "in time"

    assert go(program) == ("told" if raises else "quiet")


@pytest.mark.parametrize("raises", [True, False])
def test_a_deadline_holds_while_a_cancelled_call_tidies_up(go, raises):
    @hw.task
    async def tidies() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            try:
                with hw.deadline(2, raises=raises) as scope:
                    await asyncio.sleep(50)
                RAN.append(scope.expired)
            except hw.DeadlineExceeded:
                RAN.append("late")
            RAN.append(asyncio.current_task().cancelling())

    @hw.task
    async def program() -> bool:
        call = tidies()
        await hw.sleep(1)
        call.cancel()
        (end,) = await hw.settle(call)
        return end.cancelled

    assert go(program)
    assert ["late" if raises else True, 1] == RAN


def test_a_deadline_used_a_second_time_knows_nothing_of_the_first(go):
    @hw.task
    async def twice() -> None:
        scope = hw.deadline(2, raises=False)
        with scope:
            await asyncio.sleep(5)
        RAN.append(scope.expired)
        with scope:
            await asyncio.sleep(1)
        RAN.append(scope.expired)
        with scope:
            await asyncio.sleep(1)
        RAN.append("not stopped")

    @hw.task
    async def program() -> bool:
        call = twice()
        await hw.sleep(3.5)
        call.cancel()
        (end,) = await hw.settle(call)
        return end.cancelled

    assert go(program)
    assert RAN == [True, False]


def test_a_deadline_stops_a_coroutine_that_a_thread_waits_for():
    async def late() -> bool:
        with hw.deadline(0.01, raises=False) as scope:
            await asyncio.wait_for(asyncio.Event().wait(), 10)
        return scope.expired

    @hw.task(pool="thread")
    def in_thread() -> list[bool]:
        return hw.wait(hw.gather(late(), late()))

    assert hw.run(in_thread, store=None) == [True, True]


def test_a_deadline_ends_what_a_thread_rests_for(go, clock):
    """A thread can't be interrupted, but what it waits for can."""

    @hw.task
    def rests(seconds: float) -> str:
        with hw.deadline(seconds=3):
            hw.wait(hw.sleep(seconds))
        return "rested"

    @hw.task
    def waits() -> str:
        with hw.deadline(seconds=100), hw.deadline(seconds=3):
            return str(hw.wait(hw.wait_event("go")))

    @hw.task
    def goes_on() -> str:
        with hw.deadline(seconds=3, raises=False) as bound:
            hw.wait(hw.sleep(50))
        hw.wait(hw.sleep(1))
        return f"expired: {bound.expired}"

    @hw.task
    def comes_late() -> str:
        with hw.deadline(seconds=3):
            try:
                hw.wait(hw.sleep(50))
            finally:
                hw.wait(hw.sleep(60))

    @hw.task
    async def program() -> list[str]:
        ends = await hw.settle(rests(2), rests(9), waits(), goes_on(), comes_late())
        return [end.value or type(end.error).__name__ for end in ends]

    assert go(program) == ["rested", "DeadlineExceeded", "DeadlineExceeded", "expired: True", "DeadlineExceeded"]
    assert clock.elapsed < 9


@pytest.mark.parametrize("outer_raises", [True, False])
@pytest.mark.parametrize("inner_raises", [True, False])
@pytest.mark.parametrize(("outer", "inner"), [(2, 9), (9, 2), (2, 2)], ids=["outer first", "inner first", "together"])
def test_of_nested_deadlines_each_ends_its_own_block(go, outer, inner, outer_raises, inner_raises):
    async def branch() -> list[Any]:
        seen: list[Any] = []
        try:
            with hw.deadline(outer, raises=outer_raises) as around:
                try:
                    with hw.deadline(inner, raises=inner_raises) as inside:
                        await asyncio.sleep(20)
                except hw.DeadlineExceeded:
                    seen.append("inner raised")
                seen.append(inside.expired)
                await asyncio.sleep(3)
                seen.append("went on")
        except hw.DeadlineExceeded:
            seen.append("outer raised")
        return [*seen, around.expired, asyncio.current_task().cancelling()]

    @hw.task
    async def program() -> list[list[Any]]:
        return await hw.gather(branch(), branch())

    ends = go(program)
    for seen in ends:
        assert seen[-1] == 0
        if outer > inner:
            raised = ["inner raised"] if inner_raises else []
            assert seen == [*raised, True, "went on", False, 0]
        else:
            assert seen[-2] is True
            assert ("outer raised" in seen) == outer_raises
            assert "went on" not in seen


@pytest.mark.parametrize("options", [{}, {"deadline_s": 60}], ids=["without one", "with time left"])
def test_a_run_whose_own_deadline_has_not_passed_asks_for_no_other(tmp_path, options):
    @hw.task
    async def program() -> None:
        with hw.deadline(0):
            await rest(1)

    with pytest.raises(hw.DeadlineExceeded) as failed:
        hw.run(program, store=tmp_path, **options)
    assert not any("--deadline" in note for note in getattr(failed.value, "__notes__", ()))


def test_a_program_s_own_handler_of_sigterm_is_left_alone(go):
    @hw.task
    async def program() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(1)
        return await rest(1)

    def mine(number: int, _: object) -> None:
        RAN.append(number)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert go(program) == 1
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    assert RAN == [signal.SIGTERM, 1]
