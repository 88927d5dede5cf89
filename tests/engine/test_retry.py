from __future__ import annotations

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
