"""Deadlines and timeouts: who hears of them, where they raise, and what a resume keeps of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import rest, spend

import headway as hw


@pytest.mark.on_postgres
def test_a_run_has_a_budget_and_a_deadline_of_its_own(go):
    @hw.task
    async def program() -> tuple[float, float]:
        return hw.remaining("tokens"), hw.time_left()

    left, time_left = go(program, budget={"tokens": 9}, deadline_s=50)
    assert left == 9
    assert time_left == pytest.approx(50, abs=1)


def test_a_timeout_is_an_error_of_that_one_call_and_can_be_retried(go):
    @hw.task(timeout=5, retry=hw.Retry(attempts=2, delay_s=1))
    async def slow() -> int:
        RAN.append(1)
        await asyncio.sleep(100)
        return 1

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.CallTimeout, match="5 s"):
            await slow()
        return "on"

    assert go(program) == "on"
    assert RAN == [1, 1]


@pytest.mark.on_postgres
def test_a_deadline_stops_everything_under_it(go):
    @hw.task
    async def program() -> tuple[bool, int]:
        with hw.deadline(seconds=10, raises=False) as deadline:
            await hw.gather(rest(5), rest(50))
        return deadline.expired, len(RAN)

    assert go(program) == (True, 1)


def test_a_deadline_raises_where_it_was_opened(go):
    @hw.task
    async def program() -> str:
        try:
            with hw.deadline(seconds=10):
                await asyncio.sleep(100)
        except hw.DeadlineExceeded as error:
            return str(error)
        return "no"

    assert "deadline" in go(program)


def test_children_inherit_the_deadline_and_an_inner_one_is_never_later(go):
    @hw.task
    async def left() -> float:
        with hw.deadline(seconds=1000):
            return hw.time_left()

    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=10):
            return await left()

    assert go(program) == pytest.approx(10, abs=0.1)


@hw.task(pool="process")
def looks_after_the_clock_was_set_back(seconds: float) -> float:
    wall = time.time
    time.time = lambda: wall() - seconds
    try:
        return hw.time_left()
    finally:
        time.time = wall


@pytest.mark.parametrize("seconds", [3600.0, 365 * 86_400.0])
def test_a_process_has_no_more_time_than_at_its_start_though_the_clock_was_set_back(seconds):
    async def program() -> float:
        with hw.deadline(seconds=600):
            return await looks_after_the_clock_was_set_back(seconds)

    assert 0 < hw.run(program, store=None) <= 600


@pytest.mark.on_postgres
def test_a_deadline_is_absolute_over_a_resume(go, clock):
    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=100):
            if SWITCH.get("stop", True):
                raise RuntimeError("stop")
            return hw.time_left()

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(60)
    SWITCH["stop"] = False
    assert go(program) == pytest.approx(40, abs=1)


def test_a_timeout_covers_children_that_nobody_awaits(go, clock):
    @hw.task(timeout=5)
    async def parent() -> int:
        rest(100)
        return 1

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.CallTimeout):
            await parent()
        return "stopped"

    began = clock.now
    assert go(program) == "stopped"
    assert clock.now - began < 10


def test_a_run_keeps_its_deadline_until_a_resume_sets_another(tmp_path):
    options: dict[str, Any] = {"store": tmp_path, "run_id": "run"}
    with pytest.raises(hw.DeadlineExceeded) as failed:
        hw.run(spend, 1, deadline_s=0, **options)
    assert failed.value.__notes__[0].endswith(f"headway resume run --store {tmp_path} --deadline SECONDS")
    for go_on in (lambda: hw.run(spend, 1, deadline_s=60, **options), lambda: hw.resume("run", store=tmp_path)):
        with pytest.raises(hw.DeadlineExceeded):
            go_on()
    assert RAN == []
    assert hw.resume("run", store=tmp_path, deadline_s=60) == 1


@pytest.mark.parametrize("together", [False, True], ids=["one after another", "together"])
def test_a_block_whose_deadline_passed_while_nothing_ran_ends_with_what_was_found(go, clock, together):
    @hw.task
    async def program() -> tuple[list[float], bool, bool]:
        got: list[float] = []
        with hw.deadline(10, raises=False) as scope:
            if together:
                async for handle in hw.as_completed(rest(1), rest(2), rest(20)):
                    got.append(handle.result())
                    stop_once(got)
            else:
                for seconds in (1, 2, 20):
                    got.append(await rest(seconds))
                    stop_once(got)
        return got, scope.expired, asyncio.current_task().cancelling() > 0

    def stop_once(got: list[float]) -> None:
        if len(got) == 2 and not SWITCH.get("stopped"):
            SWITCH["stopped"] = True
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        go(program)
    clock.advance(100)
    assert go(program) == ([1, 2], True, False)


def test_a_block_that_ends_quietly_swallows_its_deadline_only(go):
    async def late(error: BaseException) -> None:
        try:
            await asyncio.sleep(20)
        finally:
            raise error

    async def told(error: BaseException, *, seconds: float) -> str:
        try:
            with hw.deadline(seconds, raises=False):
                await late(error)
        except BaseException as found:
            return type(found).__name__
        return "quiet"

    @hw.task
    async def program() -> list[str]:
        passed = hw.DeadlineExceeded("of a call inside")
        return [
            await told(passed, seconds=10),
            await told(ExceptionGroup("both", [passed, passed]), seconds=10),
            await told(ExceptionGroup("one", [passed, ValueError()]), seconds=10),
            await told(ValueError(), seconds=10),
            await told(passed, seconds=30),
        ]

    assert go(program) == ["quiet", "quiet", "ExceptionGroup", "ValueError", "DeadlineExceeded"]


@pytest.mark.parametrize("raises", [True, False])
def test_only_a_quiet_block_swallows_that_an_argument_came_too_late(go, raises):
    @hw.task
    async def program() -> str:
        try:
            with hw.deadline(0, raises=raises) as scope:
                await rest(rest(1))
        except hw.InputFailed:
            return "told"
        return "quiet" if scope.expired else "in time"

    assert go(program) == ("told" if raises else "quiet")


@pytest.mark.parametrize("raises", [True, False])
def test_a_deadline_holds_while_a_cancelled_call_tidies_up(go, raises):
    @hw.task
    async def tidies() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            try:
                with hw.deadline(2, raises=raises) as scope:
                    await asyncio.sleep(50)
                RAN.append(scope.expired)
            except hw.DeadlineExceeded:
                RAN.append("late")
            RAN.append(asyncio.current_task().cancelling())

    @hw.task
    async def program() -> bool:
        call = tidies()
        await hw.sleep(1)
        call.cancel()
        (end,) = await hw.settle(call)
        return end.cancelled

    assert go(program)
    assert ["late" if raises else True, 1] == RAN


def test_a_deadline_used_a_second_time_knows_nothing_of_the_first(go):
    @hw.task
    async def twice() -> None:
        scope = hw.deadline(2, raises=False)
        with scope:
            await asyncio.sleep(5)
        RAN.append(scope.expired)
        with scope:
            await asyncio.sleep(1)
        RAN.append(scope.expired)
        with scope:
            await asyncio.sleep(1)
        RAN.append("not stopped")

    @hw.task
    async def program() -> bool:
        call = twice()
        await hw.sleep(3.5)
        call.cancel()
        (end,) = await hw.settle(call)
        return end.cancelled

    assert go(program)
    assert RAN == [True, False]


def test_a_deadline_stops_a_coroutine_that_a_thread_waits_for():
    async def late() -> bool:
        with hw.deadline(0.01, raises=False) as scope:
            await asyncio.wait_for(asyncio.Event().wait(), 10)
        return scope.expired

    @hw.task(pool="thread")
    def in_thread() -> list[bool]:
        return hw.wait(hw.gather(late(), late()))

    assert hw.run(in_thread, store=None) == [True, True]


def test_a_deadline_ends_what_a_thread_rests_for(go, clock):
    """A thread can't be interrupted, but what it waits for can."""

    @hw.task
    def rests(seconds: float) -> str:
        with hw.deadline(seconds=3):
            hw.wait(hw.sleep(seconds))
        return "rested"

    @hw.task
    def waits() -> str:
        with hw.deadline(seconds=100), hw.deadline(seconds=3):
            return str(hw.wait(hw.wait_event("go")))

    @hw.task
    def goes_on() -> str:
        with hw.deadline(seconds=3, raises=False) as bound:
            hw.wait(hw.sleep(50))
        hw.wait(hw.sleep(1))
        return f"expired: {bound.expired}"

    @hw.task
    def comes_late() -> str:
        with hw.deadline(seconds=3):
            try:
                hw.wait(hw.sleep(50))
            finally:
                hw.wait(hw.sleep(60))

    @hw.task
    async def program() -> list[str]:
        ends = await hw.settle(rests(2), rests(9), waits(), goes_on(), comes_late())
        return [end.value or type(end.error).__name__ for end in ends]

    assert go(program) == ["rested", "DeadlineExceeded", "DeadlineExceeded", "expired: True", "DeadlineExceeded"]
    assert clock.elapsed < 9


