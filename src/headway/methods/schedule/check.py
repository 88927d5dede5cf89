"""The one checker: what a schedule breaks, and what it is worth.

It shares no code with the schedulers and knows nothing of how a schedule was made, so that a fault of theirs can't hide in it. All
that a scheduler, a solver, a test or a table claims of a schedule comes from here. It must never repair anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from headway.errors import UsageError
from headway.methods.schedule.problem import Activity, Problem, Resource, Schedule


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must hold and does not.

    Attributes:
        kind: "missing", "unknown", "time", "precedence", "release", "deadline", "capacity", "downtime" or "apart".
        activities: the names of those that are involved.
        text: a sentence.
    """

    kind: str
    activities: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a schedule is worth; the less, the better.

    Attributes:
        makespan: when the last activity ends.
        total_tardiness: the sum of what activities end after they are due.
        weighted_tardiness: the same, each times its weight.
        late: how many end after they are due.
        most_tardy: the largest tardiness.
    """

    makespan: int
    total_tardiness: int
    weighted_tardiness: int
    late: int
    most_tardy: int


def check(problem: Problem, schedule: Schedule) -> tuple[Violation, ...]:
    """Everything that a schedule breaks.

    Args:
        problem: what must hold.
        schedule: when each activity starts.

    Returns:
        The violations; none for a schedule that is allowed. An activity that is missing is reported once, and looked at no further.

    Example:
        >>> problem = Problem((Activity("a", 2), Activity("b", 1, after=("a",))))
        >>> [each.text for each in check(problem, Schedule({"a": 0, "b": 1}))]
        ["'b' starts at 1, before 'a' ends at 2"]
        >>> check(problem, Schedule({"a": 0, "b": 2}))
        ()
    """
    return tuple(_violations(problem, schedule))


def measure(problem: Problem, schedule: Schedule) -> Objectives:
    """What a schedule is worth.

    Args:
        problem: says how long activities take and when they are due.
        schedule: when each starts; it may break what must hold, but has to know every activity.

    Returns:
        The values of all objectives, in the problem's unit of time.

    Raises:
        UsageError: an activity has no start.

    Example:
        >>> problem = Problem((Activity("a", 2, due=1), Activity("b", 1, due=9)))
        >>> measure(problem, Schedule({"a": 0, "b": 2}))
        Objectives(makespan=3, total_tardiness=1, weighted_tardiness=1, late=1, most_tardy=1)
    """
    lost = [each.name for each in problem.activities if each.name not in schedule.starts]
    if lost:
        raise UsageError(f"measure: the schedule has no start for {lost[0]!r} and {len(lost) - 1} others: check it first")
    ends = [schedule.starts[each.name] + each.duration for each in problem.activities]
    tardy = [max(0, end - each.due) if each.due is not None else 0 for end, each in zip(ends, problem.activities, strict=True)]
    weighted = sum(late * each.weight for late, each in zip(tardy, problem.activities, strict=True))
    return Objectives(max(ends), sum(tardy), weighted, sum(late > 0 for late in tardy), max(tardy))


def _violations(problem: Problem, schedule: Schedule) -> Iterator[Violation]:
    starts = schedule.starts
    for name in starts:
        if name not in problem.numbers:
            yield Violation("unknown", (name,), f"{name!r} is scheduled, and the problem has no such activity")
    there: list[Activity] = []
    for each in problem.activities:
        start = starts.get(each.name)
        if start is None:
            yield Violation("missing", (each.name,), f"{each.name!r} is not scheduled")
        elif not isinstance(start, int) or isinstance(start, bool) or start < 0:
            yield Violation("time", (each.name,), f"{each.name!r} starts at {start!r}: a whole number, at least 0")
        else:
            there.append(each)
    sound = {each.name for each in there}
    for each in there:
        yield from _of_one(problem, schedule, each, sound)
    for resource in problem.resources:
        yield from _of_resource(resource, schedule, [each for each in there if resource.name in each.uses and each.duration])
    for group in problem.apart:
        for one, other in combinations([problem[name] for name in group if name in sound], 2):
            if _overlap(starts[one.name], one.duration, starts[other.name], other.duration):
                names = one.name, other.name
                yield Violation("apart", names, f"{names[0]!r} and {names[1]!r} must be apart, and run at the same time")


def _of_one(problem: Problem, schedule: Schedule, each: Activity, sound: set[str]) -> Iterator[Violation]:
    """What an activity breaks by itself and with those that it waits for."""
    start = schedule.starts[each.name]
    end = start + each.duration
    for name in each.after:
        if name in sound and (before := schedule.starts[name] + problem[name].duration) > start:
            text = f"{each.name!r} starts at {start}, before {name!r} ends at {before}"
            yield Violation("precedence", (name, each.name), text)
    if start < each.release:
        yield Violation("release", (each.name,), f"{each.name!r} starts at {start}, before its release at {each.release}")
    if each.deadline is not None and end > each.deadline:
        yield Violation("deadline", (each.name,), f"{each.name!r} ends at {end}, after its deadline at {each.deadline}")


def _of_resource(resource: Resource, schedule: Schedule, users: Sequence[Activity]) -> Iterator[Violation]:
    """Where a resource is used while it is down, and where more of it is used than there is."""
    spans = [(schedule.starts[each.name], schedule.starts[each.name] + each.duration, each) for each in users]
    for start, end, each in spans:
        for down, up in resource.down:
            if start < up and down < end:
                text = f"{each.name!r} uses {resource.name!r} from {start} to {end}, which is down from {down} to {up}"
                yield Violation("downtime", (each.name,), text)
    reported: set[tuple[str, ...]] = set()
    for moment, _, _ in sorted(spans, key=lambda span: span[0]):  # the use can only rise where something starts
        running = [each for start, end, each in spans if start <= moment < end]
        used = sum(each.uses[resource.name] for each in running)
        names = tuple(each.name for each in running)
        if used > resource.capacity and names not in reported:
            reported.add(names)
            text = f"at {moment}, {', '.join(map(repr, names))} use {used} of {resource.name!r}, which has {resource.capacity}"
            yield Violation("capacity", names, text)


def _overlap(start: int, duration: int, other: int, lasts: int) -> bool:
    return bool(duration and lasts) and start < other + lasts and other < start + duration
