"""The code of a worker process: runs one call after another until its pool goes away.

The main thread runs the calls, so that a signal can interrupt them; a second thread watches the control socket. A
number on it asks to interrupt that call or says that the run ends soon, its end says that the pool is gone, and then
the process leaves at once, whatever it is doing. On Linux the kernel does the same by itself, for code that never lets
another thread run.

An interrupt is an exception that a signal handler raises inside the user's code. It is raised at most once, only for
the call that it is meant for, and only while that call's function runs: never while a message is on its way, and
never between calls. So an interrupted worker stays as good as new.

This file must never keep a reference to arguments or results between calls, and must never write to a block it has
sent.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import math
import multiprocessing
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from headway.errors import NotEncodable
from headway.events import AnyEvent
from headway.journal.codec import codec
from headway.journal.records import Amounts
from headway.pools import current, program
from headway.pools.base import CallFacts, FunctionRef
from headway.pools.carrying import context_with
from headway.pools.logs import Entry, Forwarding
from headway.pools.workers import messages
from headway.pools.workers.call import CHARGE_INTERVAL_S, RunningCall
from headway.pools.workers.lifeline import die_with_parent, hear_sigterm, open_process
from headway.pools.workers.line import Loops

INTERRUPT_SIGNAL = signal.SIGUSR1
NUMBER = struct.Struct("<Q")  # the control socket's only message: the call to interrupt, one to give back, or `ENDING`
ENDING = 2**64 - 1  # the run was told to end
RECALL = 1 << 63  # with the number of a call: give it back if it has not begun
_SIGNAL_INTERVAL_S = 0.02
_LEAVE_S = 0.2
_IDLE = 0
_OURS = str(Path(__file__).parents[1])


class Interrupted(BaseException):
    """Raised inside a call that was cancelled. Not an Exception, so that `except Exception` lets it through."""


def main(jobs: socket.socket, control: socket.socket, parent_pid: int) -> None:
    """Run calls until the pool closes the sockets or its process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which then closes its pools
    hear_sigterm()
    os.setpgid(0, 0)  # so that what a call starts can be ended with it
    # The pool marks its processes as daemons to keep the interpreter from waiting for them; calls may use processes.
    getattr(multiprocessing.current_process(), "_config", {}).pop("daemon", None)
    die_with_parent()
    Worker(jobs, control, parent_pid).serve()


