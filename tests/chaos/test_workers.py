"""Worker processes killed with SIGKILL while they run calls: the run goes on, and a call is tried again where its task says so."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from ast import literal_eval
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, is_alive, kill, of_kind, often, rows, successes, until

from headway.journal.records import Kind, Status
from headway.journal.recovery.recovered import decode_attempt, decode_outcome

DIED = "headway.errors:WorkerDied"


def expected(size: int) -> list[tuple[int, str]]:
    """What the program computes where each call that waits for a kill gets it."""
    sums = [sum(k % 7 for k in range(200_000 + x)) for x in range(10 * size)]
    special = {1: lambda x: repr(-x), 3: lambda x: "WorkerDied"}
    return [(sum(sums[10 * x : 10 * x + 3]), special.get(x % 4, lambda x: "")(x)) for x in range(size)]


def put_down(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_who_waits(victims: Victims, driver: subprocess.Popen[bytes], killed: set[int]) -> None:
    """Kill each worker whose call waits for it, until the run ends."""

    def look() -> bool:
        waiting = {int(line[3]) for line in victims.lines("store") if line[0] in ("doomed", "lost")}
        for pid in waiting - killed:
            put_down(pid)
        killed.update(waiting)
        return driver.poll() is not None

    until(driver, look)
    look()


@pytest.mark.on_postgres("make chaos")
def test_calls_of_killed_workers_are_tried_again_where_their_task_says_so_and_only_there(victims):
    driver = victims.start("killed_workers.py", "store", 8)
    killed: set[int] = set()
    kill_who_waits(victims, driver, killed)
    assert driver.returncode == 0, victims.said("store")
    assert victims.result("store") == repr(expected(8))
    ran = Counter(line[0] for line in victims.lines("store"))
    assert ran == {"heavy": 24, "doomed": 4, "survived": 2, "lost": 2}
    assert len(killed) == 6, "a process went on after its kill"
    found = rows(victims.store())
    check_recorded_once(found)
    attempts = [decode_attempt(row.body) for row in of_kind(found, Kind.ATTEMPT)]
    assert sorted((one.task, one.attempt, one.error.type) for one in attempts) == [
        ("killed_workers.doomed", n, DIED) for n in (1, 1, 2, 2)
    ]
    failed = [one for one in (decode_outcome(row.body) for row in of_kind(found, Kind.OUTCOME)) if one.status == Status.ERROR]
    assert [(one.task, one.attempts, one.error.type) for one in failed if one.error] == [("killed_workers.lost", 1, DIED)] * 2
    assert all("was killed by SIGKILL" in one.error.message for one in failed if one.error)


@pytest.mark.on_postgres("make chaos")
def test_no_worker_outlives_a_driver_that_is_killed(victims):
    driver = victims.start("killed_workers.py", "store", 8)
    assert until(driver, lambda: victims.lines("store", "doomed") and victims.lines("store", "lost")), victims.said("store")
    workers = {int(line[3]) for line in victims.lines("store")}
    kill(driver)
    watch = victims.launch(["sleep", str(LIMIT_S)], victims.folder / "watch.err")  # something to wait with
    assert until(watch, lambda: not any(is_alive(pid) for pid in workers)), "workers went on without their driver"


def children_of(pid: int) -> list[int]:
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


def test_a_run_survives_the_death_of_the_process_that_starts_its_workers(victims):
    driver = victims.start("killed_workers.py", "store", 8)
    assert until(driver, lambda: len(victims.lines("store", "heavy")) > 3), victims.said("store")
    for pid in children_of(driver.pid):
        put_down(pid)
    kill_who_waits(victims, driver, set())
    assert driver.returncode == 0, victims.said("store")
    assert victims.result("store") == repr(expected(8))
    check_recorded_once(rows(victims.store()))


@pytest.mark.on_postgres("make chaos")
@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_workers_and_drivers_killed_at_random_moments_lose_nothing(victims, seed):
    drawn, size, store = random.Random(seed), 12, victims.store()
    killed: set[int] = set()
    for most in [4] * often(4) + [0]:
        before, seen = successes(rows(store)), len(victims.lines("store"))
        driver = victims.start("killed_workers.py", "store", size)
        hits = 0

        def hit(driver=driver, seen=seen, most=most) -> bool:
            nonlocal hits
            recent = victims.lines("store")[seen:]
            if recent and hits < most and drawn.random() < 0.05:
                put_down(int(recent[-1][3]))
                hits += 1
            waiting = {int(line[3]) for line in recent if line[0] in ("doomed", "lost")}
            for pid in waiting - killed:
                put_down(pid)
            killed.update(waiting)
            return hits == most > 0

        until(driver, hit)
        kill(driver)
        again = {line[1] for line in victims.lines("store")[seen:]} & before.keys()
        assert not again, f"recorded calls ran again: {again}"
    assert driver.returncode == 0, victims.said("store")
    check_recorded_once(rows(store))
    assert [total for total, _ in literal_eval(victims.result("store"))] == [total for total, _ in expected(size)]
