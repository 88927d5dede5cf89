"""The process pool on agents: the rules of the one on this machine, with workers at posts.

A worker that is far away and has short calls would wait for the next one most of the time. So while answers come quickly, a few
calls are sent to each worker before it is free. Such a call has not begun: it counts from when the one before it ended, it is
cancelled by taking it back, and where the one before it takes long or its worker ends, it comes back and goes elsewhere. What came
back is never sent ahead again, so a call that ends its worker is known as what it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from headway.pools.agents.far_worker import FarWorker
from headway.pools.agents.staff import Staff
from headway.pools.base import Answer, Demand, Job
from headway.pools.process import ProcessPool
from headway.pools.workers.followers import NOT_BEGUN
from headway.pools.workers.worker_process import RemoteWorker

MOST_AHEAD = 8
"""How many calls a worker may have behind the one that it runs."""

SHORT_S = 0.005
"""Calls are sent ahead while they take less than this on average."""

LATE_S = 0.02
"""A call that runs for longer gets nothing behind it, and what is there comes back."""

WORTH_S = 0.002
"""A worker gets no more ahead than what it works off in about this time, but one call."""

_MEMORY = 16


class FarProcessPool(ProcessPool):
    """Worker processes on agents, each running one job at a time."""

    def __init__(self, staff: Staff) -> None:
        super().__init__(len(staff.posts))
        self._staff = staff
        self._mean_s = LATE_S
        self._ahead: set[Job] = set()  # at workers that have not begun them
        self._back: deque[Job] = deque()  # what came from there again
        self._room: dict[RemoteWorker, None] = {}  # those that may have room behind their job, in turn
        self._looking: asyncio.TimerHandle | None = None
        self._beginning = self._closing = False

    def free(self, need: Demand, /) -> int:
        return max(0, self._staff.free() - len(self._back))

    def takes_ahead(self) -> bool:
        """Whether a job that need not begin at once may be submitted though no slot is free."""
        return self._mean_s <= SHORT_S and not self._back and self._find_room() is not None

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        super().start(on_free, emit)
        self._closing, self._mean_s = False, LATE_S
        self._staff.open(self._note_room)

    def submit(self, job: Job, /) -> None:
        if self._staff.free() > 0:
            self._begin(job)
        elif (worker := self._find_room()) is not None:
            self._send_ahead(job, worker)
        else:
            self._back.append(job)

    def cancel(self, job: Job, /) -> bool:
        """Take the job back, interrupt its code, or kill its process. The job is answered when the code has stopped."""
        if job in self._back:
            self._back.remove(job)
            self._bound().call_soon(job.on_done, Answer(cancelled=True))
            return True
        return super().cancel(job)

    def use_blobs(self, place: str) -> None:
        """Have agents put large results where the run keeps them."""
        self._staff.use_blobs(place)

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of jobs that only wait for other jobs, wherever they are."""
        self._staff.lend(slots)
        self._begin_those_back_soon()
        super().lend(slots)

    async def close(self) -> None:
        """End all workers, and the agents with them unless another pool uses them."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        await super().close()
        while self._back:
            self._back.popleft().on_done(Answer(cancelled=True))
        self._room.clear()
        await self._staff.close()

    # --- sending ahead --------------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        super().submit(job)
        if isinstance(worker := self._running.get(job), RemoteWorker):
            self._room.setdefault(worker)

    def _send_ahead(self, job: Job, worker: RemoteWorker) -> None:
        try:
            worker.assign(job)
        except Exception as error:
            self._refuse(job, error)
            return
        self._running[job] = worker
        self._ahead.add(job)
        self._room[worker] = self._room.pop(worker)  # others come first now
        self._look_later()

    def _find_room(self) -> RemoteWorker | None:
        """A worker that takes one more job behind its own."""
        most = min(MOST_AHEAD, max(1, int(WORTH_S / max(self._mean_s, 1e-6))))
        while self._room:
            worker = next(iter(self._room))
            followers = worker.followers
            if followers is not None and followers < most:
                return worker
            del self._room[worker]
        return None

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = self._bound().call_later(LATE_S, self._look)

    def _look(self) -> None:
        """Take back what waits behind a job that takes long."""
        self._looking, now = None, self._bound().time()
        for worker in {self._running[job] for job in self._ahead}:
            if isinstance(worker, RemoteWorker) and now - worker.began_at > LATE_S:
                self._mean_s = LATE_S  # nothing is sent ahead for a while
                worker.take_back()
        if self._ahead:
            self._look_later()

    def _on_answer(self, worker: RemoteWorker, job: Job, answer: Answer) -> None:
        self._ahead.discard(job)
        if answer is not NOT_BEGUN:
            self._mean_s += (min(worker.took_s, LATE_S) - self._mean_s) / _MEMORY
        if worker.job is not None:
            self._ahead.discard(worker.job)
        if worker.followers is not None:
            self._room.setdefault(worker)
        if answer is NOT_BEGUN and not self._closing:
            del self._running[job]
            self._back.append(job)
            self._keep(worker)
        else:
            super()._on_answer(worker, job, answer)
        self._begin_those_back_soon()

    def _note_room(self) -> None:
        self._begin_those_back_soon()
        self._on_free()

    def _begin_those_back_soon(self) -> None:
        if self._back and not self._beginning:
            self._beginning = True
            self._bound().call_soon(self._begin_those_back)  # first let an agent be noted as lost

    def _begin_those_back(self) -> None:
        self._beginning = False
        while self._back and self._staff.free() > 0 and not self._closing:
            job = self._back.popleft()
            self._begin(job)
            if job.on_begun is not None:
                job.on_begun()

    # --- workers --------------------------------------------------------------------------------------------------------

    def _waiting_worker(self) -> RemoteWorker:
        waiting = {worker.post: worker for worker in self._idle if isinstance(worker, FarWorker) and worker.alive}
        post = self._staff.pick(waiting)
        if (worker := waiting.get(post)) is not None:
            self._idle.remove(worker)
            return worker
        made = FarWorker(post, self._staff.next_number(), self._on_answer, self._on_end, self._emit)
        self._workers.add(made)
        return made

    def _is_one_too_many(self, worker: RemoteWorker) -> bool:
        return isinstance(worker, FarWorker) and worker.post.has_too_many()
