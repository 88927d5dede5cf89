"""Why a problem can't be solved: its constraints one by one, and those that clash.

    find_clash(problem)             # what a look at paths, windows and capacities proves, at once
    cp_sat.explain(problem)         # a smallest set that a solver proves impossible

A problem can be relaxed to any subset of its constraints; it is again a problem. So "these clash" is a claim that can be checked:
relaxed to them alone it has no schedule. `find_clash` is quick and says only what it can prove. None from it promises nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from headway.errors import UsageError
from headway.methods.schedule.paths import earliest_starts
from headway.methods.schedule.problem import Problem, Resource

_SHOWN = 12  # constraints in a message


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that must hold.

    Attributes:
        kind: "precedence", "release", "deadline", "capacity", "downtime" or "apart".
        names: activities, or the resource, that it is about.
        place: which of a resource's downtimes, or which group of `apart`; otherwise 0.
        text: in words.
    """

    kind: str
    names: tuple[str, ...]
    place: int = 0
    text: str = ""


class InfeasibleProblem(UsageError):
    """No schedule can keep all constraints of a problem; the message names some that clash. Raised before anything is scheduled."""


def constraints_of(problem: Problem) -> tuple[Constraint, ...]:
    """All that must hold, apart from durations.

    Args:
        problem: the problem.

    Returns:
        Precedences, releases, deadlines, capacities, downtimes, and groups that must be apart.

    Example:
        >>> from headway.methods.schedule import Activity
        >>> [each.text for each in constraints_of(Problem((Activity("a", 1), Activity("b", 1, after=("a",), deadline=5))))]
        ["'b' after 'a'", "deadline of 'b' at 5"]
    """
    found: list[Constraint] = []
    for each in problem.activities:
        name = each.name
        found += [Constraint("precedence", (other, name), 0, f"{name!r} after {other!r}") for other in dict.fromkeys(each.after)]
        if each.release:
            found.append(Constraint("release", (name,), 0, f"release of {name!r} at {each.release}"))
        if each.deadline is not None:
            found.append(Constraint("deadline", (name,), 0, f"deadline of {name!r} at {each.deadline}"))
    for resource in problem.resources:
        name = resource.name
        found.append(Constraint("capacity", (name,), 0, f"capacity {resource.capacity} of {name!r}"))
        for place, (down, up) in enumerate(resource.down):
            found.append(Constraint("downtime", (name,), place, f"downtime of {name!r} from {down} to {up}"))
    for place, group in enumerate(problem.apart):
        found.append(Constraint("apart", group, place, f"{', '.join(map(repr, group))} apart"))
    return tuple(found)


def relax(problem: Problem, keep: Collection[Constraint]) -> Problem:
    """The same activities under some of the constraints.

    Args:
        problem: the problem.
        keep: those of its constraints that still hold.

    Returns:
        A problem that every schedule of the first one solves.

    Example:
        >>> from headway.methods.schedule import Activity
        >>> relax(Problem((Activity("a", 1), Activity("b", 1, after=("a",)))), keep=()).activities[1].after
        ()
    """
    kept = {(each.kind, each.names, each.place) for each in keep}
    most = {each.name: sum(user.uses.get(each.name, 0) for user in problem.activities) for each in problem.resources}
    resources = tuple(
        Resource(
            each.name,
            each.capacity if ("capacity", (each.name,), 0) in kept else max(each.capacity, most[each.name]),
            tuple(span for place, span in enumerate(each.down) if ("downtime", (each.name,), place) in kept),
        )
        for each in problem.resources
    )
    activities = tuple(
        replace(
            each,
            after=tuple(name for name in each.after if ("precedence", (name, each.name), 0) in kept),
            release=each.release if ("release", (each.name,), 0) in kept else 0,
            deadline=each.deadline if ("deadline", (each.name,), 0) in kept else None,
        )
        for each in problem.activities
    )
    apart = tuple(group for place, group in enumerate(problem.apart) if ("apart", group, place) in kept)
    return Problem(activities, resources, apart, problem.name)


def find_clash(problem: Problem) -> str:
    """What can't work, as far as a look at each activity, and at each path with its releases and downtimes, proves it.

    Args:
        problem: the problem.

    Returns:
        A sentence that names the constraints that clash. Empty where nothing is proven.

    Example:
        >>> from headway.methods.schedule import Activity
        >>> find_clash(Problem((Activity("a", 5), Activity("b", 3, after=("a",), deadline=7))))
        "'b' ends at 8 at the earliest, after its deadline at 7: 'a' takes 5, 'b' takes 3"
    """
    sizes = {each.name: each for each in problem.resources}
    for each in problem.activities:
        for name, amount in each.uses.items():
            if amount > sizes[name].capacity:
                return f"{each.name!r} uses {amount} of {name!r}, which has {sizes[name].capacity}"
    found = earliest_starts(problem)
    for number in problem.order:
        each, (start, reasons) = problem.activities[number], found[number]
        end = start + each.duration
        if each.deadline is not None and end > each.deadline:
            why = ", ".join((*reasons, f"{each.name!r} takes {each.duration}"))
            return f"{each.name!r} ends at {end} at the earliest, after its deadline at {each.deadline}: {why}"
    return ""


def refuse_infeasible(problem: Problem) -> None:
    """Raise InfeasibleProblem where `find_clash` proves that a problem has no schedule."""
    if clash := find_clash(problem):
        raise InfeasibleProblem(f"{_title(problem)} has no schedule: {clash}")


def clashing(problem: Problem, clash: Collection[Constraint]) -> InfeasibleProblem:
    """The error for constraints that a solver found to clash."""
    said = "; ".join(each.text for each in list(clash)[:_SHOWN])
    if len(clash) > _SHOWN:
        said += f"; and {len(clash) - _SHOWN} more, as far as was found in time"
    return InfeasibleProblem(f"{_title(problem)} has no schedule: these constraints clash: {said}. Drop or loosen one of them")


def _title(problem: Problem) -> str:
    return f"problem {problem.name!r}" if problem.name else "the problem"
