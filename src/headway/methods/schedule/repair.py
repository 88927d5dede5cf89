"""Deadlines that a list schedule misses: another list, found by local search.

The serial scheme makes a schedule from any list, and some list makes every schedule in which nothing can start earlier. So where
all deadlines can be kept, a list keeps them. A move puts something that is late, or that it waits for, further forward, or puts
something that is in its way behind it. A list that is no later than before is kept. Where that leads nowhere, the search begins
again from the next best list schedule. It must draw only from the generator that the caller brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from headway.methods.schedule.problem import Problem, Schedule

_MOVES = 100  # from one list, before the next one gets its turn
_LISTS = 5  # that take turns
_OWN, _BEHIND = 0.5, 0.3  # how often what is late moves itself, and how often something earlier is put behind it

Build = Callable[[Sequence[int]], Schedule]
"""Makes the schedule of a list of numbers."""


def lateness(problem: Problem, made: Schedule) -> int:
    """By how much a schedule misses deadlines, in sum."""
    ends = ((each.deadline, made.starts[each.name] + each.duration) for each in problem.activities)
    return sum(max(0, end - deadline) for deadline, end in ends if deadline is not None)


def keep_deadlines(problem: Problem, made: Sequence[Schedule], build: Build, tries: int, rng: Random) -> Schedule:
    """Look for a list whose schedule keeps all deadlines; the least late one that was seen where none does.

    `made`: schedules to begin from. `tries`: how many lists are built at most.
    """
    starts = sorted(made, key=lambda one: lateness(problem, one))[:_LISTS]
    best, before, left = starts[0], _all_before(problem), tries
    for turn in range(-(-tries // _MOVES)):
        line = sorted(range(len(problem)), key=lambda number: starts[turn % len(starts)].starts[problem.activities[number].name])
        for one in _improve(problem, line, build, before, min(_MOVES, left), rng):
            best = min(best, one, key=lambda some: lateness(problem, some))
            left -= 1
        if not lateness(problem, best):
            break
    return best


def _improve(
    problem: Problem, line: list[int], build: Build, before: Sequence[frozenset[int]], moves: int, rng: Random
) -> Iterator[Schedule]:
    """The schedules of one list and of those that moves make of it, until one keeps all deadlines."""
    made = build(line)
    late = lateness(problem, made)
    yield made
    for _ in range(moves - 1):
        if not late:
            return
        changed = _move(line, _pick(problem, made, before, rng), rng)
        tried = build(changed)
        yield tried
        if (now := lateness(problem, tried)) <= late:
            line, made, late = changed, tried, now


def _pick(problem: Problem, made: Schedule, before: Sequence[frozenset[int]], rng: Random) -> int:
    """What moves: an activity that is late, or one that it waits for."""
    ends = [(number, made.starts[each.name] + each.duration, each.deadline) for number, each in enumerate(problem.activities)]
    late = rng.choice([number for number, end, deadline in ends if deadline is not None and end > deadline])
    return late if rng.random() < _OWN else rng.choice([late, *sorted(before[late])])


def _move(line: Sequence[int], number: int, rng: Random) -> list[int]:
    """The list with an activity further forward, or with an earlier one behind it."""
    changed, place = list(line), line.index(number)
    other = rng.randrange(max(1, place))
    if rng.random() < _BEHIND:
        changed.insert(place, changed.pop(other))
    else:
        changed.insert(other, changed.pop(place))
    return changed


def _all_before(problem: Problem) -> list[frozenset[int]]:
    """For each activity, all that must end before it, directly or through others."""
    found: list[frozenset[int]] = [frozenset()] * len(problem)
    for number in problem.order:
        found[number] = frozenset().union(*(found[other] | {other} for other in problem.before[number]))
    return found
