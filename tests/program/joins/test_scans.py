"""Scans: all prefixes of a fold, and of a grid, equal to what the sequential recurrence gives."""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headway as hw
from headway.sim.history import History
from headway.sim.store import Crash

Matrix = tuple[tuple[int, ...], ...]
PRIME = 10_007
MANY = settings(max_examples=60, deadline=None)

MADE: list[tuple[Any, Any]] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    MADE.clear()


@hw.task
async def join(left: str, right: str) -> str:
    MADE.append((left, right))
    await asyncio.sleep(1)
    return left + right


def multiply(left: Matrix, right: Matrix) -> Matrix:
    return tuple(
        tuple(sum(a * b for a, b in zip(row, col, strict=True)) % PRIME for col in zip(*right, strict=True)) for row in left
    )


def max_plus(left: Matrix, right: Matrix) -> Matrix:
    return tuple(tuple(max(a + b for a, b in zip(row, col, strict=True)) for col in zip(*right, strict=True)) for row in left)


def matrices(size: int) -> st.SearchStrategy[Matrix]:
    return st.tuples(*[st.tuples(*[st.integers(-50, 50)] * size)] * size)


async def _await(scan: Any) -> Any:
    return await scan


@pytest.mark.parametrize(
    ("fn", "items"),
    [
        (lambda a, b: a + b, st.text(max_size=3)),
        (multiply, matrices(2)),
        (max_plus, matrices(2)),
        (max, st.integers()),
        (lambda _, b: b, st.integers()),
        (lambda a, _: a, st.integers()),
        (math.gcd, st.integers(0, 1000)),
    ],
    ids=["text", "matrix products", "max-plus", "maximum", "last", "first", "gcd"],
)
def test_a_scan_equals_the_sequential_fold(fn, items):
    @given(st.lists(items, max_size=40))
    @MANY
    def holds(given_items: list[Any]) -> None:
        assert asyncio.run(_await(hw.scan(fn, given_items))) == list(itertools.accumulate(given_items, fn))

    holds()


def test_an_operator_that_is_not_associative_gives_something_else():
    items = [1, 2, 3, 4]
    assert asyncio.run(_await(hw.scan(lambda a, b: a - b, items))) != list(itertools.accumulate(items, lambda a, b: a - b))


def test_the_depth_is_logarithmic_and_the_work_linear():
    for n in range(1, 200):
        made = 0

        def deeper(a: int, b: int) -> int:
            nonlocal made
            made += 1
            return max(a, b) + 1

        prefixes = asyncio.run(_await(hw.scan(deeper, [0] * n)))
        assert max(prefixes) <= 2 * math.log2(n) if n > 1 else prefixes == [0]
        assert made < 2 * n
        made = 0


def test_a_scan_of_a_task_is_made_of_calls_that_run_side_by_side(go, clock):
    @hw.task
    async def program(n: int) -> list[str]:
        return await hw.scan(join, [f"{i} " for i in range(n)])

    began = clock.now
    assert go(program, 16) == ["".join(f"{i} " for i in range(m)) for m in range(1, 17)]
    assert len(MADE) < 32
    assert clock.now - began < 8.5, "log2(16) blocks and as many prefixes, of a second each"


def test_items_that_are_appended_make_only_the_new_calls(go):
    @hw.task
    async def program(n: int) -> tuple[list[str], str, int]:
        scan = hw.scan(join, "abcdefghij"[:n])
        before = await scan
        made = len(MADE)
        newest = await scan.append("k")
        assert (await scan)[:-1] == before
        assert len(scan) == n + 1
        return before, newest, len(MADE) - made

    before, newest, made = go(program, 10)
    assert before == ["abcdefghij"[:m] for m in range(1, 11)]
    assert newest == "abcdefghijk"
    assert made == 1, "abcdefghij was there, and k is a block by itself"


def test_a_resumed_program_with_more_items_makes_only_the_new_calls(go):
    texts = "abcdefg"

    @hw.task
    async def program() -> list[str]:
        found = await hw.scan(join, texts)
        if len(texts) == 7:
            raise RuntimeError("stop")
        return found

    with pytest.raises(RuntimeError):
        go(program)
    MADE.clear()
    texts = "abcdefgh"
    assert go(program) == [texts[:m] for m in range(1, 9)]
    assert MADE == [("g", "h"), ("ef", "gh"), ("abcd", "efgh")]


def test_items_may_be_calls(go):
    @hw.task
    async def letter(number: int) -> str:
        await asyncio.sleep(10 - number)
        return "abcde"[number]

    @hw.task
    async def program() -> tuple[list[str], str]:
        scan = hw.scan(join, [letter(number) for number in range(5)])
        alone = hw.scan(join, [letter(0)])
        assert await alone == ["a"]
        return await scan, await join(hw.ref(scan[2]), "!")  # type: ignore[arg-type]

    assert go(program) == (["a", "ab", "abc", "abcd", "abcde"], "abc!")


