"""Decisions: what the runtime told a program it tells again, and what is left of a bound counts what was spent since."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import stop_once, work

import headway as hw
from headway.journal.decisions import Remaining, is_told
from headway.journal.records import Kind


@pytest.mark.on_postgres
def test_now_random_and_race_answer_as_they_did(go, clock):
    @hw.task
    async def rest(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> tuple[float, float, float]:
        told = (hw.now(), hw.random().random(), await hw.race(rest(5), rest(3), rest(9)))
        RAN.append(told)
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return told

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(1000)
    SWITCH["stop"] = False
    assert go(program) == RAN[0] == RAN[1]


@hw.task(cost={"tokens": 10})
async def sample(index: int) -> int:
    RAN.append(index)
    return index


def planner(name: str, plan: Any) -> Any:
    """Asks for as many samples as the budget of its own leaves, twice; fails once when it has them."""

    @hw.task(name=name)
    async def program() -> list[int]:
        with hw.budget(tokens=SWITCH.get("tokens", 100)):
            first = await hw.gather(*(sample(index) for index in range(int(plan() / 30))))
            second = await hw.gather(*(sample(10 + index) for index in range(int(plan() / 30))))
        stop_once()
        return [*first, *second]

    return program


@pytest.mark.on_postgres
def test_what_was_planned_by_what_a_budget_left_is_asked_for_again(go):
    program = planner("planner", lambda: hw.remaining("tokens"))
    with pytest.raises(RuntimeError):
        go(program)
    assert RAN == [0, 1, 2, 10, 11]  # 100 and 70 tokens were left
    assert go(program) == RAN == [0, 1, 2, 10, 11]


def test_every_unit_is_told_again_as_one_is(go):
    program = planner("planner of all", lambda: hw.remaining()["tokens"])
    with pytest.raises(RuntimeError):
        go(program)
    assert go(program) == RAN == [0, 1, 2, 10, 11]


def test_an_amount_that_was_raised_is_left_besides_what_was_left(go):
    program = planner("raised planner", lambda: hw.remaining("tokens"))
    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["tokens"] = 160
    assert go(program) == [0, 1, 2, 3, 4, 10, 11, 12, 13]  # 160 and 130 of them: 30 more than were there have been taken since
    assert sorted(RAN) == [0, 1, 2, 3, 4, 10, 11, 12, 13]


def test_an_amount_of_the_run_that_was_raised_counts_for_the_budgets_inside(go):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=1000):
            await sample(1)
            left = hw.remaining("tokens")
            await sample(2)
        stop_once()
        return left

    with pytest.raises(RuntimeError):
        go(program, budget={"tokens": 50})
    assert go(program, budget={"tokens": 500}) == 490
    assert RAN == [1, 2]


def test_a_bound_that_was_added_is_told_again_from_then_on(go):
    told: list[float] = []

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=1000):
            await sample(1)
            told.append(hw.remaining("tokens"))
            await hw.gather(sample(2), sample(10 + len(told)))  # another one each time
        raise RuntimeError("stop")

    for bounds in ({"calls": 99}, {"tokens": 500}, {"tokens": 500}, {"tokens": 600}):
        with pytest.raises(RuntimeError):
            go(program, budget=bounds)
    assert told == [990, 470, 470, 570]  # three samples had been taken when it was added


def test_what_was_left_of_a_budget_is_known_by_the_budget_and_not_by_its_depth(go):
    @hw.task
    async def inner() -> float:
        with hw.budget(tokens=1000):
            left = hw.remaining("tokens")
        stop_once()
        return left

    @hw.task
    async def program() -> float:
        await sample(1)
        if SWITCH.get("stopped"):
            with hw.budget(tokens=200):
                return await inner()
        return await inner()

    with pytest.raises(RuntimeError):
        go(program, budget={"tokens": 500})
    assert go(program) == 200  # of the new one nothing is taken; 10 were of the run's


def test_a_question_that_was_added_takes_no_answer_from_another(go):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=100, money=1):
            if SWITCH.get("stopped"):
                assert hw.remaining("money") == 1
                with hw.budget(tokens=50):
                    assert hw.remaining("tokens") == 50
            await sample(1)
            left = hw.remaining("tokens")
            await sample(2)
        stop_once()
        return left

    with pytest.raises(RuntimeError):
        go(program)
    assert go(program) == 90


def test_what_a_budget_left_is_recorded_once(go, tmp_path):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=100):
            await sample(1)
            left = hw.remaining("tokens") + hw.remaining()["tokens"]
            assert hw.remaining("money") == math.inf
        if len(RAN) < 3:
            RAN.append("stop")
            raise RuntimeError("stop")
        return left

    def rows() -> int:
        with hw.SqliteStore(tmp_path / "store") as store:
            return sum(is_told(row.body, Remaining) for _, row in store.rows(1) if row.kind == Kind.DECISION)

    for _ in range(2):
        with pytest.raises(RuntimeError):
            go(program)
        assert rows() == 2
    assert go(program) == 180


def test_what_a_call_charged_before_it_failed_is_its_to_charge_again(go):
    @hw.task(pool="thread")
    def worker() -> None:
        RAN.append(hw.remaining("tokens"))
        hw.charge(tokens=30)
        RAN.append(hw.remaining("tokens"))
        stop_once()

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=100):
            await worker()

    with pytest.raises(RuntimeError):
        go(program)
    go(program)
    assert RAN == [100, 70, 100, 70]


def test_what_is_reserved_for_a_call_does_not_widen_a_budget_of_its_own(go):
    @hw.task(cost={"tokens": 10})
    async def worker() -> tuple[float, float]:
        with hw.budget(tokens=5):
            return hw.remaining("tokens"), hw.remaining()["tokens"]

    @hw.task
    async def program() -> tuple[float, float]:
        with hw.budget(tokens=100):
            return await worker()

    assert go(program) == (5, 5)


@hw.task(pool="process")
def look_in_a_process(file: str) -> float:
    if not Path(file).exists():
        Path(file).touch()
        raise RuntimeError("stop")
    return hw.remaining("tokens")


def test_a_process_is_told_what_is_left_when_it_starts_again(tmp_path):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=100):
            (end,) = await hw.settle(look_in_a_process(str(tmp_path / "seen")))
            await sample(0)
        if end.error is not None:
            raise end.error
        return end.value

    options: dict[str, Any] = {"store": tmp_path / "store", "run_id": "run", "pools": {"process": 1}}
    with pytest.raises(RuntimeError):
        hw.run(program, **options)
    assert hw.run(program, **options) == 90


@pytest.mark.parametrize(("options", "now"), [({"cost": {"tokens": 10}}, 80), ({"pool": "thread"}, 90)], ids=["cost", "thread"])
def test_what_does_work_itself_is_told_what_is_left_now(go, options, now):
    def look() -> None:
        RAN.append(hw.remaining("tokens"))
        stop_once()

    async def look_on_the_loop() -> None:
        look()

    worker = hw.task(name="worker", **options)(look if "pool" in options else look_on_the_loop)

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=100):
            (end,) = await hw.settle(worker())
            await sample(0)
        if end.error is not None:
            raise end.error

    with pytest.raises(RuntimeError):
        go(program)
    go(program)
    assert [100, 0, now] == RAN


def test_a_batch_is_told_what_is_left_now(go):
    @hw.task(batch=4)
    async def each(items: list[int]) -> list[int]:
        RAN.append(hw.remaining("tokens"))
        stop_once()
        return items

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=100):
            (end,) = await hw.settle(each(1))
            await sample(0)
        if end.error is not None:
            raise end.error

    with pytest.raises(RuntimeError):
        go(program)
    go(program)
    assert RAN == [100, 0, 90]


def test_a_thread_is_told_the_time_that_is_left_now(go, clock):
    @hw.task(pool="thread")
    def worker() -> None:
        RAN.append(hw.time_left())
        stop_once()

    @hw.task
    async def program() -> None:
        with hw.deadline(seconds=100):
            await worker()

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(20)
    go(program)
    assert pytest.approx([100, 80]) == RAN


def test_the_time_left_is_told_again(go, clock):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=100):
            await asyncio.sleep(30)
            left = hw.time_left()
            await work(int(left))
        RAN.append(left)
        stop_once()
        return left

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(20)
    assert go(program) == pytest.approx(70)
    assert len(RAN) == 3  # the work and two equal times
    assert RAN[1] == RAN[2]


def test_the_time_left_counts_to_where_a_deadline_was_moved(tmp_path):
    @hw.task
    async def program() -> tuple[float, float]:
        run = hw.time_left()
        with hw.deadline(seconds=50):
            inner = hw.time_left()
        stop_once()
        return run, inner

    with pytest.raises(RuntimeError):
        hw.run(program, store=tmp_path, run_id="run", deadline_s=20)
    run, inner = hw.resume("run", store=tmp_path, deadline_s=600)
    assert run >= 600
    assert inner == pytest.approx(50, abs=5)


def test_of_a_deadline_that_never_comes_all_time_is_left(go):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=math.inf):
            return hw.time_left()

    assert go(program) == math.inf


@pytest.mark.on_postgres
def test_as_completed_replays_its_order(go):
    @hw.task
    async def rest(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> list[float]:
        got = [handle.result() async for handle in hw.as_completed(rest(5), rest(1), rest(3))]
        RAN.append(got)
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return got

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["stop"] = False
    assert go(program) == [1, 3, 5]
