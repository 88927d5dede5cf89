"""Pools of a simulated process: the protocol of the real ones, at drawn times, with nothing running beside anything.

A thread's job can only be abandoned: it is answered as cancelled at once and keeps its slot until its code has ended. A process's
job gets copies of its arguments and answers in encoded form; cancelled, it is killed wherever it is; and its worker may die, before
or after the code ran. These are the promises of `pools.base`; what a seed adds is only when.
"""

from __future__ import annotations

import contextvars
import functools
import math
import pickle
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headway.errors import WorkerDied
from headway.journal.codec import codec
from headway.journal.records import Amounts
from headway.pools.base import Answer, CallFacts, Job
from headway.pools.current import set_worker_call
from headway.sim.loop import Killed
from headway.sim.strand import Strand, strand

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop


class SimThreadPool:
    name = "thread"

    def __init__(self, process: SimLoop, size: int) -> None:
        self.size = size
        self.strands: dict[Strand, Job] = {}
        self._process = process
        self._lent = 0
        self._running: set[Job] = set()
        self._busy: set[Job] = set()
        self._on_free: Callable[[], None] = _nothing

    @property
    def free(self) -> int:
        return max(0, self.size + self._lent - len(self._busy))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None) -> None:
        self._on_free = on_free

    def announce_end(self) -> None:
        """Nothing: no code here saves what it has."""

    def lend(self, slots: int) -> None:
        self._lent += slots
        if slots > 0:
            self._on_free()

    def submit(self, job: Job) -> None:
        self._running.add(job)
        self._busy.add(job)
        universe = self._process.universe
        self._process.call_later(universe.lasts(universe.nature.job_s / 2), self._begin, job)

    def cancel(self, job: Job) -> bool:
        if job not in self._running:
            return True
        self._running.discard(job)
        self._process.call_soon(job.on_done, Answer(cancelled=True))
        return False

    async def close(self) -> None:
        for job in list(self._running):
            self.cancel(job)
        self.abandon()

    def abandon(self) -> None:
        """Unwind the code that waits and will never be answered."""
        for waiting in list(self.strands):
            waiting.kill()
        self.strands.clear()

    def _begin(self, job: Job) -> None:
        mine = strand()
        answers: list[Answer] = []
        context = job.context or contextvars.Context()

        def work() -> None:
            try:
                answers.append(Answer(value=context.run(job.fn, *job.args, **job.kwargs)))
            except Killed:
                raise
            except BaseException as error:
                answers.append(Answer(error=error))

        self.strands[mine] = job
        self._go_on(mine, functools.partial(mine.begin, work), answers, job)

    def _go_on(self, mine: Strand, resume: Callable[[], None], answers: list[Answer], job: Job) -> None:
        """Let a strand run until it has ended or waits for a future."""
        if self.strands.get(mine) is not job:
            return  # it was abandoned
        world = self._process.world
        world.strand = mine
        resume()
        world.strand = None
        waited = world.take_waited()
        if waited is not None:
            go_on = functools.partial(self._go_on, mine, mine.resume, answers, job)
            waited.add_done_callback(lambda _: self._process.call_soon(go_on))
            return
        self.strands.pop(mine, None)
        universe = self._process.universe
        answer = answers[0] if answers else Answer(cancelled=True)
        self._process.call_later(universe.lasts(universe.nature.job_s / 2), self._ended, job, answer)

    def _ended(self, job: Job, answer: Answer) -> None:
        self._busy.discard(job)
        if job in self._running:
            self._running.discard(job)
            job.on_done(answer)
        elif job.on_left is not None:
            job.on_left()
        self._on_free()


class SimProcessPool:
    name = "process"

    def __init__(self, process: SimLoop, size: int) -> None:
        self.size = size
        self._process = process
        self._running: set[Job] = set()
        self._cancelled: set[Job] = set()
        self._on_free: Callable[[], None] = _nothing
        self._emit: Callable[[Any], None] = _nothing

    @property
    def free(self) -> int:
        return max(0, self.size - len(self._running))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None) -> None:
        self._on_free, self._emit = on_free, emit or _nothing

    def announce_end(self) -> None:
        """Nothing: no code here saves what it has."""

    def lend(self, slots: int) -> None:
        pass

    def submit(self, job: Job) -> None:
        """Answer after a drawn time. Raises what pickling the arguments raises."""
        universe = self._process.universe
        sent = pickle.dumps((job.args, job.kwargs))
        self._running.add(job)
        runs_in, answers_in = universe.lasts(universe.nature.job_s / 2), universe.lasts(universe.nature.job_s / 2)
        if universe.nature.worker_dies and universe.draw() < universe.nature.worker_dies:
            if universe.draw() < 0.5:  # after its code ran: what it did outside is done
                self._process.call_later(runs_in, self._run, job, sent)
            self._process.call_later(runs_in + answers_in, self._answer, job, Answer(error=WorkerDied("its simulated worker died")))
            return
        self._process.call_later(runs_in, lambda: self._process.call_later(answers_in, self._answer, job, self._run(job, sent)))

    def cancel(self, job: Job) -> bool:
        if job in self._running and job not in self._cancelled:
            self._cancelled.add(job)
            universe = self._process.universe
            self._process.call_later(universe.lasts(universe.nature.job_s / 10), self._answer, job, Answer(cancelled=True))
        return True

    async def close(self) -> None:
        for job in list(self._running):
            self._answer(job, Answer(cancelled=True))

    def _run(self, job: Job, sent: bytes) -> Answer:
        """What the worker would do, unless it was killed before."""
        if job not in self._running:
            return Answer(cancelled=True)
        deadline = job.facts.deadline
        call = _WorkerCall(job, self._emit, math.inf if deadline is None else deadline - self._process.world.wall())
        try:
            args, kwargs = pickle.loads(sent)
            set_worker_call(call)
            value = contextvars.Context().run(job.fn, *args, **kwargs)
            encoded = codec.encode(value, where=f"the result of {job.facts.task}", pickle=job.pickled)
            return Answer(value=codec.decode(encoded.head, encoded.buffers, pickle=job.pickled), encoded=encoded)
        except Killed:
            raise
        except BaseException as error:
            return Answer(error=codec.decode_error(codec.encode_error(error), remote=True))
        finally:
            set_worker_call(None)
            for amounts, item in call.charges:
                self._process.call_soon(job.on_charge, amounts, item)

    def _answer(self, job: Job, answer: Answer) -> None:
        """Answer a job that has none yet. One that was cancelled is answered as cancelled, whatever its worker still does."""
        if job in self._running:
            self._running.discard(job)
            job.on_done(Answer(cancelled=True) if job in self._cancelled else answer)
            self._cancelled.discard(job)
            self._on_free()


class _WorkerCall:
    """The call that a simulated worker runs."""

    def __init__(self, job: Job, tell: Callable[[Any], None], left_s: float) -> None:
        self.facts: CallFacts = job.facts
        self.items: int | None = job.items
        self.charges: list[tuple[Amounts, int | None]] = []
        self.tell = tell
        self.left_s = left_s
        self._asked: Counter[str] = Counter()

    def count(self, what: str) -> int:
        self._asked[what] += 1
        return self._asked[what] - 1

    def charge(self, amounts: Amounts, item: int | None) -> None:
        self.charges.append((amounts, item))

    def remaining(self) -> Amounts:
        left = dict(self.facts.allowance)
        for amounts, _ in self.charges:
            for unit in left.keys() & amounts.keys():
                left[unit] = max(0.0, left[unit] - amounts[unit])
        return left


def _nothing(*_: object) -> None:
    pass
