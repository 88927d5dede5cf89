"""ALP-GMM and Covar-GMM: teachers that fit Gaussians to what they have seen, and give tasks where the student's reward changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from headway.errors import UsageError
from headway.extras import require
from headway.methods import settings
from headway.methods.allocate.curriculum.box import Box, Task, check_reward, choose
from headway.methods.allocate.curriculum.mixture import Gaussian, fit_best

T = TypeVar("T", "AlpGmm", "CovarGmm")
FIRST = 5  # episodes before learning progress is looked for


@dataclass(frozen=True, slots=True)
class AlpGmm:
    """A teacher that gives tasks where the student's reward has changed most: the absolute learning progress.

    The progress at a task is the difference of its reward to that of the nearest task before. Every `window` episodes, mixtures of
    2 to `most` Gaussians are fitted to the last `window` tasks with their progress, and the one with the best AIC is kept. A
    Gaussian is then chosen in proportion to its mean progress, and a task drawn from it; one in five tasks is any.

    It departs in comparing with the last `memory` tasks only, and in measuring distances in shares of the box, so that the units of
    directions don't matter.

    Attributes:
        box: all tasks.
        window: episodes between two fits, those that are fitted, and those at first that are random.
        most: Gaussians of a mixture.
        any_task: the share of tasks that are random later on.
        memory: tasks that are compared with.
        count: episodes so far; left to the teacher.
        seen: the tasks that are remembered, from 0 to 1, with their rewards; left to the teacher.
        recent: the last tasks, with their progress; left to the teacher.
        gaussians: the last fit; left to the teacher.

    Raises:
        UsageError: a setting makes no sense, or numpy is not installed.

    Example:
        >>> teacher = AlpGmm(Box((0.0, 0.0), (1.0, 1.0)))
        >>> rng = Random(1)
        >>> for _ in range(300):
        ...     task = teacher.sample(rng)
        ...     teacher = teacher.update(task, reward=float(task[0] < 0.2) * rng.random())
        >>> sum(teacher.sample(rng)[0] < 0.2 for _ in range(100)) > 50
        True

    Source:
        ALP-GMM: Portelas et al., arXiv 1910.07224; as in TeachMyAgent's code (Romac et al., arXiv 2103.09815).
    """

    box: Box
    window: int = 250
    most: int = 10
    any_task: float = 0.2
    memory: int = 2000
    count: int = 0
    seen: tuple[tuple[Task, float], ...] = field(default=(), repr=False)
    recent: tuple[Task, ...] = field(default=(), repr=False)
    gaussians: tuple[Gaussian, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check("AlpGmm", self.window, self.most, self.any_task)
        settings.at_least_one("AlpGmm", memory=self.memory)

    def sample(self, rng: Random) -> Task:
        """Draw a task: any, or one of a Gaussian that is chosen by its mean progress.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        return _sample(self.box, self.gaussians, [max(0.0, each.mean[-1]) for each in self.gaussians], self.any_task, rng)

    def update(self, task: Task, reward: float) -> AlpGmm:
        """Learn from an episode. Every `window` episodes the mixture is fitted anew.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it.

        Raises:
            UsageError: the reward or the task is not finite, or the task does not have as many numbers as the box.
        """
        check_reward("AlpGmm.update", reward)
        unit = self.box.unit(task)
        progress = 0.0
        if len(self.seen) >= FIRST:
            _, before = min(reversed(self.seen), key=lambda each: math.dist(each[0], unit))
            progress = abs(reward - before)
        seen = (*self.seen, (unit, float(reward)))[-self.memory :]
        return _learn(replace(self, seen=seen), (*unit, progress))


@dataclass(frozen=True, slots=True)
class CovarGmm:
    """A teacher that gives tasks where the reward rises with time: the covariance of both in each Gaussian.

    Every `window` episodes, mixtures are fitted to the last tasks with their time and reward. A Gaussian is chosen in proportion to
    the covariance of time and reward where that is positive, and a task drawn from it; one in five tasks is any.

    It departs in measuring tasks in shares of the box.

    Attributes:
        box: all tasks.
        window: episodes between two fits, those that are fitted, and those at first that are random.
        most: Gaussians of a mixture.
        any_task: the share of tasks that are random later on.
        forgets: whether falling rewards count as well as rising ones.
        count: episodes so far; left to the teacher.
        recent: the last tasks, from 0 to 1, with their time and reward; left to the teacher.
        gaussians: the last fit; left to the teacher.

    Raises:
        UsageError: a setting makes no sense, or numpy is not installed.

    Example:
        >>> teacher = CovarGmm(Box((0.0,), (1.0,)))
        >>> rng = Random(1)
        >>> for episode in range(500):
        ...     task = teacher.sample(rng)
        ...     teacher = teacher.update(task, reward=episode / 500 if task[0] < 0.2 else 0.0)
        >>> sum(teacher.sample(rng)[0] < 0.2 for _ in range(100)) > 50
        True

    Source:
        Covar-GMM: Moulin-Frier et al., Frontiers in Psychology 2014; as in TeachMyAgent's code (Romac et al., arXiv 2103.09815).
    """

    box: Box
    window: int = 250
    most: int = 10
    any_task: float = 0.2
    forgets: bool = False
    count: int = 0
    recent: tuple[Task, ...] = field(default=(), repr=False)
    gaussians: tuple[Gaussian, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check("CovarGmm", self.window, self.most, self.any_task)

    def sample(self, rng: Random) -> Task:
        """Draw a task: any, or one of a Gaussian that is chosen by how its rewards change with time.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        together = [each.covariance[-2][-1] for each in self.gaussians]
        weights = [abs(each) if self.forgets else max(0.0, each) for each in together]
        return _sample(self.box, self.gaussians, weights, self.any_task, rng)

    def update(self, task: Task, reward: float) -> CovarGmm:
        """Learn from an episode. Every `window` episodes the mixture is fitted anew.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it.

        Raises:
            UsageError: the reward or the task is not finite, or the task does not have as many numbers as the box.
        """
        check_reward("CovarGmm.update", reward)
        at = (self.count % self.window) / self.window
        return _learn(self, (*self.box.unit(task), at, float(reward)))


def _check(where: str, window: int, most: int, any_task: float) -> None:
    settings.at_least_one(where, window=window)
    settings.whole_number(where, least=2, most=most)
    settings.probability(where, any_task=any_task)
    if window < most:
        raise UsageError(f"{where}: window={window} episodes can't tell most={most} Gaussians apart: raise window=")
    require(where, "numpy")


def _learn(teacher: T, episode: Task) -> T:
    """The teacher after an episode; every `window` of them it has fitted the last ones anew."""
    count, recent = teacher.count + 1, (*teacher.recent, episode)[-teacher.window :]
    gaussians = teacher.gaussians if count % teacher.window else fit_best(recent, range(2, teacher.most + 1))
    return replace(teacher, count=count, recent=recent, gaussians=gaussians)


def _sample(box: Box, gaussians: tuple[Gaussian, ...], weights: list[float], any_task: float, rng: Random) -> Task:
    if not gaussians or rng.random() < any_task:
        return box.sample(rng)
    return box.task(gaussians[choose(weights, rng)].sample(rng, len(box.low)))
