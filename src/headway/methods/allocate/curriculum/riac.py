"""RIAC: a teacher that splits the box where learning progress differs, and gives tasks of the regions where there is most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.allocate.curriculum.box import Box, Task, check_reward, choose

ATTEMPTS = 50  # splits that are tried
NARROWEST = 1 / 6  # side of a region, as a share of the box
MUTATION = 0.1  # deviation of a task that is tried again, as a share of the box


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the box, with what was seen in it.

    Attributes:
        low: its lower corner, from 0 to 1.
        high: its upper corner, from 0 to 1.
        seen: its last tasks, from 0 to 1, with their rewards.
        leaf: whether it is not split.
        progress: by how much the mean reward of the later half differs from that of the earlier half.
    """

    low: Task
    high: Task
    seen: tuple[tuple[Task, float], ...] = ()
    leaf: bool = True
    progress: float = 0.0

    def __contains__(self, unit: Task) -> bool:
        return all(low <= x <= high for low, x, high in zip(self.low, unit, self.high, strict=True))

    def seeing(self, seen: tuple[tuple[Task, float], ...]) -> Region:
        """The region with other episodes."""
        half = len(seen) // 2
        rewards = [reward for _, reward in seen]
        progress = abs(fmean(rewards[:-half]) - fmean(rewards[-half:])) if len(seen) > 2 else 0.0
        return replace(self, seen=seen, progress=progress)


@dataclass(frozen=True, slots=True)
class Riac:
    """A teacher that splits the box into regions, and gives tasks of regions in proportion to their learning progress.

    A region that has seen more than `full` episodes is cut in two where the halves differ most in progress. Seven in ten tasks are
    of a region that is chosen by its progress, two in ten are any, and one in ten is near the task with the least reward of a
    region. It departs in weighing a split by how many episodes either side has, as the paper does, where the code weighs all alike.

    Attributes:
        box: all tasks.
        full: episodes that a region sees before it is split.
        count: episodes so far; left to the teacher.
        regions: all regions, also those that were split; left to the teacher.

    Raises:
        UsageError: `full` is no whole number from 20 on.

    Example:
        >>> teacher = Riac(Box((0.0, 0.0), (1.0, 1.0)), full=100)
        >>> rng = Random(1)
        >>> for episode in range(600):
        ...     task = teacher.sample(rng)
        ...     teacher = teacher.update(task, reward=episode / 600 if task[0] < 0.3 else 0.0)
        >>> sum(teacher.sample(rng)[0] < 0.3 for _ in range(100)) > 45
        True

    Source:
        RIAC: Baranes and Oudeyer, 2009; as in TeachMyAgent's code (Romac et al., arXiv 2103.09815).
    """

    box: Box
    full: int = 200
    count: int = 0
    regions: tuple[Region, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        settings.whole_number("Riac", least=20, full=self.full)
        if not self.regions:
            sides = len(self.box.low)
            object.__setattr__(self, "regions", (Region((0.0,) * sides, (1.0,) * sides),))

    def sample(self, rng: Random) -> Task:
        """Draw a task: mostly of a region with much learning progress.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        how = rng.random()
        if how < 0.2 or self.count == 0:
            return self.box.sample(rng)
        region = self.regions[choose([each.progress for each in self.regions], rng)]
        if how < 0.3 and region.seen:
            worst = min(region.seen, key=lambda each: each[1])[0]
            near = (rng.gauss(x, MUTATION) for x in worst)
            return self.box.task([min(max(x, low), high) for low, x, high in zip(region.low, near, region.high, strict=True)])
        return self.box.task([rng.uniform(low, high) for low, high in zip(region.low, region.high, strict=True)])

    def update(self, task: Task, reward: float) -> Riac:
        """Learn from an episode. A region that is full is split.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it.

        Raises:
            UsageError: the reward is not finite, or the task is not in the box.
        """
        check_reward("Riac.update", reward)
        unit = self.box.unit(task)
        if unit not in self.regions[0]:
            raise UsageError(f"Riac.update: task={task} is outside of the box")
        regions: list[Region] = []
        for region in self.regions:
            if unit not in region:
                regions.append(region)
                continue
            seen = (*region.seen, (unit, float(reward)))
            grown = region.seeing(seen if region.leaf else seen[-self.full - 1 :])
            regions += self._split(grown) if region.leaf and len(seen) > self.full else [grown]
        return replace(self, count=self.count + 1, regions=tuple(regions))

    def _split(self, region: Region) -> list[Region]:
        """The region with its two halves; where no cut is allowed, the region without a quarter of what it has seen."""
        rng = Random(self.count)
        cuts = [self._cut(region, rng.randrange(len(region.low)), rng) for _ in range(ATTEMPTS)]
        allowed = [cut for cut in cuts if self._is_allowed(cut)]
        if not allowed:
            return [region.seeing(region.seen[self.full // 4 :])]
        best = max(allowed, key=lambda cut: math.prod(len(half.seen) for half in cut) * abs(cut[0].progress - cut[1].progress))
        return [replace(region, leaf=False), *best]

    def _cut(self, region: Region, side: int, rng: Random) -> tuple[Region, Region]:
        at = rng.uniform(region.low[side], region.high[side])
        first = tuple(each for each in region.seen if each[0][side] <= at)
        second = tuple(each for each in region.seen if each[0][side] > at)
        return (
            Region(region.low, _with(region.high, side, at)).seeing(first),
            Region(_with(region.low, side, at), region.high).seeing(second),
        )

    def _is_allowed(self, cut: Sequence[Region]) -> bool:
        wide = all(high - low >= NARROWEST for half in cut for low, high in zip(half.low, half.high, strict=True))
        return wide and all(len(half.seen) >= self.full / 20 for half in cut)


def _with(corner: Task, side: int, at: float) -> Task:
    return (*corner[:side], at, *corner[side + 1 :])
