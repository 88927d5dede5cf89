"""An error of any kind fails its call and nothing else, and is the same in every life: its class, its text, what catches it."""

from __future__ import annotations

import asyncio
from typing import Any

import odd_errors
import pytest
from failing_store import BreakingStore
from odd_errors import RAISERS, described

import headway as hw

SEEN: list[Any] = []


STORE = BreakingStore()


@hw.task
async def inline(name: str) -> None:
    RAISERS[name]()


@hw.task
def in_a_thread(name: str) -> None:
    RAISERS[name]()


@hw.task(pool="process")
def in_a_process(name: str) -> None:
    RAISERS[name]()


@hw.task(pool="gang", processes=2)
def in_a_gang(name: str) -> None:
    RAISERS[name]()


@hw.task(batch=2, linger_s=0.001)
async def batched(names: list[str]) -> list[Any]:
    RAISERS[names[0]]()
    return names


@hw.task(effect=True)
async def reach_the_disk(n: int) -> None:
    """An effect starts only when all before it is durable."""


async def seen_of(call: hw.Handle[Any]) -> Any:
    try:
        await call
    except Exception as error:
        return described(error)
    return "no error"


@hw.task
async def program(where: str) -> list[Any]:
    task = {"inline": inline, "thread": in_a_thread, "process": in_a_process, "batch": batched}[where]
    seen = [[name, await seen_of(task(name))] for name in RAISERS]
    SEEN.append(seen)
    await reach_the_disk(1)
    if len(SEEN) == 1:
        STORE.broken = True
        await reach_the_disk(2)
    return seen


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global STORE
    SEEN.clear()
    STORE = BreakingStore()


@pytest.mark.parametrize("where", ["inline", "thread", "process", "batch"])
def test_a_resumed_program_sees_of_an_error_what_it_saw_before(go, where):
    with pytest.raises(hw.StoreFull):
        go(program, where, store=STORE)
    STORE.broken = False
    went_on = go(program, where, store=STORE)
    first, later = SEEN
    assert went_on == later
    for before, after in zip(first, later, strict=True):
        assert after == before
    assert "no error" not in dict(first).values()
    kinds = {name: seen[1] for name, seen in first}
    assert {"Holding", "HTTPError", "ValidationError", "Keyword", "ExceptionGroup", "Nosy", "Slotted"} <= set(kinds.values())
    exits = ["system_exit", "keyboard_interrupt", "generator_exit", "base_exception", "stray_cancellation", "group_with_an_exit"]
    assert {kinds[name] for name in exits} == {"CallExited"}
    assert kinds["stop_iteration"] == "RuntimeError"
    assert "are too many" in dict(first)["invalid_model"][2]
    assert "Keyword" in dict(first)["local_class"][3]


@pytest.mark.long
def test_an_error_of_a_gang_is_told_like_any_other(tmp_path):
    @hw.task
    async def program() -> list[Any]:
        return [await seen_of(in_a_gang(name)) for name in ("broken_without_its_constructor", "keyboard_interrupt")]

    nosy, left = hw.run(program, store=tmp_path / "store", progress=False)
    assert nosy[1:3] == ["Nosy", "nosy"]
    assert left[1] == "CallExited"


def test_what_cannot_be_kept_of_an_error_is_said(go):
    @hw.task
    async def forgetful() -> list[str]:
        try:
            await inline("unpicklable_attribute")
        except odd_errors.Holding as error:
            SEEN.append(getattr(error, "lock", None))
            notes = list(getattr(error, "__notes__", ()))
            if len(SEEN) == 2:
                with pytest.raises(AttributeError, match="its record, which could not keep its attribute 'lock'"):
                    _ = error.lock
        await reach_the_disk(1)
        if len(SEEN) == 1:
            STORE.broken = True
            await reach_the_disk(2)
        return notes

    with pytest.raises(hw.StoreFull):
        go(forgetful, store=STORE)
    STORE.broken = False
    assert go(forgetful, store=STORE) == ["made again from its record, which could not keep: lock"]
    assert SEEN[0] is not None
    assert SEEN[1] is None


@pytest.mark.parametrize("name", list(RAISERS))
def test_an_error_that_nobody_caught_ends_the_run_as_an_exception(go, name, tmp_path):
    """Also one that can't be printed, noted or asked: the run ends, and its siblings' results are kept."""

    @hw.task
    async def careless() -> None:
        await reach_the_disk(0)
        await inline(name)

    for _ in range(2):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own, and a replay's is made from its record
            go(careless)
        assert not isinstance(caught.value, hw.UsageError)
    view = hw.view("run", store=tmp_path / "store")
    assert view.status == "failed"
    assert [call.ok for call in view.find("reach_the_disk")] == [True]


def test_a_call_that_exits_leaves_its_siblings_alone(go):
    @hw.task
    async def parent() -> list[bool]:
        ends = await hw.settle(*(inline(name) for name in ("keyboard_interrupt", "system_exit", "base_exception")), work(1))
        return [end.ok for end in ends]

    assert go(parent) == [False, False, False, True]


def test_a_coroutine_among_those_joined_that_exits_fails_the_join_and_not_the_run(go):
    async def leave() -> None:
        raise SystemExit(3)

    @hw.task
    async def parent() -> str:
        with pytest.raises(hw.CallExited):
            await hw.gather(leave(), work(1))
        ends = await hw.settle(leave(), work(2))
        return f"{type(ends[0].error).__name__} {ends[1].value}"

    assert go(parent) == "CallExited 2"


@hw.task
async def work(x: int) -> int:
    return x


def test_a_call_that_exits_is_tried_again_like_one_that_fails(go):
    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=3, delay_s=1))
    async def leaves() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise KeyboardInterrupt
        return len(tries)

    @hw.task
    async def parent() -> int:
        return await leaves()

    assert go(parent) == 3


def test_a_class_that_a_function_makes_anew_is_caught_where_it_is_made_anew(go):
    @hw.task
    async def parent(n: int) -> list[str]:
        caught = []
        for turn in range(3):

            class Mine(Exception):
                pass

            @hw.task(name=f"raises{turn}")
            async def raises(mine: type = Mine) -> None:
                raise mine("mine")

            try:
                await raises.options(key=turn)()
            except Mine:
                caught.append("mine")
            except Exception as error:
                caught.append(repr(error))
        SEEN.append(caught)
        await reach_the_disk(1)
        if len(SEEN) == 1:
            STORE.broken = True
            await reach_the_disk(2)
        return caught

    with pytest.raises(hw.StoreFull):
        go(parent, 1, store=STORE)
    STORE.broken = False
    assert go(parent, 1, store=STORE) == SEEN[0] == ["mine"] * 3


def test_a_cancellation_that_was_asked_for_stays_one(go):
    @hw.task
    async def slow() -> None:
        await asyncio.sleep(100)

    @hw.task
    async def parent() -> tuple[bool, bool]:
        handle = slow()
        await asyncio.sleep(1)
        handle.cancel()
        (end,) = await hw.settle(handle)
        return handle.cancelled(), end.cancelled

    assert go(parent) == (True, True)