def test_a_failed_combination_fails_the_scan_once_and_its_program_may_go_on(go):
    @hw.task
    async def picky(left: str, right: str) -> str:
        if "c" in right:
            raise ValueError(f"no {right}")
        return left + right

    @hw.task
    async def program() -> str:
        with pytest.raises(ValueError, match="no"):
            await hw.scan(picky, "abcdefgh")
        return "went on"

    assert go(program) == "went on"


def test_an_inner_combination_that_failed_fails_nobody_but_those_that_need_it(go):
    @hw.task
    async def picky(left: str, right: str) -> str:
        if left == "c":
            raise ValueError("no c")
        return left + right

    @hw.task
    async def program() -> str:
        scan = hw.scan(picky, "abc")
        with pytest.raises(hw.InputFailed):
            await scan.append("d")
        return await hw.scan(picky, "ab").append("x")

    assert go(program) == "abx"


def test_a_failed_scan_that_nobody_awaits_fails_its_program(go):
    @hw.task
    async def broken(left: str, right: str) -> str:
        raise ValueError("no")

    @hw.task
    async def program() -> None:
        hw.scan(broken, "abc")

    with pytest.raises(ExceptionGroup):
        go(program)


def test_a_scan_says_what_it_takes(go):
    async def plain(left: str, right: str) -> str:
        return left + right

    @hw.task
    async def letter() -> str:
        return "a"

    @hw.task
    async def program() -> list[str]:
        with pytest.raises(hw.UsageError, match=r"plain is async and no task.*decorate it with @hw.task"):
            hw.scan(plain, "ab")
        with pytest.raises(TypeError) as caught:
            hw.scan(lambda a, b: a + b, [letter(), letter()])
        assert "given a call instead of its result" in caught.value.__notes__[0]
        return await hw.scan(lambda a, b: a + b, "abc")  # type: ignore[no-any-return]

    assert go(program) == ["a", "ab", "abc"]
    with pytest.raises(hw.UsageError, match="expected a task"):
        hw.scan("no")  # type: ignore[arg-type]


def test_outside_of_a_run_a_scan_of_an_async_function_works_too():
    async def program() -> tuple[list[str], str]:
        scan = hw.scan(_slow_join, "abcde")
        return await scan, await scan.append("f")

    assert asyncio.run(program()) == (["a", "ab", "abc", "abcd", "abcde"], "abcdef")


async def _slow_join(left: str, right: str) -> str:
    await asyncio.sleep(0)
    return left + right


# --- grids -----------------------------------------------------------------------------------------------------------

Picture = tuple[str, ...]


def pictures_beside(left: Picture, right: Picture) -> Picture:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def pictures_above(upper: Picture, lower: Picture) -> Picture:
    return upper + lower


@given(st.integers(1, 7), st.integers(1, 7))
@MANY
def test_the_folds_of_a_grid_are_its_rectangles(height, width):
    rows = [[(chr(65 + i * width + j),) for j in range(width)] for i in range(height)]
    folds = asyncio.run(_await(hw.scan_grid(rows, beside=pictures_beside, above=pictures_above)))
    for i, j in itertools.product(range(height), range(width)):
        assert folds[i][j] == tuple("".join(rows[k][m][0] for m in range(j + 1)) for k in range(i + 1))


