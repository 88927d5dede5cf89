"""A driver stopped with SIGSTOP wakes up after another process took its run over: what it writes late is kept apart, and no more.

A stopped process looks alive, so its run changes hands when its lease is over, or at once with `take_over`. The driver is stopped
while rows wait in its queue, so that it always has something to write when it wakes. It is never left stopped inside a
transaction: then it holds the lock of the file, and nobody could write until it goes on.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from victims import (
    LIMIT_S,
    RUN,
    Victims,
    check_recorded_once,
    is_locked,
    is_stopped,
    of_kind,
    often,
    rejected,
    rows,
    successes,
    until,
)

import headway as hw
from headway.journal.owner import this_process
from headway.journal.records import Kind, RunStatus
from headway.journal.upkeep.doctor import examine

SIZE = 400
ENDED_BEFORE = 60  # calls of a driver before it is stopped
OWNED_BY_ANOTHER = 3


def stop_with_rows_to_write(victims: Victims, name: str, driver: subprocess.Popen[bytes]) -> set[str]:
    """Stop the driver outside of a transaction, while calls have ended whose outcomes are not in the store. Returns which
    effects may have started: those whose start is."""
    store = victims.folder / "store"
    before = len(successes(rows(store)))
    assert until(driver, lambda: len(victims.lines(name, "ended")) > ENDED_BEFORE), victims.said(name)
    for _ in range(1000):
        driver.send_signal(signal.SIGSTOP)
        assert until(driver, lambda: is_stopped(driver.pid))
        if not is_locked(store):
            found = rows(store)
            done = successes(found)
            waiting = [line for line in victims.lines(name, "ended") if line[1] not in done]
            if len(waiting) > 3 and len(done) > before:
                return {row.key.hex() for row in of_kind(found, Kind.START)}
        told = len(victims.lines(name))
        driver.send_signal(signal.SIGCONT)  # on a busy machine it is a while until it has a processor
        assert until(driver, lambda told=told: len(victims.lines(name)) > told), "it ended before it had rows in its queue"
    raise AssertionError("the driver never had rows in its queue")


def wake_too_late(victims: Victims, name: str, driver: subprocess.Popen[bytes]) -> None:
    driver.send_signal(signal.SIGCONT)
    assert driver.wait(LIMIT_S) == 1
    assert "LeaseLost: the lease of run 'kills' is lost" in victims.said(name)
    assert not (victims.folder / f"{name}.result").exists()


def drive_when_free(victims: Victims, name: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a driver until the run is free: refused ones end at once and say who has it."""
    for _ in range(100):
        driver = victims.start("stream.py", "store", SIZE, name=name, env=env)
        if until(driver, lambda: victims.lines(name)):
            return driver
        assert driver.returncode == OWNED_BY_ANOTHER, victims.said(name)
        assert "is driven by pid" in victims.said(name)
    raise AssertionError("the lease of a stopped driver never ended")


def check_store(store: Path, fences: set[int]) -> None:
    check_recorded_once(rows(store))
    assert {fence for fence, _ in rejected(store)} == fences, "late records that were not kept, or of the wrong driver"
    with hw.SqliteStore(store) as opened:
        assert opened.run(RUN).status == "done"
    assert examine(store).whole


@pytest.mark.parametrize("way", ["the lease is over", "taken by force"])
def test_a_driver_that_wakes_when_another_has_finished_its_run_changes_nothing(victims, way):
    expected = victims.undisturbed("stream.py", SIZE)
    patience = {"LEASE_S": "1"} if way == "the lease is over" else {}
    late = victims.start("stream.py", "store", SIZE, name="late", env=patience)
    started = stop_with_rows_to_write(victims, "late", late)
    next_one = drive_when_free(victims, "next", patience or {"TAKE_OVER": "1"})
    assert next_one.wait(LIMIT_S) == 0, victims.said("next")
    if way == "taken by force":
        assert "RunOwned" not in victims.said("next")
    store = victims.folder / "store"
    before = rows(store)
    wake_too_late(victims, "late", late)
    assert rows(store) == before
    assert {line[1] for line in victims.lines("late", "pay")} <= started, "an effect began without its start in the store"
    assert victims.result("next") == expected
    check_store(store, {1})


def test_a_driver_that_wakes_while_another_drives_its_run_does_not_disturb_it(victims):
    expected = victims.undisturbed("stream.py", SIZE)
    late = victims.start("stream.py", "store", SIZE, name="late")
    stop_with_rows_to_write(victims, "late", late)
    next_one = drive_when_free(victims, "next", {"TAKE_OVER": "1"})
    wake_too_late(victims, "late", late)
    assert next_one.wait(LIMIT_S) == 0, victims.said("next")
    assert victims.result("next") == expected
    check_store(victims.folder / "store", {1})


def test_a_driver_that_wakes_before_its_successor_wrote_is_rejected_by_the_fence(victims):
    expected = victims.undisturbed("stream.py", SIZE)
    late = victims.start("stream.py", "store", SIZE, name="late")
    stop_with_rows_to_write(victims, "late", late)
    store = victims.folder / "store"
    before = rows(store)
    with hw.SqliteStore(store) as opened:
        lease = opened.acquire(RUN, this_process(), 3_600.0, time.time(), take_over=True)
        wake_too_late(victims, "late", late)
        assert rows(store) == before
        opened.release(lease, RunStatus.INTERRUPTED, time.time())
    next_one = victims.start("stream.py", "store", SIZE, name="next")
    assert next_one.wait(LIMIT_S) == 0, victims.said("next")
    assert victims.result("next") == expected
    check_store(store, {1})


@pytest.mark.long
def test_a_run_that_changes_hands_again_and_again_ends_as_if_it_had_not(victims):
    expected = victims.undisturbed("stream.py", SIZE)
    for number in range(often(4)):
        folder = victims.folder / f"round{number}"
        folder.mkdir()
        hand_over(Victims(folder), expected)


def hand_over(victims: Victims, expected: str) -> None:
    """Stop each driver, let the next one take the run, wake the one before; the last one ends it."""
    drivers, most = [], 4
    try:
        for fence in range(1, most + 1):
            name = f"driver{fence}"
            driver = victims.start("stream.py", "store", SIZE, name=name, env={"TAKE_OVER": "1"})
            drivers.append(driver)
            assert until(driver, lambda name=name: victims.lines(name, "ended")), victims.said(name)
            if fence > 1:
                wake_too_late(victims, f"driver{fence - 1}", drivers[-2])
            if fence < most:
                stop_with_rows_to_write(victims, name, driver)
        assert drivers[-1].wait(LIMIT_S) == 0, victims.said(name)
        assert victims.result(name) == expected
        check_store(victims.folder / "store", set(range(1, most)))
    finally:
        victims.end()
