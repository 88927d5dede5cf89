"""The least total tardiness of one machine, by dynamic programming over subsets: what rules and solvers are held against."""

from __future__ import annotations

from headway.errors import UsageError
from headway.methods.schedule.problem import Problem, Resource, Schedule

MOST = 16


def least_tardiness(problem: Problem) -> Schedule:
    """A schedule of one machine with the least weighted tardiness.

    Args:
        problem: up to 16 activities on one resource of capacity 1, with nothing else that must hold.

    Returns:
        Activities one after another, without a gap.

    Raises:
        UsageError: there are too many activities, or something else must hold.

    Example:
        >>> from headway.methods.schedule import Activity
        >>> jobs = Activity("a", 4, uses={"machine": 1}, due=4), Activity("b", 1, uses={"machine": 1}, due=1)
        >>> problem = Problem(jobs, (Resource("machine"),))
        >>> least_tardiness(problem).starts
        {'b': 0, 'a': 1}

    Source:
        Held and Karp, 1962. It takes time in proportion to n · 2ⁿ.
    """
    each = problem.activities
    machine = problem.resources[0].name if len(problem.resources) == 1 else ""
    alone = bool(machine) and problem.resources[0] == Resource(machine) and not problem.apart
    if not alone or any(one.after or one.release or one.deadline is not None or one.uses != {machine: 1} for one in each):
        raise UsageError("least_tardiness: one resource of capacity 1 that all use, and nothing else that must hold")
    if len(each) > MOST:
        raise UsageError(f"least_tardiness: {len(each)} activities: at most {MOST}, because time doubles with each")
    best, last, ends = [0] * (1 << len(each)), [0] * (1 << len(each)), [0] * (1 << len(each))
    for subset in range(1, 1 << len(each)):
        inside = [number for number in range(len(each)) if subset >> number & 1]
        ends[subset] = ends[subset & (subset - 1)] + each[inside[0]].duration
        values = []
        for number in inside:
            due = each[number].due
            tardy = 0 if due is None else max(0, ends[subset] - due) * each[number].weight
            values.append((best[subset ^ (1 << number)] + tardy, number))
        best[subset], last[subset] = min(values)
    starts, subset = {}, (1 << len(each)) - 1
    while subset:
        number = last[subset]
        starts[each[number].name] = ends[subset] - each[number].duration
        subset ^= 1 << number
    return Schedule({name: starts[name] for name in reversed(starts)})
