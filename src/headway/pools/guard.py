"""Wraps a pool that users brought, so that the engine can rely on it.

The engine trusts its pools: an answer that never comes would hang it, and one that comes twice or from another thread would break
it. Authors of pools need not know that. `Guarded` puts answers onto the loop, answers for code that can't be stopped, gives each
job one answer, and turns a fault of the pool into the end of the run with a sentence that names it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headway.errors import PoolFailed, UsageError
from headway.journal.records import Amounts
from headway.pools.base import Answer, Demand, Job, Pool, Traits

_at_work: dict[int, Pool] = {}  # pools that work for a run now, by identity: one pool works for one run at a time


class Guarded:
    """A `FullPool` made of a `Pool`."""

    def __init__(self, name: str, pool: Pool) -> None:
        self.name = name
        self._pool = pool
        self._open: dict[Job, Callable[[Answer], None]] = {}  # jobs that have no answer yet
        self._cancelled: set[Job] = set()
        self._abandoned: set[Job] = set()  # abandoned jobs whose code goes on
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_free: Callable[[], None] = lambda: None
        self.on_fault: Callable[[PoolFailed], None] | None = None

    @property
    def traits(self) -> Traits:
        return self._pool.traits

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        """Start the pool. Raises UsageError if it works for another run, PoolFailed if it can't start."""
        if _at_work.get(id(self._pool)) is not None:
            raise UsageError(
                f"pool {self.name!r} works for another run now: give each run one of its own, "
                f"by what makes it (pools={{{self.name!r}: MyPool}}, without the call)"
            )
        self._loop, self._thread, self._on_free = asyncio.get_running_loop(), threading.get_ident(), on_free
        _at_work[id(self._pool)] = self._pool
        try:
            self._pool.start(lambda: self._soon(on_free), (lambda event: self._soon(emit, event)) if emit else None)
        except Exception as error:
            raise self._fault("could not start", error) from error

    def free(self, need: Demand, /) -> int:
        try:
            free: Any = self._pool.free(need)
        except Exception as error:
            self._tell(self._fault("failed when it was asked for free slots", error))
            return 0
        if not isinstance(free, int):
            self._tell(self._fault(f"said that {free!r:.100} slots are free: a whole number was expected"))
            return 0
        return max(0, int(free))

    def submit(self, job: Job, /) -> None:
        self._open[job] = job.on_done
        charge = job.on_charge
        job.on_done = lambda answer: self._soon(self._take_answer, job, answer)
        job.on_charge = lambda amounts, item: self._soon(_charge, charge, amounts, item)
        if (ask := job.on_ask) is not None:
            job.on_ask = lambda head, buffers, reply, allow=None: self._soon(ask, head, buffers, reply, allow)
        try:
            self._pool.submit(job)
        except Exception as error:
            self._soon(self._take_answer, job, Answer(error=error))

    def cancel(self, job: Job, /) -> bool:
        if job not in self._open or job in self._cancelled:
            return job not in self._abandoned
        self._cancelled.add(job)
        try:
            stops = self._pool.cancel(job)
        except Exception as error:
            self._tell(self._fault("failed to cancel a job", error))
            stops = False
        if not stops:
            self._abandoned.add(job)
            self._soon(self._deliver, job, Answer(cancelled=True))
        return bool(stops)

    def lend(self, slots: int, /) -> None:
        if (lend := getattr(self._pool, "lend", None)) is not None:
            lend(slots)

    def announce_end(self) -> None:
        if (announce := getattr(self._pool, "announce_end", None)) is not None:
            announce()

    async def close(self) -> None:
        """Close the pool. A job that it has not answered then is answered as cancelled."""
        try:
            await self._pool.close()
        except Exception as error:
            raise self._fault("could not be closed", error) from error
        finally:
            if self._loop is not None:
                _at_work.pop(id(self._pool), None)
            await asyncio.sleep(0)  # answers that are on their way
            for job in list(self._open):
                self._deliver(job, Answer(cancelled=True))

    # --- answers ------------------------------------------------------------------------------------------------------

    def _soon(self, function: Callable[..., None], *args: Any) -> None:
        """Run a function on the loop, from wherever, and never from inside one of the pool's methods."""
        assert self._loop is not None, "start() comes first"
        with suppress(RuntimeError):  # the loop is closed, and with it everybody who could want to hear it
            self._loop.call_soon_threadsafe(function, *args)

    def _take_answer(self, job: Job, answer: Any) -> None:
        """The pool's answer to a job. The code has ended."""
        if job in self._abandoned:
            self._abandoned.discard(job)
            self._deliver(job, Answer(cancelled=True))  # where that is still on its way
            if job.on_left is not None:
                job.on_left()
            self._on_free()
            return
        if job not in self._open:
            if self._loop is not None and id(self._pool) in _at_work:
                self._tell(self._fault(f"answered a job of {job.facts.task} twice"))
            return
        if not isinstance(answer, Answer):
            error = self._fault(f"answered {job.facts.task} with {answer!r:.100}: an Answer was expected")
            answer = Answer(error=error)
        self._deliver(job, Answer(cancelled=True) if job in self._cancelled else answer)
        self._on_free()

    def _deliver(self, job: Job, answer: Answer) -> None:
        on_done = self._open.pop(job, None)
        self._cancelled.discard(job)
        if on_done is not None:
            on_done(answer)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _fault(self, what: str, cause: BaseException | None = None) -> PoolFailed:
        why = f": {type(cause).__name__}: {cause}" if cause is not None else ""
        fault = PoolFailed(f"pool {self.name!r} ({type(self._pool).__name__}) {what}{why}")
        fault.__cause__ = cause
        return fault

    def _tell(self, fault: PoolFailed) -> None:
        if self.on_fault is None:
            raise fault
        self.on_fault(fault)


def _charge(charge: Callable[[Amounts, int | None], None], amounts: Amounts, item: int | None) -> None:
    charge(amounts, item)
