"""Gangs on agents: the rules of those on this machine, with members at posts, on one machine where they fit on one.

Members on several machines have no file in common. So rank 0 gets its job first, opens the meeting on a port that its system picks,
and says which; then the others get theirs.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from headway.errors import UsageError
from headway.pools.agents.far_worker import FarWorker
from headway.pools.agents.post import Post
from headway.pools.agents.staff import Staff
from headway.pools.base import Answer, Demand, Job, Seat
from headway.pools.gang import PROCESSES, Gang, GangPool, size_of
from headway.pools.member import TCP
from headway.pools.workers.worker_process import RemoteWorker


class FarGangPool(GangPool):
    """Gangs on agents: as many at a time as there is room for, on one machine where they fit on one."""

    def __init__(self, staff: Staff) -> None:
        super().__init__(1)
        self._staff = staff
        self._waiting: deque[Job] = deque()

    def free(self, need: Demand, /) -> int:
        count, total = int(need.get(PROCESSES, 1)), self._staff.count_slots()
        if total is None or count > total:
            return 0 if self._waiting else 1  # `submit` says what is wrong, or hires
        return max(0, self._staff.free() // count - len(self._waiting))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        super().start(on_free, emit)
        self._staff.open(self._note_room)

    def submit(self, job: Job, /) -> None:
        self._check(job)
        self._waiting.append(job)
        self._begin_those_that_fit()

    def cancel(self, job: Job, /) -> bool:
        """Interrupt all processes, or kill them. The job is answered when the last has ended."""
        if job in self._waiting:
            self._waiting.remove(job)
            asyncio.get_running_loop().call_soon(job.on_done, Answer(cancelled=True))
            return True
        return super().cancel(job)

    def use_blobs(self, place: str) -> None:
        """Have agents put large results where the run keeps them."""
        self._staff.use_blobs(place)

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of members that only wait for other jobs: one of each gang, since the others may work."""
        self._staff.lend(slots)
        if slots > 0:
            self._begin_those_that_fit()
        super().lend(slots)

    async def close(self) -> None:
        """End all gangs, and the agents with them unless another pool uses them."""
        for job in self._waiting:
            job.on_done(Answer(cancelled=True))
        self._waiting.clear()
        await super().close()
        await self._staff.close()

    def _note_end(self, job: Job, answer: Answer) -> None:
        del self._running[job]
        self._begin_those_that_fit()
        job.on_done(answer)
        self._on_free()

    def _note_room(self) -> None:
        self._begin_those_that_fit()
        self._on_free()

    def _begin_those_that_fit(self) -> None:
        while self._waiting:
            job = self._waiting[0]
            posts = self._staff.place(size_of(job))
            if posts is None:
                if self._staff.count_slots() is None:  # how many an agent has is known when it has come
                    for post in self._staff.posts:
                        if post.state == "vacant":
                            self._staff.want(post)
                else:
                    self._refuse_if_too_large(job)
                return
            self._waiting.popleft()
            numbers = [self._staff.next_number() for _ in posts]
            self._running[job] = FarGang(job, numbers, posts, self._emit, self._note_end)

    def _check(self, job: Job) -> None:
        """Raises UsageError for a gang that can never find room."""
        count, total = size_of(job), self._staff.count_slots()
        if total is not None and count > total:
            raise UsageError(
                f"{job.facts.task} wants {count} processes at once, and the agents of this run have {total} slots in all: hire more"
            )

    def _refuse_if_too_large(self, job: Job) -> None:
        try:
            self._check(job)
        except UsageError as error:
            self._waiting.remove(job)
            asyncio.get_running_loop().call_soon(job.on_done, Answer(error=error))


class FarGang(Gang):
    """The processes of one job, on one or more agents. Rank 0 opens the meeting, then the others are told where."""

    hearsay_s = 2.0  # news of a death takes longer than between processes of one machine

    def __init__(
        self,
        job: Job,
        numbers: Sequence[int],
        posts: Sequence[Post],
        emit: Callable[[Any], None] | None,
        on_end: Callable[[Job, Answer], None],
    ) -> None:
        self._posts = posts
        self._gpus: dict[Post, tuple[str, ...]] = {}
        super().__init__(job, numbers, emit, on_end)

    def _hire(self, rank: int, number: int) -> RemoteWorker:
        ready = self._begin_when_all_are_there
        worker = FarWorker(
            self._posts[rank],
            number,
            self._take_answer,
            self._note_exit,
            self._emit,
            pool="gang",
            on_ready=ready,
            on_meeting=self._tell_meeting,
        )
        worker.hold_slot()
        return worker

    def _begin(self) -> None:
        for post, count in Counter(self._posts).items():
            if len(post.gpus) >= count:
                self._gpus[post], post.gpus = tuple(post.gpus[:count]), post.gpus[count:]
        agent = self._posts[0].agent
        assert agent is not None, "its worker has said that it is ready"
        self._assign(self._seat(0, f"{TCP}{agent.facts.address}"))

    def _tell_meeting(self, address: str) -> None:
        for rank in range(1, len(self._posts)):
            self._assign(self._seat(rank, address))

    def _seat(self, rank: int, meeting: str) -> Seat:
        post = self._posts[rank]
        mates = [each for each, of in enumerate(self._posts) if of is post]
        return Seat(rank, len(self._posts), meeting, mates.index(rank), len(mates), self._gpus.get(post, ()))

    def _finish(self) -> None:
        for post, gpus in self._gpus.items():
            if post.agent is not None and set(gpus) <= set(post.agent.facts.gpus):
                post.gpus += [each for each in gpus if each not in post.gpus]
        super()._finish()
