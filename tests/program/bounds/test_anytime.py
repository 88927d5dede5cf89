"""Blocks that end when their bounds do, with what they have, and joins of what a budget affords."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from notes import RAN

import headway as hw
from headway.joins.bound import bound_of
from headway.journal.decisions import BlockEnded, is_told
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

STOP: list[bool] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    STOP.clear()


@hw.task(cost={"tokens": 10})
async def sample(index: int) -> int:
    RAN.append(index)
    await asyncio.sleep(1)
    return index * 10


@hw.task
async def rest(seconds: float) -> float:
    RAN.append(int(seconds))
    await asyncio.sleep(seconds)
    return seconds


def test_a_block_that_ends_by_itself_is_done(go):
    @hw.task
    async def program() -> tuple[str, dict[str, int]]:
        best = {"answer": 0}
        with hw.budget(tokens=100), hw.anytime(best) as block:
            block.keep("answer", await sample(1))
        return block.stopped, best

    assert go(program) == ("done", {"answer": 10})


def test_a_block_ends_with_its_budget_and_has_what_it_found(go):
    @hw.task
    async def program() -> tuple[str, dict[str, int]]:
        best = {"answer": 0}
        with hw.budget(tokens=35), hw.anytime(best) as block:
            for index in range(1, 100):
                block.keep("answer", await sample(index))
        return block.stopped, best

    assert go(program) == ("budget", {"answer": 30})


def test_a_block_ends_a_moment_before_its_deadline_and_its_call_goes_on(go):
    @hw.task
    async def inner() -> tuple[str, list[float]]:
        found: dict[int, float] = {}
        with hw.anytime(found) as block:
            for index in range(100):
                block.keep(index, await rest(2))
        return block.stopped, list(found.values())

    @hw.task
    async def program() -> tuple[str, list[float]]:
        with hw.deadline(seconds=7):
            return await inner()

    assert go(program) == ("deadline", [2, 2, 2])


def test_a_block_may_have_a_time_of_its_own(go):
    @hw.task
    async def program() -> tuple[str, float]:
        began = hw.now()
        with hw.anytime(within_s=5) as block:
            await asyncio.sleep(100)
        return block.stopped, round(hw.now() - began, 1)

    assert go(program) == ("deadline", 5.0)


def test_an_error_of_its_own_is_no_end(go):
    @hw.task
    async def program() -> None:
        with hw.budget(tokens=10), hw.anytime():
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        go(program)


def test_outside_of_a_run_there_are_no_bounds():
    async def program() -> tuple[str, dict[str, int]]:
        best = {"answer": 1}
        with hw.anytime(best, within_s=0) as block:
            block.keep("answer", 2)
        return block.stopped, best

    assert asyncio.run(program()) == ("done", {"answer": 2})


def test_arguments_are_looked_at_when_a_block_is_made():
    with pytest.raises(hw.UsageError, match=r"hw.anytime\(kept=3\): expected a dictionary"):
        hw.anytime(3)  # type: ignore[call-overload]
    for wrong in (-1, "5", float("nan")):
        with pytest.raises(hw.UsageError, match=r"hw.anytime\(within_s=.*expected a number of seconds"):
            hw.anytime(within_s=wrong)  # type: ignore[call-overload]


def test_a_block_in_a_worker_process_is_refused_in_a_sentence(go):
    with pytest.raises(hw.UsageError, match=r"hw\.anytime was opened in the worker process .*open it in the parent task"):
        go(in_a_process)


@hw.task
async def in_a_process() -> str:
    return await opens()


@hw.task(pool="process")
def opens() -> str:
    with hw.anytime() as block:
        return block.stopped


def test_a_thread_has_blocks_too(go):
    @hw.task(pool="thread")
    def program() -> tuple[str, dict[int, int]]:
        found: dict[int, int] = {}
        with hw.budget(tokens=25), hw.anytime(found) as block:
            for index in range(9):
                block.keep(index, hw.wait(sample(index)))
        return block.stopped, found

    assert go(program) == ("budget", {0: 0, 1: 10})


def test_an_early_end_is_told_again_though_more_would_be_in_time_now(go):
    """What was stopped before it could be kept has ended by the time that the program runs again, and is not kept then either."""

    @hw.task
    async def program() -> tuple[str, list[int]]:
        found: dict[int, int] = {}

        async def attempt(index: int) -> None:
            value = await quick(index)
            if slow:  # and not only what is recorded takes time
                await asyncio.sleep(index)
            block.keep(index, value)

        with hw.anytime(found, within_s=4.5) as block:
            await hw.gather(*(attempt(index) for index in reversed(range(9))))
        if slow:
            raise RuntimeError("stop")
        return block.stopped, list(found)

    slow = [True]
    with pytest.raises(RuntimeError):
        go(program)
    slow.clear()
    assert go(program) == ("deadline", [0, 1, 2, 3, 4])
    assert go(program, run_id="another") == ("done", list(reversed(range(9))))


@hw.task
async def quick(index: int) -> int:
    return index


def test_an_end_by_the_budget_holds_while_the_budget_does(go):
    @hw.task
    async def program(tokens: float) -> tuple[str, dict[str, int]]:
        best = {"answer": 0}
        with hw.budget(tokens=granted[0]), hw.anytime(best) as block:
            for index in range(1, 6):
                block.keep("answer", await sample(index))
        if STOP:
            raise RuntimeError("stop")
        return block.stopped, best

    granted = [35.0]
    STOP.append(True)
    for tokens in (35.0, 45.0):
        granted[0] = tokens
        with pytest.raises(RuntimeError):
            go(program, 1.0)
    STOP.clear()
    ran = len(RAN)
    assert go(program, 1.0) == ("budget", {"answer": 40})
    assert len(RAN) == ran == 4, "with more money it went on from what it had"


# --- what a budget affords -------------------------------------------------------------------------------------------


def test_what_the_budget_refuses_is_left_out_of_a_gather(go):
    @hw.task
    async def program(wrapped: bool) -> list[int]:
        async def attempt(index: int) -> int:
            return await sample(index)

        with hw.budget(tokens=35):
            return await hw.gather_affordable(*((attempt if wrapped else sample)(index) for index in range(9)))

    assert go(program, True, run_id="coroutines") == [0, 10, 20]
    assert go(program, False, run_id="calls") == [0, 10, 20]


def test_where_the_budget_refuses_everything_that_is_raised(go):
    @hw.task
    async def program() -> None:
        with hw.budget(tokens=5):
            await hw.gather_affordable(*(sample(index) for index in range(3)))

    with pytest.raises(hw.BudgetExceeded):
        go(program)


def test_a_gather_of_nothing_is_affordable(go):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather_affordable()

    assert go(program) == []
    assert asyncio.run(_outside()) == [1, 2]


async def _outside() -> list[int]:
    return await hw.gather_affordable(quick(1), quick(2))


def test_another_error_cancels_and_drains_the_rest(go):
    @hw.task
    async def fails() -> int:
        raise KeyError("broken")

    @hw.task
    async def program() -> str:
        slow = rest(100)
        with pytest.raises(KeyError):
            await hw.gather_affordable(slow, fails())  # type: ignore[arg-type]
        return slow.state

    assert go(program) == "cancelled"


def test_what_a_deadline_stops_is_raised_when_all_has_ended(go):
    @hw.task
    async def program() -> tuple[str, str]:
        with contextlib.suppress(hw.DeadlineExceeded), hw.deadline(seconds=10):
            handles = [rest(1), rest(100)]
            await hw.gather_affordable(*handles)
        return handles[0].state, handles[1].state

    assert go(program) == ("ok", "failed")


@hw.task(cost={"tokens": 10})
async def cheaper(index: int) -> int:
    """Reserves ten and needs four, so that more would fit when it is asked again."""
    RAN.append(index)
    await asyncio.sleep(1)
    hw.charge(tokens=4)
    return index


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.on_postgres
def test_the_same_are_left_out_when_a_failed_program_is_taken_up(go, wrapped):
    @hw.task
    async def program() -> list[int]:
        async def attempt(index: int) -> int:
            return await cheaper(index)

        with hw.budget(tokens=35):
            found = await hw.gather_affordable(*((attempt if wrapped else cheaper)(index) for index in range(9)))
        if STOP:
            raise RuntimeError("stop")
        return found

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    assert go(program) == [0, 1, 2], "although two more would fit now"
    assert len(RAN) <= 6


def test_bounds_are_known_wherever_they_come_from():
    refused, late = hw.BudgetExceeded("no"), hw.DeadlineExceeded("late")
    blocked = hw.InputFailed("its argument failed")
    blocked.__cause__ = late
    assert [bound_of(error) for error in (refused, late, blocked, KeyError())] == ["budget", "deadline", "deadline", None]
    assert bound_of(ExceptionGroup("", [late, refused])) == "budget"
    assert bound_of(ExceptionGroup("", [late, ExceptionGroup("", [late])])) == "deadline"
    assert bound_of(ExceptionGroup("", [late, KeyError()])) is None


# --- under every trouble ---------------------------------------------------------------------------------------------


@hw.task
async def searches() -> tuple[str, list[tuple[int, int]]]:
    found: dict[int, int] = {}

    async def attempt(index: int) -> None:
        block.keep(index, value := await cheaper(index))
        if index % 2:
            block.keep(index, await quick(value + 100))

    with hw.budget(tokens=44), hw.deadline(seconds=2.3), hw.anytime(found) as block:
        for first in range(0, 60, 6):
            await hw.gather_affordable(*(attempt(index) for index in range(first, first + 6)))
    return block.stopped, list(found.items())


@pytest.mark.parametrize("seed", range(4))
def test_a_block_that_ends_early_ends_alike_wherever_it_is_killed(seed):
    whole = History(seed, STEADY)
    wanted = whole.live(searches)
    assert wanted.value[0] != "done"
    ended = [number for number, row in enumerate(whole.rows()) if is_told(row.body, BlockEnded)]
    assert len(ended) == 1
    for after in range(0, len(whole.rows()), 2):
        history = History(seed, STEADY)
        history.live(searches, crash=Crash(after, "after"))
        last = history.live(searches)
        history.check()
        assert last.how == "returned"
        if after > ended[0]:
            assert last.value == wanted.value


def test_a_program_with_an_anytime_block_passes_the_check(headway_check):
    headway_check(searches, schedules=6)


def test_an_error_that_came_after_the_recorded_end_changes_nothing(go):
    """Two attempts fail in the moment in which the block ends; told again, their failures are there before anything else."""

    @hw.task
    async def late(index: int) -> int:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise KeyError("stopped badly") from None
        return index

    @hw.task
    async def program() -> tuple[str, dict[int, int]]:
        found: dict[int, int] = {}

        async def attempt(index: int) -> None:
            block.keep(index, await (quick if index else late)(index))

        with hw.anytime(found, within_s=3) as block:
            await hw.gather(*(attempt(index) for index in range(4)))
        if STOP:
            raise RuntimeError("stop")
        return block.stopped, found

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    assert go(program) == ("deadline", {1: 1, 2: 2, 3: 3})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.on_postgres
def test_a_large_answer_is_there_after_a_resume_that_has_no_time_to_come_to_it(go, late):
    @hw.task
    async def program() -> tuple[str, dict[str, int]]:
        best: dict[str, bytes] = {"answer": b""}
        with hw.anytime(best, within_s=3) as block:
            for size in (10, 100_000, 300_000):
                if late and not STOP:
                    await asyncio.sleep(2)
                block.keep("answer", bytes(size))
                block.keep("page", bytes(size)[:20_000])
            await asyncio.sleep(10)
        if STOP:
            raise RuntimeError("stop")
        return block.stopped, {key: len(value) for key, value in best.items()}

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    assert go(program) == ("deadline", {"answer": 300_000, "page": 20_000})


def test_an_answer_too_large_for_the_record_is_missed_with_a_warning(go):
    @hw.task
    async def program() -> dict[str, int]:
        best = {"answer": b""}
        with hw.anytime(best, within_s=3) as block:
            for size in (10, 2_000_000):
                block.keep("answer", bytes(size))
                if not STOP:
                    await asyncio.sleep(50)
            await asyncio.sleep(10)
        if STOP:
            raise RuntimeError("stop")
        return {key: len(value) for key, value in best.items()}

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    with pytest.warns(RuntimeWarning, match="did not come again to what was kept as 'answer'.*more than 1024 KiB"):
        assert go(program) == {"answer": 10}


def test_what_has_no_encoding_is_kept_too(go):
    @hw.task
    async def program() -> tuple[str, int]:
        found: dict[str, object] = {}
        with hw.anytime(found, within_s=3) as block:
            block.keep("a lock", asyncio.Lock())
            block.keep("large", bytes(100_000))
            await asyncio.sleep(10)
        if STOP:
            raise RuntimeError("stop")
        return block.stopped, len(found)

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    assert go(program) == ("deadline", 2)


@pytest.mark.parametrize("slower", [False, True])
def test_what_the_program_runs_into_when_it_is_told_again_does_not_change_a_recorded_end(go, slower):
    """Code beside the calls takes other times in another life: an error comes before the end, a value after it."""

    @hw.task
    async def program() -> tuple[str, dict[int, int]]:
        found: dict[int, int] = {}

        async def attempt(index: int) -> None:
            value = await quick(index)
            if slower and not STOP:
                await asyncio.sleep(50)
            block.keep(index, value)

        async def breaks() -> None:
            if STOP:
                await asyncio.sleep(50)
            raise KeyError("too early")

        with hw.anytime(found, within_s=3) as block:
            await hw.gather(attempt(1), attempt(2), breaks())
        if STOP:
            raise RuntimeError("stop")
        return block.stopped, found

    STOP.append(True)
    with pytest.raises(RuntimeError):
        go(program)
    STOP.clear()
    assert go(program) == ("deadline", {1: 1, 2: 2})


def test_there_is_time_for_a_last_call_after_the_block(go):
    @hw.task
    async def inner() -> tuple[str, float]:
        with hw.anytime() as block:
            await rest(1000)
        return block.stopped, await rest(0.9)

    @hw.task
    async def program() -> tuple[str, float]:
        with hw.deadline(seconds=100):
            return await inner()

    assert go(program) == ("deadline", 0.9)
