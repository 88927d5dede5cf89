"""Pools of a simulated process: the promises of the real ones, at drawn times, with nothing running beside anything.

Which promises stands in the traits of the real pool, so one that somebody brings is simulated as well as ours: whether its code has
the program's objects or copies of them, whether it may ask the run, whether it is several members, and what becomes of it when it
is cancelled. Nothing of the real pool runs: it is only asked for its traits, and how many jobs of a need it has room for.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import math
import pickle
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from headway.errors import WorkerDied
from headway.events import AnyEvent
from headway.journal.codec import codec
from headway.pools.base import A_SLOT, Answer, CallFacts, Demand, Job, Pool, Traits
from headway.pools.carrying import encode_carried, put_into
from headway.pools.current import set_worker_call
from headway.pools.parcel import ParcelCall
from headway.sim.line import SimLine
from headway.sim.loop import Killed
from headway.sim.stage import Play, Stage

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop


T = TypeVar("T")


def simulate_pool(process: SimLoop, real: Pool) -> SimPool:
    """Make a simulated pool with the promises of a real one, which is not started."""
    traits = real.traits
    if traits.members:
        from headway.sim.members import SimMembers

        return SimMembers(process, real)
    return SimApart(process, real) if traits.copies else SimShared(process, real)


class SimPool:
    """Slots of a simulated pool. A job of a need of which n fit into the empty pool takes an nth of it."""

    def __init__(self, process: SimLoop, real: Pool) -> None:
        self.traits: Traits = real.traits
        self._room_for = real.free
        self._rooms: dict[Demand, int] = {}
        self._process = process
        self._lent = 0
        self._taken: Counter[int] = Counter()  # jobs, by how many like it the pool has room for
        self._on_free: Callable[[], None] = _nothing
        self._emit: Callable[[Any], None] = _nothing

    def free(self, need: Demand, /) -> int:
        room = self._room(need)
        if self._taken.keys() <= {room} and (not self._lent or room == self._room(A_SLOT)):
            return max(0, room + self._lent - self._taken[room])
        used = sum((Fraction(count, each) for each, count in self._taken.items()), Fraction())
        return max(0, math.floor((1 - used + Fraction(self._lent, max(1, self._room(A_SLOT)))) * room))

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        self._on_free, self._emit = on_free, emit or _nothing

    def announce_end(self) -> None:
        """Nothing: no code here saves what it has."""

    def lend(self, slots: int, /) -> None:
        if self.traits.lends:
            self._lent += slots
            if slots > 0:
                self._on_free()

    def abandon(self) -> None:
        """Unwind the code that waits and will never be answered."""

    def _room(self, need: Demand) -> int:
        """How many jobs of this need fit into the empty pool."""
        if need not in self._rooms:
            self._rooms[need] = max(0, self._room_for(need))
        return self._rooms[need]

    def _take(self, job: Job) -> None:
        self._taken[max(1, self._room(job.need))] += 1

    def _give(self, job: Job) -> None:
        room = max(1, self._room(job.need))
        self._taken[room] -= 1
        if not self._taken[room]:
            del self._taken[room]

    def _half(self) -> float:
        """Half of the time that a job takes besides what it sleeps."""
        universe = self._process.universe
        return universe.lasts(universe.config.job_s / 2)

    # what the kinds of pools do:

    def submit(self, job: Job, /) -> None:
        raise NotImplementedError

    def cancel(self, job: Job, /) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class SimShared(SimPool):
    """Code in this process, with the program's own objects: threads, or what is like them."""

    def __init__(self, process: SimLoop, real: Pool) -> None:
        super().__init__(process, real)
        self._stage = Stage(process)
        self._running: dict[Job, Play | None] = {}  # what is not answered; None before its code begins
        self._stopping: set[Job] = set()

    def submit(self, job: Job, /) -> None:
        self._running[job] = None
        self._take(job)
        self._process.call_later(self._half(), self._begin, job)

    def cancel(self, job: Job, /) -> bool:
        how = self.traits.cancel
        if job not in self._running or job in self._stopping:
            return True
        if how == "abandoned":
            del self._running[job]
            self._process.call_soon(job.on_done, Answer(cancelled=True))
            return False
        self._stopping.add(job)
        if how == "killed":
            self._process.call_later(self._half() / 5, self._kill, job)
        return True

    async def close(self) -> None:
        for job in list(self._running):
            if self.traits.cancel == "abandoned":
                self.cancel(job)
            else:
                self._end(job, Answer(cancelled=True))
        self.abandon()

    def abandon(self) -> None:
        self._stage.kill_all()

    def _begin(self, job: Job) -> None:
        if job in self._stopping:
            self._finish(job, Answer(cancelled=True))
            return
        answers: list[Answer] = []
        context = (job.context if self.traits.asks else None) or contextvars.Context()

        def work() -> None:
            try:
                answers.append(Answer(value=context.run(job.fn, *job.args, **job.kwargs)))
            except Killed:
                raise
            except BaseException as error:
                answers.append(Answer(error=error))

        def then() -> None:
            answer = answers[0] if answers else Answer(cancelled=True)
            self._process.call_later(self._half(), self._finish, job, answer)

        mine = self._stage.begin(work, then)
        if job in self._running:
            self._running[job] = mine

    def _kill(self, job: Job) -> None:
        if (mine := self._running.get(job)) is not None:
            self._stage.kill(mine)
        if job in self._running:
            self._end(job, Answer(cancelled=True))

    def _finish(self, job: Job, answer: Answer) -> None:
        if job in self._running:
            self._end(job, answer)
        elif self.traits.cancel == "abandoned":
            self._give(job)
            if job.on_left is not None:
                job.on_left()
            self._on_free()

    def _end(self, job: Job, answer: Answer) -> None:
        del self._running[job]
        self._give(job)
        job.on_done(Answer(cancelled=True) if job in self._stopping else answer)
        self._stopping.discard(job)
        self._on_free()


