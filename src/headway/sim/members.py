"""A simulated pool whose jobs run on several members at once: each member is a thread, and they take turns.

Members arrive at drawn times, and none begins before all are there. They meet in a simulated process group of torch.distributed
where torch is installed (`sim/group.py`). One may die: before all are there, in the midst of a collective, or after its code has
ended; then the others end as well, for they would wait for it for ever. What each has for itself, as a process has, is changed when
turns change: the call that it runs, the environment of torchrun, the state of random generators. Modules are shared.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headway.errors import WorkerDied
from headway.journal.codec.codec import add_note
from headway.pools.base import Answer, Job, Pool, Seat
from headway.pools.current import set_worker_call
from headway.sim.pools import Sent, SimCall, SimPool
from headway.sim.stage import Play, Stage

if TYPE_CHECKING:
    from headway.sim.group import Meeting
    from headway.sim.loop import SimLoop


class SimMembers(SimPool):
    """Jobs of several members. How many is said by the need that the traits name."""

    def __init__(self, process: SimLoop, real: Pool) -> None:
        super().__init__(process, real)
        self.stage = Stage(process)
        self._running: dict[Job, _MemberGroup] = {}

    def submit(self, job: Job, /) -> None:
        """Begin when all members are there. Raises what sending the arguments raises."""
        self._running[job] = group = _MemberGroup(self, self._process, job)
        self._take(job)
        group.arrive()

    def cancel(self, job: Job, /) -> bool:
        if (group := self._running.get(job)) is not None:
            self._process.call_later(self._half() / 5, group.end, Answer(cancelled=True))
        return True

    async def close(self) -> None:
        for group in list(self._running.values()):
            group.end(Answer(cancelled=True))
            self.finish(group.job, Answer(cancelled=True))
        self.abandon()

    def abandon(self) -> None:
        for group in self._running.values():
            group.kill()
        self.stage.kill_all()

    def finish(self, job: Job, answer: Answer) -> None:
        """A job has its answer and none of its members runs any more."""
        if self._running.pop(job, None) is not None:
            self._give(job)
            job.on_done(answer)
            self._on_free()

    def emit(self, event: Any) -> None:
        self._emit(event)


class _MemberGroup:
    """The members of one job."""

    def __init__(self, pool: SimMembers, process: SimLoop, job: Job) -> None:
        self.job = job
        self._pool, self._process, self._universe = pool, process, process.universe
        size = int(job.need.get(pool.traits.members, 1))
        self._sent = [
            Sent(
                replace(
                    job,
                    facts=replace(job.facts, seat=Seat(rank, size, "simulated")),
                    on_ask=job.on_ask if rank == 0 else None,
                )
            )
            for rank in range(size)
        ]
        self._there: set[int] = set()
        self._members: dict[int, _Member] = {}
        self._answers: dict[int, Answer] = {}
        self._outcome: Answer | None = None
        self._meeting: Meeting | None = None
        if importlib.util.find_spec("torch") is not None:
            from headway.sim.group import Meeting

            self._meeting = Meeting(process, size)

    def arrive(self) -> None:
        """Let the members come, one by one, and draw whether one of them dies."""
        universe, size = self._universe, len(self._sent)
        half = universe.config.job_s / 2
        for rank in range(size):
            self._process.call_later(universe.lasts(half), self._note_arrival, rank)
        if universe.config.worker_dies and universe.draw() < universe.config.worker_dies:
            self._process.call_later(universe.lasts(2 * half), self._die, int(universe.draw() * size))

    def end(self, answer: Answer) -> None:
        """End all members, and answer when they have ended."""
        if self._outcome is None:
            self._outcome = answer
            self.kill()
            self._process.call_soon(self._pool.finish, self.job, answer)

    def kill(self) -> None:
        """Unwind the members that wait, as when their processes are killed."""
        for member in self._members.values():
            member.kill()

    def _note_arrival(self, rank: int) -> None:
        if self._outcome is not None:
            return
        self._there.add(rank)
        if len(self._there) == len(self._sent):
            for each, sent in enumerate(self._sent):
                self._process.call_soon(self._begin, each, sent)

    def _begin(self, rank: int, sent: Sent) -> None:
        if self._outcome is None:
            member = self._members[rank] = _Member(self._pool, self._process, sent, self._meeting)
            member.begin(functools.partial(self._schedule_answer, rank))

    def _schedule_answer(self, rank: int, answer: Answer) -> None:
        """A member's code has ended; it answers a little later."""
        self._process.call_later(self._universe.lasts(self._universe.config.job_s / 2), self._take_answer, rank, answer)

    def _take_answer(self, rank: int, answer: Answer) -> None:
        if self._outcome is not None:
            return
        self._answers[rank] = answer
        if answer.error is not None:
            add_note(answer.error, f"on rank {rank} of a gang of {len(self._sent)}")
            self.end(answer)
        elif len(self._answers) == len(self._sent):
            self.end(self._answers[0])

    def _die(self, rank: int) -> None:
        """A member dies wherever it is. One that has answered has left, and takes nobody with it."""
        if rank not in self._answers:
            begun = "" if len(self._there) == len(self._sent) else " before all were there"
            self.end(Answer(error=WorkerDied(f"a simulated member of {self.job.facts.task} died{begun}")))


class _Member:
    """One member: its thread, and what it has for itself."""

    def __init__(self, pool: SimMembers, process: SimLoop, sent: Sent, meeting: Meeting | None) -> None:
        self._pool, self._process, self._sent, self._meeting = pool, process, sent, meeting
        facts = sent.job.facts
        assert facts.seat is not None
        self.seat: Seat = facts.seat
        self._call: SimCall = sent.call(process, pool.emit)
        self._own = _Own(self.seat)
        self._thread: Play | None = None

    def begin(self, ended: Any) -> None:
        """Run the code until it ends or waits for another member."""
        answers: list[Answer] = []

        def work() -> None:
            if self._meeting is not None:
                self._meeting.join(self.seat.rank)
            answer = self._sent.answer(encode=self.seat.rank == 0, call=self._call)
            if self._meeting is not None and answer.error is None:  # after an error the others are ended
                self._meeting.leave(self.seat.rank)
            answers.append(answer)

        def then() -> None:
            self._sent.book(self._process, self._call)
            ended(answers[0])

        self._thread = self._pool.stage.begin(work, then, self._here)

    def kill(self) -> None:
        """Unwind the code where it waits."""
        if self._call.line is not None:
            self._call.line.cut()
        if self._thread is not None:
            self._pool.stage.kill(self._thread, self._here)

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """While this member runs."""
        with self._own.in_place(), contextlib.nullcontext() if self._meeting is None else self._meeting.speaks(self.seat.rank):
            set_worker_call(self._call)
            try:
                yield
            finally:
                set_worker_call(None)


class _Own:
    """What each process has for itself and simulated members share: kept here while another one runs."""

    def __init__(self, seat: Seat) -> None:
        rank, size = str(seat.rank), str(seat.size)
        self._environment = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
        self._random: Any = None
        self._torch: Any = None

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        before = {name: os.environ.get(name) for name in self._environment}
        others, torch = random.getstate(), sys.modules.get("torch")
        others_torch = torch.get_rng_state() if torch is not None else None
        os.environ.update(self._environment)
        if self._random is not None:
            random.setstate(self._random)
        if torch is not None and self._torch is not None:
            torch.set_rng_state(self._torch)
        try:
            yield
        finally:
            self._random = random.getstate()
            random.setstate(others)
            if torch is not None:
                self._torch = torch.get_rng_state()
                torch.set_rng_state(others_torch)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
