"""A program of many runs on several drivers, any of which is killed: each call is recorded once, and nothing is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, kill, often, until

import headway as hw
from headway.journal.open import open_store

RUNS, CALLS = 50, 1000
DRIVERS = 4
STARTERS = Path(__file__).parent / "programs" / "starters.py"


@contextmanager
def folder(path: Path) -> Iterator[str]:
    yield str(path)


@contextmanager
def postgres(path: Path) -> Iterator[str]:
    from postgres_server import shared_server

    yield f"{shared_server().url}?schema=started{os.getpid()}&blobs={path}"


def start_worker(victims: Victims, store: str, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "headway", "worker", str(STARTERS), "--queue", "parts", "--slots", "2"]
    env = {"RAN_EFFECTS": str(victims.folder / "effects")}
    return victims.launch([*command, "--store", store], victims.folder / f"worker-{number}.err", env)


def start_starter(victims: Victims, store: str) -> subprocess.Popen[bytes]:
    said = [store, str(victims.folder / "result"), "unused", str(RUNS), str(CALLS)]
    return victims.launch([sys.executable, str(STARTERS), *said], victims.folder / "starter.err")


def done(store: str) -> int:
    """How many started runs have ended."""
    try:
        with open_store(store) as opened:
            return sum(info.ended > 0 for info in opened.runs())
    except hw.StoreError:
        return 0


@pytest.mark.long
@pytest.mark.parametrize("place", [folder, postgres], ids=["folder", "postgres"])
def test_drivers_that_are_killed_lose_nothing_and_repeat_no_record(victims: Victims, place: Callable[..., object]) -> None:
    drawn, kills = random.Random(20261130), Counter[str]()
    with place(victims.folder / "store") as store:
        starter = start_starter(victims, store)
        workers = [start_worker(victims, store, number) for number in range(DRIVERS)]
        launched = DRIVERS
        for number in range(often(6)):
            least = (number + 1) * RUNS // (often(6) + 2)
            if not until(starter, lambda: done(store) >= least):  # noqa: B023 - at once
                break
            if number % 3 == 2:
                kill(starter)
                kills["starter"] += 1
                starter = start_starter(victims, store)
            else:
                at = drawn.randrange(DRIVERS)
                kill(workers[at])
                kills["worker"] += 1
                workers[at] = start_worker(victims, store, launched)
                launched += 1
        assert starter.wait(LIMIT_S) == 0, victims.said("starter")
        assert (victims.folder / "result").read_text() == str(sum(range(RUNS * CALLS)))
        for worker in workers:
            worker.terminate()
        assert [worker.wait(LIMIT_S) for worker in workers] == [0] * DRIVERS
        assert kills["starter"]
        assert kills["worker"]
        with open_store(store) as opened:
            infos = opened.runs()
            assert len(infos) == RUNS + 1
            for info in infos:
                check_recorded_once([row for _, row in opened.rows(info.uid)])
    began = Counter((victims.folder / "effects").read_text().split())
    assert len(began) == RUNS
    assert max(began.values()) <= 1 + kills["worker"]