class SimApart(SimPool):
    """Code somewhere else, with copies of its arguments: worker processes, or what is like them. A worker may die, also while its
    code waits for calls that it has made."""

    def __init__(self, process: SimLoop, real: Pool) -> None:
        super().__init__(process, real)
        self._stage = Stage(process)
        self._running: dict[Job, _Apart | None] = {}  # with its code, where that has begun and waits
        self._cancelled: set[Job] = set()
        self._abandoned: set[Job] = set()

    def submit(self, job: Job, /) -> None:
        """Answer after a drawn time. Raises what sending the arguments raises."""
        universe = self._process.universe
        sent = Sent(job)
        self._running[job] = None
        self._take(job)
        runs_in, answers_in = self._half(), self._half()
        if universe.config.worker_dies and universe.draw() < universe.config.worker_dies:
            if universe.draw() < 0.5:  # after its code ran, or wherever it is then: what it did outside is done
                self._process.call_later(runs_in, self._run, job, sent, lambda _: None)
            self._process.call_later(runs_in + answers_in, self._answer, job, Answer(error=WorkerDied("its simulated worker died")))
            return

        def then(answer: Answer) -> None:
            self._process.call_later(answers_in, self._answer, job, answer)

        self._process.call_later(runs_in, self._run, job, sent, then)

    def cancel(self, job: Job, /) -> bool:
        if job in self._abandoned:
            return False
        if job not in self._running or job in self._cancelled:
            return True
        how = self.traits.cancel
        if how == "abandoned":
            self._abandoned.add(job)
            self._process.call_soon(job.on_done, Answer(cancelled=True))
            return False
        self._cancelled.add(job)
        if how == "killed":
            self._process.call_later(self._half() / 5, self._answer, job, Answer(cancelled=True))
        return True

    async def close(self) -> None:
        for job in list(self._running):
            self._answer(job, Answer(cancelled=True))

    def abandon(self) -> None:
        for code in self._running.values():
            if code is not None:
                code.kill()
        self._stage.kill_all()

    def _run(self, job: Job, sent: Sent, then: Callable[[Answer], None]) -> None:
        """Do what the worker would do, unless it was killed before."""
        if job not in self._running or (job in self._cancelled and self.traits.cancel != "abandoned"):
            then(Answer(cancelled=True))
            return
        code = self._running[job] = _Apart(self._process, self._stage, sent, self._emit)
        code.begin(then)

    def _answer(self, job: Job, answer: Answer) -> None:
        """Answer a job that has none yet. One that was cancelled is answered as cancelled, whatever its worker still does."""
        if job not in self._running:
            return
        code = self._running.pop(job)
        if code is not None:
            code.kill()
        self._give(job)
        if job in self._abandoned:
            self._abandoned.discard(job)
            if job.on_left is not None:
                job.on_left()
        else:
            job.on_done(Answer(cancelled=True) if job in self._cancelled else answer)
        self._cancelled.discard(job)
        self._on_free()


