"""Two processes share limits through a store, and one of them is killed again and again with places in its hands.

Together they never hold more than there is, and whoever is left goes on with all of it as soon as the other one is gone.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from sharers import PER_S, PLACES, STARTS
from victims import LIMIT_S, Victims, check_recorded_once, kill, often, outcomes, read_lines, rows, until

NAMES = ("one", "two")
pytestmark = pytest.mark.long


def join(victims: Victims, name: str, what: str, size: int) -> subprocess.Popen[bytes]:
    return victims.start("sharers.py", "store", name, what, size, name=name)


def holding(victims: Victims, name: str, since: int = 0) -> set[str]:
    """The calls that have begun and not ended, of all but the first lines of a process."""
    held: set[str] = set()
    for what, key, _ in victims.lines(name)[since:]:
        (held.add if what == "began" else held.discard)(key)
    return held


def most_at_once(folder: Path, killed_at: dict[str, list[float]]) -> int:
    """How many places were held at once at most. What a killed process held ends before it was killed."""
    changes: list[tuple[float, int]] = []
    for name in NAMES:
        held: set[str] = set()
        deaths = list(killed_at.get(name, ()))
        for what, key, at in (*read_lines(folder / f"{name}.ran"), ("end", "", "inf")):
            while deaths and deaths[0] <= float(at):
                changes += [(deaths[0], -1)] * len(held)
                held.clear()
                del deaths[0]
            if what == "began":
                held.add(key)
                changes.append((float(at), 1))
            elif key in held:
                held.remove(key)
                changes.append((float(at), -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def check_ended(victims: Victims, drivers: dict[str, subprocess.Popen[bytes]], size: int) -> None:
    for name, driver in drivers.items():
        assert driver.wait(LIMIT_S) == 0, victims.said(name)
        assert victims.result(name) == repr(sum(range(size)))
        check_recorded_once(rows(victims.store(), name))


@pytest.mark.on_postgres
def test_places_of_a_killed_process_go_to_the_other_and_are_never_more_than_there_are(victims):
    size = 40
    drivers = {name: join(victims, name, "places", size) for name in NAMES}
    killed_at: dict[str, list[float]] = {name: [] for name in NAMES}
    lines = dict.fromkeys(NAMES, 0)
    for number in range(often(4)):
        name = NAMES[number % 2]
        if not until(drivers[name], lambda: holding(victims, name, lines[name])):  # noqa: B023 - asked before the next round
            break
        killed_at[name].append(time.monotonic())
        kill(drivers[name])
        lines[name] = len(victims.lines(name))
        drivers[name] = join(victims, name, "places", size)
    check_ended(victims, drivers, size)
    assert most_at_once(victims.folder, killed_at) == PLACES


@pytest.mark.on_postgres("make chaos")
def test_a_process_alone_has_all_places_of_one_that_was_killed(victims):
    one = join(victims, "one", "places", 5000)  # more than it comes to
    assert until(one, lambda: holding(victims, "one"))
    two = join(victims, "two", "places", 200)
    assert until(two, lambda: holding(victims, "two"))
    kill(one)
    dead = time.monotonic()
    assert two.wait(LIMIT_S) == 0, victims.said("two")
    late = [line for line in victims.lines("two") if float(line[2]) > dead]
    held, most = set(), 0
    for what, key, _ in late:
        (held.add if what == "began" else held.discard)(key)
        most = max(most, len(held))
    assert most == PLACES
    assert len([1 for line in late if line[0] == "ended"]) > PLACES


@pytest.mark.on_postgres("make chaos")
def test_no_window_holds_more_starts_than_the_rate_though_processes_are_killed(victims):
    size = 25
    drivers = {name: join(victims, name, "starts", size) for name in NAMES}
    for number in range(often(2)):
        name = NAMES[number % 2]
        began = len(victims.lines(name, "began"))
        if not until(drivers[name], lambda: len(victims.lines(name, "began")) > began + 3):  # noqa: B023
            break
        kill(drivers[name])
        drivers[name] = join(victims, name, "starts", size)
    check_ended(victims, drivers, size)
    # as recorded, not as the calls say: a busy machine may let a call wait between its start and its first line
    found = [outcome for name in NAMES for outcome in outcomes(rows(victims.store(), name))]
    times = sorted(outcome.started for outcome in found if outcome.task.endswith("start"))
    assert len(times) == 2 * size
    spans = [later - earlier for earlier, later in zip(times, times[STARTS:], strict=False)]
    assert min(spans) > PER_S - 0.01