def _grids(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.integers(1, 6).flatmap(
        lambda width: st.lists(st.lists(items, min_size=width, max_size=width), min_size=1, max_size=6)
    )


@pytest.mark.parametrize(
    ("fn", "items"),
    [(lambda a, b: a + b, st.integers()), (max, st.integers()), (frozenset.union, st.frozensets(st.integers(0, 9)))],
)
def test_with_one_commutative_operator_a_grid_gives_the_summed_area_table(fn, items):
    @given(_grids(items))
    @MANY
    def holds(rows: list[list[Any]]) -> None:
        folds = asyncio.run(_await(hw.scan_grid(rows, beside=fn, above=fn)))
        for i, j in itertools.product(range(len(rows)), range(len(rows[0]))):
            assert folds[i][j] == functools.reduce(fn, [x for row in rows[: i + 1] for x in row[: j + 1]])

    holds()


# A linear recurrence on the grid, as pLSTM's: what leaves cell (i, j) to the right is r = a·left + b·up + s, and what leaves it
# downwards is d = c·left + e·up + t. A rectangle of cells is the map from what enters it to what leaves it, which is affine:
# (left edge, upper edge, 1) -> (right edge, lower edge). Rectangles are put together by feeding one's exits into the other.

Tile = tuple[int, int, Matrix]  # height, width, and a matrix of height + width rows and height + width + 1 columns


def cell(a: int, b: int, s: int, c: int, e: int, t: int) -> Tile:
    return 1, 1, ((a, b, s), (c, e, t))


def leaves(tile: Tile, left: tuple[int, ...], up: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What leaves a rectangle to the right and downwards."""
    out = tuple(sum(a * b for a, b in zip(row, (*left, *up, 1), strict=True)) % PRIME for row in tile[2])
    return out[: tile[0]], out[tile[0] :]


def _from_units(height: int, width: int, run: Callable[..., tuple[tuple[int, ...], tuple[int, ...]]]) -> Tile:
    """The affine map of a rectangle, from what it does with nothing and with each unit."""
    size = height + width
    right, down = run((0,) * height, (0,) * width)
    rest = right + down
    columns = []
    for place in range(size):
        unit = tuple(int(place == other) for other in range(size))
        right, down = run(unit[:height], unit[height:])
        columns.append(tuple((x - y) % PRIME for x, y in zip(right + down, rest, strict=True)))
    return height, width, tuple(zip(*columns, rest, strict=True))


def tiles_beside(one: Tile, other: Tile) -> Tile:
    def run(left: tuple[int, ...], up: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        middle, down = leaves(one, left, up[: one[1]])
        right, more = leaves(other, middle, up[one[1] :])
        return right, down + more

    return _from_units(one[0], one[1] + other[1], run)


def tiles_above(one: Tile, other: Tile) -> Tile:
    def run(left: tuple[int, ...], up: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        right, middle = leaves(one, left[: one[0]], up)
        more, down = leaves(other, left[one[0] :], middle)
        return right + more, down

    return _from_units(one[0] + other[0], one[1], run)


def recurrence(rows: list[list[Tile]]) -> list[list[tuple[int, int]]]:
    """Cell by cell: what leaves each to the right and downwards, where nothing enters from outside."""
    found: list[list[tuple[int, int]]] = []
    up = [0] * len(rows[0])
    for row in rows:
        left, line = 0, []
        for j, tile in enumerate(row):
            (left,), (up[j],) = leaves(tile, (left,), (up[j],))
            line.append((left, up[j]))
        found.append(line)
    return found


cells = st.tuples(*[st.integers(0, 30)] * 6).map(lambda numbers: cell(*numbers))


@given(_grids(cells))
@settings(max_examples=25, deadline=None)
def test_a_linear_recurrence_on_a_grid_equals_its_scan(rows):
    folds = asyncio.run(_await(hw.scan_grid(rows, beside=tiles_beside, above=tiles_above)))
    wanted = recurrence(rows)
    for i, j in itertools.product(range(len(rows)), range(len(rows[0]))):
        right, down = leaves(folds[i][j], (0,) * (i + 1), (0,) * (j + 1))
        assert (right[-1], down[-1]) == wanted[i][j]


@given(cells, cells, cells, cells)
@MANY
def test_such_rectangles_may_be_cut_in_any_way(a, b, c, d):
    rows_first = tiles_above(tiles_beside(a, b), tiles_beside(c, d))
    assert rows_first == tiles_beside(tiles_above(a, c), tiles_above(b, d))


@hw.task
async def add(a: int, b: int) -> int:
    MADE.append((a, b))
    return a + b


@hw.task
async def areas(rows: list[list[int]]) -> list[list[int]]:
    return await hw.scan_grid(rows, beside=add, above=add)


AREAS = [[1, 3, 6], [5, 12, 21], [12, 27, 45]]
ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_grid_of_calls_grows_by_rows(go):
    @hw.task
    async def program() -> list[list[int]]:
        grid = hw.scan_grid(ROWS[:2], beside=add, above=add)
        assert await grid == AREAS[:2]
        before = len(MADE)
        grid.append(ROWS[2])
        found = await grid
        assert len(MADE) - before == 2 + 3, "the row's two sums, and one for each column"
        assert await grid[1, 1] == AREAS[1][1]  # type: ignore[misc]
        return found

    assert go(program) == AREAS


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_ends_as_it_would_have_wherever_it_is_killed(seed):
    whole = History(seed)
    assert whole.live(areas, ROWS).value == AREAS
    for after in range(0, len(whole.rows()), 2):
        history = History(seed)
        history.live(areas, ROWS, crash=Crash(after, "after"))
        assert history.live(areas, ROWS).value == AREAS
        history.check(whole.lives[0].outcome)


def test_a_program_with_a_scan_passes_the_check(headway_check):
    headway_check(areas, ROWS, schedules=5)


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(hw.UsageError, match="a row of 1 items, where the others have 2"):
        hw.scan_grid([[1, 2], [3]], beside=max, above=max)
    with pytest.raises(hw.UsageError, match=r"scan_grid\(above=None\)"):
        hw.scan_grid([], beside=max, above=None)  # type: ignore[arg-type]
