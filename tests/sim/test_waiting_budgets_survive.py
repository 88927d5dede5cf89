"""Calls that wait for a budget, under many schedules and after every crash: none starves, and none waits for ever."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import headway as hw
from headway.sim.check import check
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

ROUNDS = range(40)


async def spend_one(number: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    hw.charge(tokens=1)
    return number


@hw.task(cost={"tokens": 3})
async def cheap(number: int, seconds: float) -> int:
    return await spend_one(number, seconds)


@hw.task(cost={"tokens": 30})
async def dear(number: int, seconds: float) -> int:
    return await spend_one(number, seconds)


@hw.task(cost={"tokens": 90})
async def very_dear(number: int, seconds: float) -> int:
    return await spend_one(number, seconds)


CALLS = (very_dear, cheap, cheap, dear, cheap, dear, cheap, very_dear, cheap, cheap)


@hw.task(cost={"tokens": 8})
async def asks_others(number: int, seconds: float) -> int:
    """Holds a reservation while it waits for a call that needs one."""
    hw.charge(tokens=1)
    await asyncio.sleep(seconds)
    return await cheap(number, seconds)


@hw.task(pool="thread", cost={"tokens": 20})
def in_a_thread(number: int) -> int:
    hw.charge(tokens=1)
    return number


@hw.task(resources={"gpu": 1}, cost={"tokens": 20})
async def on_a_gpu(number: int) -> int:
    hw.charge(tokens=1)
    return await cheap(number, 0.5)


@hw.task
async def crowd(seed: int) -> Any:
    choice = random.Random(seed)
    with hw.budget(tokens=130, wait=True) as budget, hw.limit(5), hw.budget(tokens=125, wait=True):
        calls = [task(n, choice.random()) for n, task in enumerate(CALLS)]
        calls += [asks_others(n, choice.random()) for n in range(4)]
        calls += [in_a_thread(n) for n in range(3)]
        calls += [on_a_gpu(n) for n in range(3)]
        ends = await hw.settle(*calls)
    return [str(end.error) for end in ends if not end.ok], budget.spent["tokens"]


def end_of(history: History, *args: Any, **options: Any) -> Any:
    life = history.live(crowd, *args, resources={"gpu": 1}, **options)
    history.check()
    assert life.how == "returned", life.error
    return life.value


@pytest.mark.parametrize("seed", ROUNDS)
def test_whoever_could_fit_at_some_time_gets_its_turn_under_every_schedule(seed):
    assert end_of(History(seed), seed) == ([], 27)


def test_a_resumed_run_goes_on_wherever_it_was_killed():
    """What had begun and left no outcome is settled at its reservation, so some may be refused. Nothing is overdrawn, nobody waits
    for ever."""
    whole = History(1, STEADY)
    assert end_of(whole, 1) == ([], 27)
    for rows in range(0, len(whole.rows()), 2):
        history = History(rows, STEADY)
        assert history.live(crowd, 1, crash=Crash(rows, "before"), resources={"gpu": 1}).how == "died"
        refused, spent = end_of(history, 1)
        assert spent <= 130, f"after a crash at row {rows}"
        assert all("tokens asked" in why for why in refused), refused


@hw.task
async def in_turn() -> bool:
    with hw.budget(tokens=130, wait=True):
        ends = await hw.settle(*(dear(n, 1.0) for n in range(6)), asks_others(7, 0.5))
    return all(end.ok or isinstance(end.error, hw.BudgetExceeded) for end in ends)


def test_the_check_finds_nothing_in_a_program_whose_calls_wait_for_a_budget():
    report = check(in_turn, schedules=15)
    assert report.ok, str(report)
    assert report.findings == []
