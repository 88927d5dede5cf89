"""What is found again, and what is not: identity, replay, retries, decisions."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headway as hw
from headway.engine.identity.spec import TASKS
from headway.journal.decisions import Remaining, is_told
from headway.journal.records import Kind

RAN: list[Any] = []
SWITCH: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _clear() -> None:
    RAN.clear()
    SWITCH.clear()


@hw.task
async def work(x: Any) -> Any:
    RAN.append(x)
    return x


@hw.task(effect=True)
async def reach_the_disk() -> None:
    """An effect starts only when all before it is durable."""


def stop_once() -> None:
    if not SWITCH.get("stopped"):
        SWITCH["stopped"] = True
        raise RuntimeError("stop")


def edited(name: str, **options: Any):
    """The task of this name with another source, as after an edit."""
    return hw.task(name=name, **options)


def test_a_second_run_answers_from_the_journal(go):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather(*(work(i) for i in range(5)))

    first = go(program)
    again = go(program)
    assert first == again == [0, 1, 2, 3, 4]
    assert len(RAN) == 5


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


@pytest.mark.parametrize(("policy", "runs"), [("reuse", 1), ("rerun", 2)])
def test_an_edited_task_follows_its_on_change(go, policy, runs):
    @edited("edited_leaf", on_change=policy)
    async def leaf() -> int:
        RAN.append("old")
        return 1

    @hw.task(name="edited_program")
    async def program() -> int:
        value = await TASKS_CALL["edited_leaf"]()
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return value

    TASKS_CALL["edited_leaf"] = leaf
    with pytest.raises(RuntimeError):
        go(program)

    @edited("edited_leaf", on_change=policy)
    async def leaf_again() -> int:
        RAN.append("new")
        return 2

    TASKS_CALL["edited_leaf"] = leaf_again
    SWITCH["stop"] = False
    assert go(program) == (1 if policy == "reuse" else 2)
    assert len(RAN) == runs


TASKS_CALL: dict[str, Any] = {}


def test_an_edited_task_that_says_ask_stops_the_run_until_it_is_answered(go):
    @edited("asking", on_change="ask")
    async def leaf() -> int:
        return 1

    @hw.task(name="asking_program")
    async def program() -> int:
        value = await TASKS_CALL["asking"]()
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return value

    TASKS_CALL["asking"] = leaf
    with pytest.raises(RuntimeError):
        go(program)

    @edited("asking", on_change="ask")
    async def leaf_again() -> int:
        return 2

    TASKS_CALL["asking"] = leaf_again
    SWITCH["stop"] = False
    with pytest.raises(hw.SourceChanged, match="asking"):
        go(program)
    assert go(program, on_change={"asking": "rerun"}) == 2


def test_a_finished_parent_runs_again_when_a_rerun_task_below_it_changed(go):
    @edited("guarded", on_change="rerun")
    async def leaf() -> int:
        return 1

    @hw.task(name="guarding_middle")
    async def middle() -> int:
        RAN.append("middle")
        return 10 * await TASKS_CALL["guarded"]()

    @hw.task(name="guarding_program")
    async def program() -> int:
        return await middle()

    TASKS_CALL["guarded"] = leaf
    assert go(program) == 10

    @edited("guarded", on_change="rerun")
    async def leaf_again() -> int:
        return 2

    TASKS_CALL["guarded"] = leaf_again
    assert go(program) == 20
    assert RAN == ["middle", "middle"]


@pytest.mark.parametrize(("value", "reused"), [(1, True), (2, False)])
def test_a_result_by_handle_is_reused_only_while_its_inputs_are_what_they_were(go, value, reused):
    @edited("input", on_change="rerun")
    async def source() -> int:
        return 1

    @hw.task(name="consumer")
    async def consumer(x: int) -> int:
        RAN.append(x)
        return x * 10

    @hw.task(name="feeding_program")
    async def program() -> int:
        result = await consumer(hw.ref(TASKS_CALL["input"]()))
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return result

    TASKS_CALL["input"] = source
    with pytest.raises(RuntimeError):
        go(program)

    if value == 1:

        @edited("input", on_change="rerun", version="2")
        async def source_again() -> int:
            return 1
    else:

        @edited("input", on_change="rerun", version="2")
        async def source_again() -> int:
            return 2

    TASKS_CALL["input"] = source_again
    SWITCH["stop"] = False
    assert go(program) == value * 10
    assert ([1] if reused else [1, 2]) == RAN


def test_a_retry_after_a_childs_failure_keeps_the_children_that_succeeded(go):
    @hw.task
    async def flaky() -> int:
        RAN.append("flaky")
        if RAN.count("flaky") < 3:
            raise OSError("down")
        return 1

    @hw.task(retry=hw.Retry(attempts=5))
    async def parent() -> int:
        return await work("kept") and await flaky()

    @hw.task
    async def program() -> int:
        return await parent()

    assert go(program) == 1
    assert RAN == ["kept", "flaky", "flaky", "flaky"]


def test_a_retry_after_an_own_failure_asks_the_children_afresh(go):
    @hw.task
    async def draw() -> float:
        RAN.append("draw")
        return hw.random().random()

    @hw.task(retry=hw.Retry(attempts=3))
    async def parent() -> float:
        value = await draw()
        if len(RAN) < 2:
            raise ValueError("not good enough")
        return value

    @hw.task
    async def program() -> float:
        return await parent()

    go(program)
    assert RAN == ["draw", "draw"]


def test_attempts_are_counted_over_a_crash(go, clock):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=100, jitter=0))
    async def flaky() -> int:
        RAN.append(hw.call().attempt)
        if len(RAN) == 2:
            await reach_the_disk()
            SWITCH["store"].broken = True
        raise OSError("down")

    @hw.task
    async def program() -> int:
        return await flaky()

    store = BreakingStore()
    SWITCH["store"] = store
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.broken = False
    with pytest.raises(OSError, match="down"):
        go(program, store=store)
    assert RAN[:2] == [1, 2]  # a third attempt may begin before the disk is heard to be full
    assert RAN[-2:] == [2, 3]


class BreakingStore(hw.MemoryStore):
    """A store whose disk is full while `broken`."""

    broken = False

    def commit(self, *args: Any, **kwargs: Any) -> None:
        if self.broken:
            raise hw.StoreFull(28, "the disk is full")
        super().commit(*args, **kwargs)


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

    with pytest.raises(OSError):
        go(program)
    plan = hw.resume("run", store=tmp_path / "store", dry_run=True)
    assert sorted(call.label for call in plan.reuse) == ["1", "2"]
    assert {call.task for call in plan.rerun} == {"dry_program", "dry_fail"}
    assert "dry_program" in TASKS


def test_a_fork_knows_all_but_the_call_and_what_it_is_part_of(go, tmp_path):
    @hw.task(name="fork_step")
    async def step(x: int) -> int:
        RAN.append(x)
        return x

    @hw.task(name="fork_program")
    async def program() -> list[str]:
        handles = [step(1), step(2), step(3)]
        await hw.gather(*handles)
        return [handle.key for handle in handles]

    keys = go(program)
    new = hw.fork("run", at=keys[1][:10], store=tmp_path / "store", new_id="other")
    assert go(program, run_id=new) == keys
    assert RAN == [1, 2, 3, 2]
    assert go(program) == keys
    assert RAN == [1, 2, 3, 2]


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


@pytest.mark.parametrize(("at", "runs_again"), [(0, [1, 2]), (1, [2])])
def test_a_fork_goes_on_with_the_attempts_of_the_calls_above(go, tmp_path, at, runs_again):
    """The first attempt fails by itself, the second succeeds; later an attempt of the call above fails, because of another call."""
    keys: list[str] = []
    attempts: list[int] = []
    down = [True]

    @hw.task(name="fork_drawn")
    async def drawn() -> float:
        RAN.append("drawn")
        return hw.random().random()

    @hw.task(name="fork_picky", retry=hw.Retry(attempts=3, delay_s=0.1))
    async def picky() -> float:
        attempts.append(hw.call().attempt)
        handle = drawn()
        keys.append(handle.key)
        value = await handle
        if hw.call().attempt == 1:
            raise ValueError("not this one")
        return value

    @hw.task(name="fork_moody")
    async def moody() -> None:
        if down:
            down.clear()
            raise OSError("down")

    @hw.task(name="fork_above", retry=hw.Retry(attempts=3, delay_s=0.1))
    async def above() -> float:
        value = await picky()
        await moody()
        return value

    @hw.task(name="fork_all")
    async def program() -> float:
        return await above()

    value = go(program)
    assert attempts == [1, 2]
    attempts.clear()
    new = hw.fork("run", at=keys[at], store=tmp_path / "store", new_id="other")
    assert go(program, run_id=new) == value
    assert attempts == runs_again
    assert RAN == ["drawn"] * 3
