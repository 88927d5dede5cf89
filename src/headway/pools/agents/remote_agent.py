"""An agent as the driver sees it: its connection, its workers, and whether it is alive.

It is lost when its connection ends, when it says what nobody understands, or when it gives no sign of life for `patience_s`. Then
all its workers have died; nothing is asked of it again, and if it only slept, it finds its connection closed and ends by itself.

A driver whose loop was held up has heard nothing meanwhile, but not because the agent was silent. So silence counts only while the
loop was there to listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.pools.agents.wire import frames
from headway.pools.agents.wire.facts import AgentFacts
from headway.pools.agents.wire.frames import Link

if TYPE_CHECKING:
    from headway.pools.agents.far_worker import FarWorker


class RemoteAgent:
    """A connected agent. `on_lost` is called once, with why."""

    def __init__(
        self, name: str, link: Link, facts: AgentFacts, beat_s: float, patience_s: float, on_lost: Callable[[str], None]
    ) -> None:
        self.name, self.link, self.facts = name, link, facts
        self._beat_s, self._patience_s, self._on_lost = beat_s, patience_s, on_lost
        self._workers: dict[int, FarWorker] = {}
        self._lost = False
        self._writing = self._held = False
        self._few = True  # answers come one at a time
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._on_readable)
        self._heard_at = self._beat_at = time.monotonic()
        self._timer = self._loop.call_later(beat_s, self._beat)

    def start(self, worker: FarWorker) -> None:
        """Have it start a worker process."""
        self._workers[worker.number] = worker
        worker.begin(self)

    def forget(self, worker: FarWorker) -> None:
        """A worker has ended."""
        self._workers.pop(worker.number, None)

    def send(self, kind: int, worker: int, body: bytes = b"", fd: int | None = None) -> None:
        """Send a frame. A connection that is gone is noticed on the next turn of the loop."""
        if self._lost:
            if fd is not None:
                os.close(fd)
            return
        self.link.put(kind, worker, body, fd)
        if self._held:  # what is sent in this turn of the loop goes together
            return
        if self._few:  # and the first of it at once, where there is hardly more
            self._flush()
        if not self._lost:
            self._held = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._held = False
        if not self._lost:
            self._flush()

    def _flush(self) -> None:
        try:
            self.link.flush()
        except OSError as error:
            self._loop.call_soon(self.lose, f"can't be reached any more ({error})")
        self._note_room()

    def say_goodbye(self) -> None:
        """Have it end, and hear nothing of it any more."""
        self.send(frames.BYE, 0)
        with contextlib.suppress(OSError):  # the end of the connection says the same
            self.link.flush()
        self._end()

    def lose(self, why: str) -> None:
        """Give it up: its workers have died."""
        if self._lost:
            return
        self._end()
        for worker in list(self._workers.values()):
            worker.lose(why)
        self._on_lost(why)

    def _end(self) -> None:
        self._lost = True
        self._timer.cancel()
        self._loop.remove_reader(self.link.fileno())
        self._loop.remove_writer(self.link.fileno())
        self.link.close()

    # --- the connection -----------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        try:
            received = self.link.receive()
        except EOFError:
            self.lose("closed its connection")
            return
        except OSError as error:
            self.lose(f"can't be understood any more ({error})")
            return
        self._few = len(received) < 2
        for frame in received:
            worker = self._workers.get(frame.worker)
            if worker is not None:
                try:
                    worker.take_frame(frame)
                except Exception as error:  # a message that no worker sends
                    self.lose(f"said what nobody understands ({type(error).__name__}: {error})")
                    return
            elif frame.fd is not None:
                os.close(frame.fd)

    def _note_room(self) -> None:
        if self._lost or self.link.pending == self._writing:
            return
        self._writing = self.link.pending
        if self._writing:
            self._loop.add_writer(self.link.fileno(), self._on_writable)
        else:
            self._loop.remove_writer(self.link.fileno())

    def _on_writable(self) -> None:
        self._flush()

    # --- signs of life ------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        now = time.monotonic()
        self._heard_at = max(self._heard_at, self.link.heard_at)
        if now - self._beat_at > 2 * self._beat_s:  # this loop was held up
            self._heard_at = now
        self._beat_at = now
        if now - self._heard_at > self._patience_s:
            self.lose(f"gave no sign of life for {self._patience_s:g} s")
            return
        self.send(frames.BEAT, 0)
        if not self._lost:
            self._timer = self._loop.call_later(self._beat_s, self._beat)
