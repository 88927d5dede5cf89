"""Retries as values: which errors deserve another attempt, and after how long."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.errors import UsageError


@given(st.integers(1, 500), st.floats(0, 10), st.floats(0, 5), st.floats(0, 100), st.floats(0, 1))
def test_a_delay_never_passes_its_maximum_and_is_the_same_in_a_replay(attempt, delay, factor, most, jitter):
    retry = hw.Retry(attempts=3, delay_s=delay, factor=factor, max_delay_s=most, jitter=jitter)
    rest = retry.delay_after(attempt, b"key")
    assert 0 <= rest <= most
    assert rest == retry.delay_after(attempt, b"key")


@pytest.mark.parametrize(
    "error",
    [TypeError("x"), NameError("x"), hw.WrongArguments("x"), hw.BudgetExceeded("x"), hw.DeadlineExceeded("x"), hw.LeaseLost("x")],
)
def test_programming_errors_and_used_up_bounds_are_never_retried(error):
    assert not hw.Retry().wants(error)


@pytest.mark.parametrize("error", [OSError("x"), ValueError("x"), hw.CallTimeout("x"), hw.WorkerDied("x")])
def test_other_errors_are(error):
    assert hw.Retry().wants(error)


def test_a_delay_grows_by_its_factor_up_to_its_maximum():
    retry = hw.Retry(delay_s=1, factor=3.0, max_delay_s=20, jitter=0)
    assert [retry.delay_after(attempt, b"key") for attempt in (1, 2, 3, 4, 10_000)] == [1, 3, 9, 20, 20]


@pytest.mark.parametrize(
    ("asked", "rests"),
    [(100, 100), (3, 10), (0, 10), (-5, 10), (math.inf, 10), (math.nan, 10), ("soon", 10), (None, 10)],
)
def test_an_error_that_asks_to_be_left_alone_for_longer_is_obeyed(asked, rests):
    error = OSError("busy")
    error.retry_after_s = asked
    assert hw.Retry(delay_s=10, max_delay_s=20, jitter=0).delay_after(1, b"key", error) == rests


def test_on_names_what_deserves_another_attempt():
    retry = hw.Retry(on=(ConnectionError, TypeError))
    assert retry.wants(ConnectionResetError("x"))
    assert retry.wants(TypeError("named on purpose"))
    assert not retry.wants(ValueError("x"))
    assert hw.Retry(on=lambda error: "busy" in str(error)).wants(OSError("busy"))


def test_a_group_is_retried_only_if_all_its_parts_are():
    assert hw.Retry().wants(ExceptionGroup("g", [OSError("a"), ValueError("b")]))
    assert not hw.Retry().wants(ExceptionGroup("g", [OSError("a"), TypeError("b")]))


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"delay_s": -1}, {"jitter": 2}, {"on": (int,)}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(UsageError):
        hw.Retry(**wrong)
