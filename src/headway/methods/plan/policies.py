"""Policies that let a plan run less freely than its edges allow, and policies that choose devices. All are pure.

Without a policy every step starts as soon as what it needs has ended. That is the fastest way where nothing else bounds it. The
others are here to compare with, for systems that work like that, and for devices that do one thing at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from headway.methods import settings
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


@dataclass(frozen=True)
class LeastBusy:
    """Give each ready step to a free device that can do it: the one that has done and does the fewest steps.

    Steps are taken in the order of the plan; one that finds no free device waits, and those behind it do not wait for it. What a
    step can be done with is what `View.choices` names for it.

    Attributes:
        at_once: how many steps a device does at a time, by its name; 1 for those that are not named.

    Raises:
        UsageError: a number of steps is no whole number from 1 on.

    Example:
        >>> view = View(ready=("a", "b", "c"), choices={"a": ("phone", "laptop"), "b": ("phone",), "c": ("phone", "laptop")})
        >>> [(action.step, action.choice) for action in LeastBusy()(view, Random(1))]
        [('a', 'phone'), ('c', 'laptop')]
    """

    at_once: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for device, number in self.at_once.items():
            settings.at_least_one("LeastBusy", **{f"at_once[{device!r}]": number})

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        busy = Counter(running.action.choice for running in view.running)
        done = Counter(seen.choice for seen in view.ended) + busy
        actions: list[Action] = []
        for step in view.ready:
            free = [device for device in view.choices.get(step, ("",)) if busy[device] < self.at_once.get(device, 1)]
            if free:
                device = min(free, key=lambda device: (done[device], busy[device]))
                busy[device] += 1
                done[device] += 1
                actions.append(Action(step, device, why=f"{device} is the least busy" if device else ""))
        return actions


def _first_choice(view: View, step: str) -> str:
    return next(iter(view.choices.get(step, ("",))), "")
