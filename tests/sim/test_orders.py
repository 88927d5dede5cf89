"""A simulated run that was given an order keeps to it; one that was not starts what it can in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

import headway as hw
from headway.sim.config import SimConfig
from headway.sim.universe import Universe
from headway.sim.world import SimWorld

STARTED: list[int] = []


@hw.task(label="{number}")
async def rest(number: int) -> None:
    STARTED.append(number)
    await asyncio.sleep(1)


@hw.task
async def program() -> None:
    with hw.limit(1):
        await hw.gather(*(rest(number) for number in range(6)))


class LastFirst:
    static = True

    def __call__(self, waiting: Sequence[hw.Waiting]) -> list[float]:
        return [-each.number for each in waiting]


def started(seed: int, order: hw.Order | None) -> tuple[int, ...]:
    STARTED.clear()
    universe = Universe(seed, SimConfig(any_order=True))
    process = universe.process("one")
    process.world = SimWorld(process)
    process.start(hw.arun(program, store=None, progress=False, order=order))
    universe.run(universe.end_of(process))
    universe.remove(process)
    return tuple(STARTED)


@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_run_keeps_to_the_order_it_was_given(seed: int) -> None:
    assert started(seed, LastFirst()) == (5, 4, 3, 2, 1, 0)


def test_one_that_was_not_given_any_starts_what_it_can_in_any_order() -> None:
    assert len({started(seed, None) for seed in range(5)}) > 1
