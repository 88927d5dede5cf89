"""A call that looks at what is left before it spends never spends more, however often it is tried and wherever it is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import headway as hw
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

FAILED: Counter[str] = Counter()


@hw.task
async def fails_once(name: str) -> str:
    await asyncio.sleep(1)
    FAILED[name] += 1
    if FAILED[name] == 1:
        raise ConnectionError(name)
    return name


async def spend(most: float) -> float:
    """Spend as much as that of what is left, but for the last token, without which nothing begins."""
    left = hw.remaining("tokens")
    hw.charge(tokens=min(most, left - 1))
    await asyncio.sleep(0.7)
    return left


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def spends_and_fails(most: float) -> list[float]:
    left = [await spend(most)]
    await fails_once("child")
    return [*left, await spend(most)]


@hw.task
async def spends(most: float) -> list[float]:
    return [await spend(most), await spend(most), await spend(most)]


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def stops_what_spends() -> list[float]:
    left, _ = await hw.gather(spends(3), fails_once("sibling"))
    return left


@hw.task
async def in_an_attempt() -> tuple[Any, Any]:
    with hw.budget(tokens=10) as budget:
        left = await spends_and_fails(6)
    return left, budget.spent["tokens"]


@hw.task
async def beside_one_that_fails() -> tuple[Any, Any]:
    with hw.budget(tokens=100), hw.budget(tokens=10) as budget:
        left = await stops_what_spends()
    return left, budget.spent["tokens"]


def end_of(history: History, program: Any) -> Any:
    life = history.live(program)
    history.check()
    assert life.how == "returned", life.error
    return life.value


@pytest.mark.parametrize(
    ("program", "end"),
    [(in_an_attempt, ([4, 1], 9)), (beside_one_that_fails, ([4, 1, 1], 9))],
    ids=["in an attempt that failed", "in a call that another one stopped"],
)
def test_what_a_call_spent_in_vain_is_not_left_to_it_when_it_is_asked_again(program, end):
    FAILED.clear()
    whole = History(1, STEADY)
    assert end_of(whole, program) == end
    for rows in range(len(whole.rows())):
        FAILED.clear()
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(rows, "before")).how == "died"
        left, spent = end_of(history, program)
        assert spent <= 9, f"after a crash at row {rows}"
        assert left == sorted(left, reverse=True), f"after a crash at row {rows}"


@hw.task
async def side_by_side() -> Any:
    with hw.budget(tokens=5) as budget:
        ends = await hw.settle(*(spend_some(name) for name in "abc"))
    return [end.value for end in ends], budget.spent["tokens"]


@hw.task
async def spend_some(name: str) -> float:
    await asyncio.sleep(GOES_AFTER_S[name])
    return await spend(3)


GOES_AFTER_S: dict[str, float] = {}


def test_who_was_told_what_is_left_has_spent_it_or_is_told_anew_after_a_crash():
    """Whoever comes first after it: no crash comes between what a call is told and what it charges at once."""
    GOES_AFTER_S.update(a=1, b=2, c=3)
    whole = History(1, STEADY)
    assert end_of(whole, side_by_side) == ([5, 2, 1], 4)
    for rows in range(len(whole.rows())):
        GOES_AFTER_S.update(a=1, b=2, c=3)
        history = History(1, STEADY)
        assert history.live(side_by_side, crash=Crash(rows, "before")).how == "died"
        GOES_AFTER_S.update(a=3, b=2, c=1)
        assert end_of(history, side_by_side)[1] == 4, f"after a crash at row {rows}"
