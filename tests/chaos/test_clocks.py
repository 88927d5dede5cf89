"""A wall clock that jumps, while a run goes on and while nobody drives it: by hours, forward past leases and deadlines, and back.

The clock is that of one real process: `time.time` there adds what a file says, which the test rewrites. What is measured in
seconds of work (retries, timeouts) must not notice; what is an absolute time (deadlines, rests, leases) goes by the clock.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from victims import LIMIT_S, RUN, Victims, check_recorded_once, kill, of_kind, rejected, rows, until

import headway as hw
from headway.journal.records import Kind
from headway.journal.upkeep.doctor import examine

SIZE = 400
HOUR = 3_600
SOON_S = 60.0  # for what should happen at once, on a busy machine; what is wrong takes an hour


class Clock:
    """The file that a process takes its clock from."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.env = {"CLOCK_FILE": str(file)}
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """From now on the clock is so much ahead of the true time."""
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def wait_for(victims: Victims, process: subprocess.Popen[bytes], what: str, more_than: int = 0) -> None:
    assert until(process, lambda: len(victims.lines("store", what)) > more_than), victims.said("store")


def check_ended(victims: Victims, process: subprocess.Popen[bytes], result: object) -> None:
    """The program ends soon, and right."""
    assert until(process, lambda: process.poll() is not None, SOON_S)
    assert process.returncode == 0, victims.said("store")
    assert victims.result("store") == repr(result)
    check_recorded_once(rows(victims.folder / "store"))


@pytest.mark.parametrize("jumps", [[HOUR, 3 * HOUR, 3 * HOUR + 31, 20 * HOUR], [-HOUR, 40, -24 * HOUR, HOUR, -HOUR]])
def test_a_clock_that_jumps_while_a_run_goes_on_changes_nothing(victims, clock, jumps):
    expected = victims.undisturbed("stream.py", SIZE)
    driver = victims.start("stream.py", "store", SIZE, env={**clock.env, "LEASE_S": "0.5"})
    for number, seconds in enumerate(jumps):
        wait_for(victims, driver, "ended", 60 * number + 20)
        assert driver.poll() is None, victims.said("store")
        clock.jump(seconds)
    assert driver.wait(LIMIT_S) == 0, victims.said("store")
    assert victims.result("store") == expected
    check_recorded_once(rows(victims.folder / "store"))
    assert len(victims.lines("store", "pay")) == SIZE // 25
    assert victims.said("store") == ""


def test_a_driver_whose_lease_is_over_by_another_clock_alone_is_fenced_off(victims, clock):
    expected = victims.undisturbed("stream.py", SIZE)
    slow = victims.start("stream.py", "store", SIZE)
    wait_for(victims, slow, "ended", 60)
    clock.jump(HOUR)
    fast = victims.start("stream.py", "store", SIZE, name="fast", env=clock.env)
    assert slow.wait(LIMIT_S) == 1
    assert "LeaseLost" in victims.said("store")
    assert fast.wait(LIMIT_S) == 0, victims.said("fast")
    assert victims.result("fast") == expected
    store = victims.folder / "store"
    check_recorded_once(rows(store))
    assert {fence for fence, _ in rejected(store)} == {1}
    with hw.SqliteStore(store) as opened:
        assert opened.run(RUN).status == "done"
    assert examine(store).whole


@pytest.mark.parametrize(("program", "told", "answer"), [("rest", "resting", "rested"), ("bounded", "endless", "too late")])
def test_what_the_clock_passes_while_nobody_drives_is_over_when_the_run_goes_on(victims, clock, program, told, answer):
    driver = victims.start("alarm.py", "store", program, env=clock.env)
    wait_for(victims, driver, told)
    assert until(driver, lambda: list(of_kind(rows(victims.folder / "store"), Kind.DECISION)))
    kill(driver)
    clock.jump(HOUR + 10)
    check_ended(victims, victims.start("alarm.py", "store", program, env=clock.env), answer)
    assert len(victims.lines("store", "endless")) == (program == "bounded"), "a call was started after its deadline"


@pytest.mark.parametrize(("program", "told", "answer"), [("rest", "resting", "rested"), ("bounded", "endless", "too late")])
def test_what_the_clock_jumps_over_while_a_run_goes_on_is_over(victims, clock, program, told, answer):
    driver = victims.start("alarm.py", "store", program, env=clock.env)
    wait_for(victims, driver, told)
    clock.jump(HOUR + 10)
    check_ended(victims, driver, answer)


def test_a_short_rest_ends_although_the_clock_was_set_back(victims, clock):
    driver = victims.start("alarm.py", "store", "short rest", env=clock.env)
    wait_for(victims, driver, "resting")
    clock.jump(-HOUR)
    check_ended(victims, driver, "rested")


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_shared_rate_goes_on_when_the_clock_jumps(victims, clock, seconds):
    driver = victims.start("alarm.py", "store", "rated", env=clock.env)
    wait_for(victims, driver, "quick", 30)
    clock.jump(seconds)
    check_ended(victims, driver, sum(range(150)))
