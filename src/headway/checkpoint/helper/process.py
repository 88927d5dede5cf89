"""The trainer's end of one helper process: its socket, its buffers, and the saves it was given.

Each helper process has its own object. When the process ends, for whatever reason, every save in flight gets a `Failed` that says
how it ended. The object is then thrown away, and the next process starts from nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import headway
from headway.checkpoint.helper.messages import (
    Abandon,
    Begin,
    CannotPrepare,
    Failed,
    Happened,
    Order,
    Prepare,
    Prepared,
    Report,
    Staged,
    WriterPlan,
    Written,
)
from headway.checkpoint.helper.shared_buffer import SharedBuffer
from headway.errors import SaveFailed
from headway.ipc.framing import SEND_TIMEOUT_S, Wire

_ANSWER_TIMEOUT_S = 60.0
_TRACEBACK_BYTES = 2000
_log = logging.getLogger("headway.checkpoint")


@dataclass
class _Flight:
    """A save in flight. Its buffer is free when the helper has written it and this side copies to it no more."""

    buffer: SharedBuffer | None
    copying: bool = True
    writing: bool = True
    over: bool = False


class HelperProcess:
    """A running helper."""

    def __init__(self, on_event: Callable[[Happened], None], nice: int) -> None:
        self._on_event = on_event
        self._changed = threading.Condition()
        self._flights: dict[str, _Flight] = {}
        self._buffers: dict[int, SharedBuffer] = {}
        self._used: set[int] = set()
        self._refused: dict[int, str] = {}
        self.ended = ""  # how, once it has
        self._why = ""
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
        ours, theirs = socket.socketpair()
        try:
            self._process = _start(theirs, nice, self._stderr)
        except BaseException:
            ours.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()
        self._wire: Wire[Report] = Wire(ours, Report)
        _shut_in_children(self._wire)
        threading.Thread(target=self._listen, name="headway-helper-events", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it takes saves."""
        return not self.ended and not self._why

    def in_flight(self) -> list[str]:
        """List the saves that are neither durable nor failed."""
        with self._changed:
            return [each for each, flight in self._flights.items() if not flight.over]

    # --- buffers -----------------------------------------------------------------------------------------------------

    def take_buffer(self, nbytes: int, most: int) -> SharedBuffer | None:
        """Take a buffer of at least this size that nobody uses, or a new one while there are fewer than `most`; None if all are in
        use.

        Raises SaveFailed if there is not enough memory or the helper has ended.
        """
        with self._changed:
            free = [buffer for number, buffer in self._buffers.items() if number not in self._used]
            large = [buffer for buffer in free if buffer.nbytes >= nbytes]
            if large:
                number = min(large, key=lambda buffer: buffer.nbytes).number
            elif free:
                number = max(free, key=lambda buffer: buffer.nbytes).number
            elif len(self._buffers) < most:
                number = len(self._buffers)
            else:
                return None
            self._used.add(number)
        try:
            return self._buffers[number] if large else self._prepare(number, nbytes)
        except BaseException:
            self.give_back(number)
            raise

    def give_back(self, number: int) -> None:
        with self._changed:
            self._used.discard(number)
            self._changed.notify_all()

    def _prepare(self, number: int, nbytes: int) -> SharedBuffer:
        """Have the helper make a buffer, or make it larger."""
        self._refused.pop(number, None)
        self.send(Prepare(number, nbytes))

        def answered() -> bool:
            there = number in self._buffers and self._buffers[number].nbytes >= nbytes
            return there or number in self._refused or bool(self.ended)

        with self._changed:
            if not self._changed.wait_for(answered, _ANSWER_TIMEOUT_S):
                self.give_up(f"gave no answer for {_ANSWER_TIMEOUT_S:g} s, as if it was stopped, and")
                raise SaveFailed(f"the helper process {self.pid} {self._why} is ended; the next save starts another one")
            if number in self._refused:
                raise SaveFailed(self._refused[number])
            if self.ended:
                raise SaveFailed(self.ended)
            buffer = self._buffers[number]
        buffer.populate()
        return buffer

    # --- saves -------------------------------------------------------------------------------------------------------

    def begin(self, plan: WriterPlan, buffer: SharedBuffer) -> None:
        """Order a save. Raises SaveFailed if the helper has ended."""
        with self._changed:
            if self.ended:
                raise SaveFailed(self.ended)
            self._flights[plan.id] = _Flight(buffer)
        self.send(Begin(plan, buffer.number))

    def end_copy(self, end: Staged | Abandon) -> None:
        """Send the last order of a save: this side copies no more for it."""
        self.send(end)
        self._note(end.id, copying=False)

    def send(self, order: Order) -> None:
        try:
            self._wire.send(order)
        except BlockingIOError:
            self.give_up(f"did not take orders for {SEND_TIMEOUT_S} s, as if it was stopped, and")
        except OSError:
            return  # it has ended: `_listen` says how

    def give_up(self, why: str) -> None:
        """Kill a process that does not answer. Part of an order may be on its way, so none can follow."""
        self._why = why
        self._process.kill()

    def wait_idle(self, timeout_s: float | None) -> bool:
        """Wait until no save is in flight."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._flights or bool(self.ended), timeout_s)

    def wait_fewer(self, than: int, timeout_s: float | None) -> bool:
        """Wait until fewer saves are in flight."""

        def fewer() -> bool:
            return sum(not flight.over for flight in self._flights.values()) < than or bool(self.ended)

        with self._changed:
            return self._changed.wait_for(fewer, timeout_s)

    def shut(self, timeout_s: float | None) -> None:
        """Give no more orders, and wait for the process to end."""
        self._wire.shut()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def _note(self, id: str, *, copying: bool | None = None, writing: bool | None = None, over: bool = False) -> None:
        with self._changed:
            flight = self._flights.get(id)
            if flight is None:
                return
            flight.copying = flight.copying if copying is None else copying
            flight.writing = flight.writing if writing is None else writing
            flight.over = flight.over or over
            if not flight.copying and not flight.writing:
                if flight.buffer is not None:
                    self._used.discard(flight.buffer.number)
                    flight.buffer = None
                if flight.over:
                    del self._flights[id]
            self._changed.notify_all()

    # --- what the helper says ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while (received := self._receive()) is not None:
            report, fd = received
            match report:
                case Prepared():
                    self._take(report, fd)
                case CannotPrepare(number, message):
                    with self._changed:
                        self._refused[number] = message
                        self._changed.notify_all()
                case _:
                    self._take_report(report)
        self._note_end()

    def _receive(self) -> tuple[Report, int | None] | None:
        try:
            return self._wire.receive()
        except OSError as error:
            self.give_up(f"sent what could not be received ({error}) and")
            return None

    def _take(self, report: Prepared, fd: int | None) -> None:
        buffer = SharedBuffer(report.buffer, fd) if fd is not None else self._buffers[report.buffer]
        buffer.map()
        with self._changed:
            self._buffers[report.buffer] = buffer
            self._changed.notify_all()

    def _take_report(self, event: Happened) -> None:
        try:
            self._on_event(event)
        except Exception:
            _log.exception("what listens to checkpoint events failed")
        self._note(event.id, writing=False, over=not isinstance(event, Written))

    def _note_end(self) -> None:
        code = self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read()[-_TRACEBACK_BYTES:].decode(errors="replace").strip()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        how = f"{self._why} {how}" if self._why else how
        ended = f"the helper process {self.pid}, which writes checkpoints, {how}" + (f": {said}" if said else "")
        with self._changed:
            self.ended = ended
            lost = [each for each, flight in self._flights.items() if not flight.over]
            self._changed.notify_all()
        for each in lost:
            message = f"{ended}. This save is lost, the checkpoints before it are as they were; the next save starts another helper"
            self._take_report(Failed(each, SaveFailed.__name__, message))
        self._stderr.close()
        self._wire.close()
        for buffer in self._buffers.values():
            buffer.close()


def _start(end: socket.socket, nice: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "headway.checkpoint.helper", str(end.fileno()), str(nice)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=[end.fileno()],
        start_new_session=True,  # Ctrl-C is for the trainer
        env={**os.environ, "PYTHONPATH": _python_path()},
    )


def _python_path() -> str:
    """Return the path where a child finds this package, however this process found it."""
    here = str(Path(headway.__file__).parent.parent)
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))


def _shut_in_children(wire: Wire[Report]) -> None:
    """Close the connection in forks of the trainer (a data loader's workers), or they would keep it open when the trainer is
    gone."""
    known = weakref.ref(wire)

    def close() -> None:
        if (inherited := known()) is not None:
            inherited.drop()

    os.register_at_fork(after_in_child=close)
