"""A run that was given an order starts calls by it, and returns what it would have returned without."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import testing

STARTED: list[str] = []


@hw.task(label="{name}")
async def rest(name: str, seconds: float = 1.0) -> str:
    STARTED.append(name)
    await asyncio.sleep(seconds)
    return name


@hw.task(label="{name}")
async def work(name: str) -> str:
    return await rest(name, 3.0)


@hw.task
async def rest_all(names: Sequence[str], at_a_time: int = 1) -> list[str]:
    with hw.limit(at_a_time):
        return await hw.gather(*(rest(name) for name in names))


class ByLabel:
    """The least label first; each call is judged alone."""

    static = True

    def __call__(self, waiting: Sequence[hw.Waiting]) -> list[float]:
        assert len(waiting) == 1
        return [float(each.label) for each in waiting]


def last_first(waiting: Sequence[hw.Waiting]) -> list[float]:
    return [-each.number for each in waiting]


@given(st.permutations(range(8)), st.integers(1, 3))
def test_what_waits_starts_by_the_numbers_of_the_order(names, at_a_time):
    STARTED.clear()
    texts = [str(name) for name in names]
    assert testing.run(rest_all, texts, at_a_time, store=None, order=ByLabel()) == texts
    assert sorted(STARTED, key=int) == STARTED


def test_an_order_that_looks_at_all_is_asked_each_time_a_call_may_start(go):
    STARTED.clear()
    asked: list[int] = []

    def order(waiting: Sequence[hw.Waiting]) -> list[float]:
        asked.append(len(waiting))
        return last_first(waiting)

    go(rest_all, ["a", "b", "c", "d"], order=order)
    assert STARTED == ["d", "c", "b", "a"]
    assert set(asked) == {4, 3, 2, 1}


def test_an_order_sees_what_a_call_is_how_long_it_takes_and_how_long_it_has(go):
    seen: dict[tuple[str, str], hw.Waiting] = {}

    def order(waiting: Sequence[hw.Waiting]) -> list[float]:
        seen.update({(each.task.rpartition(".")[2], each.label): each for each in waiting})
        return [each.number for each in waiting]

    @hw.task
    async def program() -> None:
        with hw.limit(1), hw.deadline(seconds=60):
            await rest("known", 2.0)
            first = rest("x", 2.0)
            await hw.gather(first, rest(hw.ref(first)), work("other"))

    go(program, order=order)
    known, unknown = seen["rest", "x"], seen["work", "other"]
    assert (known.seconds, known.ahead_s) == (2.0, 4.0)
    assert known.due_s - known.now_s == pytest.approx(58, abs=0.1)
    assert (unknown.seconds, unknown.ahead_s) == (None, None)


def test_a_rule_may_change_its_mind_as_time_passes(go):
    """The most urgent first; what is late anyway comes last."""
    STARTED.clear()

    def order(waiting: Sequence[hw.Waiting]) -> list[float]:
        return [each.due_s if each.due_s - each.now_s >= 1.0 else math.inf for each in waiting]

    async def due(name: str, left_s: float) -> str | None:
        with hw.deadline(seconds=left_s, raises=False):
            return await rest(name)
        return None

    @hw.task
    async def program() -> list[str | None]:
        with hw.limit(1):
            first = rest("first", 4.0)
            return await hw.gather(first, due("late", 4.5), due("soon", 9.0), due("later", 20.0))

    go(program, order=order)
    assert STARTED == ["first", "soon", "later"]


def test_calls_beyond_the_active_set_start_by_the_order_too(go):
    STARTED.clear()

    @hw.task
    async def program() -> list[str]:
        return await hw.gather(*(rest(name) for name in "abcdef"))

    assert go(program, order=last_first, max_active=2) == list("abcdef")
    assert STARTED[0] == "a"
    assert STARTED[1:] == sorted(STARTED[1:], reverse=True)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda waiting: [math.nan for _ in waiting], "none of them NaN"),
        (lambda waiting: [], r"it gave \[\] for \d calls"),
        (lambda waiting: 1 / 0, "it failed with ZeroDivisionError"),
        (lambda waiting: ["first" for _ in waiting], "it failed with ValueError"),
    ],
)
def test_an_order_that_gives_no_numbers_ends_the_run_which_goes_on_without(go, tmp_path, order, said):
    with pytest.raises(hw.UsageError, match=said):
        go(rest_all, ["a", "b", "c"], order=order, store=tmp_path, run_id="one")
    assert go(rest_all, ["a", "b", "c"], store=tmp_path, run_id="one") == ["a", "b", "c"]


def test_what_is_no_order_is_refused_before_anything_is_begun(go):
    with pytest.raises(hw.UsageError, match="a function of the calls that wait"):
        go(rest_all, ["a"], order="soonest")


def test_a_run_of_any_order_survives_every_crash(headway_check):
    report = headway_check(rest_all, ["3", "1", "2"], order=ByLabel(), schedules=10)
    assert report.ok, report
    assert headway_check(rest_all, ["3", "1", "2"], order=last_first, schedules=10).ok
