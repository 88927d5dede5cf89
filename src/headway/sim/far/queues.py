"""The part of a connection to a store on another machine that asks for queues. Each request gives the same when it is done twice.

It must never take jobs a second time where the answer to the first was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from headway.journal.records import RunInfo, RunSpec
from headway.journal.shared.queues import Job, JobInfo, JobState, QueueInfo, QueueSettings, Swept, Taken, WorkerInfo
from headway.journal.shared.schedules import Fired, Make, Schedule, ScheduleInfo

if TYPE_CHECKING:
    from headway.sim.store import SimStore

T = TypeVar("T")


class RemoteQueues:
    """Asks the server of the store that it is a part of."""

    _server: SimStore
    _ahead_s: float

    if TYPE_CHECKING:

        def _again(self, do: Callable[[], T], *, late: Callable[[], object] | None = None) -> T: ...

    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        return self._again(lambda: self._server.enqueue(spec, job, now + self._ahead_s))

    def take_jobs(
        self,
        owner: str,
        queues: Sequence[str],
        tasks: Sequence[str] | None,
        most: int,
        ttl_s: float,
        now: float,
        *,
        versions: Sequence[str] = (),
    ) -> list[Taken]:
        at, taken = now + self._ahead_s, list[Taken]()

        def once() -> list[Taken]:
            if not taken:  # else by a first try whose answer was lost
                taken.extend(self._server.take_jobs(owner, queues, tasks, most, ttl_s, at, versions=versions))
            return taken

        return self._again(once)

    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        return self._again(lambda: self._server.sweep_jobs(now + self._ahead_s, most))

    def jobs(
        self, now: float, *, queue: str | None = None, state: JobState | None = None, after: JobInfo | None = None, most: int = 100
    ) -> list[JobInfo]:
        at = now + self._ahead_s
        return self._again(lambda: self._server.jobs(at, queue=queue, state=state, after=after, most=most))

    def job(self, run_id: str, now: float) -> JobInfo | None:
        return self._again(lambda: self._server.job(run_id, now + self._ahead_s))

    def find_jobs(self, uids: Sequence[int], now: float) -> dict[int, JobInfo]:
        return self._again(lambda: self._server.find_jobs(uids, now + self._ahead_s))

    def retry_job(self, run_id: str, now: float) -> bool:
        return self._again(lambda: self._server.retry_job(run_id, now + self._ahead_s))

    def put_queue(self, settings: QueueSettings) -> None:
        self._again(lambda: self._server.put_queue(settings))

    def pause_queue(self, name: str, paused: bool) -> None:
        self._again(lambda: self._server.pause_queue(name, paused))

    def queues(self, now: float) -> list[QueueInfo]:
        return self._again(lambda: self._server.queues(now + self._ahead_s))

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        self._again(lambda: self._server.see_worker(worker, now + self._ahead_s))

    def forget_worker(self, owner: str) -> None:
        self._again(lambda: self._server.forget_worker(owner))

    def workers(self, now: float) -> list[WorkerInfo]:
        return self._again(lambda: self._server.workers(now + self._ahead_s))

    def put_schedule(self, schedule: Schedule, now: float) -> ScheduleInfo:
        return self._again(lambda: self._server.put_schedule(schedule, now + self._ahead_s))

    def schedules(self) -> list[ScheduleInfo]:
        return self._again(self._server.schedules)

    def pause_schedule(self, name: str, paused: bool, now: float) -> None:
        self._again(lambda: self._server.pause_schedule(name, paused, now + self._ahead_s))

    def remove_schedule(self, name: str) -> None:
        self._again(lambda: self._server.remove_schedule(name))

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        return self._again(lambda: self._server.fire_schedules(now + self._ahead_s, make))
