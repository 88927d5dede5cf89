"""What the tests of the service share: tasks that a worker finds, and drivers and workers on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from headway import testing
from headway.engine.tasks.spec import TASKS
from headway.journal.owner import LEASE_S
from headway.journal.shared.queues import Job
from headway.journal.store import Store
from headway.service.asking import ask_for
from headway.service.taken import DriveOptions, Ended, TakenRun
from headway.service.worker import Said, Worker, WorkerOptions

OWNER = "worker 1 of a test"


def put(store: Store, clock: testing.VirtualClock, task: Any, *args: Any, run_id: str = "run", **job: Any) -> None:
    """Enqueue a run at the clock's time."""
    asked = ask_for(task, args, {}, run_id, "a test")
    for name, buffer in asked.blobs:
        store.put_blob(name, buffer)
    store.enqueue(asked.spec, Job(**job), clock.now)


def on_loop(clock: testing.VirtualClock, main: Callable[[], Any]) -> Any:
    """Run a coroutine on a virtual loop."""
    with asyncio.Runner(loop_factory=lambda: testing.VirtualLoop(clock)) as runner:
        return runner.run(main())


def drive(store: Store, clock: testing.VirtualClock, *, queue: str = "default", **options: Any) -> Ended | None:
    """Take one run from the queue and drive it as far as it goes; None where there is none to take."""
    taken = store.take_jobs(OWNER, [queue], None, 1, LEASE_S, clock.now)
    if not taken:
        return None

    async def main() -> Ended:
        return await TakenRun(store, taken[0], TASKS[taken[0].run.spec.task], DriveOptions(**options)).drive()

    return on_loop(clock, main)  # type: ignore[no-any-return]


class Here:
    """Drives a run on the worker's own loop: on a virtual clock there is nothing else to drive it on."""

    def __init__(self, run: TakenRun, on_end: Callable[[Ended], None]) -> None:
        self._run = run
        self.task = asyncio.get_running_loop().create_task(run.drive())
        self.task.add_done_callback(lambda task: on_end(task.result()))

    @property
    def run_id(self) -> str:
        return self._run.run_id

    def interrupt(self, stop_s: float) -> None:
        self._run.interrupt(stop_s)

    def leave(self) -> None:
        self._run.leave()


def serve(
    store: Store, clock: testing.VirtualClock, *, during: Callable[[Worker, list[Said]], Any] | None = None, **options: Any
) -> list[Said]:
    """Let a worker work until nothing is left to do, or what happens `during` it makes it leave; what it said."""
    said: list[Said] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = WorkerOptions(**{"drain": during is None, **options})
        worker = Worker(store, TASKS, made, loop.world, said.append, begin=Here)  # type: ignore[attr-defined]
        beside = loop.create_task(during(worker, said)) if during is not None else None
        if beside is not None:
            beside.add_done_callback(lambda task: task.cancelled() or task.exception() is None or worker.leave())
        await worker.work()
        if beside is not None:
            await beside

    on_loop(clock, main)
    return said
