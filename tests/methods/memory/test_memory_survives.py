"""Wherever a run is killed, each case is put in once, each search says what it said, and what is forgotten stays so."""

from __future__ import annotations

from typing import Any

import pytest

import headway as hw
from headway.methods.memory import Case, Memory
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

memory = Memory("survivors")


@hw.task(retry=hw.Retry(attempts=2, delay_s=1))
async def learn(number: int) -> str:
    id = await memory.put(Case(f"lesson {number}", namespace="all"))
    if hw.call().attempt < 2:
        raise ValueError("by itself")
    return id


@hw.task
async def program() -> Any:
    ids = await hw.gather(*(learn(number) for number in range(3)))
    first = await memory.search("lesson", k=9)
    await memory.put(Case("lesson of home", namespace="all", id="home"))
    await memory.update("home", namespace="all", text="lesson of the road")
    await memory.forget(ids[0], namespace="all")
    last = await memory.search("lesson", k=9)
    return sorted(ids), first.version, sorted(hit.case.text for hit in last), len(await memory.history("home", namespace="all"))


def check(history: History, life: Any, where: str) -> None:
    assert life.how == "returned", (where, life.error)
    ids, version, texts, edits = life.value
    gone = next(f"lesson {number}" for number in range(3) if f"lesson {number}" not in texts)
    kept = sorted({f"lesson {number}" for number in range(3)} - {gone} | {"lesson of the road"})
    assert (ids, version, texts, edits) == (["#0", "#1", "#2"], 3, kept, 2), where
    items = history.store.items("memory/survivors")
    assert [item.is_lost for item in items].count(True) == 1, where
    assert not any(gone.encode() in item.value for item in items), where
    assert len({item.token for item in items}) == 6


HOW = ("before", "torn", "after")


def test_a_run_that_is_killed_at_any_record_writes_each_record_once():
    whole = History(1, STEADY)
    check(whole, whole.live(program), "whole")
    size = len(whole.rows())
    for after in range(1, size):
        again = History(1, STEADY)
        how = HOW[after % len(HOW)]
        again.live(program, crash=Crash(after, how))
        check(again, again.live(program), f"killed {how} row {after} of {size}")
        again.check()


@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_is_killed_at_any_step_of_any_schedule_writes_each_record_once(seed):
    history = History(seed)
    step = 60 + 53 * seed
    for life in range(10):
        ended = history.live(program, kill_in=step) if life < 9 else history.live(program)
        if ended.how == "returned":
            break
        step += 60
    check(history, ended, f"seed {seed}")
    history.check()


@pytest.mark.long
def test_nothing_of_a_memory_is_a_fault_under_any_schedule(headway_check):
    headway_check(program, schedules=4)
