"""A noisy author: what it writes misses its length, and each edit comes nearer or overshoots. Its words are one word, repeated."""

from __future__ import annotations

import random

import headway as hw
from headway.methods.plan.teams import Unit


@hw.task(name="writing.plan")
async def plan_units(seed: int, count: int) -> list[Unit]:
    rng = random.Random(f"plan {seed}")
    return [Unit(f"unit {place}", "words", rng.randrange(80, 400)) for place in range(count)]


@hw.task(name="writing.revise")
async def revise_units(plan: list[Unit]) -> list[Unit]:
    return plan


@hw.task(name="writing.write", cost={"asks": 1})
async def write_unit(seed: int, unit: Unit, index: int, unreadable: float) -> str:
    rng = random.Random(f"write {seed} {unit.name} {index}")
    await hw.sleep(rng.uniform(0.5, 1.5))
    hw.charge(asks=1)
    return "" if rng.random() < unreadable else "word " * max(1, round(unit.length * rng.lognormvariate(-0.3, 0.4)))


@hw.task(name="writing.edit", cost={"asks": 1})
async def edit_unit(seed: int, unit: Unit, length: int, how: str, index: int, noise: float) -> str:
    """Half of the editors overshoot: they change the length by what was asked, and a random factor on top."""
    rng = random.Random(f"edit {seed} {unit.name} {index}")
    await hw.sleep(rng.uniform(0.5, 1.5))
    hw.charge(asks=1)
    return "word " * max(1, round(unit.length * rng.lognormvariate(0.0, noise)))


class NoisyAuthor:
    """Misses lengths by a factor of exp(N(-0.3, 0.4)), and by exp(N(0, noise)) when it edits."""

    def __init__(self, seed: int, *, count: int = 12, noise: float = 0.15, unreadable: float = 0.1) -> None:
        self.seed, self.count, self.noise, self.unreadable = seed, count, noise, unreadable

    async def plan(self, request: str) -> list[Unit]:
        return await plan_units(self.seed, self.count)

    async def revise(self, request: str, plan: list[Unit]) -> list[Unit]:
        return await revise_units(plan)

    async def write(self, request: str, plan: list[Unit], unit: Unit, index: int) -> str:
        return await write_unit(self.seed, unit, index, self.unreadable)

    async def edit(self, request: str, unit: Unit, text: str, how: str, index: int) -> str:
        return await edit_unit(self.seed, unit, len(text.split()), how, index, self.noise)
