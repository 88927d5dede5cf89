"""hw.map: ordered or not, lazy, bounded, and told again the order it had."""

from __future__ import annotations

import asyncio
import gc

import pytest
from joined import add, fail, rest, rest_so_long
from notes import RAN

import headway as hw
from headway.engine.handle import Handle


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
def test_map_without_order_hands_out_what_comes_first_and_begins_only_its_window(go, window):
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
        with pytest.raises(ValueError, match="no"):
            async for value in hw.map(one, range(10), window=4, ordered=False):
                out.append(value)
        return out, len([entry for entry in RAN if entry == ("cancelled", 60)])

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
        with pytest.raises(ValueError, match="no"):
            await hw.map(one, range(10), window=4)
        return len([entry for entry in RAN if entry == ("cancelled", 60)])

    assert go(program) == 3


def test_a_failed_map_whose_error_is_caught_does_not_fail_the_parent(go):
    @hw.task
    async def program() -> str:
        with pytest.raises(ValueError, match="a"):
            await hw.map(fail, ["a", "b", "c"])
        return "caught"

    assert go(program) == "caught"