class Worker:
    """One worker process: what it runs now, and how that is interrupted."""

    def __init__(self, jobs: socket.socket, control: socket.socket, parent_pid: int) -> None:
        self._jobs = jobs
        self._inbox = messages.Inbox(jobs)
        self._outbox = messages.Outbox(jobs)
        self._control = control
        self._main = threading.main_thread().ident
        self._sending = threading.Lock()
        self._number = _IDLE  # the call that this process works on
        self._armed = _IDLE  # the call whose function runs now
        self._cancelled = _IDLE  # the call that should be interrupted
        self._holding = False  # the main thread is sending
        self._alarm_r, self._alarm_w = socket.socketpair()
        self._call: RunningCall | None = None
        self._functions: dict[FunctionRef, Callable[..., Any]] = {}  # finding one takes longer than a short call
        self._logs = Forwarding()
        self.loops = Loops()
        self._reading = threading.Lock()
        self._listening = False  # the second thread reads what comes for the call that runs
        self._queue: deque[tuple[messages.Message, int | None]] = deque()  # what was read and comes next
        self._busy = False  # the main thread works, and does not read
        signal.signal(INTERRUPT_SIGNAL, self._on_interrupt)
        threading.Thread(target=self._watch, args=(parent_pid,), name="headway-watch", daemon=True).start()

    def serve(self) -> None:
        self._send(messages.Ready())
        while (taken := self._next()) is not None:
            message, fd = taken
            del taken
            if isinstance(message, messages.Work):
                self._run(message, fd)
            elif fd is not None:  # a word for a call that has ended
                os.close(fd)
            del message

    def _next(self) -> tuple[messages.Message, int | None] | None:
        """What comes next; None at the end. What waits may be taken back by the second thread until here."""
        while True:
            with self._reading:
                self._busy = bool(self._queue)
                if self._queue:
                    return self._queue.popleft()
            try:
                received = self._inbox.receive()
            except EOFError:
                return None
            with self._reading:
                self._queue += received

    # --- one call -----------------------------------------------------------------------------------------------------

    def _run(self, work: messages.Work, fd: int | None) -> None:
        call = RunningCall(self, work.number, work.facts, work.items, asks=work.asks)
        self._call, self._number = call, work.number
        current.set_worker_call(call)
        try:
            reply, block = self._outcome(work, fd)
        except Interrupted:
            reply, block = messages.Stopped(work.number), None
        finally:
            self._armed = _IDLE
        current.set_worker_call(None)
        self._stop_listening()
        self._flush_stdio()
        call.flush()
        self._number, self._call = _IDLE, None
        self._send(reply, block)

    def _outcome(self, work: messages.Work, fd: int | None) -> tuple[messages.Message, int | None]:
        try:
            args, kwargs = _arguments(work, fd)
            function, around = self._function(work.ref), self._function(work.around) if work.around is not None else None
            assert self._call is not None
            code = functools.partial(_run, self._call, function, args, kwargs)
            body = functools.partial(self._interruptible, work.number, context_with(work.carried), code)
            with self._logs.telling(work.levels, self._call.log):
                value = body() if around is None else around(work.facts, body)
            self._call.log.end()
            del args, kwargs, body, code
            return _encode_result(value, work)
        except Interrupted:
            raise
        except BaseException as error:
            _trim(error)
            asker = self._call.asker if self._call is not None else None
            origins = asker.find_origins(error) if asker is not None else []
            return messages.Failed(work.number, codec.encode_error(error), origins), None

    def _function(self, ref: FunctionRef) -> Callable[..., Any]:
        function = self._functions.get(ref)
        if function is None:
            function = self._functions[ref] = program.resolve(ref)
            self._logs.note_handlers()
        return function

    def _interruptible(self, number: int, context: contextvars.Context, code: Callable[[], Any]) -> Any:
        try:
            self._armed = number
            if self._cancelled == number:  # asked for before the function ran
                raise Interrupted
            return context.run(code)
        finally:
            self._armed = _IDLE

    # --- interrupts ---------------------------------------------------------------------------------------------------

    def _on_interrupt(self, signum: int, frame: object) -> None:
        if self._armed != _IDLE and self._armed == self._cancelled and not self._holding:
            self._armed = _IDLE
            if not self.loops.cancel():
                raise Interrupted

    def _watch(self, parent_pid: int) -> None:
        """The second thread: interrupts on request, sends charges held back, reads for a call that has asked something, leaves when
        the pool is gone.

        A signal that comes just before a system call does not end it: the main thread hears of it when the call returns, which may
        be never. So it is sent until it was heard."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._alarm_r, select.POLLIN)
        parent = open_process(parent_pid)
        if parent is not None:
            poll.register(parent, select.POLLIN)
        flush_at = signal_at = math.inf
        reads = False
        while True:
            if reads is not self._listening:
                reads = self._listening
                poll.register(self._jobs, select.POLLIN) if reads else poll.unregister(self._jobs)
            next_at = min(flush_at, signal_at)
            for fd, _ in poll.poll(None if next_at == math.inf else max(0.0, next_at - time.monotonic()) * 1000):
                if fd == self._alarm_r.fileno():
                    self._alarm_r.recv(4096)
                    flush_at = min(flush_at, time.monotonic() + CHARGE_INTERVAL_S)
                elif fd == self._jobs.fileno():
                    self._hear_run()
                elif fd == parent or not self._hear():
                    self._leave()
                else:
                    signal_at = 0.0
            if time.monotonic() >= flush_at:
                flush_at = math.inf
                self._flush_charges()
            if time.monotonic() >= signal_at:
                signal_at = time.monotonic() + _SIGNAL_INTERVAL_S if self._interrupt() else math.inf

    def _hear(self) -> bool:
        """Read one request; False when the pool is gone."""
        try:
            data = self._control.recv(NUMBER.size, socket.MSG_WAITALL)
        except OSError:
            return False
        if len(data) < NUMBER.size:
            return False
        (number,) = NUMBER.unpack(data)
        if number == ENDING:
            current.note_end()
        elif number & RECALL:
            self._give_back(number ^ RECALL)
        else:
            self._cancelled = number
        return True

    def _give_back(self, number: int) -> None:
        """Give a call back that waits for the one that runs. Nothing where it has begun or has not come."""
        with self._reading:
            if not self._busy:
                return  # the main thread begins it now
            poll = select.poll()
            poll.register(self._jobs, select.POLLIN)
            while poll.poll(0):
                self._read()
            for at, (message, fd) in enumerate(self._queue):
                if isinstance(message, messages.Work) and message.number == number:
                    del self._queue[at]
                    if fd is not None:
                        os.close(fd)
                    self._send(messages.Returned(number))  # before what comes after it can end
                    return

    def _hear_run(self) -> None:
        """Read what the run says to the call that runs."""
        with self._reading:
            if not self._listening:
                return  # the main thread reads again
            self._read()

    def _read(self) -> None:
        """In the second thread: read, pass words on to the call that runs, and keep calls that come after it."""
        try:
            received = self._inbox.receive()
        except (EOFError, OSError):
            self._leave()
        line = self._call.line if self._call is not None else None
        for message, fd in received:
            if isinstance(message, messages.Work):
                self._queue.append((message, fd))
                continue
            if isinstance(message, messages.Heard) and message.number == self._number and line is not None:
                try:
                    head, buffers = messages.unpack_private(message.payload, fd)
                    line.on_word(bytes(head), buffers)
                except OSError:
                    os._exit(1)  # no memory for what it waits for
            if fd is not None:
                os.close(fd)

    def _interrupt(self) -> bool:
        """Signal the main thread when it runs what is to be interrupted; False when it does not."""
        if self._armed == _IDLE or self._armed != self._cancelled or self._main is None:
            return False
        signal.pthread_kill(self._main, INTERRUPT_SIGNAL)
        return True

    def _flush_charges(self) -> None:
        call = self._call
        if call is not None:
            call.flush()

    def _leave(self) -> None:
        """Let an idle main thread return by itself, then end the process."""
        if self._number == _IDLE:
            time.sleep(_LEAVE_S)
        os.killpg(0, signal.SIGKILL)

    # --- messages -----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the second thread send the charges a little later."""
        self._alarm_w.send(b"!")

    def listen(self) -> None:
        """Have the second thread read for the call that runs, until the call ends."""
        if not self._listening:
            self._listening = True
            self.wake()

    def _stop_listening(self) -> None:
        if self._listening:
            with self._reading:
                self._listening = False

    def hold_interrupt(self, on: bool) -> None:
        """Hold back interrupts of the main thread, or let them through again, with one that came meanwhile."""
        if threading.get_ident() != self._main:
            return
        self._holding = on
        if not on and self._armed != _IDLE and self._armed == self._cancelled:
            self._armed = _IDLE
            if not self.loops.cancel():
                raise Interrupted

    def send_charge(self, number: int, amounts: Amounts, item: int | None) -> None:
        self._send(messages.Charged(number, amounts, item))

    def tell(self, event: AnyEvent) -> None:
        self._send(messages.Told(event))

    def send_question(self, asked: messages.Asked, block: int | None) -> None:
        self._send(asked, block)

    def open_meeting(self, number: int, address: str) -> None:
        self._send(messages.Opened(number, address))

    def send_entry(self, facts: CallFacts, entry: Entry) -> None:
        self._send(messages.Logged(facts.key, facts.task, entry))

    def _send(self, message: messages.Message, fd: int | None = None) -> None:
        try:
            with self._sending:
                self._outbox.send(message, fd)
        except OSError:
            os._exit(1)  # nobody is there to hear it

    @staticmethod
    def _flush_stdio() -> None:
        for stream in (sys.stdout, sys.stderr):
            # The program closed it, or nobody reads it: the call's own outcome matters more.
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()


def _run(call: RunningCall, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    value = function(*args, **kwargs)
    return call.run_async(value) if inspect.iscoroutine(value) else value


def _arguments(work: messages.Work, fd: int | None) -> tuple[Any, Any]:
    try:
        head, buffers = messages.unpack_private(work.payload, fd)
    finally:
        if fd is not None:
            os.close(fd)
    args, kwargs = pickle.loads(head, buffers=buffers)
    return args, kwargs


def _encode_result(value: Any, work: messages.Work) -> tuple[messages.Message, int | None]:
    try:
        encoded = codec.encode(value, where=f"the result of {work.facts.task}", pickle=work.pickled, copy=False)
    except NotEncodable as error:
        raise error.with_traceback(None)  # noqa: B904 - where the codec refused it tells the reader nothing
    payload, block = messages.pack(encoded.head, encoded.buffers)
    return messages.Done(work.number, payload), block


def _trim(error: BaseException) -> None:
    """Begin the traceback where the program's own code does."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    error.__traceback__ = trace
