"""Two processes fill one memory and are killed again and again: each case is there once, and what was forgotten stays so."""

from __future__ import annotations

import ast
import subprocess

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, often, rows, until

import headway as hw

NAMES = ("ada", "eve")


def join(victims: Victims, name: str, size: int) -> subprocess.Popen[bytes]:
    return victims.start("rememberers.py", "store", name, size, name=name)


def fill_and_kill(victims: Victims, size: int, kills: int) -> None:
    processes = {name: join(victims, name, size) for name in NAMES}
    killed = 0
    for turn in range(kills):
        name = NAMES[turn % 2]
        seen = len(victims.lines(name))
        if not until(processes[name], lambda: len(victims.lines(name)) > seen + 1):  # noqa: B023 - asked before the next round
            continue
        kill(processes[name])
        killed += 1
        processes[name] = join(victims, name, size)
    for name, process in processes.items():
        assert process.wait(LIMIT_S) == 0, victims.said(name)
    assert killed, "the programs ended before the first kill: give them more to do"
    records = list(hw.collection("memory/lessons", store=victims.store()).read())
    kept = sorted(record.case.text for record in records if record.what == "put")
    assert kept == sorted(f"lesson {number} of {name}" for name in NAMES for number in range(1, size))
    for name in NAMES:
        said = ast.literal_eval(victims.result(name))
        assert len({id for id, _, _ in said}) == size
        assert [found for _, _, found in said] == [1, 2, *range(2, size)]
        check_recorded_once(rows(victims.store(), name))


@pytest.mark.on_postgres("make chaos")
def test_cases_of_killed_processes_are_each_there_once(victims):
    fill_and_kill(victims, size=8, kills=2)


@pytest.mark.on_postgres("make chaos")
@pytest.mark.long
def test_many_kills_lose_and_repeat_no_case(victims):
    fill_and_kill(victims, size=100, kills=often(20))
