"""Drivers of runs in Postgres: frozen, late, beside each other, off the time. They are processes, and pay at a till outside.

Whoever is fenced was fenced by the store, and whoever follows sees the payments of the late one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tills
from tellers import OWNED_BY_ANOTHER, Till, recorded
from test_clocks import HOUR, Clock
from victims import LIMIT_S, Victims, is_stopped, often, until
from wounded import WoundedServer

from headway.journal.postgres.store import PostgresStore

SIZE = 120
LEASE_S = 1.0


@pytest.fixture
def store(server: WoundedServer, schema: str):
    with PostgresStore(f"{server.url}?{schema}") as opened:
        yield opened


@pytest.fixture
def till(store: PostgresStore, tmp_path: Path) -> Till:
    return Till(store.url, tmp_path, SIZE)


def drive_when_free(victims: Victims, till: Till, name: str, **env: object) -> None:
    """Start drivers until the run is free, and see that the one that gets it ends it."""
    for _ in range(100):
        driver = till.start(victims, name, LEASE_S=LEASE_S, **env)
        if driver.wait(LIMIT_S) == 0:
            return
        assert driver.returncode == OWNED_BY_ANOTHER, victims.said(name)
    raise AssertionError("the lease of a late driver never ended")


def freeze_while(driver: subprocess.Popen[bytes], condition: Callable[[], object]) -> None:
    """Stop a driver while the condition holds."""
    for _ in range(1000):
        driver.send_signal(signal.SIGSTOP)
        assert until(driver, lambda: is_stopped(driver.pid))
        if condition():
            return
        driver.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the driver was never stopped where it was to be")


def check_fenced(victims: Victims, driver: subprocess.Popen[bytes], name: str) -> None:
    assert driver.wait(LIMIT_S) == 1, victims.said(name)
    assert "LeaseLost: the lease of run 'kills' is lost: " in victims.said(name)


def test_a_driver_that_wakes_after_its_lease_is_fenced_and_its_payments_are_seen(victims, store, till):
    late = till.start(victims, "late", LEASE_S=LEASE_S)
    assert until(late, lambda: len(till.paid()) > 3), victims.said("late")
    assert until(late, lambda: recorded(till, store)), victims.said("late")

    def has_paid_and_not_said() -> bool:
        known = recorded(till, store)
        begun = {line[1] for line in till.lines("pay") if line[2].replace("/", "_") in till.paid()}
        return bool(begun - known.keys())

    freeze_while(late, has_paid_and_not_said)
    drive_when_free(victims, till, "next")
    before = till.rows(store)
    late.send_signal(signal.SIGCONT)
    check_fenced(victims, late, "late")
    assert till.rows(store) == before
    assert till.lines("seen"), "nobody looked for the payments of the late one"
    till.check(store)


def test_a_driver_that_keeps_the_interpreter_past_its_lease_is_fenced(victims, store, till, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    late = till.start(victims, "late", LEASE_S=LEASE_S, HOLD=tmp_path / "pipe")
    assert until(late, lambda: till.lines("holds")), victims.said("late")
    drive_when_free(victims, till, "next")
    (tmp_path / "pipe").write_text(".")
    check_fenced(victims, late, "late")
    till.check(store)


def test_of_drivers_that_begin_at_once_one_drives(victims, store, till, tmp_path):
    gate = tmp_path / "gate"
    drivers = [till.start(victims, f"driver{k}", GATE=gate, OFTEN_S=0.1) for k in range(4)]
    assert until(drivers[0], lambda: len(till.lines("ready")) == 4)
    gate.touch()
    codes = [driver.wait(LIMIT_S) for driver in drivers]
    said = [victims.said(f"driver{k}") for k in range(4)]
    assert set(codes) == {0, OWNED_BY_ANOTHER}, said  # one that comes late may get the result
    till.check(store)
    assert len({line[1] for line in till.lines("step")}) == len(till.lines("step")) == SIZE


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_driver_whose_clock_is_off_takes_no_run_from_a_living_one(victims, store, till, tmp_path, seconds):
    """Leases go by the server's clock. In a folder a clock that is ahead would take the run."""
    clock = Clock(tmp_path / "clock")
    clock.jump(seconds)
    right = till.start(victims, "right", LEASE_S=LEASE_S, OFTEN_S=1.0)
    assert until(right, lambda: recorded(till, store)), victims.said("right")
    other = till.start(victims, "other", **clock.env)
    assert other.wait(LIMIT_S) == OWNED_BY_ANOTHER, victims.said("other")
    right.kill()
    right.wait()
    assert till.start(victims, "other", **clock.env).wait(LIMIT_S) == 0, victims.said("other")
    till.check(store)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_driver_whose_clock_is_set_keeps_its_run(victims, store, till, tmp_path, seconds):
    clock = Clock(tmp_path / "clock")
    driver = till.start(victims, "driver", LEASE_S=3, OFTEN_S=0.05, **clock.env)
    assert until(driver, lambda: recorded(till, store)), victims.said("driver")
    clock.jump(seconds)
    looks = 0
    while driver.poll() is None:
        run = store.run(tills.RUN)
        if run.owner:
            assert 0 < run.lease_until - time.time() < 60, f"its lease lasts for {run.lease_until - time.time():.0f} s"
            looks += 1
        time.sleep(0.01)
    assert looks > 10
    assert driver.wait(LIMIT_S) == 0, victims.said("driver")
    till.check(store)


def test_drivers_that_all_die_at_once_go_on_where_they_were(victims, server, store, tmp_path):
    tills_of_runs = [Till(store.url, tmp_path / name, SIZE) for name in ("a", "b", "c")]
    for number, till in enumerate(tills_of_runs):
        till.run = tills.RUN
        till.url = f"{store.url}_{number}"
        till.ran.parent.mkdir()
    killed = 0
    for _ in range(often(2)):
        drivers = [till.start(victims, f"driver{k}") for k, till in enumerate(tills_of_runs)]
        told = [len(till.lines("step")) for till in tills_of_runs]
        for driver, till, before in zip(drivers, tills_of_runs, told, strict=True):
            until(driver, lambda till=till, before=before: len(till.lines("step")) > before + 5)
        for driver in drivers:
            killed += driver.poll() is None
            driver.kill()
        for driver in drivers:
            driver.wait()
    assert killed >= 3
    for number, till in enumerate(tills_of_runs):
        assert till.start(victims, "last").wait(LIMIT_S) == 0, victims.said("last")
        with PostgresStore(f"{store.url}_{number}") as one:
            till.check(one)
