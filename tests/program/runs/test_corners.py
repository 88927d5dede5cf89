"""Corners where things meet: each of these once hung, lost a bound or gave a wrong result."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import threading
from typing import Any

import pytest
from notes import RAN, SWITCH
from steps import until_set, wait_until_set

import headway as hw
from headway.engine.call import current


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hw.task(resources={"gpu": 1})
async def train(x: Any = 0) -> int:
    return 1


def say_how_far() -> int:
    import numpy as np

    hw.progress(np.int64(3), np.int64(10), loss=np.float32(0.5), rate=2)
    return 1


say_in_a_process = hw.task(pool="process", name="say_in_a_process")(say_how_far)
say_in_a_thread = hw.task(pool="thread", name="say_in_a_thread")(say_how_far)


@pytest.mark.parametrize("say", [say_in_a_process, say_in_a_thread])
def test_progress_may_be_told_in_numbers_of_arrays(say, tmp_path):
    heard = tmp_path / "events.jsonl"
    assert hw.run(say, store=None, progress=False, events=heard) == 1
    (told,) = [json.loads(line) for line in heard.read_text().splitlines() if "CallProgress" in line]
    assert (told["done"], told["total"], told["numbers"]) == (3, 10, {"loss": 0.5, "rate": 2})


def test_a_call_whose_deadline_passed_in_the_queue_gives_its_limit_back(go):
    @hw.task
    async def program() -> float:
        with hw.limit(1):
            with pytest.raises(hw.DeadlineExceeded), hw.deadline(seconds=0):
                await rest(1)
            return await rest(2)

    assert go(program) == 2


@pytest.mark.parametrize("by_handle", [False, True])
def test_a_missing_resource_is_an_error_of_the_call_and_the_parent_goes_on(go, by_handle):
    @hw.task
    async def program() -> str:
        with pytest.raises(hw.ResourceUnavailable):
            await (train(hw.ref(rest(1))) if by_handle else train())
        return "on"

    assert go(program) == "on"


def test_a_thread_that_times_out_is_tried_again_while_the_first_still_runs(go, clock):
    began, release = threading.Event(), threading.Event()

    @hw.task(timeout=50, retry=hw.Retry(attempts=3, delay_s=0))
    def slow() -> int:
        RAN.append(1)
        if len(RAN) == 1:
            began.set()
            wait_until_set(release)
        return len(RAN)

    @hw.task
    async def program() -> int:
        call = slow()
        await until_set(began)
        clock.advance(60)
        try:
            return await call
        finally:
            release.set()

    assert go(program) == 2


def test_parallel_waits_of_one_call_do_not_wait_for_its_own_limit(go):
    @hw.task
    async def both() -> list[float]:
        async def one(seconds: float) -> float:
            return await rest(seconds)

        return await asyncio.gather(one(1), one(1.5), one(2))

    @hw.task
    async def program() -> list[list[float]]:
        with hw.limit(1):
            return await hw.gather(both(), both())

    assert go(program) == [[1, 1.5, 2]] * 2


def test_an_unawaited_child_that_exits_fails_its_parent(go):
    @hw.task
    async def leave() -> int:
        raise SystemExit(3)

    @hw.task
    async def program() -> int:
        leave()
        return 1

    with pytest.raises(ExceptionGroup, match="nobody awaited"):
        go(program)


def test_a_refused_call_is_not_retried_whatever_on_says(go):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0, on=lambda error: True))
    async def call() -> int:
        return 1

    @hw.task
    async def program() -> str:
        with hw.budget(calls=1), pytest.raises(hw.BudgetExceeded):
            await call()
            await call()
        return "on"

    assert go(program) == "on"


def test_a_retry_goes_on_with_what_its_budget_has_left(go):
    @hw.task
    async def fail() -> int:
        raise OSError("down")

    @hw.task(retry=hw.Retry(attempts=3, delay_s=0))
    async def parent() -> int:
        with hw.budget(tokens=100) as budget:
            RAN.append(budget.spent.get("tokens", 0))
            hw.charge(tokens=60)
            return await fail()

    @hw.task
    async def program() -> int:
        return await parent()

    with pytest.raises((OSError, hw.BudgetExceeded)):
        go(program)
    assert RAN[:2] == [0, 60]


@pytest.mark.on_postgres
def test_a_shared_limit_is_held_again_after_a_wait(go):
    high = [0, 0]

    @hw.task
    async def holder() -> None:
        await rest(1)
        high[0] += 1
        high[1] = max(high)
        await asyncio.sleep(1)
        high[0] -= 1

    @hw.task
    async def program() -> int:
        with hw.limit(1, name="shared"):
            await hw.gather(*(holder() for _ in range(3)))
        return high[1]

    assert go(program) == 1


def test_a_cancelled_call_that_takes_its_time_stays_cancelled(go):
    @hw.task(timeout=5, retry=hw.Retry(attempts=3, delay_s=0))
    async def stubborn() -> int:
        RAN.append(1)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(20)
            raise
        return 1

    @hw.task
    async def program() -> tuple[bool, int]:
        handle = stubborn()
        await asyncio.sleep(1)
        handle.cancel()
        await hw.settle(handle)
        return handle.cancelled(), len(RAN)

    assert go(program) == (True, 1)


def test_a_child_that_fails_by_itself_asks_its_children_afresh_under_a_retried_parent(go):
    @hw.task
    async def draw() -> float:
        RAN.append("draw")
        return hw.random().random()

    @hw.task
    async def picky() -> float:
        value = await draw()
        if len(RAN) < 3:
            raise ValueError("not good enough")
        return value

    @hw.task(retry=hw.Retry(attempts=4, delay_s=1))
    async def parent() -> float:
        return await picky()

    @hw.task
    async def program() -> float:
        return await parent()

    go(program)
    assert RAN == ["draw"] * 3


def test_a_childs_attempts_are_its_own_in_every_attempt_of_its_parent(go):
    """Also when the process dies between two attempts of the parent."""

    class Dying(hw.MemoryStore):
        dead = False

        def commit(self, *args: Any, **kwargs: Any) -> None:
            if self.dead:
                raise hw.StoreFull(28, "dead")
            super().commit(*args, **kwargs)

    store = Dying()

    @hw.task(effect=True)
    async def reach_the_disk(x: int) -> None:
        pass

    @hw.task(retry=hw.Retry(attempts=3, delay_s=1))
    async def child() -> int:
        RAN.append(hw.call().attempt)
        if len(RAN) < 6:
            raise OSError("down")
        return len(RAN)

    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def parent() -> int:
        if len(RAN) == 3 and not SWITCH.get("died"):
            await reach_the_disk(1)
            SWITCH["died"] = store.dead = True
            await reach_the_disk(2)
        return await child()

    @hw.task
    async def program() -> int:
        return await parent()

    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.dead = False
    assert go(program, store=store) == 6
    assert RAN == [1, 2, 3, 1, 2, 3]


def test_a_shared_forever_call_does_not_inherit_another_ones_deadline(go):
    @hw.task(cache="forever")
    async def slow(x: int) -> int:
        await asyncio.sleep(10)
        return x

    @hw.task
    async def hurried() -> str:
        with hw.deadline(seconds=1, raises=False):
            await slow(1)
        return "gave up"

    @hw.task
    async def program() -> tuple[str, int]:
        return await hw.gather(hurried(), slow(1))

    assert go(program) == ["gave up", 1]


def test_a_batch_function_cannot_call_tasks_and_is_told_so(go):
    @hw.task(batch=2, linger_s=0.001)
    async def nested(items: list[int]) -> list[int]:
        await rest(1)
        return items

    @hw.task
    async def program() -> None:
        await nested(1)

    with pytest.raises(hw.UsageError, match="batch task"):
        go(program)


def test_many_handles_are_handed_out_as_they_complete(go):
    @hw.task
    async def program() -> int:
        return sum([int(handle.result()) async for handle in hw.as_completed(*(rest(i % 7) for i in range(3000)))])

    assert go(program) == sum(i % 7 for i in range(3000))


def test_ten_times_a_tenth_is_one(go):
    @hw.task(cost={"money": 0.1})
    async def pay() -> int:
        return 1

    @hw.task
    async def program() -> int:
        with hw.budget(money=1.0):
            return sum(await hw.gather(*(pay() for _ in range(10))))

    assert go(program) == 10


def test_the_count_of_active_calls_comes_back_to_zero(go):
    @hw.task
    async def tangle(depth: int) -> int:
        async def stray() -> float:
            return await rest(0.5)

        kept = asyncio.ensure_future(stray())
        if depth:
            await hw.settle(*(tangle(depth - 1) for _ in range(3)))
        await kept
        return 1

    @hw.task
    async def program() -> int:
        await hw.gather(tangle(3), tangle(2))
        frame = current.get()
        assert frame is not None
        return frame.call.engine.ready.active

    assert go(program) == 1


@hw.task(pool="process")
def in_a_process() -> None:
    """Would need a worker."""


@hw.task(batch=2, linger_s=0.005, pool="process")
def batch_in_a_process(items: list[int]) -> list[int]:
    return items


def test_a_pool_that_cannot_take_a_call_fails_that_call_and_no_more():
    """A new worker needs two pairs of sockets; here the process may open no more files."""

    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    @hw.task
    async def program() -> tuple[list[str], int]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(socket, "socketpair", no_more)
            ends = await hw.settle(in_a_process(), batch_in_a_process(1), batch_in_a_process(2))
        frame = current.get()
        assert frame is not None
        return [str(end.error) for end in ends], frame.call.engine.ready.in_pools

    assert hw.run(program, store=None, deadline_s=60) == (["[Errno 24] Too many open files"] * 3, 0)


def test_the_bounds_of_a_run_and_those_its_root_opens_are_kept_apart(go, clock):
    @hw.task
    async def program() -> tuple[float, float, float]:
        outer = hw.remaining("calls"), hw.time_left()
        with hw.budget(calls=50), hw.deadline(seconds=1000):
            await rest(1)
            if SWITCH.get("stop", True):
                raise RuntimeError("stop")
            return outer[0], hw.remaining("calls"), hw.time_left()

    with pytest.raises(RuntimeError):
        go(program, budget={"calls": 10}, deadline_s=100)
    clock.advance(20)
    SWITCH["stop"] = False
    left, inner, time_left = go(program)  # the run's bounds are those it was started with
    assert left <= 10
    assert inner <= 10
    assert time_left == pytest.approx(79, abs=1)


@pytest.mark.on_postgres
def test_a_raised_budget_lets_a_run_go_on(go):
    @hw.task
    async def program() -> float:
        with hw.budget(calls=100):
            return sum(await hw.gather(*(rest(i) for i in range(5))))

    with pytest.raises(hw.BudgetExceeded):
        go(program, budget={"calls": 3})
    assert go(program, budget={"calls": 1000}) == 10


def test_a_call_that_exits_is_an_error_of_that_call(go):
    @hw.task
    async def leave() -> int:
        raise SystemExit(3)

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.CallExited, match=r"sys.exit\(3\)"):
            await leave()
        return "on"

    assert go(program) == "on"


def test_a_fault_of_the_engine_ends_the_run_instead_of_hanging_it(go, monkeypatch):
    from headway.engine.outcomes.outcomes import Outcomes

    @hw.task
    async def program() -> float:
        monkeypatch.setattr(Outcomes, "end", lambda *_: 1 / 0)
        return await rest(1)

    with pytest.raises(hw.StoreError, match="runtime failed"):
        go(program)


@pytest.mark.parametrize(
    "options",
    [
        {"retry": 3},
        {"timeout": "x"},
        {"cache": "x"},
        {"verify": 3, "effect": True},
        {"resources": {"gpu": -1}},
        {"nosuch": 1},
        {"pool": 3},
        {"on_change": "maybe"},
        {"cost": {"tokens": -1}},
    ],
)
def test_nonsense_in_a_tasks_options_is_refused_where_it_stands(options):
    async def function(x: int) -> int:
        return x

    with pytest.raises(hw.UsageError):
        hw.task(**options)(function)


@pytest.mark.parametrize(
    "options",
    [
        {"pools": {"process": 0}},
        {"pools": {"proces": 2}},
        {"resources": {"gpu": -1}},
        {"deadline_s": float("nan")},
        {"budget": {"calls": -1}},
        {"max_active": 0},
        {"run_id": "two\nlines"},
        {"on_change": {"task": "bogus"}},
        {"nosuch": 1},
    ],
)
def test_nonsense_in_a_runs_options_is_refused_before_anything_is_begun(tmp_path, options):
    with pytest.raises(hw.UsageError):
        hw.run(rest, 1, store=tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("look", [hw.resume, hw.cancel, lambda name, store: hw.signal(name, "x", store=store)])
def test_looking_at_a_store_that_is_not_there_makes_none(tmp_path, look):
    with pytest.raises(hw.StoreError, match="no store"):
        look("run", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_list_given_to_a_join_is_told_about_the_star(go):
    @hw.task
    async def program() -> None:
        await hw.gather([rest(1)])  # type: ignore[arg-type]

    with pytest.raises(hw.UsageError, match=r"hw.gather\(\*calls\)"):
        go(program)
