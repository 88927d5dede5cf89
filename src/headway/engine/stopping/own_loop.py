"""A loop of a run's own, which ends.

`asyncio.run` waits, when its program has ended, for everything that was started on the loop: tasks that catch their cancellation,
generators whose `finally:` awaits for ever, functions in threads that never return. A run that was stopped would not end. Here each
of them has a bound; what is still there then is left behind, in a sentence.

The loop's threads are daemons for the same reason: Python itself waits for others when it exits, without a bound.
"""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from headway.engine.stopping.stops import LAST_S, let_go
from headway.errors import Interrupted, RunCancelled

P = ParamSpec("P")
T = TypeVar("T")

MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)  # as many as asyncio's own executor has
CLOSE_S = 2.0  # how long tasks and generators may take to end
THREADS_S = 300.0  # and functions in threads that nobody waits for, as with asyncio.run; not where the run was stopped


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run(main)`, with an end."""
    threads, seconds = Threads(), THREADS_S
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_default_executor(threads)
        try:
            return runner.run(main)
        except (Interrupted, RunCancelled, KeyboardInterrupt, asyncio.CancelledError):
            seconds = LAST_S
            raise
        finally:
            loop.run_until_complete(_close(loop))
            threads.end(seconds)
            if getattr(loop, "_default_executor", None) is threads and hasattr(loop, "__dict__"):
                vars(loop)["_default_executor"] = None  # it has ended: asyncio would start a thread to wait for it


async def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left on the loop."""
    me = asyncio.current_task()
    await _end([task for task in asyncio.all_tasks(loop) if task is not me], loop)
    generators = loop.create_task(loop.shutdown_asyncgens())
    await asyncio.wait([generators], timeout=CLOSE_S)
    await _end([task for task in asyncio.all_tasks(loop) if task is not me], loop)


async def _end(tasks: list[asyncio.Task[Any]], loop: asyncio.AbstractEventLoop) -> None:
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=CLOSE_S)
    for task in tasks:
        if not task.done():
            let_go(task)
            name = getattr(task.get_coro(), "__qualname__", "a coroutine")
            warnings.warn(
                f"headway: {name} was started on the run's event loop and does not end though it was cancelled: it is left behind",
                RuntimeWarning,
                stacklevel=2,
            )
        elif not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "unhandled exception when the run ended", "exception": error, "task": task}
            loop.call_exception_handler(context)


class Threads(ThreadPoolExecutor):
    """The loop's executor: daemon threads, as many as asyncio's own has, started as they are needed."""

    def __init__(self) -> None:
        super().__init__(MOST_THREADS, thread_name_prefix="headway-loop")
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started: list[threading.Thread] = []
        self._unfinished = 0
        self._over = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = fn(*args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        with self._lock:
            if self._over:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._unfinished += 1
            if self._unfinished > len(self._started) < self._max_workers:
                thread = threading.Thread(target=self._serve, name="headway-loop", daemon=True)
                self._started.append(thread)
                thread.start()
        self._work.put(work)
        return future

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._unfinished -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more. Waits for nothing: `end` does, with a bound."""
        with self._lock:
            self._over = True
        for _ in self._started:
            self._work.put(None)

    def end(self, seconds: float) -> None:
        """Wait until the functions that were submitted have returned, for so long in all."""
        self.shutdown()
        for thread in self._started:
            thread.join(seconds)
            if thread.is_alive():
                seconds = 0.0
