"""Dispatch rules: which of those that are ready comes first.

    EDD.rank(Ready(number=0, duration=3, due=9.0), Scene(now=0.0, count=1, longest=3, total=3, earliest_due=9.0))

A rule is a pure function from what is known of one ready activity, and of all that have not started, to a key; the smallest key
comes first, and equal keys keep their order. It knows no problem, clock or queue. So one rule orders a list schedule, a ready queue
and a simulation, and a caller can bring one: `Rule("mine", lambda each, scene: -each.duration, fixed=True)`.

A fixed rule gives an activity the same key at any time, so a queue may be a heap. Any other is asked again at each decision. A rule
must never draw random numbers or keep anything: a replay asks it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headway.errors import UsageError


@dataclass(frozen=True, slots=True)
class Ready:
    """What a rule sees of something that is ready to start.

    Attributes:
        number: its place in the problem, or of a call in the order of arrival.
        duration: how long it takes, as far as is known.
        due: when it should have ended, for what is due behind it as well; infinity for never.
        ahead: the longest way from its start to the end of all that waits for it, its own duration included.
        latest: when it must start, for deadlines behind it as well; infinity where there is none.
        weight: what a unit of its tardiness counts.
        uses: how much it takes of each resource.
    """

    number: int
    duration: float
    due: float = math.inf
    ahead: float = 0.0
    latest: float = math.inf
    weight: float = 1.0
    uses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """When a rule is asked, and what it may know of all that have not started yet, ready or not.

    Attributes:
        now: the time of the decision.
        count: how many have not started.
        longest: the longest duration among them.
        total: the sum of their durations.
        earliest_due: the earliest of their due dates; infinity where none is due.
    """

    now: float
    count: int
    longest: float
    total: float
    earliest_due: float = math.inf


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to order what is ready.

    Attributes:
        name: for tables and messages.
        key: from one ready thing and the scene to a number; the smallest comes first.
        fixed: whether the key of a thing never depends on the scene.
    """

    name: str
    key: Callable[[Ready, Scene], float]
    fixed: bool = False

    def rank(self, each: Ready, scene: Scene) -> tuple[float, int]:
        """What a queue is ordered by: the key, and the place where keys are equal.

        Args:
            each: what is ready.
            scene: when it is asked.

        Returns:
            The smallest of these comes first.

        Raises:
            UsageError: the key is no number, or NaN.

        Example:
            >>> LPT.rank(Ready(number=4, duration=3.0), Scene(0.0, 1, 3.0, 3.0))
            (-3.0, 4)
        """
        key = self.key(each, scene)
        if isinstance(key, bool) or not isinstance(key, int | float) or math.isnan(key):
            raise UsageError(f"rule {self.name!r}: the key of {each!r:.120} is {key!r:.40}: a number (NaN is none)")
        return key, each.number


def fifo(each: Ready, scene: Scene) -> float:
    """In their order: what a queue does without a rule.

    Source:
        Folklore.
    """
    return 0.0


def edd(each: Ready, scene: Scene) -> float:
    """Earliest due date first: no order has a smaller maximum lateness on one machine.

    Source:
        Jackson, 1955.
    """
    return each.due


def mdd(each: Ready, scene: Scene) -> float:
    """Modified due date first: what is late anyway counts by when it could end.

    Source:
        Baker and Bertrand, 1982.
    """
    return max(scene.now + each.duration, each.due)


def eddc(each: Ready, scene: Scene) -> float:
    """Earliest due date first, but the last two change places where both end before they are due.

    On one machine that leaves the total tardiness as it is: both are on time in either order.

    Source:
        EDD Challenger: Çetinkaya et al., arXiv 2510.24013; after the idea of.
    """
    swaps = scene.count == 2 and scene.earliest_due > scene.now + scene.total
    return -each.due if swaps and each.due < math.inf else each.due


def mddc(each: Ready, scene: Scene) -> float:
    """Modified due date, with longer activities put off a little, by how they compare with all that are left.

    It departs where activities have no due date: they come last, in their order.

    Source:
        MDD Challenger: Çetinkaya et al., arXiv 2510.24013.
    """
    if each.due == math.inf or not scene.total:
        return each.due
    value = max(1.1 * each.duration + scene.now, each.due)
    share = min(each.duration / (scene.now + scene.longest), 1.0)
    value *= 1 + share**2 / (1 + share**2)
    return value + each.duration / (scene.now + scene.total / scene.count)


def critical_path(each: Ready, scene: Scene) -> float:
    """The longest way ahead first.

    Source:
        Hu, 1961.
    """
    return -each.ahead


def longest_first(each: Ready, scene: Scene) -> float:
    """The longest processing time first: on equal machines at most 4/3 of the least makespan.

    Source:
        LPT: Graham, 1969.
    """
    return -each.duration


def shortest_first(each: Ready, scene: Scene) -> float:
    """The shortest processing time first: no order has a smaller mean time of completion on one machine.

    Source:
        SPT: Smith, 1956.
    """
    return each.duration


def latest_start(each: Ready, scene: Scene) -> float:
    """What must start soonest first, to end by its deadline and let what waits for it end by theirs.

    Source:
        Least latest start time: Kolisch, 1996.
    """
    return each.latest


FIFO = Rule("first come", fifo, fixed=True)
EDD = Rule("EDD", edd, fixed=True)
MDD = Rule("MDD", mdd)
EDDC = Rule("EDDC", eddc)
MDDC = Rule("MDDC", mddc)
CRITICAL_PATH = Rule("critical path", critical_path, fixed=True)
LPT = Rule("longest first", longest_first, fixed=True)
SPT = Rule("shortest first", shortest_first, fixed=True)
LATEST_START = Rule("latest start", latest_start, fixed=True)

RULES: dict[str, Rule] = {rule.name: rule for rule in (FIFO, EDD, MDD, EDDC, MDDC, CRITICAL_PATH, LPT, SPT, LATEST_START)}
"""All rules by name, for commands and tables."""
