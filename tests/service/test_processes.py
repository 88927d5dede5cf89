"""Several workers in processes of their own, in a folder and in Postgres: killed, told to end, told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import shop

import headway as hw
from headway.journal.open import open_store
from postgres_server import shared_server

HERE = Path(__file__).parent
MOST_S = 60.0


@pytest.fixture(params=["folder", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "store")
        return
    yield f"{shared_server().url}?schema=processes"
    with psycopg.connect(shared_server().url, autocommit=True) as conn:
        conn.execute("DROP SCHEMA processes CASCADE")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(store: str, notes: Path) -> Iterator[Start]:
    """Start a worker."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "headway", "worker", str(HERE / "shop.py"), "--store", store, *options]
        env = {**os.environ, "SHOP": str(notes)}
        begun.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=notes))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(found: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + MOST_S
    while not found():
        assert time.monotonic() < ends, f"{what} did not come within {MOST_S:g} s"
        time.sleep(0.02)


def lines(notes: Path) -> list[list[str]]:
    file = notes / "notes.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def said(notes: Path, *words: str) -> bool:
    return any(line[: len(words)] == list(words) for line in lines(notes))


def test_runs_of_a_killed_worker_go_on_with_others_and_nothing_recorded_is_done_again(
    store: str, notes: Path, start: Start
) -> None:
    orders, parts = range(8), 5
    for order in orders:
        hw.enqueue(shop.sell, order, parts, run_id=f"order-{order}", store=store)
    workers = {worker.pid: worker for worker in [start("--slots", "2") for _ in range(3)]}
    until(lambda: any(line[0] == "charge" for line in lines(notes)), "work of some worker")
    victim = workers[int(lines(notes)[0][-1])]
    victim.kill()
    for order in orders:
        assert hw.result_of(f"order-{order}", timeout=MOST_S, store=store) == sum(range(parts))
    done = Counter(line[1] for line in lines(notes) if line[0] == "charge")
    assert set(done) == {f"{order}.{part}" for order in orders for part in range(parts)}
    again = {name for name, times in done.items() if times > 1}
    assert len(again) <= 2, f"more than what the victim's two slots had under way was done again: {again}"
    assert len(list(notes.iterdir())) == len(orders) * parts + 1  # one key for each effect, however often it was tried
    opened = open_store(store)
    assert opened.jobs(time.time()) == []
    opened.close()


def test_a_worker_that_is_told_to_end_hands_its_run_over_and_another_goes_on_at_once(store: str, notes: Path, start: Start) -> None:
    hw.enqueue(shop.grind, 1, 4.0, run_id="long", store=store)
    first = start("--grace", "0.2")
    until(lambda: said(notes, "grinds", "1"), "the first worker's work")
    second = start()
    first.send_signal(signal.SIGTERM)
    _, story = first.communicate(timeout=MOST_S)
    assert first.returncode == 0, story
    assert "told to end: takes nothing more; 1 run may go on for 0.2 s" in story
    assert "1 handed over" in story
    given = time.monotonic()
    until(lambda: Counter(line[0] for line in lines(notes))["grinds"] == 2, "the second worker's work")
    assert time.monotonic() - given < 10.0, "it waited for a lease to end"
    assert hw.result_of("long", timeout=MOST_S, store=store) == 1
    assert [line[:2] for line in lines(notes) if line[0] == "charge"] == [["charge", "1.0"], ["charge", "1.1"]]
    assert second.poll() is None


def test_a_worker_whose_run_blocks_its_loop_ends_all_the_same_and_hands_the_run_over(store: str, notes: Path, start: Start) -> None:
    hw.enqueue(shop.block, 7, run_id="blocked", store=store)
    first = start("--grace", "60")
    until(lambda: said(notes, "blocks", "7"), "the run that blocks")
    first.send_signal(signal.SIGINT)
    time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    _, story = first.communicate(timeout=MOST_S)
    assert first.returncode == 0, story
    start()
    assert hw.result_of("blocked", timeout=20.0, store=store) == 7


def test_a_run_that_waits_for_a_person_needs_no_worker_and_goes_on_when_told(store: str, notes: Path, start: Start) -> None:
    hw.enqueue(shop.ship, 3, run_id="ship", store=store)
    worker = start("--drain")
    _, story = worker.communicate(timeout=MOST_S)
    assert "ship  parked until it gets a signal" in story
    (queue,) = hw.queues(store=store)
    assert (queue.parked, queue.running, queue.waiting) == (1, 0, 0)
    with pytest.raises(TimeoutError):
        hw.result_of("ship", timeout=0, store=store)
    hw.signal("ship", "approved", "by Ada", store=store)
    start("--drain").communicate(timeout=MOST_S)
    assert hw.result_of("ship", timeout=0, store=store) == "by Ada"
    assert Counter(line[0] for line in lines(notes))["charge"] == 1