@pytest.mark.parametrize("outer_raises", [True, False])
@pytest.mark.parametrize("inner_raises", [True, False])
@pytest.mark.parametrize(("outer", "inner"), [(2, 9), (9, 2), (2, 2)], ids=["outer first", "inner first", "together"])
def test_of_nested_deadlines_each_ends_its_own_block(go, outer, inner, outer_raises, inner_raises):
    async def branch() -> list[Any]:
        seen: list[Any] = []
        try:
            with hw.deadline(outer, raises=outer_raises) as around:
                try:
                    with hw.deadline(inner, raises=inner_raises) as inside:
                        await asyncio.sleep(20)
                except hw.DeadlineExceeded:
                    seen.append("inner raised")
                seen.append(inside.expired)
                await asyncio.sleep(3)
                seen.append("went on")
        except hw.DeadlineExceeded:
            seen.append("outer raised")
        return [*seen, around.expired, asyncio.current_task().cancelling()]

    @hw.task
    async def program() -> list[list[Any]]:
        return await hw.gather(branch(), branch())

    ends = go(program)
    for seen in ends:
        assert seen[-1] == 0
        if outer > inner:
            raised = ["inner raised"] if inner_raises else []
            assert seen == [*raised, True, "went on", False, 0]
        else:
            assert seen[-2] is True
            assert ("outer raised" in seen) == outer_raises
            assert "went on" not in seen


@pytest.mark.parametrize("options", [{}, {"deadline_s": 60}], ids=["without one", "with time left"])
def test_a_run_whose_own_deadline_has_not_passed_asks_for_no_other(tmp_path, options):
    @hw.task
    async def program() -> None:
        with hw.deadline(0):
            await rest(1)

    with pytest.raises(hw.DeadlineExceeded) as failed:
        hw.run(program, store=tmp_path, **options)
    assert not any("--deadline" in note for note in getattr(failed.value, "__notes__", ()))
