"""A place for one agent, which is filled when there is work for it and empty otherwise.

A worker belongs to a post, and need not know whether the post's agent is there, on its way, or has yet to be hired.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol

from headway.pools.agents.hirer import Bundle, Hand, Hirer
from headway.storage.large import LargeBlobs

if TYPE_CHECKING:
    from headway.pools.agents.far_worker import FarWorker
    from headway.pools.agents.remote_agent import RemoteAgent

State = Literal["vacant", "hiring", "here", "resting"]


class OfStaff(Protocol):
    """What a post needs of the staff."""

    blobs: LargeBlobs
    lent: int

    def want(self, post: Post) -> None:
        """There is work for it."""

    def note_room(self, post: Post) -> None:
        """It has another number of free slots."""


class Post:
    """A place for an agent.

    Attributes:
        number: which one, from 1.
        slots: how many processes work there at a time; 0 while nobody knows.
        used: how many do.
    """

    def __init__(self, number: int, bundle: Bundle, hirer: Hirer, staff: OfStaff) -> None:
        self.number, self.bundle, self.hirer, self._staff = number, bundle, hirer, staff
        self.slots, self.used = bundle.cpu, 0
        self.state: State = "vacant"
        self.agent: RemoteAgent | None = None
        self.hand: Hand | None = None
        self.invitation = 0
        self.timer: asyncio.TimerHandle | None = None  # what happens next: it is given up, it is dismissed, it may be tried again
        self.gpus: list[str] = []  # that nobody has
        self.workers: set[FarWorker] = set()

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"agent {self.number}" if self.agent is None else f"agent {self.number} on {self.agent.facts.host}"

    @property
    def blobs(self) -> LargeBlobs:
        """Where the large values of the run are."""
        return self._staff.blobs

    @property
    def free(self) -> int:
        """How many more processes may work there."""
        return max(0, self.spare)

    @property
    def spare(self) -> int:
        """The same, below 0 where more work than there are slots, as some of them only wait."""
        return (self.slots or 1) - self.used

    def has_too_many(self) -> bool:
        """Whether one of its worker processes is not needed any more: it came while another one lent its slot."""
        room = (self.slots or 1) + self._staff.lent
        return len(self.workers) > room and sum(worker.stays for worker in self.workers) > room

    def enter(self, worker: FarWorker) -> None:
        """A worker of this post is wanted: at once, or when the agent has come."""
        self.workers.add(worker)
        if self.agent is not None:
            self.agent.start(worker)
        else:
            self._staff.want(self)

    def leave(self, worker: FarWorker) -> None:
        """A worker has ended."""
        self.workers.discard(worker)
        if self.agent is not None:
            self.agent.forget(worker)

    def lose_all(self, why: str) -> None:
        """The workers have ended with the agent, or it has not come."""
        for worker in list(self.workers):
            worker.lose(why)

    def take_slot(self) -> None:
        self.used += 1
        self._staff.note_room(self)

    def give_slot(self) -> None:
        self.used -= 1
        self._staff.note_room(self)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
