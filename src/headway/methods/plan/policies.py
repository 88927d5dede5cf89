"""Policies that let a plan run less freely than its edges allow. All are pure.

Without a policy every step starts as soon as what it needs has ended. That is the fastest way where nothing else bounds it. These
are here to compare with, and for systems that work like that.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from headway.methods.records import Action, View


def rounds(view: View, rng: Random, /) -> Sequence[Action]:
    """Start all that is ready once nothing runs, as Divide-Then-Aggregate does: each round waits for the slowest of the one before.

    It is never faster than dataflow. It is as fast only where one chain of steps holds a slowest step of each level.

    Args:
        view: what may start, and what runs.
        rng: not used.

    Returns:
        An action for each ready step, or none while something runs.

    Example:
        >>> rounds(View(ready=("a", "b")), Random(1))
        [Action(step='a', choice='', count=1, why=''), Action(step='b', choice='', count=1, why='')]

    Source:
        DTA-Llama: Zhu et al., arXiv 2501.12432 (ACL 2025); after the idea of.
    """
    return [] if view.running else [Action(step, _first_choice(view, step)) for step in view.ready]


def one_by_one(view: View, rng: Random, /) -> Sequence[Action]:
    """Start the first ready step once nothing runs, as an agent does that calls one tool a turn.

    Args:
        view: what may start, and what runs.
        rng: not used.

    Returns:
        At most one action.

    Example:
        >>> one_by_one(View(ready=("a", "b")), Random(1))
        [Action(step='a', choice='', count=1, why='')]
    """
    return [] if view.running else [Action(step, _first_choice(view, step)) for step in view.ready[:1]]


def _first_choice(view: View, step: str) -> str:
    return next(iter(view.choices.get(step, ("",))), "")
