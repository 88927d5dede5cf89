"""What a resumed run finds again: results by identity, values of every type, errors, and what a crash left."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest
from failing_store import BreakingStore
from notes import RAN, SWITCH
from steps import reach_the_disk, work

import headway as hw
from headway.engine.tasks.spec import TASKS


@pytest.mark.on_postgres
def test_a_second_run_answers_from_the_journal(go):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather(*(work(i) for i in range(5)))

    first = go(program)
    again = go(program)
    assert first == again == [0, 1, 2, 3, 4]
    assert len(RAN) == 5


@pytest.mark.on_postgres
def test_resuming_a_failed_run_asks_failed_calls_again_and_keeps_the_rest(go):
    @hw.task
    async def flaky(x: int) -> int:
        RAN.append(("flaky", x))
        if SWITCH.get("broken"):
            raise OSError("down")
        return x

    @hw.task
    async def program() -> list[int]:
        kept = await hw.gather(work(1), work(2))
        return [*kept, await flaky(3)]

    SWITCH["broken"] = True
    with pytest.raises(OSError, match="down"):
        go(program)
    SWITCH["broken"] = False
    assert go(program) == [1, 2, 3]
    assert RAN == [1, 2, ("flaky", 3), ("flaky", 3)]


@pytest.mark.on_postgres
def test_reordering_a_gather_and_adding_a_call_reuses_all_that_finished(go):
    @hw.task(name="reordered")
    async def program() -> list[int]:
        values = await hw.gather(*(work(x) for x in SWITCH["items"]))
        if SWITCH["stop"]:
            raise RuntimeError("stop here")
        return values

    SWITCH.update(items=[1, 2, 3], stop=True)
    with pytest.raises(RuntimeError):
        go(program)
    SWITCH.update(items=[3, 9, 1, 2], stop=False)
    assert go(program) == [3, 9, 1, 2]
    assert RAN == [1, 2, 3, 9]


@pytest.mark.on_postgres
def test_equal_siblings_are_told_apart_by_their_place_among_equals(go):
    @hw.task
    async def draw(x: int) -> float:
        RAN.append(x)
        return hw.random().random()

    @hw.task
    async def program() -> list[float]:
        values = await hw.gather(draw(1), draw(1), draw(1))
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return values

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["stop"] = False
    values = go(program)
    assert len(set(values)) == 3
    assert RAN == [1, 1, 1]


def test_a_full_disk_ends_the_run_with_one_clear_error_and_loses_nothing_before(go):
    @hw.task
    async def program() -> list[int]:
        first = await work(1)
        await reach_the_disk()
        SWITCH["store"].broken = SWITCH.pop("break", False)
        second = await work(2)
        await reach_the_disk()
        return [first, second]

    store = BreakingStore()
    SWITCH.update(store=store)
    SWITCH["break"] = True
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.broken = False
    assert go(program, store=store) == [1, 2]
    assert RAN.count(1) == 1


@pytest.mark.on_postgres
def test_values_of_many_types_come_back_equal(go):
    @dataclasses.dataclass
    class Point:
        x: int
        y: tuple[int, ...]

    hw.register(Point)

    @hw.task
    async def give() -> Any:
        RAN.append(1)
        return {"p": Point(1, (2, 3)), "a": np.arange(100_000.0).reshape(100, -1), "s": {1, 2}}

    @hw.task
    async def program() -> bool:
        value = await give()
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return (
            value["p"] == Point(1, (2, 3))
            and bool((value["a"] == np.arange(100_000.0).reshape(100, -1)).all())
            and value["s"] == {1, 2}
        )

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["stop"] = False
    assert go(program) is True
    assert RAN == [1]


def test_what_a_reader_mutates_later_cannot_reach_the_journal(go):
    @hw.task
    async def give() -> tuple[list[int], Any]:
        return [1], np.zeros(50_000)

    @hw.task
    async def program() -> tuple[list[int], float]:
        numbers, array = await give()
        seen = list(numbers), float(array.sum())
        numbers.append(2)
        array += 1
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return seen

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["stop"] = False
    assert go(program) == ([1], 0.0)


@pytest.mark.on_postgres
def test_cache_forever_shares_results_between_runs_and_running_twins(go):
    @hw.task(cache="forever")
    async def costly(x: int) -> int:
        RAN.append(x)
        await asyncio.sleep(1)
        return x * 2

    @hw.task
    async def program(n: int) -> list[int]:
        return await hw.gather(costly(5), costly(5), costly(n))

    assert go(program, 1, run_id="a") == [10, 10, 2]
    assert go(program, 2, run_id="b") == [10, 10, 4]
    assert RAN == [5, 1, 2]


def test_an_explicit_key_names_the_call_instead_of_its_arguments(go):
    class Client:
        pass

    @hw.task
    async def ask(client: Any, question: str) -> str:
        RAN.append(question)
        return question.upper()

    @hw.task
    async def program() -> str:
        answer = await ask.options(key="the question")(Client(), SWITCH["text"])
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return answer

    SWITCH["text"] = "why"
    with pytest.raises(RuntimeError):
        go(program)
    SWITCH.update(text="why?", stop=False)
    assert go(program) == "WHY"


@pytest.mark.on_postgres
def test_an_exception_of_the_program_comes_back_as_its_own_class(go):
    class Refused(Exception):
        pass

    @hw.task
    async def refuse() -> int:
        RAN.append(1)
        raise Refused("no", 7)

    @hw.task
    async def program() -> Any:
        try:
            await refuse()
        except Refused as error:
            await work("after")
            await reach_the_disk()
            SWITCH["store"].broken = SWITCH.pop("break", False)
            await work("later")
            await reach_the_disk()
            return error.args

    SWITCH["store"] = store = BreakingStore()
    SWITCH["break"] = True
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.broken = False
    assert tuple(go(program, store=store)) == ("no", 7)
    assert RAN.count("after") == 1


@pytest.mark.on_postgres
def test_the_same_id_with_other_arguments_is_refused(go):
    @hw.task
    async def program(x: int) -> int:
        return x

    go(program, 1)
    with pytest.raises(hw.RunMismatch, match="other arguments"):
        go(program, 2)


def test_dry_run_lists_what_would_be_reused_and_run_again(go, tmp_path):
    @hw.task(name="dry_fail")
    async def fail() -> int:
        raise OSError("x")

    @hw.task(name="dry_program")
    async def program() -> int:
        await hw.gather(work(1), work(2))
        return await fail()

    with pytest.raises(OSError, match="x"):
        go(program)
    plan = hw.resume("run", store=tmp_path / "store", dry_run=True)
    assert sorted(call.label for call in plan.reuse) == ["1", "2"]
    assert {call.task for call in plan.rerun} == {"dry_program", "dry_fail"}
    assert "dry_program" in TASKS


def test_a_result_stands_though_the_call_is_stopped_while_it_waits_for_its_inputs_again(go, tmp_path):
    keys: list[str] = []
    stops = [False]

    @hw.task(name="fork_page")
    async def page() -> int:
        RAN.append("page")
        return 1

    @hw.task(name="fork_words")
    async def words(page: int) -> int:
        RAN.append("words")
        return page + 1

    @hw.task(name="fork_stops")
    async def program() -> int:
        first = page()
        keys.append(first.key)
        counted = words(first)
        if stops[0]:
            counted.cancel()
            await first
            raise ValueError("stopped")
        return await counted

    assert go(program) == 2
    hw.fork("run", at=keys[0], store=tmp_path / "store", new_id="other")
    stops[0] = True
    with pytest.raises(ValueError, match="stopped"):
        go(program, run_id="other")
    stops[0] = False
    assert go(program, run_id="other") == 2
    assert RAN == ["page", "words", "page"]


def test_a_failure_that_is_recalled_and_that_nobody_awaits_still_fails_its_parent(go):
    @hw.task
    async def fails(x: int) -> int:
        RAN.append(x)
        raise ValueError(f"no {x}")

    @hw.task
    async def program() -> str:
        fails(1)
        await work(2)
        await reach_the_disk()
        SWITCH["store"].broken = SWITCH.pop("break", False)
        await work(3)
        await reach_the_disk()
        return "done"

    store = BreakingStore()
    SWITCH.update(store=store)
    SWITCH["break"] = True
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.broken = False
    with pytest.raises(ExceptionGroup, match="nobody awaited"):
        go(program, store=store)
    assert RAN.count(1) == 1, "the failure was not recalled"
