"""`hw.testing.check`: what it finds in programs with a fault, and that it finds nothing in sound ones."""

from __future__ import annotations

import functools
import math
import re
import subprocess
import sys
from pathlib import Path

import checked
import pytest

import headway as hw
from headway.sim.check import Kind, Report, check
from headway.sim.check.checker import _Check


def found(report: Report, kind: Kind) -> list[str]:
    return [f"{finding.task}: {finding.what} {finding.advice}" for finding in report.findings if finding.kind == kind]


def test_a_sound_program_passes_under_every_schedule_and_crash():
    report = check(checked.sound, 5, schedules=15)
    assert report.ok, str(report)
    assert report.findings == []
    assert report.schedules == 15
    assert report.crashes > 8
    assert report.calls == 9


def test_threads_that_a_task_starts_by_itself_really_sleep():
    report = check(checked.starts_threads, 3, schedules=2)
    assert report.ok, str(report)


def test_a_wait_in_a_thread_that_a_task_starts_is_refused_in_a_sentence():
    report = check(checked.starts_a_thread_that_waits, 3, schedules=1)
    assert "a simulated run can't wait there" in found(report, Kind.FAILS)[0]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (checked.from_the_time, "change with the time.*hw.now"),
        (checked.from_the_date, "are new in each execution.*hw.now"),
        (checked.from_random, "change with `random`.*hw.random"),
        (checked.from_a_uuid, "are new in each execution"),
        (checked.from_a_set, "change with the order of a set.*Sort"),
        (checked.from_a_global, "are new in each execution"),
    ],
)
def test_arguments_that_change_when_a_body_runs_again_are_told_with_their_cause(program, why):
    report = check(program, schedules=1)
    assert not report.ok
    (text,) = found(report, Kind.ARGUMENTS_CHANGE)
    assert text.startswith("checked.leaf: its arguments")
    assert re.search(why, text), text


def test_a_task_that_changes_its_argument_is_named_with_the_argument():
    report = check(checked.changes_an_argument, schedules=2)
    (finding,) = report.findings
    assert finding.kind is Kind.FAILS
    assert "ArgumentChanged: checked.step: argument history (a list) was changed" in finding.what
    assert finding.advice == "The message says what to do."


def test_a_change_that_a_key_of_its_own_hides_is_told_by_what_it_leads_to():
    report = check(checked.changes_an_argument_deep_inside, schedules=2)
    (text,) = found(report, Kind.ARGUMENTS_CHANGE)
    assert text.startswith("checked.leaf: its arguments depend on something that is not recorded")
    assert "what a task with key= changed inside an argument" in text


@pytest.mark.parametrize("task", [checked.save, checked.save_in_a_thread, checked.save_in_a_process])
def test_a_task_that_writes_and_is_no_effect_is_told(task, tmp_path, monkeypatch):
    monkeypatch.setattr(checked, "FILE", tmp_path / "out")
    report = check(task, 1, schedules=1)
    (text,) = found(report, Kind.EFFECT_NOT_MARKED)
    assert str(tmp_path / "out") in text
    assert "effect=True" in text


def test_a_marked_effect_and_a_reader_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(checked, "FILE", tmp_path / "out")
    assert check(checked.save_marked, 1, schedules=2).findings == []
    assert check(checked.reads, 1, schedules=2).findings == []


def test_starting_a_program_is_a_remark():
    report = check(checked.starts, schedules=1)
    assert report.ok
    assert "starts the program" in found(report, Kind.REACHES_OUT)[0]


def test_the_network_is_a_remark():
    report = check(checked.connects, 1, schedules=1)
    assert report.ok
    assert "127.0.0.1" in found(report, Kind.REACHES_OUT)[0]


def test_code_that_holds_the_loop_is_told():
    report = check(checked.holds, 1, schedules=1)
    (text,) = found(report, Kind.BLOCKS_THE_LOOP)
    assert text.startswith("checked.holds: ran ")
    assert 'pool="thread"' in text


def test_a_value_that_differs_when_run_again_is_a_remark():
    report = check(checked.uses_fickle, schedules=20)
    assert report.ok, str(report)
    assert found(report, Kind.VALUE_DIFFERS)


def test_a_failure_that_only_some_schedules_show_is_found_with_its_seed():
    report = check(checked.in_order, 4, schedules=20)
    (failure,) = [finding for finding in report.findings if finding.kind == Kind.FAILS]
    assert "ValueError: out of order" in failure.what
    assert failure.again.startswith("--seed ")
    seed = int(failure.again.split()[1])
    again = check(checked.in_order, 4, schedules=1, seed=seed)
    assert "ValueError: out of order" in str(again)


