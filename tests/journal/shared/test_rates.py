"""A rate is a count per window: never more in any window, and never later than that asks for."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.journal.shared.rates import SLICES, Window, add_mark, drop_marks, next_room, whole_rate

gaps = st.lists(st.floats(0, 3) | st.just(0.0), min_size=1, max_size=120)


def begin_all(window: Window, arrivals: list[float]) -> list[float]:
    """When starts happen that are wanted at these times, first come first served."""
    now, times = 0.0, []
    for wanted in arrivals:
        now = max(now, wanted)
        while (wait := window.wait_s(now)) > 0.0:
            assert wait < math.inf
            now += wait
        window.pending += 1
        window.begun(now)
        times.append(now)
    return times


def arrivals_of(gaps: list[float]) -> list[float]:
    times, now = [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
    return times


def most_in_a_window(times: list[float], length_s: float) -> int:
    times = sorted(times)
    return max(bisect_left(times, first + length_s) - bisect_left(times, first) for first in times)


@given(gaps=gaps, rate=st.integers(1, 12), length_s=st.floats(0.01, 20))
@example(gaps=[9.0, 2.0, 6.0, 4.0], rate=1, length_s=10.0)
@example(gaps=[0.9, 0.2, 0.6, 0.4], rate=1, length_s=1.0)
def test_no_window_holds_more_than_the_rate_and_nothing_waits_longer_than_that_needs(gaps, rate, length_s):
    arrivals = arrivals_of(gaps)
    times = begin_all(Window(rate, length_s), arrivals)
    for earlier, later in zip(times, times[rate:], strict=False):
        assert later - earlier >= length_s * (1 - 1e-12)
    expected: list[float] = []
    for place, wanted in enumerate(arrivals):
        free = expected[place - rate] + length_s if place >= rate else 0.0
        expected.append(max(wanted, free, expected[-1] if expected else 0.0))
    assert times == pytest.approx(expected, abs=2e-6 * len(times))


@given(gaps=st.lists(st.floats(0, 0.2), min_size=400, max_size=900), rate=st.integers(SLICES + 1, 350))
def test_a_large_rate_is_kept_by_slices_in_bounded_memory(gaps, rate):
    window, length_s = Window(rate, 10.0), 10.0
    arrivals = arrivals_of([gap / 10 for gap in gaps])
    times = begin_all(window, arrivals)
    assert most_in_a_window(times, length_s) <= rate
    assert len(window.marks) <= SLICES + 2
    for place, (earlier, later) in enumerate(pairwise(times)):
        free = times[place + 1 - rate] + length_s if place + 1 >= rate else 0.0
        assert later <= max(earlier, free, arrivals[place + 1]) + length_s / SLICES + 1e-5


def test_a_hundred_thousand_a_minute_need_no_more_memory_than_two_hundred():
    window, now, began = Window(100_000, 60.0), 0.0, 0
    while began < 150_000:
        if (wait := window.wait_s(now)) > 0.0:
            now += wait
        window.pending += 1
        window.begun(now)
        began += 1
        now += 0.0002
    assert len(window.marks) <= SLICES + 2
    assert 60.0 <= now < 91.0


def test_a_fraction_of_a_start_does_not_begin():
    assert whole_rate(2.999, 1.0) == (2, 1.0)
    assert whole_rate(0.1 * 30, 1.0) == (3, 1.0)
    assert whole_rate(0.25, 2.0) == (1, 8.0)


def test_a_promised_start_counts_before_it_happens_and_not_if_it_never_does():
    window = Window(1, 10.0)
    window.pending += 1
    assert window.wait_s(0.0) == math.inf
    window.pending -= 1
    assert window.wait_s(0.0) == 0.0
    window.pending += 1
    window.begun(3.0)
    assert window.wait_s(5.0) == 8.0
    window.set(2, 10.0)
    assert window.wait_s(5.0) == 0.0


@given(marks=st.lists(st.tuples(st.floats(0, 50), st.integers(1, 4)), max_size=20), most=st.integers(1, 9), slack=st.floats(0, 20))
def test_the_next_room_is_the_first_there_is(marks, most, slack):
    marks = sorted(marks)
    at, count = next_room(marks, most, 10.0, slack)
    held = [mark for mark in marks if mark[0] + 10.0 > at]
    assert count == most - sum(number for _, number in held)
    assert count > 0
    if at > -math.inf:
        first, _ = next_room(marks, most, 10.0)
        assert first <= at <= first + slack
        before = [mark for mark in marks if mark[0] + 10.0 >= first]
        assert sum(number for _, number in before) >= most


def test_marks_are_forgotten_when_their_window_is_over_and_not_before():
    marks = [(1.0, 2), (3.0, 1)]
    drop_marks(marks, 10.999, 10.0)
    assert len(marks) == 2
    drop_marks(marks, 11.0, 10.0)
    assert marks == [(3.0, 1)]
    add_mark(marks, 2.0, 1, 5, 10.0)
    assert marks == [(2.0, 1), (3.0, 1)]
