"""Budgets: reserved before anything is spent, settled once, and never counted twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import reach_the_disk, reserving, rest, spend

import headway as hw


class Dying(hw.MemoryStore):
    dead = False

    def commit(self, *args: Any, **kwargs: Any) -> None:
        if self.dead:
            raise hw.StoreFull(28, "dead")
        super().commit(*args, **kwargs)


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
def test_a_call_that_began_and_left_no_outcome_counts_at_its_reservation(go):
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


@pytest.mark.on_postgres
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


@pytest.mark.on_postgres
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


@hw.task
async def pay_itself(much: float) -> float:
    """Spend, and let the driver die before the call ends."""
    hw.charge(tokens=much)
    await die()
    return much


@hw.task
async def pay_by_a_call(much: float) -> float:
    await spend(much)
    await die()
    return much


@hw.task
async def pay_by_a_call_that_dies(much: float) -> float:
    return await pay_itself(much)


async def die() -> None:
    await reach_the_disk.options(cost={"tokens": 0})()
    if SWITCH.get("stop", True):
        SWITCH["store"].dead = True
        await reach_the_disk.options(cost={"tokens": 0}, key="never")()


@pytest.mark.parametrize("pays", [pay_itself, pay_by_a_call, pay_by_a_call_that_dies])
@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.on_postgres
def test_a_call_that_used_a_budget_up_goes_on_after_a_crash_and_another_may_not_begin(go, pays, wait):
    @hw.task
    async def program() -> tuple[float, dict[str, float], str]:
        with hw.budget(tokens=12, wait=wait) as budget:
            paid = await pays(12)
            ends = await hw.settle(spend.options(key="another")(0))
            return paid, budget.spent, str(ends[0].error)

    SWITCH["store"] = store = Dying()
    for _ in range(2):
        with pytest.raises(hw.StoreFull):
            go(program, store=store)
        store.dead = False
    SWITCH["stop"] = False
    paid, spent, refused = go(program, store=store)
    assert (paid, spent) == (12.0, {"tokens": 12.0})
    assert "spend(0) was not started: 0 tokens asked, but of 12 tokens 12 are spent" in refused


def test_another_attempt_of_a_call_that_used_a_budget_up_may_not_begin_after_a_crash_either(go):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0))
    async def pays() -> None:
        RAN.append("begun")
        await spend(12)
        await die()
        raise ValueError("once more")

    @hw.task
    async def program() -> str:
        with hw.budget(tokens=12):
            ends = await hw.settle(pays())
            return str(ends[0].error)

    SWITCH["store"] = store = Dying()
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.dead = SWITCH["stop"] = False
    assert "pays() was not started: 0 tokens asked, but of 12 tokens 12 are spent" in go(program, store=store)
    assert RAN.count(12) == 1