def test_a_result_that_hangs_on_what_is_not_recorded_is_told():
    checked.SEEN.clear()
    report = check(checked.from_its_past, schedules=10)
    assert "although every call gave what it had given before" in found(report, Kind.RESULT_DIFFERS)[0]


def test_what_a_program_leaves_behind_is_told():
    report = check(checked.leaves_one_behind, schedules=1)
    assert "_forever" in found(report, Kind.SWALLOWED)[0]


def test_a_program_that_waits_for_ever_is_told():
    assert "nothing can go on" in found(check(checked.stuck, schedules=1), Kind.FAILS)[0]


def test_a_program_that_fails_anyway_is_told_once():
    report = check(checked.fails, 7, schedules=5)
    assert found(report, Kind.FAILS) == [
        "checked.fails: raised KeyError: 7 (undisturbed). Run it once as it is, to see its own error."
    ]


def test_a_network_is_refused_and_recorded_answers_stand_for_it():
    assert "the simulator has no network" in str(check(checked.many_fetches, 2, schedules=1))
    store = hw.MemoryStore()

    async def answer(url: str) -> int:
        return len(url)

    original = checked.fetches.spec.fn
    object.__setattr__(checked.fetches.spec, "fn", answer)
    try:
        assert hw.run(checked.many_fetches, 3, store=store, run_id="recorded") == 18
    finally:
        object.__setattr__(checked.fetches.spec, "fn", original)
    info = store.run("recorded")
    rows = [row for _, row in store.rows(info.uid)]
    report = check(checked.many_fetches, 3, schedules=5, answers=(info, rows, {}))
    assert report.ok, str(report)
    assert report.schedules == 5


def test_the_same_seed_finds_the_same():
    def told(seed: int) -> list[tuple[str, str]]:
        return [(finding.kind, finding.again) for finding in check(checked.in_order, 4, schedules=3, seed=seed).findings]

    assert told(0) == told(0)


TESTS = """
import asyncio
import headway as hw

@hw.task
async def rests(x: int) -> int:
    await hw.sleep(86_400)
    return x * x

@hw.task
async def hasty() -> int:
    import time
    return await rests(int(time.time()))

def test_a_day_takes_no_time(headway_run, headway_clock):
    assert headway_run(rests, 3) == 9
    assert headway_clock.elapsed >= 86_400
    before = headway_clock.elapsed
    assert headway_run(rests, 3) == 9
    assert headway_clock.elapsed == before

def test_it_survives(headway_check):
    assert headway_check(rests, 3, schedules=3).crashes

def test_it_does_not(headway_check):
    headway_check(hasty, schedules=1)
"""


def test_pytest_has_the_fixtures_without_being_told(tmp_path: Path):
    (tmp_path / "test_mine.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "arguments change on resume: test_mine.rests" in done.stdout
    assert "Traceback" not in done.stdout


class Looks:
    """A clock that goes on by a second whenever somebody looks at it, as a check does before each step."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def check_in(seconds: float, schedules: int) -> tuple[Report, float]:
    """Check a program of many steps, and say when that ended."""

    async def goes_on(steps: int) -> int:
        for step in range(steps):
            await checked.leaf(step)
        return steps

    clock = Looks()
    return _Check(hw.task(goes_on), (20,), {}, schedules, 0, seconds, None, None, {}, clock).report(), clock.now


def test_a_check_of_a_program_that_does_not_end_in_time_ends_and_has_checked_nothing():
    report, ended = check_in(100, 3)
    assert ended == 102  # the first look is the beginning
    assert not report.ok
    assert "had not ended after 100 s of real time" in found(report, Kind.FAILS)[0]
    assert (report.schedules, report.replays) == (0, 0)


def test_a_check_leaves_a_schedule_in_the_middle_when_its_time_is_up():
    (_, one), (whole, two) = check_in(math.inf, 1), check_in(math.inf, 2)
    assert not any("the time was up" in skipped for skipped in whole.skipped)
    report, ended = check_in((one + two) // 2, 3)
    assert ended == (one + two) // 2 + 2
    assert report.ok, str(report)
    assert report.skipped[-1] == "2 of 3 schedules, the first of which was left in the middle: the time was up"


def test_a_check_whose_time_is_up_in_its_replays_says_that_it_tried_no_schedule():
    undisturbed = next(seconds for seconds in range(100, 5000, 50) if check_in(seconds, 1)[0].ok)
    report, _ = check_in(undisturbed, 2)
    assert report.skipped == ["whether bodies ask again for the same calls: the time was up", "2 of 2 schedules: the time was up"]


def test_arguments_that_are_given_by_name_are_checked():
    async def by_name(*, n: int) -> int:
        return await checked.leaf(n)

    report = check(functools.partial(hw.task(by_name), n=3), schedules=2)
    assert report.ok, str(report)
    assert report.calls == 2
