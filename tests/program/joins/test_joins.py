"""Joins: gather, settle, race, as_completed and wait, of calls and of plain coroutines."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from joined import add, fail, rest, rest_so_long
from notes import RAN

import headway as hw


def test_outside_of_a_run_a_task_is_just_its_function():
    @hw.task(pool="inline")
    def plain(x: int) -> int:
        return x * 2

    assert plain(4) == 8
    assert asyncio.run(add(1, 2)) == 3

    async def program() -> list[object]:
        ends = await hw.settle(plain(1), add(1))
        first = await hw.race(plain(3), rest(60), accept=lambda value: value == 6)
        return [*await hw.gather(plain(1), add(2, 3), plain(2)), *(end.value for end in ends), first]

    assert asyncio.run(program()) == [2, 5, 4, 2, 2, 6]


def test_a_collection_of_calls_is_not_taken_for_a_result_outside_of_a_run():
    async def program(given: object) -> None:
        await hw.gather(given)  # type: ignore[call-overload]

    made = [add(1), add(2)]
    for given in (made, (each for each in ())):
        with pytest.raises(hw.UsageError, match=r"takes calls, got \w+: write hw.gather\(\*calls\)"):
            asyncio.run(program(given))
    for each in made:
        each.close()  # type: ignore[attr-defined]


def test_a_call_that_nobody_awaited_is_named_where_it_is_returned(go):
    @hw.task
    async def program() -> int:
        return add(1)  # type: ignore[return-value]

    with pytest.raises(hw.NotEncodable, match=r"the result of .*program is a Handle, which nobody awaited: write `await`"):
        go(program)


def test_calls_run_in_parallel_and_gather_keeps_the_order(go, clock):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather(rest(30, 1), rest(10, 2), rest(20, 3))

    began = clock.now
    assert go(program) == [1, 2, 3]
    assert clock.now - began == pytest.approx(30, abs=1)


def test_a_call_runs_without_being_awaited(go):
    @hw.task
    async def program() -> None:
        add(1)

    go(program)
    assert RAN == [(1, 1)]


@pytest.mark.on_postgres
def test_gather_cancels_and_drains_the_rest_on_the_first_failure(go):
    @hw.task
    async def program() -> list[object]:
        with pytest.raises(ValueError, match="no"):
            await hw.gather(rest(50), fail("no"), add(1))
        return list(RAN)

    assert ("cancelled", 50) in go(program)


@pytest.mark.on_postgres
def test_a_finished_sibling_survives_a_failed_gather(go):
    @hw.task
    async def program() -> int:
        with pytest.raises(ValueError, match="no"):
            await hw.gather(add(1), fail("no"))
        raise RuntimeError("stop")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            go(program)
    assert RAN == [(1, 1)]


def test_settle_keeps_what_finished(go):
    @hw.task
    async def program() -> tuple[int | None, bool, str]:
        ok, bad = await hw.settle(add(1), fail("no"))
        return ok.value, bad.ok, str(bad.error)

    assert go(program) == (2, False, "no")


def test_an_error_nobody_awaited_fails_the_parent_in_a_group(go):
    @hw.task
    async def program() -> int:
        fail("lost")
        return 1

    with pytest.raises(ExceptionGroup) as caught:
        go(program)
    assert [str(error) for error in caught.value.exceptions] == ["lost"]


def test_a_call_ends_when_its_children_have_ended(go):
    @hw.task
    async def parent() -> int:
        rest(40)
        return 7

    @hw.task
    async def program() -> tuple[int, list[object]]:
        return await parent(), list(RAN)

    assert go(program) == (7, [("rested", 40)])


@pytest.mark.on_postgres
def test_a_race_is_won_by_the_first_good_answer_and_the_rest_is_cancelled(go):
    @hw.task
    async def program() -> tuple[int, int]:
        return await hw.race(rest(20, 1), fail("x"), rest(10, 3), with_index=True)

    assert go(program) == (2, 3)
    assert ("cancelled", 20) in RAN


def test_a_race_can_refuse_answers(go):
    @hw.task
    async def program() -> int:
        return await hw.race(rest(10, 1), rest(20, 2), accept=lambda value: value > 1)

    assert go(program) == 2


def test_a_race_without_winner_gives_every_error(go):
    @hw.task
    async def program() -> int:
        return await hw.race(fail("a"), fail("b"))

    with pytest.raises(ExceptionGroup) as caught:
        go(program)
    assert sorted(str(error) for error in caught.value.exceptions) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_race_whose_check_fails_stops_the_others(go, clock, error):
    def check(value: int) -> bool:
        raise error("no check")

    @hw.task
    async def program() -> str:
        late = rest(60)
        try:
            await hw.race(rest(1), late, accept=check)
        except ValueError:
            await hw.settle(late)
        return late.state

    if error is ValueError:
        assert go(program) == "cancelled"
    else:
        with pytest.raises(hw.CallExited, match="no check"):
            go(program)
    assert clock.elapsed < 60


def test_a_race_where_nothing_is_accepted_says_so(go):
    @hw.task
    async def program() -> int:
        return await hw.race(add(1), add(2), accept=lambda value: False)

    with pytest.raises(hw.NoWinner):
        go(program)


@pytest.mark.on_postgres
def test_as_completed_hands_out_in_order_of_completion(go):
    @hw.task
    async def program() -> list[int]:
        return [handle.result() async for handle in hw.as_completed(rest(30, 1), rest(10, 2), rest(20, 3))]

    assert go(program) == [2, 3, 1]


def test_as_completed_stops_what_it_waited_for_when_it_is_stopped(go):
    @hw.task
    async def program() -> list[bool]:
        handles = [rest_so_long(1), rest_so_long(60)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                async for _ in hw.as_completed(*handles):
                    pass
        return [end.cancelled for end in await hw.settle(*handles)]

    assert go(program) == [False, True]


def test_a_handle_as_an_argument_is_a_dependency(go):
    @hw.task
    async def total(values: list[int], extra: int) -> int:
        return sum(values) + extra

    @hw.task
    async def program() -> int:
        first, second = add(1), rest(10, 5)
        return await total([hw.ref(first), hw.ref(second)], hw.ref(first))

    assert go(program) == 9


def test_a_failed_input_fails_the_call_that_needs_it(go):
    @hw.task
    async def program() -> int:
        return await add(hw.ref(fail("bad input")))

    with pytest.raises(hw.InputFailed) as caught:
        go(program)
    assert isinstance(caught.value.__cause__, ValueError)


def test_threads_spawn_and_wait(tmp_path):
    @hw.task
    def leaf(x: int) -> int:
        return x * 10

    @hw.task
    def branch(x: int) -> int:
        return sum(hw.wait(hw.gather(*(leaf(x + i) for i in range(3)))))

    @hw.task
    def program() -> int:
        return sum(hw.wait(hw.gather(*(branch(i) for i in range(6)))))

    assert hw.run(program, store=tmp_path / "s", pools={"thread": 2}) == sum((x + i) * 10 for x in range(6) for i in range(3))


def test_joins_take_plain_coroutines_too(go):
    async def plain(x: int) -> int:
        return x

    @hw.task
    async def program() -> list[int]:
        return [*await hw.gather(plain(1), add(1)), await hw.race(plain(5))]

    assert go(program) == [1, 2, 5]

    async def outside() -> list[int]:
        return [*await hw.gather(plain(1), add(1)), await hw.race(plain(5))]

    assert asyncio.run(outside()) == [1, 2, 5]


@pytest.mark.parametrize("inside", [True, False])
def test_a_coroutine_that_was_cancelled_has_failed(go, inside):
    async def gone() -> int:
        raise asyncio.CancelledError

    async def wrong() -> int:
        raise ValueError("wrong")

    async def joins() -> list[bool]:
        with pytest.raises(ExceptionGroup) as caught:
            await hw.race(gone(), wrong())
        assert {type(error) for error in caught.value.exceptions} == {hw.CallCancelled, ValueError}
        return [end.cancelled for end in await hw.settle(gone(), wrong())]

    @hw.task
    async def program() -> list[bool]:
        return await joins()

    assert (go(program) if inside else asyncio.run(joins())) == [True, False]


def test_cancelling_a_handle_stops_everything_under_it(go):
    @hw.task
    async def parent() -> int:
        return sum(await hw.gather(rest(100), rest(200)))

    @hw.task
    async def program() -> tuple[bool, list[object]]:
        handle = parent()
        await asyncio.sleep(1)
        handle.cancel("not needed")
        assert not handle.cancelled()
        with pytest.raises(hw.CallCancelled, match="not needed"):
            await handle
        return handle.cancelled(), sorted(map(str, RAN))

    assert go(program) == (True, ["('cancelled', 100)", "('cancelled', 200)"])


def test_more_calls_than_may_be_active_wait_in_line(go):
    running = [0, 0]

    @hw.task
    async def one(i: int) -> None:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(1)
        running[0] -= 1

    @hw.task
    async def program() -> int:
        await hw.gather(*(one(i) for i in range(50)))
        return running[1]

    assert go(program, max_active=7) == 7


def test_a_deep_tree_of_waiting_parents_does_not_starve(go):
    @hw.task
    async def tree(depth: int) -> int:
        if not depth:
            return 1
        return sum(await hw.gather(tree(depth - 1), tree(depth - 1)))

    assert go(tree, 7, max_active=2) == 128


def test_a_race_that_nobody_wins_gives_the_default(go):
    @hw.task
    async def program() -> list[int | None]:
        return [
            await hw.race(fail("a"), fail("b"), default=None),
            await hw.race(add(1), fail("b"), accept=lambda value: False, default=7),
        ]

    assert go(program) == [None, 7]


def test_as_completed_says_what_it_takes(go):
    @hw.task
    async def program() -> None:
        async for _ in hw.as_completed([1, 2]):  # type: ignore[arg-type]
            pass

    with pytest.raises(hw.UsageError, match=r"hw.as_completed takes calls, got list: write hw.as_completed\(\*calls\)"):
        go(program)


@pytest.mark.parametrize("join", ["gather", "settle", "race"])
def test_what_joined_coroutines_decided_is_found_again_whichever_is_faster_now(go, join):
    pauses = {"a": 1.0, "b": 2.0}

    async def after(seconds: float, value: str) -> str:
        await asyncio.sleep(seconds)
        return value

    async def branch(name: str) -> list[object]:
        await asyncio.sleep(pauses[name])  # nothing records how long this takes
        won = await hw.race(after(pauses[name], "left"), after(1.5, "right"))
        with hw.budget(calls=ord(name)) as book:
            return [name, won, hw.now(), hw.random().random(), await hw.gather(later(name)), dict(book.limits)]

    async def later(name: str) -> float:
        await asyncio.sleep(pauses[name] / 8)
        return hw.now()

    told: list[list[object]] = []

    @hw.task
    async def program() -> None:
        joined = await getattr(hw, join)(branch("a"), hw.gather(branch("b")), branch("a"))
        told.append([getattr(each, "value", each) for each in joined])
        raise ValueError("again")

    for _ in range(2):
        with pytest.raises(ValueError, match="again"):
            go(program)
        pauses["a"], pauses["b"] = pauses["b"], pauses["a"]
    first, second = told
    assert first == second
    assert join == "race" or [first[0][1], first[1][0][1]] == ["left", "right"]
