from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

import headway as hw
from headway.engine.handle import Handle

LOG: list[object] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    LOG.clear()


@hw.task
async def add(a: int, b: int = 1) -> int:
    LOG.append((a, b))
    return a + b


@hw.task
async def fail(text: str) -> int:
    raise ValueError(text)


@hw.task
async def rest_so_long(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hw.task
async def rest(seconds: float, value: int = 0) -> int:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        LOG.append(("cancelled", seconds))
        raise
    LOG.append(("rested", seconds))
    return value


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
    assert LOG == [(1, 1)]


def test_gather_cancels_and_drains_the_rest_on_the_first_failure(go):
    @hw.task
    async def program() -> list[object]:
        with pytest.raises(ValueError, match="no"):
            await hw.gather(rest(50), fail("no"), add(1))
        return list(LOG)

    assert ("cancelled", 50) in go(program)


def test_a_finished_sibling_survives_a_failed_gather(go):
    @hw.task
    async def program() -> int:
        with pytest.raises(ValueError):
            await hw.gather(add(1), fail("no"))
        raise RuntimeError("stop")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            go(program)
    assert LOG == [(1, 1)]


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
        return await parent(), list(LOG)

    assert go(program) == (7, [("rested", 40)])


def test_a_race_is_won_by_the_first_good_answer_and_the_rest_is_cancelled(go):
    @hw.task
    async def program() -> tuple[int, int]:
        return await hw.race(rest(20, 1), fail("x"), rest(10, 3), with_index=True)

    assert go(program) == (2, 3)
    assert ("cancelled", 20) in LOG


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


def test_as_completed_hands_out_in_order_of_completion(go):
    @hw.task
    async def program() -> list[int]:
        return [handle.result() async for handle in hw.as_completed(rest(30, 1), rest(10, 2), rest(20, 3))]

    assert go(program) == [2, 3, 1]


def test_map_is_ordered_lazy_and_bounded(go):
    taken: list[int] = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    @hw.task
    async def program() -> list[int]:
        out: list[int] = []
        async for value in hw.map(add, items(), window=5):
            assert len(taken) <= len(out) + 5
            out.append(value)
        return out

    assert go(program) == list(range(1, 101))


@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_map_without_order_hands_out_what_comes_first_and_no_more_than_its_window_is_begun(go, window):
    seconds, taken = [9, 1, 5, 3, 3, 8, 2], []

    def items():
        for each in seconds:
            taken.append(each)
            yield each

    @hw.task
    async def program() -> list[int]:
        out: list[int] = []
        async for value in hw.map(rest_so_long, items(), window=window, ordered=False):
            assert len(taken) <= len(out) + window
            out.append(value)
        return out

    free, expected = [0.0] * window, []  # when each place of the window is free again
    for index, each in enumerate(seconds):
        begins = min(free)
        free[free.index(begins)] = begins + each
        expected.append((begins + each, index))
    assert go(program) == [seconds[index] for _, index in sorted(expected)]


def test_map_without_order_is_told_its_order_again(go):
    order: list[list[int]] = []

    @hw.task
    async def program() -> list[int]:
        out = await hw.map(rest_so_long, [3, 1, 2], window=2, ordered=False)
        out += await hw.map(rest_so_long, [5, 4], ordered=False)
        order.append(out)
        if len(order) == 1:
            raise RuntimeError("stop")
        return out

    with pytest.raises(RuntimeError):
        go(program)
    assert go(program) == order[0] == [1, 3, 2, 4, 5]


def test_maps_that_run_side_by_side_are_told_their_own_orders_again(go):
    orders: list[list[list[float]]] = []

    async def take(seconds: list[float]) -> list[float]:
        return [value async for value in hw.map(rest_so_long, seconds, ordered=False)]

    @hw.task
    async def program() -> None:
        orders.append(await asyncio.gather(take([3, 5, 4]), take([2.5, 1.5, 3.5])))
        if len(orders) == 1:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        go(program)
    go(program)
    assert orders[0] == orders[1] == [[3, 4, 5], [1.5, 2.5, 3.5]]


def test_an_order_that_was_told_in_part_goes_on_with_what_comes(go):
    order: list[float] = []

    @hw.task
    async def program() -> list[float]:
        out: list[float] = []
        async for value in hw.map(rest_so_long, [5, 2, 4, 1], ordered=False):
            out.append(value)
            if len(out) == 2 and not order:
                order.extend(out)
                raise RuntimeError("stop")
        return out

    with pytest.raises(RuntimeError):
        go(program)
    assert order == [1, 2]
    assert go(program) == [1, 2, 4, 5]


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


def test_a_failure_behind_the_end_of_the_loop_is_not_the_program_s(go):
    @hw.task
    async def fails_late() -> int:
        await asyncio.sleep(2)
        raise ValueError("late")

    @hw.task
    async def program() -> float:
        async for handle in hw.as_completed(rest_so_long(1), fails_late()):
            return handle.result()
        return 0

    assert go(program) == 1


def test_a_failed_map_without_order_drains_what_it_began_and_keeps_what_came_before(go):
    @hw.task
    async def one(i: int) -> int:
        return await (fail("no") if i == 2 else rest(60 if i else 0, i))

    @hw.task
    async def program() -> tuple[list[int], int]:
        out: list[int] = []
        with pytest.raises(ValueError):
            async for value in hw.map(one, range(10), window=4, ordered=False):
                out.append(value)
        return out, len([entry for entry in LOG if entry == ("cancelled", 60)])

    out, cancelled = go(program)
    assert set(out) <= {0}
    assert cancelled >= 2


@pytest.mark.parametrize("ordered", [True, False])
def test_what_a_map_has_handed_out_is_forgotten(go, ordered):
    alive: list[int] = []

    @hw.task
    async def program() -> None:
        async for value in hw.map(add, range(300), window=8, ordered=ordered):
            if value % 100 == 0:
                gc.collect()
                alive.append(sum(type(each) is Handle for each in gc.get_objects()))
        if len(alive) == 3:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        go(program)
    go(program)
    assert max(alive) - min(alive) < 30


def test_map_awaited_is_a_list_and_takes_async_items(go):
    @hw.task
    async def program() -> list[int]:
        async def items():
            for i in range(3):
                yield i

        return await hw.map(add, items())

    assert go(program) == [1, 2, 3]


def test_a_failed_map_drains_what_it_began(go):
    @hw.task
    async def one(i: int) -> int:
        return await (fail("no") if i == 0 else rest(60, i))

    @hw.task
    async def program() -> int:
        with pytest.raises(ValueError):
            await hw.map(one, range(10), window=4)
        return len([entry for entry in LOG if entry == ("cancelled", 60)])

    assert go(program) == 3


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
        return handle.cancelled(), sorted(map(str, LOG))

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


def test_a_failed_map_whose_error_is_caught_does_not_fail_the_parent(go):
    @hw.task
    async def program() -> str:
        with pytest.raises(ValueError):
            await hw.map(fail, ["a", "b", "c"])
        return "caught"

    assert go(program) == "caught"


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
