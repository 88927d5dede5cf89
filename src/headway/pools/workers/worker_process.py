"""One worker process as its pool sees it: started, given one job at a time, interrupted, killed, and reaped.

Everything here runs on the loop's thread and waits for nothing; starting and reaping a process can take a while, so one
helper thread does that for all pools (multiprocessing's own books must not be changed by two threads at once).

A job is sent only when the worker has said that it is ready. So a job that is cancelled before has never run, and a
worker that cannot start is told apart from a job that kills its worker. Whatever happens to the process, each job is
answered exactly once, and what the worker sent before its end is still read.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from headway import events
from headway.errors import WorkerDied
from headway.ipc.beside import Beside
from headway.journal.store import Buffer
from headway.pools import logs
from headway.pools.arguments import pickle_arguments
from headway.pools.base import Answer, FunctionRef, Job
from headway.pools.carrying import encode_carried
from headway.pools.program import function_ref
from headway.pools.workers import messages, worker
from headway.pools.workers.answers import read_error, read_value
from headway.pools.workers.deaths import death, how_it_ended, start_failure
from headway.pools.workers.followers import NOT_BEGUN, Followers
from headway.pools.workers.lifeline import living

INTERRUPT_GRACE_S = 0.5
"""How long an interrupted call may take to stop before its process is killed."""

_LEAVE_S = 1.0
_clerk = Beside("headway-processes", one_at_a_time=True)
_context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def _in_forked_child() -> None:
    """The server that forks workers is a child of the parent's, and nobody else can use it."""
    global _context
    _context = multiprocessing.get_context("spawn")


os.register_at_fork(after_in_child=_in_forked_child)


