"""What a run under a policy came to: results, why it ended, what was seen, and what the policy decided."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from headway.methods.records import Action, Observation

K = TypeVar("K", bound=Hashable)
T_co = TypeVar("T_co", covariant=True)

Ended = Literal["done", "gave up", "budget", "deadline"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a policy decided when it was asked once.

    Attributes:
        actions: what it started, each with its `why`; empty where it waited or gave up.
        left: what was left to spend then, by unit.
        left_s: seconds until the deadline.
    """

    actions: tuple[Action, ...]
    left: Mapping[str, float] = field(default_factory=dict)
    left_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Ran(Generic[K, T_co]):
    """What came of a plan or a map.

    Attributes:
        results: the first good result of each step (of a plan by id, of a map by place) that has one.
        stopped: why it ended: all steps are "done", the policy "gave up", or the "budget" or the "deadline" was used up.
        observations: every sample that ended by itself, in recorded order. Samples that were cancelled, because another one had
            succeeded, are not among them: a cut-off time or cost says nothing about the next one.
        turns: what the policy decided, each time that it was asked.
    """

    results: Mapping[K, T_co]
    stopped: Ended
    observations: tuple[Observation, ...] = ()
    turns: tuple[Turn, ...] = ()
