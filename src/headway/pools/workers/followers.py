"""Jobs that a worker process has and begins after the one that it runs.

None of them has begun. Each may be asked for again; the worker gives it back unless it begins it at that moment. When the process
ends they come back as they are: what ended it was the job before them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from headway.pools.base import Answer, Job

NOT_BEGUN = Answer(cancelled=True)
"""The answer, by its identity, of a job that came back before it was begun."""


@dataclass(slots=True, eq=False)
class Follower:
    """A job, and its number at its worker."""

    job: Job
    serial: int
    cancelled: bool = False


class Followers:
    """The jobs in their order. `recall` asks the worker for one, by its number."""

    def __init__(self, recall: Callable[[int], None]) -> None:
        self._recall = recall
        self._jobs: deque[Follower] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job, serial: int) -> None:
        """The worker has one more."""
        self._jobs.append(Follower(job, serial))

    def take_first(self) -> Follower | None:
        """The one that the worker begins now."""
        return self._jobs.popleft() if self._jobs else None

    def take_back(self, serial: int) -> tuple[Job, Answer] | None:
        """The one that the worker gave back, and its answer."""
        for follower in self._jobs:
            if follower.serial == serial:
                self._jobs.remove(follower)
                return follower.job, Answer(cancelled=True) if follower.cancelled else NOT_BEGUN
        return None

    def take_all(self) -> list[tuple[Job, Answer]]:
        """All of them, after the worker's end."""
        return [found for each in list(self._jobs) if (found := self.take_back(each.serial)) is not None]

    def cancel(self, job: Job) -> bool:
        """Ask for one to be cancelled. False where it is none of these."""
        for follower in self._jobs:
            if follower.job is job:
                follower.cancelled = True
                self._recall(follower.serial)
                return True
        return False

    def recall_all(self) -> None:
        """Ask the worker to give all waiting jobs back."""
        for follower in self._jobs:
            self._recall(follower.serial)
