"""The way between a simulated worker's code and its run: messages take a drawn time each, and keep their order.

The code runs in a thread that takes turns with everything else. While it waits for its run it stands still; its own event loop, if
it has one, waits on the universe's clock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headway.journal.store import Buffer
from headway.pools.base import Job, Word
from headway.sim.loop import Killed

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop

T = TypeVar("T")
SHARE = 0.1  # of a job's time, for a message


class SimLine:
    """The way of one job to its run (`current.Line`)."""

    def __init__(self, process: SimLoop, job: Job, before: Callable[[], None]) -> None:
        self.on_word: Word = _nothing
        self.asks = 0
        self._process, self._job, self._before = process, job, before
        self._there = _Way(process, self._deliver)
        self._back = _Way(process, self._hear)
        self._awake: concurrent.futures.Future[None] | None = None
        self.is_cut = False

    def send(self, head: bytes, buffers: Sequence[Buffer], /) -> None:
        self.asks += 1
        self._before()
        self._there.send(head, buffers)

    def wait(self, future: concurrent.futures.Future[T], /) -> T:
        return self._process.world.wait(future)

    def cut(self) -> None:
        """The worker is gone: nothing it said is heard any more, and nothing comes."""
        self.is_cut = True

    def _deliver(self, head: bytes, buffers: Sequence[Buffer]) -> None:
        if not self.is_cut and self._job.on_ask is not None:
            self._job.on_ask(head, buffers, self._back.send)

    def _hear(self, head: bytes, buffers: Sequence[Buffer]) -> None:
        if not self.is_cut:
            self.on_word(head, buffers)
            self.wake()

    # --- an event loop in the worker ---------------------------------------------------------------------------------

    def sleep(self, seconds: float | None) -> None:
        """Stand still until something comes, or for so long."""
        self._awake = concurrent.futures.Future()
        timer = None if seconds is None else self._process.call_later(seconds, self.wake)
        try:
            self._process.world.wait(self._awake)
        finally:
            self._awake = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def time(self) -> float:
        return self._process.universe.now

    def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        loop = WorkerLoop(self)
        runner = asyncio.Runner(loop_factory=lambda: loop)
        try:
            return runner.run(coroutine)
        finally:
            if self.is_cut:
                loop.bury()
            runner.close()


class _Way:
    """One direction."""

    def __init__(self, process: SimLoop, deliver: Word) -> None:
        self._process, self._deliver = process, deliver
        self._under_way: deque[tuple[bytes, Sequence[Buffer]]] = deque()
        self._last = 0.0

    def send(self, head: bytes, buffers: Sequence[Buffer], /) -> None:
        universe = self._process.universe
        self._last = max(self._last, universe.now + universe.lasts(universe.config.job_s * SHARE))
        self._under_way.append((head, [bytes(part) for part in buffers]))
        self._process.call_at(self._last, self._arrive)

    def _arrive(self) -> None:
        self._deliver(*self._under_way.popleft())


class WorkerLoop(asyncio.BaseEventLoop):
    """The event loop of a simulated worker's code."""

    def __init__(self, line: SimLine) -> None:
        self._line = line
        super().__init__()
        self._selector = self  # what it asks when nothing is ready
        self._contexts: dict[asyncio.Task[Any], contextvars.Context] = {}
        self.set_task_factory(self._make_task)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """A task whose context is known, so that its code can be ended in it."""
        context = context if context is not None else contextvars.copy_context()
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
        self._contexts[task] = context
        return task

    def bury(self) -> None:
        """Free what a worker that was killed left. Its coroutines are closed, which may run their `finally` blocks: unheard."""
        for task, context in self._contexts.items():
            if task.done():
                task._log_traceback = False
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
            coroutine: Any = task.get_coro()
            for _ in range(3):  # one that awaits while it is being closed has to be told again
                try:
                    context.run(coroutine.close)
                    break
                except (Exception, Killed, asyncio.CancelledError):
                    continue
        self._contexts.clear()
        self._ready.clear()  # type: ignore[attr-defined]  # asyncio's own
        self._scheduled.clear()  # type: ignore[attr-defined]  # asyncio's own

    def select(self, timeout: float | None) -> list[Any]:
        """Let the others have their turns, until something comes or the time has passed."""
        if timeout is None or timeout > 0:
            self._line.sleep(timeout)
        return []

    def time(self) -> float:
        return self._line.time()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._line.is_cut:
            super().call_exception_handler(context)

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        self._line.wake()


def _nothing(*_: object) -> None:
    pass