class _Apart:
    """The code of one job, while it runs."""

    def __init__(self, process: SimLoop, stage: Stage, sent: Sent, tell: Callable[[Any], None]) -> None:
        self._process, self._stage, self._sent = process, stage, sent
        self._call = sent.call(process, tell)
        self._thread: Play | None = None

    def begin(self, ended: Callable[[Answer], None]) -> None:
        answers: list[Answer] = []

        def work() -> None:
            answers.append(self._sent.answer(call=self._call))

        def then() -> None:
            self._sent.book(self._process, self._call)
            ended(answers[0] if answers else Answer(cancelled=True))

        self._thread = self._stage.begin(work, then, self._here)

    def kill(self) -> None:
        """End the code where it waits, as SIGKILL would: what it does while it is unwound nobody hears."""
        if self._call.line is not None:
            self._call.line.cut()
        if self._thread is not None:
            self._stage.kill(self._thread, self._here)

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """While the code runs."""
        set_worker_call(self._call)
        try:
            yield
        finally:
            set_worker_call(None)


class Sent:
    """A job as it is after it was sent somewhere else: with copies of its arguments, and no way back but its answer."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._sent = pickle.dumps((job.args, job.kwargs))
        self._carried = encode_carried(job.context, job.facts.task)

    def call(self, process: SimLoop, tell: Callable[[Any], None]) -> SimCall:
        """The call as its code may ask about it."""
        due = self.job.facts.deadline
        call = SimCall(self.job.facts, self.job.items, math.inf if due is None else due - process.world.wall(), tell)
        if self.job.on_ask is not None:
            call.line = SimLine(process, self.job, lambda: self.book(process, call))
        return call

    def answer(self, encode: bool = True, *, call: SimCall) -> Answer:
        """Run the code, in the thread that this is called in."""
        job = self.job
        try:
            args, kwargs = pickle.loads(self._sent)
            context = contextvars.Context()
            put_into(context, self._carried)
            value = context.run(_run, call, job.fn, args, kwargs)
            if not encode:
                return Answer()
            encoded = codec.encode(value, where=f"the result of {job.facts.task}", pickle=job.pickled)
            return Answer(value=codec.decode(encoded.head, encoded.buffers, pickle=job.pickled), encoded=encoded)
        except Killed:
            raise
        except BaseException as error:
            origins = call.asker.find_origins(error) if call.asker is not None else ()
            return Answer(error=codec.decode_error(codec.encode_error(error), remote=True), origins=tuple(origins))

    def book(self, process: SimLoop, call: ParcelCall) -> None:
        """Tell the run what the code has charged."""
        for amounts, item in call.charges:
            process.call_soon(self.job.on_charge, amounts, item)
        call.charges.clear()


def _run(call: SimCall, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    value = function(*args, **kwargs)
    return call.run_async(value) if inspect.iscoroutine(value) else value


class SimCall(ParcelCall):
    """A call whose code says at once what it has to say, and has all its time: none passes while it runs, but for what it waits for
    in its run."""

    def __init__(self, facts: CallFacts, items: int | None, left_s: float, tell: Callable[[Any], None]) -> None:
        super().__init__(facts, items)
        self.line: SimLine | None = None
        self._left_s, self._tell = left_s, tell

    def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(coroutine) if self.line is None else self.line.run_async(coroutine)

    @property
    def left_s(self) -> float:
        return self._left_s

    def tell(self, event: AnyEvent) -> None:
        self._tell(event)


def _nothing(*_: object) -> None:
    pass
