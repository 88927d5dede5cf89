"""Calls from real worker processes: what a simulator does not have."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import asking
import numpy as np
import pytest
from bodies import ARGUMENTS, AT_HOME, IN_PROCESS, double, in_pool, send

import headway as hw
from headway import events
from headway.pools import Traits
from headway.pools.process import ProcessPool

ONE = {"pools": {"process": 1}}


@pytest.mark.parametrize("name", sorted(IN_PROCESS))
def test_a_body_in_a_real_process_does_what_it_does_at_home(name, tmp_path, go):
    expected = go(AT_HOME[name], *ARGUMENTS[name], store=None, run_id=None)
    got = go(IN_PROCESS[name], *ARGUMENTS[name], store=tmp_path / "store", **ONE)
    assert got == expected or name == "decides"
    assert go(IN_PROCESS[name], *ARGUMENTS[name], store=tmp_path / "store", **ONE) == got


def test_nested_processes_need_one_slot(go):
    assert go(asking.wide, 2, **ONE) == 7


@hw.task(pool="process")
def dies_once(mark: str) -> list[int]:
    first = hw.wait(appends(mark))
    if not Path(mark + ".died").exists():
        Path(mark + ".died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [first, hw.wait(appends.options(key="second")(mark))]


@hw.task(effect=True)
def appends(mark: str) -> int:
    with Path(mark).open("a") as file:
        file.write("x")
    return Path(mark).stat().st_size


def test_a_worker_that_is_killed_repeats_no_child_that_had_ended(go, tmp_path):
    retried = in_pool(dies_once.fn, "process", retry=hw.Retry(attempts=2, delay_s=0, on=(hw.WorkerDied,)))
    assert go(retried, str(tmp_path / "mark"), **ONE) == [1, 2]


def test_a_run_goes_on_after_its_body_was_killed(go, tmp_path):
    with pytest.raises(hw.WorkerDied):
        go(dies_once, str(tmp_path / "mark"), **ONE)
    assert go(dies_once, str(tmp_path / "mark"), **ONE) == [1, 2]


@hw.task
def total(array: np.ndarray) -> float:
    return float(array.sum())


@hw.task(pool="process")
def fill(size: int) -> np.ndarray:
    return np.ones(size)


@hw.task(pool="process")
def moves_much(size: int) -> list[Any]:
    array = np.arange(size, dtype=np.float64)
    filled = hw.wait(fill(size))
    filled[0] = 5  # it is this worker's own
    return [hw.wait(total(array)), float(filled.sum()), hw.wait(total(filled))]


def test_large_values_cross_in_both_directions(go):
    size = 300_000
    assert go(moves_much, size, pools={"process": 2}) == [size * (size - 1) / 2, size + 4, size + 4]


@hw.task(pool="process")
def uses_threads() -> list[int]:
    found: dict[int, int] = {}

    def one(x: int) -> None:
        found[x] = hw.wait(double(x))

    threads = [threading.Thread(target=one, args=(x,)) for x in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[x] for x in range(3)]


def test_threads_of_a_body_may_ask_too(go):
    assert go(uses_threads, **ONE) == [0, 2, 4]


@hw.task(pool="process")
def forks() -> str:
    reader, writer = os.pipe()
    if not os.fork():
        try:
            hw.wait(double(1))
            said = "went through"
        except BaseException as error:
            said = str(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 4096).decode() + f" and here {hw.wait(double(2))}"


def test_a_fork_of_a_body_is_refused_and_disturbs_nothing(go):
    said = go(forks, **ONE)
    assert "in a process that test_real_workers.forks forked" in said
    assert said.endswith("and here 4")


ARRIVED: list[asyncio.Event] = []


@hw.task(pool="process")
async def never_looks() -> None:
    hold()
    await arrive()
    while True:
        signal.pause()


@hw.task
async def hold() -> None:
    await asyncio.Event().wait()


@hw.task
async def arrive() -> None:
    ARRIVED[-1].set()


@hw.task
async def stops_it() -> list[str]:
    ARRIVED.append(asyncio.Event())
    handle = never_looks()
    await ARRIVED[-1].wait()
    handle.cancel()
    return [type(end.error).__name__ for end in await hw.settle(handle)]


def test_a_body_that_looks_for_nothing_is_killed_and_its_children_end(go):
    ended = []
    assert go(stops_it, **ONE, events=ended.append) == ["CallCancelled"]
    ends = {event.task.rpartition(".")[2]: event.status for event in ended if isinstance(event, events.CallEnded)}
    assert ends == {"arrive": "ok", "hold": "cancelled", "never_looks": "cancelled", "stops_it": "ok"}


@hw.task(pool="process")
def keeps_on(times: int) -> int:
    return sum(hw.wait(double(1)) for _ in range(times))


@hw.task
async def many(times: int) -> list[int]:
    return [await keeps_on(times) for _ in range(3)]


def test_a_worker_that_has_asked_takes_its_next_call(go):
    assert go(many, 5, **ONE) == [10, 10, 10]


class Fenced(ProcessPool):
    """Lets its code ask for one task only."""

    traits = Traits(imports=True, copies=True, relays=True, lends=True, cancel="killed")

    def submit(self, job: Any, /) -> None:
        ask = job.on_ask
        job.on_ask = lambda head, buffers, reply, _=None: ask(head, buffers, reply, lambda task: task == "bodies.double")
        super().submit(job)


def peers(x: int) -> list[Any]:
    seen = [hw.wait(double(x))]
    try:
        seen.append(hw.wait(send("out")))
    except hw.UsageError as error:
        seen.append(str(error))
    return seen


fenced = in_pool(peers, "fenced")


def test_a_pool_may_say_which_tasks_its_code_may_ask_for(go):
    told, said = go(fenced, 4, pools={"fenced": Fenced(1)})
    assert told == 8
    assert said == "bodies.peers(4) may not call bodies.send: its pool does not let it"


@hw.task(pool="gang", processes=2)
def trains(mark: str) -> int:
    """Each member says what became of its call."""
    rank = hw.call().seat.rank  # type: ignore[union-attr]  # it has one
    try:
        said = str(hw.wait(double(3)))
    except hw.UsageError as error:
        said = str(error)
    Path(f"{mark}{rank}").write_text(said)
    return rank


def test_the_first_member_of_a_gang_may_ask_and_no_other(go, tmp_path):
    assert go(trains, str(tmp_path / "said")) == 0
    assert (tmp_path / "said0").read_text() == "6"
    assert (tmp_path / "said1").read_text() == (
        "task bodies.double was called on rank 1 of the gang of test_real_workers.trains, of which only rank 0 can reach the run: "
        "call its plain function (`.fn`), or call the task in the parent task"
    )
