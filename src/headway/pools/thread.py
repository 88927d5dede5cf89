"""Runs plain functions in threads of this process.

The engine hands out one job per free slot, so there is no queue here: each thread has its own mailbox and holds at
most one job. Threads start when they are needed and stay. They are daemons, because Python cannot stop a thread: a
cancelled job is answered at once and abandoned, and its slot counts as used until the code has really ended.

What runs here must never touch the pool: a thread only puts its answer onto the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from headway.errors import CallError
from headway.pools.base import Answer, Demand, Job, Traits

THREAD = Traits(asks=True, lends=True, cancel="abandoned")
_JOIN_S = 1.0


class ThreadPool:
    """`size` threads, each running one job at a time inside the job's context."""

    traits = THREAD

    def __init__(self, size: int) -> None:
        self.size = size
        self._lent = 0
        self._idle: list[_Thread] = []
        self._busy: set[_Thread] = set()
        self._leaving: set[_Thread] = set()  # those that end with the code they run
        self._running: dict[Job, _Thread] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_free: Callable[[], None] = _nothing

    def free(self, need: Demand, /) -> int:
        return max(0, self.size + self._lent - len(self._busy))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_free = on_free

    def submit(self, job: Job, /) -> None:
        try:
            thread = self._idle.pop() if self._idle else _Thread(self._deliver)
        except RuntimeError as error:
            refused = CallError(f"{job.facts.task} can't run: no thread can be started ({error})")
            self._bound().call_soon(job.on_done, Answer(error=refused))
            return
        self._busy.add(thread)
        self._running[job] = thread
        thread.jobs.put(job)

    def cancel(self, job: Job, /) -> bool:
        """Abandon the job: it is answered on the next turn of the loop, and its thread goes on until the code ends."""
        if self._running.pop(job, None) is None:
            return True
        self._bound().call_soon(job.on_done, Answer(cancelled=True))
        return False

    def announce_end(self) -> None:
        """Nothing: threads see the run itself."""

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of jobs that only wait for other jobs; take them back with a negative number."""
        self._lent += slots
        if slots > 0:
            self._on_free()

    async def close(self) -> None:
        """End the idle threads. Abandoned ones end with their code; whatever still runs is abandoned."""
        for job in list(self._running):
            self.cancel(job)
        for thread in (*self._idle, *self._busy):
            thread.jobs.put(None)
        self._leaving |= self._busy
        for thread in self._idle:
            thread.join(_JOIN_S)
        self._idle.clear()
        await asyncio.sleep(0)

    def _bound(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start() comes first"
        return self._loop

    def _deliver(self, thread: _Thread, job: Job, answer: Answer) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it everybody who could want the answer
            self._bound().call_soon_threadsafe(self._take_answer, thread, job, answer)

    def _take_answer(self, thread: _Thread, job: Job, answer: Answer) -> None:
        self._busy.discard(thread)
        if thread in self._leaving:
            self._leaving.discard(thread)
        else:
            self._idle.append(thread)
        if self._running.pop(job, None) is not None:
            job.on_done(answer)
        elif job.on_left is not None:
            job.on_left()
        self._on_free()


class _Thread(threading.Thread):
    def __init__(self, deliver: Callable[[_Thread, Job, Answer], None]) -> None:
        super().__init__(name="headway-worker", daemon=True)
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._deliver = deliver
        self.start()

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            self._deliver(self, job, _answer(job))
            del job  # a kept reference would keep the arguments alive until the next job


def _answer(job: Job) -> Answer:
    context = job.context or contextvars.copy_context()
    try:
        return Answer(value=context.run(job.fn, *job.args, **job.kwargs))
    except BaseException as error:
        return Answer(error=error)


def _nothing() -> None:
    pass
