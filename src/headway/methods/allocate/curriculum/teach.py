"""Teaches a student: a teacher chooses each task from what came of those before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import reduce
from typing import Generic, NamedTuple, TypeVar

from headway.context import random
from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.allocate.curriculum.box import Teacher
from headway.methods.allocate.rolling import keep_running
from headway.scopes.anytime import Stopped, anytime

T = TypeVar("T")


class Episode(NamedTuple, Generic[T]):
    """A task that was tried, and its reward."""

    task: T
    reward: float


@dataclass(frozen=True, slots=True)
class Taught(Generic[T]):
    """How teaching ended.

    Attributes:
        teacher: as it is after all episodes; hand it to `teach` to go on.
        episodes: in the order in which they ended.
        stopped: why it ended: "done", "budget" or "deadline".
    """

    teacher: Teacher[T]
    episodes: tuple[Episode[T], ...]
    stopped: Stopped


async def teach(
    teacher: Teacher[T], attempt: Callable[[T, int], Awaitable[float]], *, episodes: int, parallel: int = 1
) -> Taught[T]:
    """Spend episodes on the tasks that a teacher chooses.

    Each episode is a call, and the order in which they end is recorded. So a killed run goes on with the same curriculum, and no
    episode that has ended is made again.

    Args:
        teacher: chooses the tasks.
        attempt: makes the student try a task, with the number of the episode; its reward.
        episodes: how many.
        parallel: how many at a time. With more than one, a task is chosen before its neighbours have ended.

    Returns:
        The teacher as it has become, and the episodes. A budget or a deadline that is used up ends the teaching early.

    Raises:
        UsageError: a setting makes no sense.
        Exception: what an episode raises, or the teacher for a reward that is not finite.

    Example:
        >>> from headway.methods import allocate
        >>> @hw.task
        ... async def attempt(task: str, episode: int) -> float:
        ...     return float(task == "add")
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     teacher = allocate.Unsolved(("add", "divide"), window=2)
        ...     taught = await allocate.teach(teacher, attempt, episodes=40)
        ...     return [episode.task for episode in taught.episodes[-3:]]
        >>> hw.run(program, store=None, run_id="lesson", progress=False)
        ['divide', 'divide', 'divide']

    Source:
        The protocol of TeachMyAgent's teachers: Romac et al., arXiv 2103.09815.
    """
    settings.whole_number("teach", episodes=episodes)
    settings.at_least_one("teach", parallel=parallel)
    settings.function("teach", attempt=attempt)
    if not callable(getattr(teacher, "sample", None)) or not callable(getattr(teacher, "update", None)):
        raise UsageError(f"teach: teacher={teacher!r:.80}: what has sample(rng) and update(task, reward), such as allocate.AlpGmm")
    found: dict[int, Episode[T]] = {}
    begun, now, told = 0, teacher, 0

    def ask() -> tuple[tuple[int, T], Awaitable[float]] | None:
        nonlocal begun
        if begun == episodes:
            return None
        number, task = begun, now.sample(random())
        begun += 1
        return (number, task), attempt(task, number)

    def tell(tried: tuple[int, T], ended: Handle[float]) -> None:
        nonlocal now, told
        number, task = tried
        reward = ended.result()
        now, told = now.update(task, reward), told + 1
        block.keep(number, Episode(task, reward))

    with anytime(found) as block:
        await keep_running(ask, tell, parallel)
    if told != len(found):  # the block ended with fewer or more than this life has come to
        now = reduce(lambda taught, episode: taught.update(*episode), found.values(), teacher)
    return Taught(now, tuple(found.values()), block.stopped)