class RemoteWorker:
    """A worker process. `on_answer` is called when its job has an answer, `on_end` when the process has ended."""

    def __init__(
        self,
        number: int,
        on_answer: Callable[[RemoteWorker, Job, Answer], None],
        on_end: Callable[[RemoteWorker, WorkerDied | None], None],
        emit: Callable[[Any], None] | None,
        *,
        pool: str = "process",
        on_ready: Callable[[], None] | None = None,
        on_meeting: Callable[[str], None] | None = None,
    ) -> None:
        self.number = number
        self._pool, self._when_ready, self._when_meeting = pool, on_ready, on_meeting
        self.ready = False
        self.job: Job | None = None
        self._serial = self._last_serial = 0  # tells this worker's jobs apart
        self._followers = Followers(self._recall)
        self.began_at = self.took_s = 0.0  # when this job began, by the loop's clock, and how long the one before took
        self._cancelled = False
        self._doomed = False
        self._pid = 0
        self._waiting: tuple[messages.Work, int | None] | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._on_answer, self._on_end, self._emit = on_answer, on_end, emit
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.owner = os.getpid()
        living.add(self)
        self.ended.add_done_callback(lambda _: living.discard(self))
        self._start()

    @property
    def alive(self) -> bool:
        """False once the process has ended, even before the loop has noticed."""
        return not self._doomed and not (self._pid and self._poll.poll(0))

    # --- start --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if sys.platform == "linux":
            _context.set_forkserver_preload(["headway.pools.workers.worker", "headway.pools.workers.server"])
        self._jobs, jobs = socket.socketpair()
        self._control, control = socket.socketpair()
        self._jobs.setblocking(False)
        self._control.setblocking(False)
        self._inbox, self._outbox = messages.Inbox(self._jobs), messages.Outbox(self._jobs)
        self._process = _context.Process(  # type: ignore[attr-defined]  # the context's own kind of process
            target=worker.main, args=(jobs, control, os.getpid()), name=f"headway-{self.number}", daemon=True
        )

        def start() -> None:
            try:
                self._process.start()
            finally:
                jobs.close()
                control.close()

        self._loop.run_in_executor(_clerk, start).add_done_callback(self._note_start)

    def _note_start(self, future: asyncio.Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self._close_sockets()
            self._finish("could not be started", error)
            return
        self._pid = self._process.pid
        self._poll = select.poll()
        self._poll.register(self._process.sentinel, select.POLLIN)
        self._loop.add_reader(self._process.sentinel, self._on_exit)
        self._loop.add_reader(self._jobs, self._on_readable)
        if self._doomed:
            self.kill()

    # --- a job --------------------------------------------------------------------------------------------------------

    def assign(self, job: Job) -> None:
        """Send the job, at once or when the worker is ready. Raises what makes it impossible to send."""
        ref = self._refer(job)
        carried = encode_carried(job.context, job.facts.task)
        head, buffers = pickle_arguments(job)
        payload, fd = messages.pack(head, buffers)
        self._last_serial = serial = self._last_serial + 1
        if self.job is None:
            self._begin(job, serial)
        else:
            self._followers.add(job, serial)
        work = messages.Work(
            number=serial,
            ref=ref,
            facts=job.facts,
            pickled=job.pickled,
            payload=payload,
            items=job.items,
            around=job.around,
            carried=carried,
            levels=logs.levels_here(),
            asks=job.on_ask is not None,
        )
        if self.ready:
            self._send(work, fd)
        else:
            self._waiting = work, fd

    def _refer(self, job: Job) -> FunctionRef:
        return job.ref or function_ref(job.fn)

    def _begin(self, job: Job, serial: int) -> None:
        self.job, self._serial, self._cancelled = job, serial, False
        self.began_at = self._loop.time()

    def _begin_next(self) -> None:
        """The worker begins what it has had for a while."""
        if (first := self._followers.take_first()) is not None:
            self._begin(first.job, first.serial)
            if first.job.on_begun is not None:
                first.job.on_begun()
            if first.cancelled:  # it was too late to take it back
                self.cancel()

    @property
    def followers(self) -> int | None:
        """How many jobs it has after the one that it runs; None while it can't have any."""
        return len(self._followers) if self.ready and self.job is not None and not self._cancelled and not self._doomed else None

    def take_back(self) -> None:
        """Ask the worker to give back all jobs that it has not begun."""
        self._followers.recall_all()

    def _recall(self, serial: int) -> None:
        with suppress(OSError):  # then the process ends, and the job comes back with that
            self._control.send(worker.NUMBER.pack(worker.RECALL | serial))

    def cancel(self, job: Job | None = None) -> None:
        """Stop the job: not send it, or interrupt it, or kill the process when that takes too long. One that it has not begun is
        taken back."""
        if job is not None and self._followers.cancel(job):
            return
        job = self.job
        if job is None or self._cancelled:
            return
        self._cancelled = True
        if self._waiting is not None:
            self._drop_waiting()
            self._loop.call_soon(self._answer, self._serial, Answer(cancelled=True))
            return
        self._killer = self._loop.call_later(INTERRUPT_GRACE_S, self.kill)
        try:
            self._control.send(worker.NUMBER.pack(self._serial))
        except OSError:
            self.kill()

    def announce_end(self) -> None:
        """Tell the process that the run ends soon."""
        with suppress(OSError):  # then it ends already
            self._control.send(worker.NUMBER.pack(worker.ENDING))

    def _send(self, message: messages.Message, fd: int | None) -> None:
        try:
            self._outbox.send(message, fd)
        except OSError:
            return  # the process is ending; `_on_exit` answers the job
        if self._outbox.pending:
            self._loop.add_writer(self._jobs, self._on_writable)

    def _answer(self, serial: int, answer: Answer, *, last: bool = False) -> None:
        """Answer the job. `last`: the process has not answered it and does no more."""
        job = self.job
        if job is None or serial != self._serial:
            return
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        if self._cancelled:
            answer = Answer(cancelled=True)
        self.job, self.took_s = None, self._loop.time() - self.began_at
        if not last:
            self._begin_next()
        self._on_answer(self, job, answer)

    # --- what the worker says -----------------------------------------------------------------------------------------

    def _on_writable(self) -> None:
        try:
            self._outbox.flush()
        except OSError:
            self._outbox.close()
        if not self._outbox.pending:
            self._loop.remove_writer(self._jobs)

    def _on_readable(self) -> None:
        try:
            self._take_all(self._inbox.receive())
        except BlockingIOError:
            return
        except EOFError:  # the process is ending, or the program has closed what it does not own
            self._loop.remove_reader(self._jobs)
            self._doomed = True
            self._killer = self._killer or self._loop.call_later(INTERRUPT_GRACE_S, self.kill)
        except OSError as error:
            self._loop.remove_reader(self._jobs)
            self._answer(self._serial, Answer(error=error), last=True)
            self.kill()

    def _take_all(self, received: list[tuple[messages.Message, int | None]]) -> None:
        for message, fd in received:
            try:
                self._take(message, fd)
            finally:
                if fd is not None:
                    os.close(fd)

    def _take(self, message: messages.Message, fd: int | None) -> None:
        match message:
            case messages.Ready():
                self._on_ready()
            case messages.Charged():
                if self.job is not None and message.number == self._serial:
                    self.job.on_charge(message.amounts, message.item)
            case messages.Asked():
                self._pass_on(message, fd)
            case messages.Logged():
                logs.tell(message.entry, message.key, message.task)
            case messages.Told():
                if self._emit is not None:
                    self._emit(message.event)
            case messages.Opened():
                if self._when_meeting is not None and self.job is not None and message.number == self._serial:
                    self._when_meeting(message.address)
            case messages.Done():
                if self.job is not None:
                    stopped = Answer(cancelled=True) if self._cancelled else None
                    self._answer(message.number, stopped or read_value(message, fd, pickled=self.job.pickled))
            case messages.Failed():
                self._answer(message.number, read_error(message, self._pid))
            case messages.Stopped():
                self._answer(message.number, Answer(cancelled=True))
            case messages.Returned():
                if (returned := self._followers.take_back(message.number)) is not None:
                    self._on_answer(self, *returned)
                else:  # it was next, and was not begun after all
                    self._answer(message.number, NOT_BEGUN)

    def _pass_on(self, asked: messages.Asked, fd: int | None) -> None:
        """Pass on to the run what the job's code asks."""
        job, number = self.job, asked.number
        if job is None or job.on_ask is None or number != self._serial:
            return

        def reply(head: bytes, buffers: Sequence[Buffer]) -> None:
            if self.job is job and self._serial == number:
                payload, block = messages.pack(head, buffers)
                self._send(messages.Heard(number, payload), block)

        try:
            head, buffers = messages.unpack_private(asked.payload, fd)
        except OSError as error:  # no memory for the block
            self._answer(number, Answer(error=error), last=True)
            self.kill()
            return
        job.on_ask(bytes(head), buffers, reply)

    def _on_ready(self) -> None:
        self.ready = True
        if self._emit is not None:
            self._emit(events.WorkerStarted(at=time.time(), pool=self._pool, worker=self.number, pid=self._pid))
        if self._waiting is not None:
            (work, fd), self._waiting = self._waiting, None
            self._send(work, fd)
        if self._when_ready is not None:
            self._when_ready()

    # --- the end ------------------------------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """Ask the process to leave now; kill it when it is busy, starting or slow."""
        self._doomed = True
        if not self.ready or self.job is not None:
            self._cancelled = True
            self.kill()
            return
        self._close_sockets()
        self._killer = self._loop.call_later(_LEAVE_S, self.kill)

    def kill(self) -> None:
        self._doomed = True
        if self.ready and not self.ended.done():
            self._kill_group()
        elif self._pid and not self.ended.done():
            self._process.kill()

    def _kill_group(self) -> None:
        """Kill the process and what its calls have started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._doomed = True

        def reap() -> int:
            self._process.join()
            code = self._process.exitcode
            self._process.close()
            return int(code)

        self._loop.run_in_executor(_clerk, reap).add_done_callback(self._reaped)

    def _reaped(self, future: asyncio.Future[int]) -> None:
        with suppress(OSError, EOFError):
            while True:
                self._take_all(self._inbox.receive())
        self._close_sockets()
        if self.ready:
            self._kill_group()
        self._finish(how_it_ended(future.result()), None)

    def _finish(self, why: str, cause: BaseException | None) -> None:
        if self._killer is not None:
            self._killer.cancel()
        died = None if self.ready else self._explain_start(why, cause)
        if self._emit is not None and self.ready:
            self._emit(events.WorkerEnded(at=time.time(), pool=self._pool, worker=self.number, pid=self._pid, why=why))
        if not self.ended.done():
            self.ended.set_result(None)
        self._on_end(self, died)
        if self.job is not None:
            self._answer(self._serial, Answer(error=died or death(self.job, self._pid, why)), last=True)
        for job, answer in self._followers.take_all():
            self._on_answer(self, job, answer)

    def _explain_start(self, why: str, cause: BaseException | None) -> WorkerDied:
        return start_failure(why, cause)

    def _drop_waiting(self) -> None:
        if self._waiting is not None and self._waiting[1] is not None:
            os.close(self._waiting[1])
        self._waiting = None

    def _close_sockets(self) -> None:
        self._drop_waiting()
        if self._jobs.fileno() >= 0:
            self._loop.remove_reader(self._jobs)
            self._loop.remove_writer(self._jobs)
        self._inbox.close()
        self._outbox.close()
        self._jobs.close()
        self._control.close()
