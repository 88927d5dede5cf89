"""A worker process on an agent's machine: the same process as a pool on the driver's machine has, with its sockets relayed.

What goes through is not read: messages are passed on as bytes, with their shared blocks, in both directions. So whatever a worker
and its pool say to each other reaches across machines, also what this file has never heard of.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import msgspec

from headway.ipc import framing
from headway.pools.workers import worker

_context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


class Child:
    """One worker process. `start` raises OSError where there is no room for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.leaving = False
        self.has_group = False  # it has said something, so it leads a group of processes
        self.jobs, jobs = socket.socketpair()
        self._control, control = socket.socketpair()
        self.jobs.setblocking(False)
        self._inbox: framing.Inbox[msgspec.Raw] = framing.Inbox(self.jobs, msgspec.Raw)
        self._outbox = framing.Outbox(self.jobs)
        try:
            if sys.platform == "linux":
                _context.set_forkserver_preload(["headway.pools.workers.worker", "headway.pools.workers.server"])
            self.process: Any = _context.Process(  # type: ignore[attr-defined]  # the context's own kind of process
                target=worker.main, args=(jobs, control, os.getpid()), name=f"headway-{number}", daemon=True
            )
            self.process.start()
        except BaseException:
            self.close()
            raise
        finally:
            jobs.close()
            control.close()
        self.pid: int = self.process.pid
        self.sentinel: int = self.process.sentinel

    @property
    def pending(self) -> bool:
        """Whether messages wait for the worker to take more."""
        return self._outbox.pending

    def pass_on(self, body: bytes, fd: int | None) -> None:
        """Send a message of the pool to the worker. A worker that has ended hears nothing; its end is told anyway."""
        try:
            self._outbox.send(msgspec.Raw(body), fd)  # type: ignore[arg-type]  # a message in its encoding
        except OSError:
            self._outbox.close()

    def flush(self) -> None:
        """Send what the worker had no room for."""
        try:
            self._outbox.flush()
        except OSError:
            self._outbox.close()

    def control(self, data: bytes) -> None:
        """Pass a request to the second thread of the worker on."""
        with suppress(OSError):
            self._control.send(data)

    def receive(self) -> list[tuple[bytes, int | None]]:
        """What the worker has said. Raises EOFError at the end, BlockingIOError while there is nothing, and OSError."""
        said = [(bytes(message), fd) for message, fd in self._inbox.receive()]
        self.has_group = self.has_group or bool(said)
        return said

    def leave(self) -> None:
        """Let an idle worker end by itself."""
        self.leaving = True
        with suppress(OSError):
            self.jobs.shutdown(socket.SHUT_WR)
        self._control.close()

    def kill(self) -> None:
        """Kill the process and what its calls have started."""
        if self.has_group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def reap(self) -> int:
        """The exit code, after the process has ended."""
        if self.has_group:
            self.kill()  # what its calls have left
        self.process.join()
        code = int(self.process.exitcode)
        self.process.close()
        return code

    def close(self) -> None:
        """Close the sockets."""
        self._inbox.close()
        self._outbox.close()
        self.jobs.close()
        self._control.close()
