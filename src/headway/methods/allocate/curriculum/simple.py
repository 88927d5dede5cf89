"""The simple teachers: any task, the tasks that are not solved yet, and a box that grows where the student does well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean
from typing import Generic, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.allocate.curriculum.box import Box, Task, check_reward

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uniform:
    """A teacher that gives any task of a box, all equally likely, whatever came of it.

    Attributes:
        box: all tasks.

    Example:
        >>> teacher = Uniform(Box((0.0,), (1.0,)))
        >>> teacher.update((0.5,), 1.0) == teacher
        True

    Source:
        The random baseline of TeachMyAgent: Romac et al., arXiv 2103.09815.
    """

    box: Box

    def sample(self, rng: Random) -> Task:
        """Draw any task of the box.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        return self.box.sample(rng)

    def update(self, task: Task, reward: float) -> Uniform:
        """Learn nothing from an episode.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The same teacher.

        Raises:
            UsageError: the reward or the task is not finite, or the task does not have as many numbers as the box.
        """
        check_reward("Uniform.update", reward)
        self.box.unit(task)
        return self


@dataclass(frozen=True, slots=True)
class Unsolved(Generic[T]):
    """A teacher that gives tasks of a list until they are solved: then they leave, and the others get their episodes.

    It departs in keeping one model for all tasks: what grows in the paper when tasks leave is left to the student.

    Attributes:
        tasks: all tasks, of any kind.
        solved_at: a task is solved when its last rewards have at least this mean.
        window: how many rewards that are.
        seen: the last rewards of each task, in the order of the tasks; left to the teacher.

    Raises:
        UsageError: there are no tasks, or a setting makes no sense.

    Example:
        >>> teacher = Unsolved(("add", "divide"), solved_at=0.9, window=2)
        >>> for reward in (1.0, 1.0):
        ...     teacher = teacher.update("add", reward)
        >>> teacher.left, teacher.sample(Random(0))
        (('divide',), 'divide')

    Source:
        ScaleZero's dynamic parameter scaling, Pu et al., arXiv 2509.07945: after the idea of its rule that solved tasks leave.
    """

    tasks: Sequence[T]
    solved_at: float = 0.9
    window: int = 10
    seen: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UsageError("Unsolved: there are no tasks to choose from")
        settings.number("Unsolved", solved_at=self.solved_at)
        settings.at_least_one("Unsolved", window=self.window)

    @property
    def left(self) -> tuple[T, ...]:
        """The tasks that are not solved."""
        return tuple(task for task, rewards in zip(self.tasks, self._rewards, strict=True) if not self._solves(rewards))

    def sample(self, rng: Random) -> T:
        """Draw a task that is not solved; any, where all are.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        return rng.choice(self.left or tuple(self.tasks))

    def update(self, task: T, reward: float) -> Unsolved[T]:
        """Learn from an episode. A solved task that is given again and fails comes back.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it.

        Raises:
            UsageError: the task is not in the list, or the reward is not finite.
        """
        check_reward("Unsolved.update", reward)
        if task not in self.tasks:
            raise UsageError(f"Unsolved.update: task={task!r:.80} is none of the {len(self.tasks)} tasks")
        rewards, place = list(self._rewards), self.tasks.index(task)
        rewards[place] = (*rewards[place], reward)[-self.window :]
        return replace(self, seen=tuple(rewards))

    @property
    def _rewards(self) -> tuple[tuple[float, ...], ...]:
        return self.seen or ((),) * len(self.tasks)

    def _solves(self, rewards: tuple[float, ...]) -> bool:
        return len(rewards) == self.window and fmean(rewards) >= self.solved_at


@dataclass(frozen=True, slots=True)
class Adr:
    """Automatic domain randomisation: a box that starts at one task, and grows on the sides where the student does well.

    Half of the tasks are on a side of the present box. When a side has collected `queue` rewards, it moves out if their mean is at
    least `high_at`, in if it is at most `low_at`, and starts to collect anew.

    Attributes:
        box: all tasks.
        start: the task at which it starts; one that the student can do.
        step: by how much a side moves, as a share of the box.
        low_at: the mean reward below which a side moves in.
        high_at: the mean reward from which it moves out.
        queue: rewards that decide.
        on_side: the share of tasks that are on a side.
        sides: lower and upper side in each direction, from 0 to 1; left to the teacher.
        rewards: what each side has collected; left to the teacher.

    Raises:
        UsageError: the start is not in the box, or a setting makes no sense.

    Example:
        >>> teacher = Adr(Box((0.0,), (10.0,)), start=(2.0,), step=0.1, queue=2)
        >>> for _ in range(2):
        ...     teacher = teacher.update((2.0,), 1.0)
        >>> [tuple(round(side, 1) for side in sides) for sides in teacher.sides]
        [(0.1, 0.3)]

    Source:
        ADR: OpenAI, arXiv 1910.07113; as in TeachMyAgent's code (Romac et al., arXiv 2103.09815).
    """

    box: Box
    start: Task
    step: float = 0.05
    low_at: float = 0.2
    high_at: float = 0.8
    queue: int = 10
    on_side: float = 0.5
    sides: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    rewards: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        settings.number("Adr", 0.0, 1.0, above=True, step=self.step)
        settings.probability("Adr", on_side=self.on_side)
        settings.at_least_one("Adr", queue=self.queue)
        settings.number("Adr", low_at=self.low_at)
        settings.number("Adr", self.low_at, high_at=self.high_at)
        start = self.box.unit(self.start)
        if not all(0 <= x <= 1 for x in start):
            raise UsageError(f"Adr: start={self.start} is outside of the box")
        if not self.sides:
            object.__setattr__(self, "sides", tuple((x, x) for x in start))
            object.__setattr__(self, "rewards", (((), ()),) * len(start))

    def sample(self, rng: Random) -> Task:
        """Draw a task of the present box; a share of `on_side` is on one of its sides.

        Args:
            rng: where all chance comes from.

        Returns:
            The task.
        """
        unit = [rng.uniform(low, high) for low, high in self.sides]
        if rng.random() < self.on_side:
            direction = rng.randrange(len(unit))
            unit[direction] = self.sides[direction][rng.randrange(2)]
        return self.box.task(unit)

    def update(self, task: Task, reward: float) -> Adr:
        """Learn from an episode: the sides that the task is on collect its reward.

        Args:
            task: the task of the episode.
            reward: what the student got for it.

        Returns:
            The teacher after it.

        Raises:
            UsageError: the reward or the task is not finite, or the task does not have as many numbers as the box.
        """
        check_reward("Adr.update", reward)
        sides, rewards = list(self.sides), list(self.rewards)
        for direction, x in enumerate(self.box.unit(task)):
            for which in (0, 1):
                if abs(x - self.sides[direction][which]) > 1e-5:
                    continue
                queues = list(rewards[direction])
                queues[which] = (*queues[which], float(reward))
                if len(queues[which]) == self.queue:
                    sides[direction] = self._move(sides[direction], which, fmean(queues[which]))
                    queues[which] = ()
                rewards[direction] = (queues[0], queues[1])
        return replace(self, sides=tuple(sides), rewards=tuple(rewards))

    def _move(self, side: tuple[float, float], which: int, mean: float) -> tuple[float, float]:
        low, high = side
        move = self.step if mean >= self.high_at else -self.step if mean <= self.low_at else 0.0
        return (min(max(low - move, 0.0), high), high) if which == 0 else (low, max(min(high + move, 1.0), low))
