"""Scheduling problems as data: activities, resources, and what must hold between them.

    problem = Problem(
        (Activity("cut", 3, uses={"saw": 1}), Activity("glue", 2, after=("cut",), deadline=9)),
        (Resource("saw", 1, down=((1, 2),)),),
    )

Times are whole numbers of any unit, so that a checker and a solver agree to the last unit. An activity runs without a break from
its start, uses its resources while it runs, and never runs while one of them is down. A problem that makes no sense (an unknown
name, a cycle, a negative duration) is refused when it is made. Whether one that makes sense has a schedule is for `clash` and the
solvers to say. A problem must never say in which order things are done: that is a `Schedule`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from headway.errors import UsageError
from headway.methods import settings
from headway.near import near_misses


@dataclass(frozen=True, slots=True)
class Activity:
    """Something to do, without a break.

    Attributes:
        name: what others call it by.
        duration: how long it takes.
        after: the activities that must have ended before it starts.
        uses: how much it takes of each resource while it runs.
        release: when it may start at the earliest.
        deadline: when it must have ended; None for never.
        due: when it should have ended; ending later is tardy and not forbidden. None for never.
        weight: what a unit of its tardiness counts.

    Raises:
        UsageError: a time or an amount is no whole number or negative.
    """

    name: str
    duration: int
    after: tuple[str, ...] = ()
    uses: Mapping[str, int] = field(default_factory=dict)
    release: int = 0
    deadline: int | None = None
    due: int | None = None
    weight: int = 1

    def __post_init__(self) -> None:
        where = f"Activity {self.name!r:.60}"
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"{where}: a name is a text that is not empty")
        settings.whole_number(where, duration=self.duration, release=self.release, weight=self.weight)
        for name, value in (("deadline", self.deadline), ("due", self.due)):
            if value is not None:
                settings.whole_number(where, least=None if name == "due" else 0, **{name: value})
        if not isinstance(self.after, tuple):
            raise UsageError(f"{where}: after={self.after!r:.60}: a tuple of names, such as ('cut',)")
        for resource, amount in self.uses.items():
            settings.at_least_one(where, **{f"uses[{resource!r}]": amount})


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that activities share.

    Attributes:
        name: what activities call it by.
        capacity: how much of it can be in use at once.
        down: when there is none of it, as (from, to); `to` is the first moment at which it is back.

    Raises:
        UsageError: the capacity is below 1, or a downtime is no pair of whole numbers that goes up.
    """

    name: str
    capacity: int = 1
    down: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        where = f"Resource {self.name!r:.60}"
        settings.at_least_one(where, capacity=self.capacity)
        for span in self.down:
            if not isinstance(span, tuple) or len(span) != 2:
                raise UsageError(f"{where}: down={span!r:.60}: a pair of times (from, to)")
            settings.whole_number(where, **{"down from": span[0], "down to": span[1]})
            if span[0] >= span[1]:
                raise UsageError(f"{where}: down={span!r}: its end must be after its start")


@dataclass(frozen=True)
class Problem:
    """What is to be scheduled, in the order in which ties are broken.

    Attributes:
        activities: what is to be done; their names differ.
        resources: what they share.
        apart: groups of activities of which no two may run at the same time, as on a machine that nobody named.
        name: for tables.

    Raises:
        UsageError: there is nothing to do, a name is there twice or unknown, or activities wait for each other in a circle.

    Example:
        >>> Problem((Activity("a", 2, after=("b",)), Activity("b", 1, after=("a",))))
        Traceback (most recent call last):
            ...
        headway.errors.UsageError: problem: activities wait for each other in a circle: a after b after a
    """

    activities: tuple[Activity, ...]
    resources: tuple[Resource, ...] = ()
    apart: tuple[tuple[str, ...], ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        where = f"problem {self.name!r}" if self.name else "problem"
        if not self.activities:
            raise UsageError(f"{where}: it has no activities, so there is nothing to schedule")
        settings.several(where, Activity, activities=self.activities)
        settings.several(where, Resource, resources=self.resources)
        _refuse_twice(where, "activity", (each.name for each in self.activities))
        _refuse_twice(where, "resource", (each.name for each in self.resources))
        resources = {each.name for each in self.resources}
        for each in self.activities:
            _refuse_unknown(f"{where}: activity {each.name!r}: after", each.after, self.numbers)
            _refuse_unknown(f"{where}: activity {each.name!r}: uses", each.uses, resources)
        for group in self.apart:
            _refuse_unknown(f"{where}: apart", group, self.numbers)
            if len(set(group)) != len(group) or len(group) < 2:
                raise UsageError(f"{where}: apart={group!r:.80}: at least two activities, each once")
        if len(self.order) < len(self.activities):
            raise UsageError(f"{where}: activities wait for each other in a circle: {' after '.join(self._find_circle())}")

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place of each activity, by name."""
        return {each.name: number for number, each in enumerate(self.activities)}

    def __getitem__(self, name: str) -> Activity:
        """The activity of a name. Raises KeyError where there is none."""
        return self.activities[self.numbers[name]]

    def __len__(self) -> int:
        return len(self.activities)

    @cached_property
    def before(self) -> tuple[tuple[int, ...], ...]:
        """For each activity, the numbers of those that it waits for."""
        return tuple(tuple(self.numbers[name] for name in dict.fromkeys(each.after)) for each in self.activities)

    @cached_property
    def behind(self) -> tuple[tuple[int, ...], ...]:
        """For each activity, the numbers of those that wait for it."""
        found: list[list[int]] = [[] for _ in self.activities]
        for number, earlier in enumerate(self.before):
            for other in earlier:
                found[other].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The numbers of all activities, each behind those that it waits for. Shorter where there is a circle."""
        waits = [len(earlier) for earlier in self.before]
        found = [number for number, count in enumerate(waits) if not count]
        for number in found:
            for other in self.behind[number]:
                waits[other] -= 1
                if not waits[other]:
                    found.append(other)
        return tuple(found)

    @cached_property
    def horizon(self) -> int:
        """A time by which everything can have ended, deadlines aside: one after another once all is released and up."""
        last = max([each.release for each in self.activities] + [span[1] for each in self.resources for span in each.down])
        return last + sum(each.duration for each in self.activities)

    def _find_circle(self) -> list[str]:
        left = set(range(len(self.activities))) - set(self.order)
        way = [min(left)]
        while way[-1] not in way[:-1]:
            way.append(next(other for other in self.before[way[-1]] if other in left))
        return [self.activities[number].name for number in way[way.index(way[-1]) :]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each activity starts. Whether that is allowed, `check` says.

    Attributes:
        starts: the times by name.
    """

    starts: Mapping[str, int]


def _refuse_twice(where: str, what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{where}: {what} {twice[0]!r} is there twice: give each its own name")


def _refuse_unknown(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = set(known)
    for name in names:
        if name not in there:
            raise UsageError(f"{where}: there is no {name!r:.60}; {near_misses(name, there)}")
