"""Two processes fill one collection and are killed again and again: every item is there once, under the number it was told."""

from __future__ import annotations

import ast
import subprocess

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, often, rows, until

import headway as hw

NAMES = ("one", "two")


def join(victims: Victims, name: str, size: int) -> subprocess.Popen[bytes]:
    return victims.start("collectors.py", "store", name, size, name=name)


def fill_and_kill(victims: Victims, size: int, kills: int) -> None:
    processes = {name: join(victims, name, size) for name in NAMES}
    killed = 0
    for turn in range(kills):
        name = NAMES[turn % 2]
        seen = len(victims.lines(name))
        if not until(processes[name], lambda: len(victims.lines(name)) > seen + 2):  # noqa: B023 - asked before the next round
            continue
        kill(processes[name])
        killed += 1
        processes[name] = join(victims, name, size)
    for name, process in processes.items():
        assert process.wait(LIMIT_S) == 0, victims.said(name)
    assert killed, "the programs ended before the first kill: give them more to do"
    items = list(hw.collection("things", str, store=victims.store()).read())
    assert sorted(items) == sorted(f"{name} {n}" for name in NAMES for n in range(size))
    for name in NAMES:
        numbers = ast.literal_eval(victims.result(name))
        assert sorted(items[number] for number in numbers) == sorted(f"{name} {n}" for n in range(size))
        check_recorded_once(rows(victims.store(), name))


@pytest.mark.on_postgres
def test_items_of_killed_processes_are_each_there_once(victims):
    fill_and_kill(victims, size=40, kills=4)


@pytest.mark.on_postgres("make chaos")
@pytest.mark.long
def test_many_kills_lose_and_repeat_no_item(victims):
    fill_and_kill(victims, size=300, kills=often(20))
