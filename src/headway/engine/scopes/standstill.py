"""Which of several that wait can never go on: detecting a standstill, as a pure function.

Some wait for others to end, some for an amount that others hold. Let all end that can, give back what they hold, and look again,
until nothing moves: whoever is left waits for ever. Nothing else can help them, for this is the best that can happen.

It knows no calls and no budgets: `Party` says all that matters of one of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Party(NamedTuple, Generic[K]):
    """Somebody who ends when all `after` have and so much is left of each thing in `wants`, and then gives back what it `holds`."""

    after: Sequence[K] = ()
    holds: Mapping[Hashable, float] = {}
    wants: Mapping[Hashable, float] = {}
    waits_for: Sequence[K] = ()  # parties that hold what it wants


def find_stuck(parties: Mapping[K, Party[K]], left: Mapping[Hashable, float]) -> set[K]:
    """Who can never end. `left`: how much there is of each thing that somebody wants and nobody holds. Whoever is named in `after`
    and is no party ends by itself."""
    left = dict(left)
    stuck = dict.fromkeys(parties)
    moved = True
    while moved:
        moved = False
        for name in list(stuck):
            party = parties[name]
            if any(other in stuck for other in party.after) or any(left[what] < much for what, much in party.wants.items()):
                continue
            del stuck[name]
            moved = True
            for what, much in party.holds.items():
                if what in left:
                    left[what] += much
    return set(stuck)


def find_circle(parties: Mapping[K, Party[K]], stuck: set[K], start: K) -> bool:
    """Whether `start` waits for itself, by way of others that are stuck: they would go on if it gave up."""
    seen: set[K] = set()
    stack = [start]
    while stack:
        party = parties[stack.pop()]
        for other in (*party.after, *party.waits_for):
            if other == start:
                return True
            if other in stuck and other not in seen:
                seen.add(other)
                stack.append(other)
    return False
