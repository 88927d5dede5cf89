"""Asking again for failures that a program kept: those calls and what is around them, and nothing that succeeded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from notes import RAN

import headway as hw

DOWN: set[str] = set()
HANGS: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    DOWN.clear()


@hw.task
async def fetch(what: str) -> str:
    RAN.append(what)
    if f"{what} hangs" in DOWN:
        HANGS[what].set()
        await asyncio.Event().wait()
    if what in DOWN:
        raise ConnectionError(f"{what} is down")
    return what.upper()


@hw.task
async def part(name: str) -> list[str]:
    """Keeps what came, and is content."""
    RAN.append(name)
    settled = await hw.settle(fetch(f"{name}1"), fetch(f"{name}2"))
    return [str(each.value) for each in settled if each.error is None]


@hw.task
async def program() -> list[list[str]]:
    RAN.append("program")
    return await hw.gather(part("a"), part("b"))


def again(tmp_path: Any, **options: Any) -> Any:
    RAN.clear()
    return hw.resume("run", store=tmp_path / "store", **options)


def test_a_kept_failure_is_asked_again_with_what_is_around_it_and_nothing_else(go, tmp_path):
    DOWN.add("a2")
    assert go(program) == [["A1"], ["B1", "B2"]]
    DOWN.clear()
    assert again(tmp_path) == [["A1"], ["B1", "B2"]]
    assert RAN == []
    assert again(tmp_path, retry_failed=True) == [["A1", "A2"], ["B1", "B2"]]
    assert RAN == ["program", "a", "a2"]
    assert again(tmp_path, retry_failed=True) == again(tmp_path) == [["A1", "A2"], ["B1", "B2"]]
    assert RAN == []


def test_the_dry_run_says_what_would_be_asked_again_and_why(go, tmp_path):
    DOWN.add("a2")
    go(program)
    ran = again(tmp_path, dry_run=True, retry_failed=True)
    assert [(call.task.rpartition(".")[2], call.why) for call in ran.rerun] == [
        ("program", "test_retry_failed.fetch failed below"),
        ("part", "test_retry_failed.fetch failed below"),
        ("fetch", "failed"),
    ]
    assert sorted(call.label for call in ran.reuse) == ["'a1'", "'b'"]
    assert not again(tmp_path, dry_run=True).rerun
    assert RAN == []


def test_a_failure_that_fails_again_is_kept_again(go, tmp_path):
    DOWN.update(("a2", "b1"))
    assert go(program) == [["A1"], ["B2"]]
    DOWN.discard("b1")
    assert again(tmp_path, retry_failed=True) == [["A1"], ["B1", "B2"]]
    assert sorted(RAN) == ["a", "a2", "b", "b1", "program"]
    DOWN.clear()
    assert again(tmp_path, retry_failed=True) == [["A1", "A2"], ["B1", "B2"]]
    assert sorted(RAN) == ["a", "a2", "program"]


def test_a_failure_that_code_caught_is_asked_again(go, tmp_path):
    @hw.task
    async def careful() -> str:
        try:
            return await fetch("x")
        except ConnectionError:
            return await fetch("y")

    DOWN.add("x")
    assert go(careful) == "Y"
    DOWN.clear()
    assert again(tmp_path, retry_failed=True) == "X"
    assert RAN == ["x"]


def test_a_call_that_a_retry_gave_up_is_no_reason_to_run_anything(go, tmp_path):
    @hw.task(retry=hw.Retry(attempts=2, delay_s=0))
    async def stubborn() -> list[str]:
        settled = await hw.settle(fetch("x"), fetch("y"))
        if hw.call().attempt == 1:
            DOWN.clear()
            raise ValueError("not good enough by itself, so all are asked afresh")
        return [str(each.value) for each in settled if each.error is None]

    DOWN.add("x")
    assert go(stubborn) == ["X", "Y"]
    assert again(tmp_path, retry_failed=True) == ["X", "Y"]
    assert RAN == []
    assert not again(tmp_path, dry_run=True, retry_failed=True).rerun


def test_a_call_that_failed_after_all_its_attempts_has_all_of_them_again(go, tmp_path):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0))
    async def flaky() -> str:
        RAN.append(f"attempt {hw.call().attempt}")
        if "flaky" in DOWN:
            raise ConnectionError
        return "up"

    @hw.task
    async def content() -> str:
        (settled,) = await hw.settle(flaky())
        return str(settled.value)

    DOWN.add("flaky")
    assert go(content) == "None"
    assert again(tmp_path, retry_failed=True) == "None"
    assert RAN == ["attempt 1", "attempt 2", "attempt 3"]


def test_results_that_runs_share_are_asked_again_where_a_failure_is_below_them(go, tmp_path):
    @hw.task(cache="forever")
    async def shared() -> list[str]:
        return [str(each.value) for each in await hw.settle(fetch("x"), fetch("y")) if each.error is None]

    @hw.task
    async def both() -> list[list[str]]:
        return [await shared(), await shared()]

    DOWN.add("x")
    assert go(both) == [["Y"], ["Y"]]
    DOWN.clear()
    assert again(tmp_path, retry_failed=True) == [["X", "Y"], ["X", "Y"]]
    assert RAN == ["x"]


def test_a_run_that_is_stopped_while_it_asks_again_goes_on_with_the_same_word(go, tmp_path):
    DOWN.update(("a2", "b2"))
    assert go(program) == [["A1"], ["B1"]]
    DOWN.clear()
    DOWN.add("b2 hangs")

    async def stop_in_the_middle() -> None:
        going_on = asyncio.create_task(hw.aresume("run", store=tmp_path / "store", retry_failed=True))
        await HANGS["b2"].wait()
        going_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going_on

    HANGS["b2"] = asyncio.Event()
    asyncio.run(stop_in_the_middle())
    DOWN.clear()
    assert again(tmp_path, retry_failed=True) == [["A1", "A2"], ["B1", "B2"]]
    assert sorted(RAN) == ["b", "b2", "program"]


def test_a_race_keeps_its_winner_and_a_loser_that_failed_costs_nothing(go, tmp_path):
    @hw.task
    async def late(what: str) -> str:
        await hw.sleep(5)
        return await fetch(what)

    @hw.task
    async def races() -> str:
        return await hw.race(fetch("x"), late("y"))

    DOWN.add("x")
    assert go(races) == "Y"
    DOWN.clear()
    assert again(tmp_path, retry_failed=True) == "Y"
    assert RAN == []


def test_an_order_of_completion_is_told_again_with_what_failed_in_its_place(go, tmp_path):
    @hw.task
    async def in_order() -> list[str]:
        said = []
        async for handle in hw.as_completed(*(fetch(f"p{n}") for n in range(4))):
            said.append("failed" if handle.exception() else str(handle.result()))
        return said

    DOWN.add("p2")
    first = go(in_order)
    assert sorted(first) == ["P0", "P1", "P3", "failed"]
    DOWN.clear()
    second = again(tmp_path, retry_failed=True)
    assert RAN == ["p2"]
    assert second == [each if each != "failed" else "P2" for each in first]
