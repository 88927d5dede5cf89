"""Drivers of queued runs on the loop of a test, whose clock jumps: they take what waits and drive it, each in a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import headway as hw
from headway import testing
from headway.engine.tasks.spec import TASKS
from headway.service.taken import DriveOptions, Ended, TakenRun

T = TypeVar("T")
LEASE_S = 1e9
POLL_S = 0.5


def play(main: Coroutine[Any, Any, T], most_s: float = 86_400.0) -> T:
    """Run a coroutine on a clock that jumps."""
    clock = testing.VirtualClock(time.time(), most_s=most_s)  # who enqueues goes by the wall clock
    with asyncio.Runner(loop_factory=lambda: testing.VirtualLoop(clock)) as runner:
        return runner.run(main)


class Drivers:
    """What drives the runs of a store's queues. `ended` says how each of them went, in order."""

    def __init__(self, store: hw.Store, queues: tuple[str, ...], options: DriveOptions) -> None:
        self.ended: list[Ended] = []
        self._store, self._queues, self._options = store, queues, options
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, TakenRun] = {}

    async def take(self) -> None:
        """Take jobs for ever."""
        world: Any = asyncio.get_running_loop().world  # type: ignore[attr-defined]  # a virtual loop's
        while True:
            taken = await asyncio.to_thread(self._store.take_jobs, "here", self._queues, None, 20, LEASE_S, world.wall())
            for each in taken:
                run = TakenRun(self._store, each, TASKS[each.run.spec.task], self._options)
                self._runs[run.run_id] = run
                self._tasks[run.run_id] = asyncio.create_task(self._drive(run))
            await asyncio.sleep(POLL_S)

    async def stop(self, run_id: str) -> None:
        """End the driver of a run; it hands the run over."""
        self._runs[run_id].interrupt(0.0)
        await self._tasks[run_id]

    async def stop_all(self) -> None:
        for run_id in list(self._tasks):
            await self.stop(run_id)

    def how(self, run_id: str) -> list[str]:
        """How the drivers of a run ended."""
        return [each.how for each in self.ended if each.run_id == run_id]

    async def _drive(self, run: TakenRun) -> None:
        self.ended.append(await run.drive())


@contextlib.asynccontextmanager
async def drivers(store: hw.Store, *queues: str, parks: bool = True) -> AsyncIterator[Drivers]:
    """Drive what is in these queues (the default one) meanwhile."""
    found = Drivers(store, queues or ("default",), DriveOptions(parks=parks))
    taking = asyncio.create_task(found.take())
    try:
        yield found
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        await found.stop_all()
