"""Processes ask for the same shared results, and some of them are killed: each result is computed once, or again after a death."""

from __future__ import annotations

import subprocess
import time
from collections import Counter

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, often, rows, until

from headway.journal.open import open_store

pytestmark = pytest.mark.long


def fly(victims: Victims, name: str, size: int) -> subprocess.Popen[bytes]:
    return victims.start("flyers.py", "store", name, size, name=name)


def runs(victims: Victims) -> int:
    with open_store(victims.store()) as store:
        return len(store.runs())


def claimed(victims: Victims) -> int:
    with open_store(victims.store()) as store:
        return len(store.claims())


@pytest.mark.on_postgres("make chaos")
def test_a_result_that_a_killed_process_was_computing_is_taken_over_at_once(victims):
    first = fly(victims, "first", 0)
    assert until(first, lambda: victims.lines("first", "began"))
    second = fly(victims, "second", 0)
    assert until(second, lambda: runs(victims) == 2)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(2)  # it waits, though nothing keeps it from computing but the claim
    assert victims.lines("second") == []
    kill(first)
    died = time.monotonic()
    assert second.wait(LIMIT_S) == 0, victims.said("second")
    (began, _) = victims.lines("second")
    assert float(began[2]) > died - 1
    assert victims.result("second") == "7"
    assert claimed(victims) == 0


@pytest.mark.on_postgres
def test_processes_that_ask_for_the_same_compute_each_of_it_once(victims):
    size = 25
    drivers = {name: fly(victims, name, size) for name in ("one", "two", "three")}
    for name, driver in drivers.items():
        assert driver.wait(LIMIT_S) == 0, victims.said(name)
    began = Counter(line[1] for name in drivers for line in victims.lines(name, "began"))
    assert set(began.values()) == {1}
    assert len(began) == size + size + 3
    assert len({victims.result(name) for name in drivers}) == 1
    assert sum(bool(victims.lines(name)) for name in drivers) > 1, "one process did everything before the others came"


@pytest.mark.on_postgres("make chaos")
def test_processes_that_are_killed_again_and_again_leave_every_result_to_be_computed_once_after_them(victims):
    size, names = 60, ("one", "two")
    drivers = {name: fly(victims, name, size) for name in names}
    deaths = 0
    for number in range(often(4)):
        name = names[number % 2]
        seen = len(victims.lines(name, "began"))
        if not until(drivers[name], lambda: len(victims.lines(name, "began")) > seen):  # noqa: B023 - asked before the next round
            break
        kill(drivers[name])
        deaths += 1
        drivers[name] = fly(victims, name, size)
    assert deaths
    for name, driver in drivers.items():
        assert driver.wait(LIMIT_S) == 0, victims.said(name)
        assert victims.result(name) == repr(sum(4 * n + 6 for n in range(size)))
        check_recorded_once(rows(victims.store(), name))
    ended = Counter(line[1] for name in names for line in victims.lines(name, "ended"))
    assert len(ended) == 2 * size + 3
    again = sum(ended.values()) - len(ended)
    assert again <= deaths * 24, "more was computed twice than was under way or not durable when somebody died"
    assert claimed(victims) == 0
