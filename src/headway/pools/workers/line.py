"""The way from a call's code in a worker process to its run, over the socket on which the call came.

While a call's code runs the main thread reads nothing, so the second thread reads what the run says, from the first question of
the call until its end. A call that asks nothing pays nothing for this.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headway.journal.store import Buffer
from headway.pools.base import Word
from headway.pools.workers import messages

if TYPE_CHECKING:
    from headway.pools.workers.worker import Worker

T = TypeVar("T")


class WorkerLine:
    """The way of one call to its run (`current.Line`)."""

    def __init__(self, worker: Worker, number: int, flush: Callable[[], None]) -> None:
        self.on_word: Word = _nothing
        self._worker = worker
        self._number = number
        self._flush = flush

    def send(self, head: bytes, buffers: Sequence[Buffer], /) -> None:
        payload, block = messages.pack(head, buffers)
        self._worker.hold_interrupt(True)
        try:
            self._flush()  # the run answers for what was spent so far
            self._worker.listen()
            self._worker.send_question(messages.Asked(self._number, payload), block)
        finally:
            self._worker.hold_interrupt(False)

    def wait(self, future: concurrent.futures.Future[T], /) -> T:
        return future.result()


class Loops:
    """Runs coroutines of a call to their end. In the main thread an interrupt cancels the coroutine, as on the driver's loop."""

    def __init__(self) -> None:
        self._running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is not threading.main_thread():
            return asyncio.run(coroutine)
        with asyncio.Runner() as runner:
            return runner.run(self._noted(coroutine), context=contextvars.copy_context())

    async def _noted(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._running.append((asyncio.get_running_loop(), task))
        try:
            return await coroutine
        finally:
            self._running.pop()

    def cancel(self) -> bool:
        """In a signal's handler in the main thread: cancel the coroutine that runs there. False where none does."""
        if not self._running:
            return False
        loop, task = self._running[-1]
        task.cancel()
        loop.call_soon_threadsafe(_nothing)  # it may be asleep
        return True


def _nothing(*_: object) -> None:
    pass
