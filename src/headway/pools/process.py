"""Runs functions in worker processes, which start when they are needed and stay warm.

A worker is a fork of a small server process that has imported Headway and nothing of the program, so it starts in a
few milliseconds without inheriting threads or locks; it imports the program by name. A cancelled call is interrupted
inside its process, and killed with the process when that does not help. A worker that dies takes one call with it;
the next call that needs a worker gets a new one.

The pool keeps slots and nothing else: one job per worker, no queue, no retry. It must never answer a job twice, and
never from inside `submit` or `cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from headway.errors import WorkerDied
from headway.pools.base import Answer, Demand, Job, Traits
from headway.pools.workers.worker_process import RemoteWorker

PROCESS = Traits(imports=True, copies=True, relays=True, lends=True, cancel="killed", takes_async=True)
_START_ATTEMPTS = 3
_START_PAUSE_S = 10.0


class ProcessPool:
    """`size` worker processes, each running one job at a time.

    A job needs a function that a worker can import (`program.function_ref`) and arguments that can be pickled; large
    arrays travel through shared memory. Its result comes back encoded for the journal.
    """

    traits = PROCESS

    def __init__(self, size: int) -> None:
        self.size = size
        self._hired = 0
        self._lent = 0
        self._workers: set[RemoteWorker] = set()
        self._idle: list[RemoteWorker] = []
        self._running: dict[Job, RemoteWorker | Answer] = {}  # an answer where the job could not be sent
        self._failed_starts: list[WorkerDied] = []  # in a row
        self._start_again_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_free: Callable[[], None] = lambda: None
        self._emit: Callable[[Any], None] | None = None

    def free(self, need: Demand, /) -> int:
        return max(0, self.size + self._lent - len(self._running))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_free, self._emit = on_free, emit

    def submit(self, job: Job, /) -> None:
        if len(self._failed_starts) >= _START_ATTEMPTS and self._bound().time() < self._start_again_at:
            self._refuse(job, WorkerDied(f"not tried, since workers cannot start: {self._failed_starts[-1]}"))
            return
        worker = self._waiting_worker()
        try:
            worker.assign(job)
        except Exception as error:
            self._idle.append(worker)
            self._refuse(job, error)
        else:
            self._running[job] = worker

    def cancel(self, job: Job, /) -> bool:
        """Interrupt the job's code, or kill its process. The job is answered when the code has stopped."""
        where = self._running.get(job)
        if isinstance(where, RemoteWorker):
            where.cancel(job)
        elif where is not None:
            self._running[job] = Answer(cancelled=True)
        return True

    def announce_end(self) -> None:
        """Tell all workers."""
        for worker in self._workers:
            worker.announce_end()

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of jobs that only wait for other jobs; take them back with a negative number. A process more
        works meanwhile, for one that waits keeps its own."""
        self._lent += slots
        if slots > 0:
            self._on_free()

    async def close(self) -> None:
        """End all workers: idle ones leave, busy ones are killed and their jobs answered as cancelled."""
        workers = list(self._workers)
        for worker in workers:
            worker.dismiss()
        await asyncio.gather(*(worker.ended for worker in workers))
        await asyncio.sleep(0)

    def _waiting_worker(self) -> RemoteWorker:
        """A worker that waits for a job, the warmest first, or a new one."""
        self._idle.sort(key=lambda worker: worker.ready)
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
        self._hired += 1
        worker = RemoteWorker(self._hired, self._on_answer, self._on_end, self._emit)
        self._workers.add(worker)
        return worker

    def _refuse(self, job: Job, error: Exception) -> None:
        """Answer a job that was not sent on the next turn of the loop; it holds its slot until then."""
        self._running[job] = Answer(error=error)
        self._bound().call_soon(self._answer_refused, job)

    def _answer_refused(self, job: Job) -> None:
        answer = self._running.pop(job)
        assert isinstance(answer, Answer)
        job.on_done(answer)
        self._on_free()

    def _on_answer(self, worker: RemoteWorker, job: Job, answer: Answer) -> None:
        if worker.ready:
            self._failed_starts.clear()
        del self._running[job]
        self._keep(worker)
        job.on_done(answer)
        self._on_free()

    def _keep(self, worker: RemoteWorker) -> None:
        """Keep a worker for the next job, unless it has one already."""
        if worker.job is not None:
            return
        if self._is_one_too_many(worker):
            worker.dismiss()  # it worked in a slot that was lent
        elif not worker.ended.done():
            self._idle.append(worker)

    def _is_one_too_many(self, worker: RemoteWorker) -> bool:
        """Whether there are more workers than slots."""
        return len(self._workers) > max(self.size, self.size + self._lent)

    def _on_end(self, worker: RemoteWorker, failed_start: WorkerDied | None) -> None:
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if failed_start is not None:
            self._failed_starts.append(failed_start)
            self._start_again_at = self._bound().time() + _START_PAUSE_S

    def _bound(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start() comes first"
        return self._loop
