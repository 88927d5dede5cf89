"""The classic job shops as a program: every instance is a call, so a sweep that is killed goes on with the instances that are left.

The limit of an instance is processor time, so a busy machine takes longer and gets the same. The first schedule is the
best of the dispatch rules; CP-SAT starts from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import headway as hw
from headway.methods.schedule import cp_sat
from headway.methods.schedule.check import check, measure
from headway.methods.schedule.instances import classic
from headway.methods.schedule.list_schedule import schedule

SAMPLE = ("ft06", "ft10", "ft20", "la01", "la06", "la11", "la16", "orb01", "swv16", "ta01")
"""Small ones of each kind: most are solved in seconds."""

WORKERS = 8
"""Strategies of CP-SAT, in turns on one core. Fewer leave out the neighbourhood searches that find good schedules of larger shops;
chosen on generated job shops."""


@dataclass(frozen=True)
class Asked:
    """An instance, with seconds of processor time for CP-SAT, over all its workers, and the seed of its choices."""

    name: str
    cpu_s: float
    workers: int
    seed: int


@dataclass(frozen=True)
class Shop:
    """What came of an instance.

    Attributes:
        name: as in the literature.
        best: the least makespan that is known.
        rules: the makespan of the best dispatch rule.
        found: the makespan of CP-SAT's schedule, as the checker measures it.
        bound: no schedule is shorter, as CP-SAT proves.
        cpu_s: the processor time that it took.
    """

    name: str
    best: int
    rules: int
    found: int
    bound: int
    cpu_s: float

    @property
    def is_best(self) -> bool:
        """Whether the best known makespan was reached."""
        return self.found <= self.best

    @property
    def gap(self) -> float:
        """How far above the best known makespan it is, as a share of it."""
        return self.found / self.best - 1


@hw.task
async def sweep(names: Sequence[str], cpu_s: float, workers: int = WORKERS, seed: int = 0) -> list[Shop]:
    """CP-SAT on classic instances, in their order."""
    asked = [Asked(name, cpu_s, workers, seed) for name in names]
    done: dict[str, Shop] = {}
    async for shop in hw.map(solve_shop, asked, window=len(asked)):
        done[shop.name] = shop
        hw.progress(len(done), len(asked))
    return [done[name] for name in names]


@hw.task(pool="process")
def solve_shop(asked: Asked) -> Shop:
    """The best rule, then CP-SAT from there."""
    instance = classic.load_classic(asked.name)
    first = schedule(instance.problem)
    found = cp_sat.solve(instance.problem, cpu_s=asked.cpu_s, workers=asked.workers, seed=asked.seed, start=first)
    made = found.schedule or first
    if check(instance.problem, first) or check(instance.problem, made):
        raise AssertionError(f"a schedule of {asked.name} breaks a constraint")
    rules, best = measure(instance.problem, first).makespan, measure(instance.problem, made).makespan
    return Shop(asked.name, instance.best, rules, best, found.bound, round(found.cpu_s, 1))
