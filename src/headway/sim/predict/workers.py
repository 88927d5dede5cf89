"""Simulated workers: a pool whose jobs take the time that was drawn for them, on machines that fail and come back.

Each worker fails by itself, busy or not, after an exponentially distributed time with mean `mtbf_s` (counted while it is up), and
is back after `repair_s`. The call that it ran is lost: the pool answers with WorkerDied as the real one does, and the engine starts
the call again from its beginning. For one worker and a call of t seconds the expected time to its end is then

    (mtbf + repair) * (exp(t / mtbf) - 1)

(with R the overhead of each failure, formula 2 of J. T. Daly, Future Generation Computer Systems 22, 2006, without checkpoints). A
call that only waits for its own calls occupies no worker, as in the real pool of threads.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headway.errors import UsageError, WorkerDied
from headway.observe import words
from headway.pools.base import Answer, Demand, Job, Traits

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop
    from headway.sim.predict.workload import Workload

LOST_PER_CALL = 100
LOST_AT_LEAST = 20_000
_DONE = Answer(value=None)
_DIED = Answer(error=WorkerDied("its simulated worker failed"))


class Room:
    """Slots that never fail. `seconds` says how long the job of a call takes; the job of a caller, for which it says None, is
    played by `caller`."""

    traits = Traits(takes_async=True, cancel="killed")

    def __init__(self, process: SimLoop, name: str, size: int | None, seconds: Callable[[Job], float | None]) -> None:
        self.name = name
        self.size = size if size is not None else 1 << 60
        self.caller: Callable[[Job, Callable[[int], None], Callable[[], None]], None] | None = None
        self.busy_s = 0.0
        self.lost = 0
        self._process = process
        self._seconds = seconds
        self._callers = 0  # callers that work, and do not wait
        self._running: dict[Job, tuple[float, asyncio.TimerHandle]] = {}  # since when, and what will end it
        self._on_free: Callable[[], None] = _nothing

    def free(self, need: Demand, /) -> int:
        return max(0, self.size - len(self._running) - self._callers)

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        self._on_free = on_free

    def announce_end(self) -> None:
        """Nothing: no code here saves what it has."""

    def lend(self, slots: int, /) -> None:
        pass  # a caller says itself when it works and when it waits

    def submit(self, job: Job, /) -> None:
        seconds = self._seconds(job)
        if seconds is not None:
            self._running[job] = (self._process.universe.now, self._process.call_later(seconds, self._end, job, _DONE))
        else:
            assert self.caller is not None
            self.caller(job, self._turn, lambda: job.on_done(_DONE))

    def cancel(self, job: Job, /) -> bool:
        self._process.call_soon(self._end, job, Answer(cancelled=True))
        return True

    async def close(self) -> None:
        pass

    def _turn(self, change: int) -> None:
        """A caller begins to work, or to wait."""
        self._callers += change
        self.busy_s -= change * self._process.universe.now
        if change < 0:
            self._on_free()

    def _end(self, job: Job, answer: Answer) -> None:
        found = self._running.pop(job, None)
        if found is None:
            return
        began, timer = found
        timer.cancel()
        self.busy_s += self._process.universe.now - began
        job.on_done(answer)
        self._on_free()


class Workers(Room):
    """Slots that fail and come back. `calls` is how many calls there are, so that a hopeless trial can be told."""

    def __init__(
        self,
        process: SimLoop,
        name: str,
        size: int,
        seconds: Callable[[Job], float | None],
        *,
        mtbf_s: float,
        repair_s: float,
        calls: int,
    ) -> None:
        super().__init__(process, name, size, seconds)
        self._mtbf_s = mtbf_s
        self._repair_s = repair_s
        self._most_lost = LOST_PER_CALL * calls + LOST_AT_LEAST
        self._idle = list(range(size))
        self._runs: list[Job | None] = [None] * size
        self._on: dict[Job, int] = {}
        for worker in range(size):
            self._live(worker)

    def free(self, need: Demand, /) -> int:
        return max(0, len(self._idle) - self._callers)

    def submit(self, job: Job, /) -> None:
        super().submit(job)
        if job in self._running:
            self._on[job] = worker = self._idle.pop()
            self._runs[worker] = job

    def _end(self, job: Job, answer: Answer) -> None:
        worker = self._on.pop(job, None)
        if worker is not None:
            self._runs[worker] = None
            self._idle.append(worker)
        super()._end(job, answer)

    def _live(self, worker: int) -> None:
        """The worker is up, until it fails. Its failing is nothing that the simulation waits for."""
        universe = self._process.universe
        lasts = universe.random.expovariate(1.0 / self._mtbf_s)
        universe.at(universe.now + lasts, functools.partial(self._soon, self._fail, worker), waking=False)

    def _soon(self, function: Callable[[int], None], worker: int) -> None:
        self._process.call_soon(function, worker)

    def _fail(self, worker: int) -> None:
        """The worker goes, with the call that it ran. The engine starts the call again."""
        universe, job = self._process.universe, self._runs[worker]
        universe.at(universe.now + self._repair_s, functools.partial(self._soon, self._come_back, worker))
        if job is None:
            self._idle.remove(worker)
            return
        self._runs[worker] = None
        del self._on[job]
        self.lost += 1
        if self.lost > self._most_lost:
            raise UsageError(
                f"workers that fail every {words.seconds(self._mtbf_s)} lose calls faster than they end them: {self.lost:,} calls "
                f"were lost in {words.seconds(universe.now)} of a simulated run. Give a longer time between failures"
            )
        super()._end(job, _DIED)

    def _come_back(self, worker: int) -> None:
        self._idle.append(worker)
        self._live(worker)
        self._on_free()


def _nothing() -> None:
    pass


def expected_seconds(work_s: float, mtbf_s: float, repair_s: float) -> float:
    """The mean time to end `work_s` seconds of work on one worker that fails and begins again: see the top of this file.

    >>> round(expected_seconds(3600.0, 6 * 3600.0, 30.0), 1)
    3922.8
    """
    return (mtbf_s + repair_s) * math.expm1(work_s / mtbf_s)


def expected_attempts(workload: Workload, mtbf_s: float) -> float:
    """How many attempts the calls of a workload need on average when workers fail: exp(t / mtbf) for a call of t seconds."""
    means: dict[int, float] = {}
    total = 0.0
    for number in workload.on_workers:
        call = workload.calls[number]
        if call.task not in means:
            law = workload.laws[call.task]
            seconds = [law.mean_s] if law is not None and law.estimate else [s.seconds for s in law.samples] if law else [0.0]
            means[call.task] = sum(math.exp(min(s / mtbf_s, 700.0)) for s in seconds) / len(seconds)
        total += means[call.task] if call.fixed is None else math.exp(min(call.fixed.seconds / mtbf_s, 700.0))
    return total
