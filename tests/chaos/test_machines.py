"""Agents killed, stopped and robbed of their workers, and their driver killed: nothing is lost or recorded twice, nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from killed_machines import WAYS
from victims import Victims, check_recorded_once, is_alive, kill, often, rows, successes, until


def parent(pid: int) -> int:
    """The process that started this one; 0 where it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def strike(way: str, pid: int) -> None:
    """What is to happen to the machine of this worker. Its agent is the parent of the server that forked it."""
    victim, number = (pid, signal.SIGKILL) if way == "worker" else (parent(parent(pid)), signal.SIGKILL)
    if victim > 1:
        os.kill(victim, signal.SIGSTOP if way == "stop" else number)


def strike_until_the_end(victims: Victims, driver: subprocess.Popen[bytes], struck: dict[int, str], most: int) -> None:
    """Strike each machine that waits for it, until the run ends or so many have been struck."""

    def look() -> bool:
        for line in victims.lines("store"):
            if line[0] in WAYS and (pid := int(line[3])) not in struck:
                struck[pid] = line[0]
                strike(line[0], pid)
        return driver.poll() is not None or len(struck) >= most

    until(driver, look)


@pytest.mark.on_postgres("make chaos")
def test_machines_are_lost_in_every_way_and_nothing_of_the_run_is(victims):
    size, struck = often(6), {}
    expected = [sum(sum(k % 7 for k in range(20_000 + y)) for y in (x, -x - 1)) - x for x in range(size)]
    driver = victims.start("killed_machines.py", "store", size)
    strike_until_the_end(victims, driver, struck, size // 2)
    kill(driver)
    assert until(victims.launch(["sleep", "60"], victims.folder / "watch.err"), lambda: not any(map(is_alive, struck)))
    driver = victims.start("killed_machines.py", "store", size)
    strike_until_the_end(victims, driver, struck, size + 1)
    assert driver.wait() == 0, victims.said("store")
    assert victims.result("store") == repr(expected)
    ways = Counter(struck.values())
    assert set(ways) == set(WAYS), "a way to lose a machine never happened"
    assert sum(ways.values()) == size
    found = rows(victims.store())
    check_recorded_once(found)
    assert len(successes(found)) == 1 + 4 * size
    everybody = {int(line[3]) for line in victims.lines("store")}
    assert not any(map(is_alive, everybody)), "a worker outlived its run"
