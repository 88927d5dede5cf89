"""Runs one function on several processes at once, which find each other through torch.distributed: a gang.

All start or none do: no process gets the function before all of them are there. They end together as well: the first that raises or
dies ends the others, for they would wait for it in a collective forever, and its error is the gang's. What rank 0 returned is the
result. A gang has processes of its own and they end with it, so nothing of a failed attempt is left for the next one.

The pool keeps slots and nothing else: one gang per slot, no queue, no retry. It must never answer a job twice, and never from
inside `submit` or `cancel`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headway.errors import WorkerDied
from headway.journal.codec.codec import add_note
from headway.pools.base import Answer, Demand, FunctionRef, Job, Seat, Traits
from headway.pools.workers.worker_process import RemoteWorker

PROCESSES = "processes"
MEMBER = FunctionRef("headway.pools.member", "run_as_member")


def _whole(value: Any) -> str:
    """Describe what is wrong with a number of processes."""
    return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else "a whole number, at least 1"


GANG = Traits(
    imports=True,
    copies=True,
    relays=True,
    lends=True,
    cancel="killed",
    members=PROCESSES,
    batches=False,
    attempts=3,
    needs={PROCESSES: _whole},
)
"""A gang that lost a process is begun again, from its own checkpoints: so its tasks have more than one attempt."""

_HEARSAY_S = 0.2
"""How long an error waits for news of a process that has died: the others may fail in a collective before its end is noticed."""


class GangPool:
    """`size` gangs at a time, each of as many processes as its job wants."""

    traits = GANG

    def __init__(self, size: int) -> None:
        self.size = size
        self._running: dict[Job, Gang] = {}
        self._hired = 0
        self._lent = 0
        self._on_free: Callable[[], None] = lambda: None
        self._emit: Callable[[Any], None] | None = None

    def free(self, need: Demand, /) -> int:
        return max(0, self.size + self._lent - len(self._running))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        self._on_free, self._emit = on_free, emit

    def submit(self, job: Job, /) -> None:
        first, self._hired = self._hired + 1, self._hired + size_of(job)
        self._running[job] = Gang(job, range(first, first + size_of(job)), self._emit, self._note_end)

    def cancel(self, job: Job, /) -> bool:
        """Interrupt all processes, or kill them. The job is answered when the last has ended."""
        if (gang := self._running.get(job)) is not None:
            gang.stop(Answer(cancelled=True))
        return True

    def announce_end(self) -> None:
        """Tell all processes of all gangs."""
        for gang in self._running.values():
            gang.announce_end()

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of gangs whose rank 0 only waits for other jobs; take them back with a negative number."""
        self._lent += slots
        if slots > 0:
            self._on_free()

    async def close(self) -> None:
        """End all gangs; their jobs are answered as cancelled."""
        gangs = list(self._running.values())
        for gang in gangs:
            gang.stop(Answer(cancelled=True))
        await asyncio.gather(*(gang.ended for gang in gangs))
        await asyncio.sleep(0)

    def _note_end(self, job: Job, answer: Answer) -> None:
        del self._running[job]
        job.on_done(answer)
        self._on_free()


def size_of(job: Job) -> int:
    """How many processes a job wants."""
    return int(job.need.get(PROCESSES, 1))


class Gang:
    """The processes of one job."""

    hearsay_s = _HEARSAY_S

    def __init__(
        self, job: Job, numbers: Sequence[int], emit: Callable[[Any], None] | None, on_end: Callable[[Job, Answer], None]
    ) -> None:
        self._job = job
        self._emit, self._on_end = emit, on_end
        self._answers: dict[int, Answer] = {}  # by rank
        self._outcome: Answer | None = None  # of the first that failed
        self._folder = Path(tempfile.mkdtemp(prefix="headway-gang-"))
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._workers: list[RemoteWorker] = []
        self._present = 0
        try:
            for rank, number in enumerate(numbers):
                self._workers.append(self._hire(rank, number))
                self._present += 1
        except OSError as error:  # there is nothing left to make another one of
            self.stop(Answer(error=error))
            if not self._workers:
                asyncio.get_running_loop().call_soon(self._finish)

    def _hire(self, rank: int, number: int) -> RemoteWorker:
        ready = self._begin_when_all_are_there
        return RemoteWorker(number, self._take_answer, self._note_exit, self._emit, pool="gang", on_ready=ready)

    def announce_end(self) -> None:
        """Tell all processes that the run ends soon."""
        for worker in self._workers:
            worker.announce_end()

    def stop(self, outcome: Answer) -> None:
        """End all processes; the gang's answer is this one, unless it has one already."""
        if self._outcome is not None:
            return
        self._outcome = outcome
        for worker in self._workers:
            if worker.job is not None:
                worker.cancel()
            else:
                worker.dismiss()

    def _begin_when_all_are_there(self) -> None:
        if self._outcome is not None or not all(worker.ready for worker in self._workers):
            return
        self._begin()

    def _begin(self) -> None:
        for rank in range(len(self._workers)):
            self._assign(Seat(rank, len(self._workers), str(self._folder / "meeting")))

    def _assign(self, seat: Seat) -> None:
        if self._outcome is not None:
            return
        try:
            facts = dataclasses.replace(self._job.facts, seat=seat)
            asks = self._job.on_ask if seat.rank == 0 else None  # calls are made once, by the member whose result counts
            self._workers[seat.rank].assign(dataclasses.replace(self._job, facts=facts, around=MEMBER, on_ask=asks))
        except Exception as error:  # arguments that can't be sent
            self.stop(Answer(error=error))

    def _take_answer(self, worker: RemoteWorker, job: Job, answer: Answer) -> None:
        rank = self._workers.index(worker)
        self._answers[rank] = answer
        if isinstance(answer.error, WorkerDied) or answer.cancelled:
            self.stop(answer)
        elif answer.error is not None and self._outcome is None:
            # This process stays until then: if it ended, the others would fail as well, and whose fault it was would be a race.
            add_note(answer.error, f"on rank {rank} of a gang of {len(self._workers)}")
            asyncio.get_running_loop().call_later(self.hearsay_s, self.stop, answer)
            return
        if not worker.ended.done():
            worker.dismiss()

    def _note_exit(self, worker: RemoteWorker, failed_start: WorkerDied | None) -> None:
        """A process has ended. Its answer, if it owes one, comes right after."""
        if failed_start is not None:
            self.stop(Answer(error=failed_start))
        elif worker.job is None and self._workers.index(worker) not in self._answers:
            self.stop(Answer(error=WorkerDied(f"a process of the gang of {self._job.facts.task} ended before all were there")))
        self._present -= 1
        if not self._present:
            asyncio.get_running_loop().call_soon(self._finish)

    def _finish(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        answer = self._outcome or self._answers.get(0)
        if answer is None:
            answer = Answer(error=WorkerDied(f"the gang of {self._job.facts.task} ended without an answer"))
        self.ended.set_result(None)
        self._on_end(self._job, answer)
