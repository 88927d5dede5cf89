"""The simulated world itself: equal seeds make equal worlds, and nothing real gets in."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from headway.errors import UsageError
from headway.sim.config import STEADY, SimConfig
from headway.sim.universe import Deadlock, Endless, Universe

PROOF = Path(__file__).parents[1] / "proof"


def run(main, seed=1, config=STEADY):
    universe = Universe(seed, config)
    process = universe.process("p")
    task = process.start(main)
    universe.run(universe.end_of(process))
    return universe, task


def test_an_hour_of_sleeping_takes_no_time():
    async def sleeps():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    universe, task = run(sleeps())
    assert task.result() == pytest.approx(3600, abs=0.01)
    assert universe.steps < 20


def test_timers_fire_in_their_order_and_cancelled_ones_never():
    heard = []

    async def program():
        loop = asyncio.get_running_loop()
        loop.call_later(3, heard.append, "c")
        loop.call_later(1, heard.append, "a")
        loop.call_later(2, heard.append, "b").cancel()
        await asyncio.sleep(5)

    run(program())
    assert heard == ["a", "c"]


def interleaving(seed, config):
    heard = []

    async def worker(name):
        for step in range(3):
            heard.append((name, step))
            await asyncio.sleep(0)

    async def program():
        await asyncio.gather(*(worker(name) for name in "abcd"))

    run(program(), seed, config)
    return heard


def test_a_steady_world_is_first_come_first_served():
    assert interleaving(1, STEADY)[:4] == [("a", 0), ("b", 0), ("c", 0), ("d", 0)]


def test_another_seed_is_another_schedule_and_the_same_seed_the_same():
    config = SimConfig(shuffle=0.7, stall=0.1)
    found = {tuple(interleaving(seed, config)) for seed in range(20)}
    assert len(found) > 10
    assert interleaving(3, config) == interleaving(3, config)


def test_callbacks_keep_their_order_whatever_the_seed():
    config = SimConfig(shuffle=0.9, stall=0.3)

    async def program(heard):
        for number in range(10):
            asyncio.get_running_loop().call_soon(heard.append, number)
        await asyncio.sleep(1)

    for seed in range(10):
        heard: list[int] = []
        run(program(heard), seed, config)
        assert heard == list(range(10))


def test_waiting_for_what_nobody_will_do_is_a_deadlock():
    async def waits():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="seed 1: nothing can go on"):
        run(waits())


def test_a_program_that_never_ends_is_ended():
    async def spins():
        while True:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(1)

    universe = Universe(1)
    universe.most_steps = 1000
    process = universe.process("p")
    process.start(spins())
    with pytest.raises(Endless, match="still going on after 1000 steps"):
        universe.run(universe.end_of(process))
    universe.remove(process)


def test_a_killed_process_does_nothing_more():
    heard = []

    async def program():
        while True:
            await asyncio.sleep(1)
            heard.append(asyncio.get_running_loop().time())

    universe = Universe(1)
    process = universe.process("p")
    process.start(program())
    universe.kill_at = 20
    universe.run(universe.end_of(process))
    assert process.dead
    before = len(heard)
    universe.remove(process)
    assert len(heard) == before > 0


def test_a_frozen_process_goes_on_without_knowing():
    async def program():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time() - before

    universe = Universe(1)
    frozen, other = universe.process("frozen"), universe.process("other")
    first, second = frozen.start(program()), other.start(program())
    universe.freeze(frozen, 100)
    universe.run(lambda: first.done() and second.done())
    assert second.result() == pytest.approx(1, abs=0.01)
    assert first.result() == pytest.approx(1, abs=0.01)
    assert universe.now == pytest.approx(101, abs=0.1)


@pytest.mark.parametrize("asked_s", [0.0, 3.0], ids=["before", "while"])
def test_what_comes_after_all_that_is_ready_comes_after_steps_that_are_held_up(asked_s):
    async def step(number):
        heard.append(number)

    async def program():
        for number in range(5):
            steps.append(asyncio.create_task(step(number)))
        asyncio.get_running_loop().call_later(asked_s, ask, asyncio.get_running_loop().world)
        await asyncio.sleep(1000)

    def ask(world):
        waits.append(len(heard) < 5)
        world.after_ready(lambda: heard.append("after"))

    waits = []
    for seed in range(20):
        heard, steps = [], []
        run(program(), seed, SimConfig(stall=0.5, stall_s=10.0, shuffle=0.5))
        assert sorted(heard[:5]) == [0, 1, 2, 3, 4]
        assert heard[5:] == ["after"]
    assert any(waits)


def test_processes_have_clocks_of_their_own():
    universe = Universe(1, SimConfig(clock_jumps_s=5.0))
    walls = {universe.process(name).world.wall() for name in "abc"}
    assert len(walls) == 3
    assert max(walls) - min(walls) <= 10


def test_what_would_leave_the_simulation_is_refused_in_a_sentence():
    async def connects():
        await asyncio.open_connection("127.0.0.1", 1)

    _, task = run(connects())
    with pytest.raises(UsageError, match=r"the simulator has no network.*--answers"):
        task.result()


def test_code_for_a_thread_runs_at_a_drawn_time():
    async def program():
        return await asyncio.to_thread(lambda: 3), asyncio.get_running_loop().time()

    _, task = run(program(), config=SimConfig(job_s=10.0))
    value, at = task.result()
    assert value == 3
    assert at > 0.01


@pytest.mark.parametrize("seed", [2, 3])
def test_a_seed_makes_the_same_world_in_every_process(seed):
    """Sets and dictionaries of another process have another order; nothing may hang on it."""
    program = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "from explore import Case, CALM, WILD\nfrom programs import main\n"
        "case = Case(int(sys.argv[2]), WILD); history = case.history(); history.live(main, 'p', 1)\n"
        "rows = b''.join(bytes([row.kind]) + row.key + row.body for row in history.rows())\n"
        "print(history.universe.steps, repr(history.universe.now), hashlib.sha256(rows).hexdigest())\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, str(PROOF), str(seed)],
            env={"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in (1, 2)
    }
    assert len(said) == 1, said


def test_each_seed_draws_a_world_of_its_own():
    configs = {SimConfig.draw(random.Random(seed)) for seed in range(50)}
    assert len(configs) > 30
