"""Where failures gather: groups of items that fail more often than the rest by more than chance.

Pure: from labels and outcomes to a list of groups. `ssd` finds the labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from headway.errors import UsageError
from headway.methods import settings
from headway.view import RunView

LABELS = 2  # that a group is made of, at most


@dataclass(frozen=True, slots=True)
class Slice:
    """Items that share something.

    Attributes:
        where: what they share: dimension and attribute.
        items: their places.
        failures: how many of them failed.
        expected: how many would have, if they were like all.
        chance: how likely so many failures are in as many items drawn from all, times the number of groups looked at; at most 1.
    """

    where: tuple[tuple[str, str], ...]
    items: tuple[int, ...]
    failures: int
    expected: float
    chance: float

    @property
    def rate(self) -> float:
        """The share of its items that failed."""
        return self.failures / len(self.items)


def find_slices(labels: Mapping[str, Sequence[str | None]], failed: Sequence[bool], *, smallest: int = 5) -> list[Slice]:
    """Rank the groups of items by how little their failures look like chance.

    A group shares one attribute, or one of each of two dimensions. The chance is that of Fisher's exact test, corrected for the
    number of groups by Bonferroni.

    Args:
        labels: by dimension the attribute of each item, None where it has none.
        failed: whether each item failed.
        smallest: items of a group, at least.

    Returns:
        The groups that fail more often than all items do, the least likely first; of equal ones that with fewer conditions.

    Raises:
        UsageError: a dimension has more or fewer labels than there are items.

    Example:
        >>> failed = [True] * 6 + [False] * 18
        >>> labels = {"wheel": ["left"] * 6 + ["right"] * 18, "colour": ["red", "blue"] * 12}
        >>> find_slices(labels, failed)[0].where
        (('wheel', 'left'),)
    """
    settings.at_least_one("find_slices", smallest=smallest)
    for name, given in labels.items():
        if len(given) != len(failed):
            raise UsageError(f"find_slices: dimension {name!r} has {len(given)} labels for {len(failed)} items")
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place in range(len(failed)):
        has = [(name, label) for name, given in labels.items() if (label := given[place]) is not None]
        for count in range(1, LABELS + 1):
            for where in combinations(has, count):
                groups.setdefault(where, []).append(place)
    large = {where: items for where, items in groups.items() if smallest <= len(items) < len(failed)}
    found = [_make_slice(where, items, failed, len(large)) for where, items in large.items()]
    worse = [each for each in found if each.failures > each.expected]
    return sorted(worse, key=lambda each: (each.chance, -each.rate, len(each.where), each.where))


def _make_slice(where: tuple[tuple[str, str], ...], items: list[int], failed: Sequence[bool], looked: int) -> Slice:
    failures, total, bad = sum(failed[place] for place in items), len(failed), sum(failed)
    chance = upper_tail(total, bad, len(items), failures)
    return Slice(where, tuple(items), failures, bad * len(items) / total, min(1.0, chance * looked))


def upper_tail(total: int, marked: int, drawn: int, found: int) -> float:
    """The chance that of `drawn` out of `total`, of which some are marked, at least `found` are marked: the hypergeometric tail.

    Example:
        >>> round(upper_tail(10, 5, 5, 5) * math.comb(10, 5), 6)
        1.0
    """
    most = min(marked, drawn)
    whole = _log_choose(total, drawn)
    least = max(found, drawn - (total - marked))
    terms = (_log_choose(marked, each) + _log_choose(total - marked, drawn - each) for each in range(least, most + 1))
    return min(1.0, math.fsum(math.exp(term - whole) for term in terms))


def _log_choose(total: int, taken: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(taken + 1) - math.lgamma(total - taken + 1)


def read_outcomes(view: RunView, task: str) -> tuple[list[str], list[bool]]:
    """The calls of a task in a run, as texts to find groups of, and whether each failed.

    Args:
        view: the run.
        task: the task, by its whole name or the last part of it.

    Returns:
        A text for each call that has ended: its arguments, by name. And whether it failed. A cancelled call has not failed.

    Raises:
        UsageError: the run has no call of this task.

    Example:
        >>> @hw.task
        ... async def invert(x: int) -> float:
        ...     return 1 / x
        >>> @hw.task
        ... async def program() -> int:
        ...     return len(await hw.settle(invert(0), invert(2)))
        >>> hw.run(program, store="runs", run_id="one")
        2
        >>> read_outcomes(hw.view("one", store="runs"), "invert")
        (['x=0', 'x=2'], [True, False])
    """
    calls = sorted(
        (call for call in view.find(task) if call.state in ("ok", "failed")), key=lambda call: (call.started or 0, call.key)
    )
    texts = ["; ".join(f"{name}={value}" for name, value in call.arguments.items()) or call.label for call in calls]
    return texts, [not call.ok for call in calls]
