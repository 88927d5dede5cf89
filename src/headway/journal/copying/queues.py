"""Copies the queues of a store with its runs: the jobs of its runs, what its queues allow, and its schedules.

A run that waits in a queue may be taken by a worker at any moment, in the store that it is in. So it goes only when its queue is
paused in the source, and gets its job in the target last: when every run is there and was read back, so that one that waits for
another finds it. What comes to a paused queue meanwhile is copied by the next copy. This file must never let a run go on in two
stores.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import msgspec

from headway.errors import RunOwned, StoreDamaged, UnknownRun
from headway.journal.copying.report import CopiedRun, CopiedSchedule
from headway.journal.records import RunInfo
from headway.journal.shared.queues import JobInfo, JobState, QueueSettings
from headway.journal.shared.schedules import ScheduleInfo
from headway.journal.store import Store


class QueueCopy:
    """The queues of a store on their way to another one. Schedules are read first: what is due meanwhile is then due in the target
    too, under the same name."""

    def __init__(self, source: Store, target: Store) -> None:
        self._source, self._target = source, target
        self._jobs: dict[str, JobInfo] = {}  # by the run's id
        self._schedules = source.schedules()

    def check_run(self, info: RunInfo) -> None:
        """Note the job of a run that is to be copied. Raises RunOwned where a worker may take it meanwhile."""
        name = info.spec.run_id
        job = self._source.find_jobs([info.uid], time.time()).get(info.uid)
        if job is not None:
            if job.job.queue not in self._paused():
                raise RunOwned(self._not_paused(f"run {name!r} waits in queue", job.job.queue))
            self._jobs[name] = job

    def put_jobs(self, runs: Sequence[CopiedRun]) -> list[CopiedRun]:
        """Give the runs that were copied their jobs, and say what became of that."""
        return [run if run.run_id not in self._jobs or run.outcome == "refused" else self._put_job(run) for run in runs]

    def put_settings(self, *, all_of_them: bool) -> None:
        """Let the queues allow there what they allow here; one that the target has stays as it is."""
        used = {job.job.queue for job in self._jobs.values()}
        there = {queue.settings.name for queue in self._target.queues(time.time())}
        for queue in self._source.queues(time.time()):
            name = queue.settings.name
            if name not in there and (all_of_them or name in used) and queue.settings != QueueSettings(name=name):
                self._target.put_queue(queue.settings)

    def put_schedules(self) -> tuple[CopiedSchedule, ...]:
        """Copy the schedules."""
        return tuple(map(self._put_schedule, self._schedules))

    def _paused(self) -> set[str]:
        return {queue.settings.name for queue in self._source.queues(time.time()) if queue.paused}

    def _not_paused(self, what: str, queue: str) -> str:
        return (
            f"{what} {queue!r}, whose workers may go on with it in {self._source.url} at any moment: pause that with "
            f"`headway queue pause {queue} --store {self._source.url}`, and copy again"
        )

    def _put_job(self, run: CopiedRun) -> CopiedRun:
        job = self._jobs[run.run_id]
        why = self._why_not(job)
        if not why:
            is_new = self._target.put_job(job, time.time())
            there = self._target.job(run.run_id, time.time())
            is_same = is_new if there is None else _is_same(job, there)  # where there is none, a worker has ended it already
            if not is_same:
                why = f"it does not wait in {self._target.url} as it did in {self._source.url}"
        if why:
            return dataclasses.replace(run, why="; ".join(filter(None, (run.why, f"its place in queue {job.job.queue!r}: {why}"))))
        return dataclasses.replace(run, job=_arrives_as(job).value)

    def _why_not(self, job: JobInfo) -> str:
        """Why a job can't be copied any more; empty where it can."""
        now = self._source.find_jobs([job.uid], time.time()).get(job.uid)
        if now is None or msgspec.structs.replace(now, state=job.state) != job or job.job.queue not in self._paused():
            return "it has changed while it was copied: copy it again while its queue is paused"
        for name in job.awaits:
            try:
                self._target.run(name)
            except UnknownRun:
                return f"it waits for run {name!r}, which is not in {self._target.url}: copy both"
        return ""

    def _put_schedule(self, info: ScheduleInfo) -> CopiedSchedule:
        name, queue = info.schedule.name, info.schedule.job.queue
        if not info.paused and queue not in self._paused():
            return CopiedSchedule(name=name, outcome="refused", why=self._not_paused(f"schedule {name!r} fills queue", queue))
        before = {one.schedule.name for one in self._target.schedules()}
        there = self._target.copy_schedule(info)
        if there.schedule != info.schedule:
            why = f"{self._target.url} has another schedule {name!r}: remove one of them with `headway schedule rm {name}`"
            return CopiedSchedule(name=name, outcome="refused", why=why)
        if there not in self._target.schedules():
            raise StoreDamaged(f"schedule {name!r} in {self._target.url} is not what was written: run `headway doctor` on it")
        return CopiedSchedule(name=name, outcome="there already" if name in before else "copied")


def _arrives_as(job: JobInfo) -> JobState:
    """Nobody drives a run that has just come."""
    return JobState.WAITING if job.state is JobState.TAKEN else job.state


def _is_same(job: JobInfo, there: JobInfo) -> bool:
    """Whether a job came as it was. One whose time has come meanwhile, or what it was parked for, waits."""
    if there.job != job.job or there.deaths != job.deaths:
        return False
    kept = (there.state, there.at, there.awaits) == (_arrives_as(job), job.at, job.awaits)
    return kept or there.state in (JobState.WAITING, JobState.TAKEN)
