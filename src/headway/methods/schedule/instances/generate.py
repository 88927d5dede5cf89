"""Problems to try schedulers on, each from a seed: a ramp of ever more constraints, one machine with due dates, and job shops.

    for step in ramp(seed=0):
        print(step.kind, step.level, len(step.problem.activities))

Equal seeds give equal problems on every machine. Whoever compares settings uses other seeds than whoever reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from headway.methods import settings
from headway.methods.schedule.list_schedule import serial
from headway.methods.schedule.problem import Activity, Problem, Resource, Schedule
from headway.methods.schedule.rules import Rule


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a ramp.

    Attributes:
        kind: what it adds to the step before: "precedence", "downtime", "window" or "apart".
        level: from 1, within its kind.
        problem: with all that earlier steps have.
        witness: a schedule that keeps everything. Only to show that there is one; a scheduler never sees it.
    """

    kind: str
    level: int
    problem: Problem
    witness: Schedule


def ramp(seed: int, activities: int = 20, resources: int = 3, levels: int = 4, slack: float = 0.1) -> tuple[Step, ...]:
    """Feasible problems that grow harder: more precedences, then downtime, then windows, then groups that must be apart.

    A schedule is planted: activities are drawn and put in an order, and everything that is added is true of it. No precedence
    follows from others. It departs in sizes and distributions, which were not found, and in levels that are steps of a fixed
    number for each kind, where the paper adds a precedence a level.

    Args:
        seed: equal seeds give equal ramps.
        activities: how many there are.
        resources: how many they share.
        levels: steps of each kind.
        slack: how far windows reach beyond the planted schedule, as a share of its makespan.

    Returns:
        The steps, each with all that earlier ones have, `4 * levels` of them.

    Raises:
        UsageError: a number is senseless.

    Example:
        >>> steps = ramp(seed=1, activities=8, levels=1)
        >>> [step.kind for step in steps]
        ['precedence', 'downtime', 'window', 'apart']

    Source:
        R-ConstraintBench: Jain and Wetter, arXiv 2508.15204; after the idea of.
    """
    settings.at_least_one("ramp", activities=activities, resources=resources, levels=levels)
    settings.finite("ramp", slack=slack)
    draw = Random(f"ramp {seed}")
    every = list(_planted(draw, activities, resources, levels))
    whole = every[-1]
    order = {f"a{number}": place for place, number in enumerate(draw.sample(range(activities), activities))}
    witness = serial(whole, Rule("planted", lambda each, scene: order[whole.activities[each.number].name], fixed=True))
    kinds = ["precedence"] * levels + ["downtime"] * levels
    steps = [
        Step(kind, place % levels + 1, problem, witness) for place, (kind, problem) in enumerate(zip(kinds, every, strict=True))
    ]
    for level in range(1, levels + 1):
        whole = _add_windows(draw, whole, witness, level / levels, slack)
        steps.append(Step("window", level, whole, witness))
    pairs = _pairs_apart(draw, whole, witness)
    for level in range(1, levels + 1):
        whole = replace(whole, apart=tuple(pairs[: activities * level // levels]))
        steps.append(Step("apart", level, whole, witness))
    named = (replace(step, problem=replace(step.problem, name=f"ramp {seed}: {step.kind} {step.level}")) for step in steps)
    return tuple(named)


def tardiness(seed: int, activities: int = 11, tightness: float = 0.6, spread: float = 0.4) -> Problem:
    """One machine, activities with due dates.

    Args:
        seed: equal seeds give equal problems.
        activities: how many there are.
        tightness: the share of activities that will be late, roughly ("TF", from 0 to 1).
        spread: how widely due dates are spread, as a share of all work ("RDD", from 0 to 1).

    Returns:
        Durations are drawn from 1 to 100, due dates from P(1 - tightness ± spread / 2), where P is the sum of the durations.

    Raises:
        UsageError: a number is senseless.

    Example:
        >>> problem = tardiness(seed=3)
        >>> len(problem), problem.resources
        (11, (Resource(name='machine', capacity=1, down=()),))

    Source:
        Potts and Van Wassenhove, 1982; so in arXiv 2510.24013.
    """
    settings.at_least_one("tardiness", activities=activities)
    settings.number("tardiness", 0.0, 1.0, tightness=tightness, spread=spread)
    draw = Random(f"tardiness {seed} {activities} {tightness} {spread}")
    durations = [draw.randint(1, 100) for _ in range(activities)]
    low, high = (sum(durations) * (1 - tightness + side * spread / 2) for side in (-1, 1))
    jobs = tuple(
        Activity(f"j{number}", duration, uses={"machine": 1}, due=max(0, round(draw.uniform(low, high))))
        for number, duration in enumerate(durations)
    )
    return Problem(jobs, (Resource("machine"),), name=f"tardiness {seed} ({tightness:g}, {spread:g})")


def job_shop(seed: int, jobs: int = 10, machines: int = 10, longest: int = 99) -> Problem:
    """Jobs that visit every machine once, each in its own order.

    Args:
        seed: equal seeds give equal problems.
        jobs: how many there are.
        machines: how many each visits.
        longest: durations are drawn from 1 to this.

    Returns:
        Activity "3.0" is the first one of job 3.

    Raises:
        UsageError: a number is senseless.

    Example:
        >>> len(job_shop(seed=0, jobs=3, machines=2))
        6

    Source:
        Taillard, 1993, with another generator of random numbers.
    """
    settings.at_least_one("job_shop", jobs=jobs, machines=machines, longest=longest)
    draw = Random(f"job shop {seed}")
    orders = [draw.sample(range(machines), machines) for _ in range(jobs)]
    return shop_of([[(machine, draw.randint(1, longest)) for machine in order] for order in orders], f"job shop {seed}")


def shop_of(jobs: Sequence[Sequence[tuple[int, int]]], name: str = "") -> Problem:
    """A job shop from the machine and the duration of each activity of each job."""
    activities = tuple(
        Activity(f"{job}.{place}", duration, (f"{job}.{place - 1}",) if place else (), {f"m{machine}": 1})
        for job, visits in enumerate(jobs)
        for place, (machine, duration) in enumerate(visits)
    )
    machines = sorted({machine for visits in jobs for machine, _ in visits})
    return Problem(activities, tuple(Resource(f"m{machine}") for machine in machines), name=name)


def _planted(draw: Random, activities: int, resources: int, levels: int) -> Iterator[Problem]:
    """The first half of a ramp: precedences, then downtimes."""
    shared = [Resource(f"r{number}", draw.randint(2, 4)) for number in range(resources)]
    plain = []
    for number in range(activities):
        used = draw.sample(shared, draw.randint(1, min(2, resources)))
        plain.append(Activity(f"a{number}", draw.randint(1, 10), uses={each.name: draw.randint(1, 2) for each in used}))
    edges = list(_edges(draw, activities, activities * 3 // 2))
    for level in range(1, levels + 1):
        some = edges[: len(edges) * level // levels]
        after = [tuple(f"a{one}" for one, other in some if other == number) for number in range(activities)]
        ready = tuple(replace(each, after=names) for each, names in zip(plain, after, strict=True))
        yield Problem(ready, tuple(shared))
    length = sum(each.duration for each in plain) // 2
    for _ in range(levels):
        which = draw.randrange(resources)
        start, lasts = draw.randint(1, max(2, length)), draw.randint(2, 8)
        shared[which] = replace(shared[which], down=tuple(sorted((*shared[which].down, (start, start + lasts)))))
        yield Problem(ready, tuple(shared))


def _edges(draw: Random, count: int, most: int) -> Iterator[tuple[int, int]]:
    """Precedences along a random order of which none follows from others, and none makes an earlier one follow."""
    order = draw.sample(range(count), count)
    pairs = [(one, other) for place, one in enumerate(order) for other in order[place + 1 : place + 8]]
    draw.shuffle(pairs)
    behind: list[set[int]] = [{number} for number in range(count)]  # itself, and all that waits for it
    ahead: list[set[int]] = [{number} for number in range(count)]
    edges: set[tuple[int, int]] = set()
    for one, other in pairs:
        if len(edges) == most:
            return
        if other in behind[one] or any(a in ahead[one] and b in behind[other] for a, b in edges):
            continue
        edges.add((one, other))
        for early in tuple(ahead[one]):
            behind[early] |= behind[other]
        for late in tuple(behind[other]):
            ahead[late] |= ahead[one]
        yield one, other


def _add_windows(draw: Random, problem: Problem, witness: Schedule, share: float, slack: float) -> Problem:
    """Releases and deadlines for a share of the activities, around the planted schedule. A window that is there may get tighter."""
    length = max(witness.starts[each.name] + each.duration for each in problem.activities)
    room = round(length * slack)
    made = []
    for number, each in enumerate(problem.activities):
        if number < len(problem) * share:
            start = witness.starts[each.name]
            release = max(each.release, start - draw.randint(0, room))
            deadline = start + each.duration + draw.randint(0, room)
            each = replace(each, release=release, deadline=min(deadline, each.deadline or deadline))
        made.append(each)
    return replace(problem, activities=tuple(made))


def _pairs_apart(draw: Random, problem: Problem, witness: Schedule) -> list[tuple[str, str]]:
    """Pairs that don't overlap in the planted schedule, of those that are close to each other."""
    spans = {each.name: (witness.starts[each.name], witness.starts[each.name] + each.duration) for each in problem.activities}
    names = list(spans)
    draw.shuffle(names)
    found: list[tuple[int, int, tuple[str, str]]] = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            gap = max(spans[one][0] - spans[other][1], spans[other][0] - spans[one][1])
            if gap >= 0:
                found.append((gap, len(found), (one, other)))
    near = [pair for _, _, pair in sorted(found)][: 4 * len(spans)]
    draw.shuffle(near)
    return near
