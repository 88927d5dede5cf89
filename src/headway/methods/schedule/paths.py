"""What paths through a problem say of its activities: when each can start at the earliest, and when it must end at the latest.

These are bounds. Each activity is looked at as if it had its resources for itself, so a schedule may have to be worse, and is never
better.
"""

from __future__ import annotations

import math

from headway.methods.schedule.problem import Problem


def earliest_starts(problem: Problem) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """For each activity, by number, a time before which it can't start, and what makes it so, in words."""
    sizes = {each.name: each for each in problem.resources}
    found: dict[int, tuple[int, tuple[str, ...]]] = {}
    for number in problem.order:
        each = problem.activities[number]
        start, why = 0, tuple[str, ...]()
        for other in problem.before[number]:
            before, (begins, reasons) = problem.activities[other], found[other]
            if begins + before.duration > start:
                start, why = begins + before.duration, (*reasons, f"{before.name!r} takes {before.duration}")
        if each.release > start:
            start, why = each.release, (f"{each.name!r} is released at {each.release}",)
        for down, up, name in sorted((*span, used) for used in each.uses for span in sizes[used].down):
            if each.duration and start < up and down < start + each.duration:
                start, why = up, (*why, f"{name!r} is down from {down} to {up}")
        found[number] = start, why
    return tuple(found[number] for number in range(len(problem)))


def tails(problem: Problem) -> tuple[int, ...]:
    """For each activity, the longest way from its start to the end of all that waits for it."""
    found = [0] * len(problem)
    for number in reversed(problem.order):
        found[number] = problem.activities[number].duration + max((found[other] for other in problem.behind[number]), default=0)
    return tuple(found)


def latest_ends(problem: Problem, *, due: bool = False) -> tuple[float, ...]:
    """For each activity, when it must end so that it and all that waits for it keep their deadlines; infinity where there are none.

    `due`: the same for due dates.
    """
    found = [math.inf] * len(problem)
    for number in reversed(problem.order):
        each = problem.activities[number]
        own = each.due if due else each.deadline
        behind = (found[other] - problem.activities[other].duration for other in problem.behind[number])
        found[number] = min(math.inf if own is None else own, *behind, math.inf)
    return tuple(found)


def lower_bound(problem: Problem) -> int:
    """A makespan that no schedule is below: the longest path, or the work on the resource that has most of it.

    Args:
        problem: the problem.

    Returns:
        The bound. The best makespan may be longer.

    Example:
        >>> from headway.methods.schedule import Activity
        >>> lower_bound(Problem((Activity("a", 2), Activity("b", 3, after=("a",)))))
        5
    """
    after = tails(problem)
    path = max(start + tail for (start, _), tail in zip(earliest_starts(problem), after, strict=True))
    loads = []
    for resource in problem.resources:
        work = sum(each.duration * each.uses.get(resource.name, 0) for each in problem.activities)
        loads.append(-(-work // resource.capacity))
    return max(path, *loads, 0)
