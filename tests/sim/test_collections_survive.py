"""Collections in the simulator: each append happens once, wherever the run is killed, and two runs share one order."""

from __future__ import annotations

from typing import Any

import pytest

import headway as hw
from headway.sim.check import check
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

tried = hw.collection("tried", str)


@hw.task
async def make(n: int) -> str:
    await hw.sleep(1)
    return f"item {n}"


@hw.task(retry=hw.Retry(attempts=3, delay_s=1))
async def try_one(n: int) -> int:
    number = await tried.append(make(n))
    if hw.call().attempt < 2:
        raise ValueError("by itself")
    return number


@hw.task
async def program(size: int = 3) -> tuple[list[int], list[str], list[str]]:
    numbers = await hw.gather(*(try_one(n) for n in range(size)))
    first = list(await tried.snapshot())
    await hw.gather(*(tried.append("equal") for _ in range(2)))
    return sorted(numbers), first, list(await tried.snapshot())


def items(history: History) -> list[str]:
    return [str(each) for each in hw.collection("tried", store=history.store).read()]


def live(history: History, **options: Any) -> Any:
    life = history.live(program, **options)
    history.check()
    return life


WHOLE = ["equal", "equal", "item 0", "item 1", "item 2"]


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_a_run_that_is_killed_after_any_record_appends_each_item_once(how):
    whole = History(1, STEADY)
    assert live(whole).error is None
    size = len(whole.rows())
    assert sorted(items(whole)) == WHOLE
    for after in range(1, size):
        again = History(1, STEADY)
        live(again, crash=Crash(after, how))
        life = live(again)
        assert life.error is None
        numbers, first, last = life.value
        assert sorted(items(again)) == WHOLE, f"killed {how} row {after} of {size}"
        assert last == items(again)
        assert first == last[:3]
        assert numbers == [0, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_is_killed_at_any_step_of_any_schedule_appends_each_item_once(seed):
    history = History(seed)
    step = 40 + 37 * seed
    for life in range(12):
        ended = live(history, kill_in=step) if life < 11 else live(history)
        if ended.how == "returned":
            break
        step += 40
    assert sorted(items(history)) == WHOLE


def test_what_a_run_was_told_of_a_collection_it_is_told_again_though_it_has_grown():
    history = History(1, STEADY)
    assert live(history).error is None
    told = history.lives[0].value
    rows = len(history.rows())
    for left in range(rows - 4, rows):
        store = history.store.cut(history.run_id, left)
        store.append_items("tried", [])
        again = History(2, STEADY, store=store)
        again.universe.now = history.universe.now + 60
        life = live(again)
        assert (life.value[0], life.value[1]) == (told[0], told[1])


def test_a_program_with_collections_passes_the_check():
    report = check(program, schedules=5)
    assert report.ok, str(report)
