"""Fixtures for the tests of programs that are written with Headway; pytest finds them where Headway is installed.

def test_it_sleeps_for_a_day(headway_run, headway_clock):
    assert headway_run(program, 3) == 9                 # a virtual clock: sleeps and timeouts take no time
    assert headway_clock.elapsed >= 86_400
    assert headway_run(program, 3) == 9                 # the same run again: answered from its journal

def test_it_survives_crashes(headway_check):
    headway_check(program, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway.testing import YEAR_S, Report, VirtualClock, check, run


@pytest.fixture
def headway_clock() -> VirtualClock:
    """The clock of `headway_run`, to look at and to set forward. A program that waits for more than a year of it fails."""
    return VirtualClock(most_s=YEAR_S)


@pytest.fixture
def headway_run(tmp_path: Path, headway_clock: VirtualClock) -> Callable[..., Any]:
    """`hw.run` on a virtual clock, in a store of the test's own; the same run each time, so a second call resumes it."""

    def start(program: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        options.setdefault("store", tmp_path / "headway")
        options.setdefault("run_id", "test")
        return run(program, *args, clock=headway_clock, **options)

    return start


@pytest.fixture
def headway_check() -> Callable[..., Report]:
    """`headway.testing.check`, failing the test with everything that it found. Options as there."""

    def start(program: Callable[..., Any], /, *args: Any, **options: Any) -> Report:
        report = check(program, *args, **options)
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
        return report

    return start
