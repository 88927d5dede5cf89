"""The box of all tasks that a teacher may give, and what every teacher is: a record that samples and learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, Self, TypeVar

from headway.errors import UsageError

Task = tuple[float, ...]
DIGITS = 6
T = TypeVar("T")


class Teacher(Protocol[T]):
    """Chooses what a student tries next, from how it did. Immutable: `update` returns another one. All chance comes from `rng`."""

    def sample(self, rng: Random, /) -> T:
        """Choose the next task.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        ...

    def update(self, task: T, reward: float, /) -> Self:
        """Learn from an episode.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it. This one is unchanged.

        Raises:
            UsageError: the reward is not finite, or the task does not fit the teacher.
        """
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """All tasks between two corners: one number for each thing that makes a task harder or easier.

    Attributes:
        low: the lower corner.
        high: the upper corner.

    Raises:
        UsageError: the corners have no or unequal numbers, one is not finite, or a side has no length.

    Example:
        >>> box = Box((0.0, 1.0), (2.0, 9.0))
        >>> box.unit((1.0, 9.0)), box.task((0.5, 7.0))
        ((0.5, 1.0), (1.0, 9.0))
    """

    low: Task
    high: Task

    def __post_init__(self) -> None:
        if not self.low or len(self.low) != len(self.high):
            raise UsageError(f"Box: {len(self.low)} lower and {len(self.high)} upper bounds: as many of each, at least one")
        for low, high in zip(self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise UsageError(f"Box: a side from {low} to {high}: two finite numbers, the lower one first")

    def unit(self, task: Sequence[float]) -> Task:
        """Where a task is in the box.

        Args:
            task: a number for each direction.

        Returns:
            Its place: 0 at the lower and 1 at the upper side of each direction, below or above where it is outside.

        Raises:
            UsageError: the task does not have as many numbers as the box, or one is not finite.
        """
        if len(task) != len(self.low):
            raise UsageError(f"a task of {len(task)} numbers in a box of {len(self.low)}")
        if not all(isinstance(x, int | float) and math.isfinite(x) for x in task):
            raise UsageError(f"task={task!r:.80}, of which each must be a finite number")
        return tuple((x - low) / (high - low) for x, low, high in zip(task, self.low, self.high, strict=True))

    def task(self, unit: Sequence[float]) -> Task:
        """The task at a place in the box; what is outside is moved to its edge.

        The place is rounded to a millionth of the box, so that the last digits of a computation on another machine make no other
        task.

        Args:
            unit: the place, from 0 to 1 in each direction.

        Returns:
            The task.
        """
        inside = (round(min(max(x, 0.0), 1.0), DIGITS) for x in unit)
        return tuple(low + x * (high - low) for x, low, high in zip(inside, self.low, self.high, strict=True))

    def sample(self, rng: Random) -> Task:
        """Draw any task, all equally likely.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        return self.task([rng.random() for _ in self.low])


def check_reward(where: str, reward: float) -> None:
    """Raises UsageError for a reward that is not finite."""
    if isinstance(reward, bool):
        return
    if not isinstance(reward, int | float) or not math.isfinite(reward):
        raise UsageError(f"{where}: reward={reward!r:.80}: a finite number")


def choose(weights: Sequence[float], rng: Random) -> int:
    """A place, in proportion to its weight; any, where all weigh nothing."""
    total = math.fsum(weights)
    if total <= 0:
        return rng.randrange(len(weights))
    left = rng.random() * total
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    return max(range(len(weights)), key=weights.__getitem__)
