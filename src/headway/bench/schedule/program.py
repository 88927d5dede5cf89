"""The comparison as a program: every solver's work on a problem is a call, so a killed comparison goes on.

Three parts: which ways keep all constraints of a ramp that grows harder; how far rules are from the least tardiness of one machine;
and how far rules and CP-SAT are from the best known makespan of classic job shops. What a way made is judged by the checker alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import headway as hw
from headway.bench.schedule.shops import SAMPLE, WORKERS
from headway.methods.schedule import cp_sat
from headway.methods.schedule.check import check, measure
from headway.methods.schedule.exact import least_tardiness
from headway.methods.schedule.instances import classic
from headway.methods.schedule.instances.generate import ramp, tardiness
from headway.methods.schedule.list_schedule import DeadlineMissed, parallel, schedule, serial, value_of
from headway.methods.schedule.problem import Problem, Schedule
from headway.methods.schedule.rules import CRITICAL_PATH, EDD, EDDC, LATEST_START, LPT, MDD, MDDC

RULED = (EDD, MDD, EDDC, MDDC, CRITICAL_PATH, LPT, LATEST_START)
BEST, SOLVER = "best of the rules", "CP-SAT"
KINDS = ("precedence", "downtime", "window", "apart")
LEVELS = 4
TIGHT = ((0.2, 0.2), (0.2, 0.8), (0.4, 0.4), (0.6, 0.2), (0.6, 0.8), (0.8, 0.4))  # tightness and spread of due dates
MACHINE = 11  # activities on one machine


@dataclass(frozen=True)
class Kept:
    """Whether a way kept all constraints of a step of a ramp."""

    way: str
    seed: int
    kind: str
    level: int
    kept: bool


@dataclass(frozen=True)
class Value:
    """What a way reached on a problem, and the least that is possible, or known."""

    way: str
    problem: str
    value: int
    least: int

    @property
    def gap(self) -> float:
        """How far above the least, as a share of it."""
        return self.value / self.least - 1 if self.least else float(self.value > 0)


@dataclass(frozen=True)
class Comparison:
    """All parts, and what they were asked for."""

    seeds: int
    cpu_s: float
    ramps: list[Kept]
    machines: list[Value]
    shops: list[Value]


@dataclass(frozen=True)
class Place:
    """A step of the ramp of a seed."""

    seed: int
    place: int
    cpu_s: float


@dataclass(frozen=True)
class Machine:
    """One machine with due dates."""

    seed: int
    tightness: float
    spread: float
    cpu_s: float


@dataclass(frozen=True)
class Named:
    """A classic job shop."""

    name: str
    cpu_s: float


@hw.task
async def compare(seeds: int, cpu_s: float, shops: Sequence[str] = SAMPLE) -> Comparison:
    """All three parts. `cpu_s`: seconds of processor time that CP-SAT gets for each problem."""
    places = [Place(seed, place, cpu_s) for seed in range(seeds) for place in range(LEVELS * len(KINDS))]
    ramps = await hw.map(try_step, places)
    machines = await hw.map(try_machine, [Machine(seed, *tight, cpu_s) for seed in range(seeds) for tight in TIGHT])
    tried = await hw.map(try_shop, [Named(name, cpu_s) for name in shops])
    return Comparison(seeds, cpu_s, list(chain(*ramps)), list(chain(*machines)), list(chain(*tried)))


@hw.task(pool="process")
def try_step(asked: Place) -> list[Kept]:
    """Each way on a step of a ramp."""
    step = ramp(asked.seed, levels=LEVELS)[asked.place]
    made: dict[str, Schedule | None] = {rule.name: serial(step.problem, rule) for rule in RULED}
    try:
        made[BEST] = schedule(step.problem)
    except DeadlineMissed:
        made[BEST] = None
    made[SOLVER] = cp_sat.solve(step.problem, cpu_s=asked.cpu_s).schedule
    return [Kept(way, asked.seed, step.kind, step.level, _keeps(step.problem, one)) for way, one in made.items()]


@hw.task(pool="process")
def try_machine(asked: Machine) -> list[Value]:
    """Each way on one machine, against the least total tardiness, as dynamic programming finds it."""
    problem = tardiness(asked.seed, MACHINE, asked.tightness, asked.spread)
    made = {rule.name: parallel(problem, rule) for rule in RULED}
    least = measure(problem, least_tardiness(problem)).total_tardiness
    return _values(problem, made, "total_tardiness", asked.cpu_s, least)


@hw.task(pool="process")
def try_shop(asked: Named) -> list[Value]:
    """Each way on a classic job shop, against the least makespan that is known."""
    instance = classic.load_classic(asked.name)
    made = {rule.name: parallel(instance.problem, rule) for rule in RULED if rule in (CRITICAL_PATH, LPT)}
    return _values(instance.problem, made, "makespan", asked.cpu_s, instance.best)


def _values(problem: Problem, made: dict[str, Schedule], objective: str, cpu_s: float, least: int) -> list[Value]:
    made[BEST] = schedule(problem, objective)
    found = cp_sat.solve(problem, objective, cpu_s=cpu_s, workers=WORKERS, start=made[BEST])
    made[SOLVER] = found.schedule or made[BEST]
    if not all(_keeps(problem, one) for one in made.values()):
        raise AssertionError(f"a schedule of {problem.name} breaks a constraint")
    return [Value(way, problem.name, value_of(problem, one, objective), least) for way, one in made.items()]


def _keeps(problem: Problem, made: Schedule | None) -> bool:
    return made is not None and not check(problem, made)
