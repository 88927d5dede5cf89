"""A result that a person gives: the run goes on with it, and nothing that is finished runs again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from notes import RAN

import headway as hw
from headway.journal.owner import this_process
from headway.journal.upkeep.doctor import examine
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

DOWN: set[str] = set()
HANGS: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    DOWN.clear()


@hw.task
async def fetch(what: str) -> Any:
    RAN.append(what)
    if what in DOWN:
        raise ConnectionError(f"{what} is down")
    return what.upper()


@hw.task
async def join(parts: Any, more: str) -> str:
    RAN.append("join")
    return f"{parts} {more}"


@hw.task
async def program() -> str:
    RAN.append("program")
    first = await fetch("a")
    return str(await join(fetch("b"), first))


def key_of(store: Any, text: str, run: str = "run") -> str:
    """The key of the call whose name holds this text."""
    (found,) = [call.key for call in hw.view(run, store=store).calls if text in f"{call.task}({call.label})"]
    return str(found)


async def stop_when_it_hangs(program: Any, store: Any) -> None:
    HANGS["now"] = asyncio.Event()
    running = asyncio.create_task(hw.arun(program, store=store, run_id="run"))
    await HANGS["now"].wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_a_run_that_failed_goes_on_with_the_result_of_the_call_that_failed(go, store):
    DOWN.add("b")
    with pytest.raises((ConnectionError, hw.InputFailed)):
        go(program)
    RAN.clear()
    key = key_of(store, "fetch('b')")
    assert hw.set_result("run", key[:8], "by hand", store=store, by="Ada") == key
    assert go(program) == "by hand A"
    assert RAN == ["program", "join"]
    (call,) = [call for call in hw.view("run", store=store).calls if call.key == key]
    assert (call.state, call.value, call.reason) == ("ok", "by hand", "given by Ada")
    assert examine(store).whole


def test_a_failure_that_was_kept_is_replaced_though_the_run_is_done(go, store):
    @hw.task
    async def part(name: str) -> list[Any]:
        RAN.append(name)
        return [each.value for each in await hw.settle(fetch(f"{name}1"), fetch(f"{name}2")) if each.error is None]

    @hw.task
    async def both() -> list[list[Any]]:
        return await hw.gather(part("x"), part("y"))

    DOWN.add("x2")
    assert go(both) == [["X1"], ["Y1", "Y2"]]
    RAN.clear()
    hw.set_result("run", key_of(store, "'x2'"), 7, store=store)
    assert hw.runs(store=store)[0].status == "interrupted"
    assert go(both) == [["X1", 7], ["Y1", "Y2"]]
    assert RAN == ["x"]


def test_an_effect_that_hangs_is_not_run_again(go, store):
    @hw.task(effect=True)
    async def pay(amount: int) -> str:
        RAN.append("pay")
        if not DOWN:
            HANGS["now"].set()
            await asyncio.Event().wait()
        return "paid by the program"

    @hw.task
    async def amount() -> int:
        return 3

    @hw.task
    async def pays() -> str:
        return str(await pay(amount()))

    asyncio.run(stop_when_it_hangs(pays, store))
    DOWN.add("hangs no more")
    hw.set_result("run", key_of(store, ".pay("), "paid by hand", store=store)
    assert go(pays) == "paid by hand"
    assert RAN == ["pay"]


def test_what_a_call_had_reserved_when_it_died_counts_as_spent():
    @hw.task(effect=True, cost={"tokens": 5})
    async def ask() -> str:
        await hw.sleep(1)
        return ""

    @hw.task
    async def asks() -> tuple[str, dict[str, float]]:
        with hw.budget(tokens=20) as budget:
            return await ask(), budget.spent

    history = History(1, STEADY)
    assert history.live(asks, crash=Crash(2, "after")).how == "died"
    hw.set_result("run", key_of(history.store, "ask("), "answer", store=history.store)
    history.universe.now += 1e9
    life = history.live(asks)
    history.check()
    assert life.value == ("answer", {"tokens": 5})


def test_a_result_is_replaced_only_by_force_and_then_what_used_it_runs_again(go, store):
    assert go(program) == "B A"
    key = key_of(store, "fetch('b')")
    with pytest.raises(hw.UsageError, match="has a result already"):
        hw.set_result("run", key, "other", store=store)
    assert go(program) == "B A"
    RAN.clear()
    hw.set_result("run", key, "other", store=store, force=True)
    assert go(program) == "other A"
    assert RAN == ["program", "join"]


def test_large_results_come_back_equal(go, store):
    DOWN.add("a")

    @hw.task
    async def large() -> float:
        return float((await fetch("a")).sum())

    with pytest.raises(ConnectionError):
        go(large)
    hw.set_result("run", key_of(store, "fetch('a')"), np.ones(40_000), store=store)
    assert go(large) == 40_000.0
    assert examine(store).whole


def test_one_of_equal_calls_gets_it_and_the_others_keep_theirs(go, store):
    @hw.task
    async def twice() -> list[Any]:
        return [each.value or "none" for each in await hw.settle(fetch("a"), fetch("a"))]

    DOWN.add("a")
    assert go(twice) == ["none", "none"]
    second = [call.key for call in hw.view("run", store=store).calls if call.task.endswith("fetch")][1]
    hw.set_result("run", second, "mine", store=store)
    assert go(twice) == ["none", "mine"]


def test_a_run_that_somebody_drives_is_left_alone(go, store):
    DOWN.add("b")
    with pytest.raises((ConnectionError, hw.InputFailed)):
        go(program)
    with hw.SqliteStore(store) as opened:
        lease = opened.acquire("run", this_process(), 30.0, time.time())
        with pytest.raises(hw.RunOwned):
            hw.set_result("run", key_of(store, "fetch('b')"), "x", store=store)
        opened.renew(lease, time.time())


def test_what_can_not_be_given_is_refused_and_changes_nothing(go, store):
    @hw.task(cache="forever")
    async def shared() -> list[Any]:
        return [each.value for each in await hw.settle(fetch("a"))]

    @hw.task
    async def shares() -> list[Any]:
        return await shared()

    DOWN.add("a")
    go(shares)
    key = key_of(store, "fetch('a')")
    before = hw.SqliteStore(store).run("run").nrows
    for call, value, error, says in (
        (key, "x", hw.UsageError, "shares its result with other runs"),
        ("0123456789", "x", hw.UsageError, "no recorded call"),
        (key, open, hw.NotEncodable, "fetch"),
    ):
        with pytest.raises(error, match=says):
            hw.set_result("run", call, value, store=store)
    with pytest.raises(hw.UnknownRun):
        hw.set_result("walk", key, "x", store=store)
    with pytest.raises(hw.UsageError, match="printable"):
        hw.set_result("run", key, "x", store=store, by="a\nb")
    info = hw.SqliteStore(store).run("run")
    assert (info.nrows, info.status, info.owner) == (before, "done", "")
