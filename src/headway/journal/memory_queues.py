"""Queues of runs in memory: the rules of `shared.queues` in their plainest form, over dictionaries.

What the other stores do in SQL is to give what this does. The store that it is a part of locks, and has the runs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from headway.journal.records import ENDED, After, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.queues import (
    COUNTED,
    FORGOTTEN_S,
    PROMOTED,
    Job,
    JobInfo,
    JobState,
    Newcomer,
    QueueInfo,
    QueueSettings,
    Swept,
    Taken,
    WorkerInfo,
    bury,
    check_job,
    check_settings,
    go_on,
    is_due,
    pick,
    queue_full,
    room,
    show_state,
    stamp,
)
from headway.journal.shared.schedules import (
    Fired,
    Make,
    Overlap,
    Schedule,
    ScheduleInfo,
    check_schedule,
    fire,
    pause,
    replace_schedule,
    unknown_schedule,
)


@dataclass
class _Job:
    run_id: str
    uid: int
    task: str
    job: Job
    state: JobState
    at: float
    vtime: float = 0.0
    owner: str = ""
    deaths: int = 0
    awaits: frozenset[str] = frozenset()  # ids of runs; the end of one wakes it

    @property
    def place(self) -> tuple[str, str, float, int]:
        return self.job.queue, self.state.value, self.at, self.uid

    def show(self, now: float) -> JobInfo:
        return JobInfo(
            run_id=self.run_id,
            uid=self.uid,
            task=self.task,
            job=self.job,
            state=show_state(self.state, self.at, now),
            at=self.at,
            owner=self.owner,
            deaths=self.deaths,
            place=self.place,
        )

    def wait(self, at: float) -> None:
        self.state, self.at, self.owner, self.awaits = JobState.DELAYED, at, "", frozenset()


class _Queue:
    def __init__(self, name: str) -> None:
        self.settings = QueueSettings(name=name)
        self.paused = False
        self.vtime = 0.0
        self.keys: dict[str, float] = {}


class MemoryQueues:
    """The part of a store in memory that keeps queues."""

    _lock: threading.RLock
    _runs: dict[str, RunInfo]
    _signals: list[tuple[int, Signal]]
    _changes: int

    if TYPE_CHECKING:

        def run(self, run_id: str) -> RunInfo: ...
        def _insert(self, spec: RunSpec, rows: list[Row]) -> RunInfo: ...
        def _change(self, run: RunInfo, **changes: object) -> RunInfo: ...
        def _end_claims(self, uid: int) -> None: ...
        def _lives(self, holder: str) -> bool | None: ...
        def request_cancel(self, run_id: str, now: float) -> None: ...

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}  # by the number of the run
        self._queues: dict[str, _Queue] = {}
        self._workers: dict[str, WorkerInfo] = {}
        self._schedules: dict[str, ScheduleInfo] = {}

    # what workers and users do

    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        check_job(job)
        with self._lock:
            if (found := self._runs.get(spec.run_id)) is not None:
                return found
            settings = self._find_queue(job.queue).settings
            if settings.depth is not None:
                waits = (JobState.WAITING, JobState.DELAYED)
                if sum(one.job.queue == job.queue and one.state in waits for one in self._jobs.values()) >= settings.depth:
                    raise queue_full(settings, spec.run_id)
            run = self._insert(spec, [])
            self._give_job(run, job, JobState.DELAYED, max(now, job.at))
            return run

    def _give_job(self, run: RunInfo, job: Job, state: JobState, at: float, **more: Any) -> None:
        self._queue(job.queue)
        self._jobs[run.uid] = _Job(run.spec.run_id, run.uid, run.spec.task, job, state, at, **more)

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
        taken: list[Taken] = []
        with self._lock:
            for name in dict.fromkeys(queues):
                queue = self._find_queue(name)
                if queue.paused or len(taken) >= most:
                    continue
                self._promote(queue, now)
                mine = [one for one in self._jobs.values() if one.job.queue == name]
                held: dict[str, int] = {}
                for one in mine:
                    if one.state is JobState.TAKEN:
                        held[one.job.key] = held.get(one.job.key, 0) + 1
                line = sorted(
                    (
                        one
                        for one in mine
                        if one.state is JobState.WAITING
                        and (tasks is None or one.task in tasks)
                        and (not one.job.version or one.job.version in versions)
                    ),
                    key=lambda one: (-one.job.priority, one.vtime, one.uid),
                )
                picked = pick(
                    [(one.uid, one.job.key) for one in line],
                    room(queue.settings, most - len(taken), sum(held.values()), held),
                )
                taken += [self._take(self._jobs[uid], owner, ttl_s, now) for uid in picked]
                queue.vtime = max([queue.vtime, *(self._jobs[uid].vtime for uid in picked)])
        return taken

    def _take(self, one: _Job, owner: str, ttl_s: float, now: float) -> Taken:
        run = self._runs[one.run_id]
        run = self._change(
            run,
            fence=run.fence + 1,
            owner=owner,
            owned_since=now,
            lease_until=now + ttl_s,
            status=RunStatus.RUNNING,
            ended=0.0,
        )
        self._end_claims(run.uid)
        self._note_taken(run)
        return Taken(run, Lease(uid=run.uid, run_id=one.run_id, owner=owner, fence=run.fence, ttl_s=ttl_s), one.job)

    def _promote(self, queue: _Queue, now: float) -> None:
        """Let jobs wait whose time has come."""
        mine = [one for one in self._jobs.values() if one.job.queue == queue.settings.name and is_due(one.state, one.at, now)]
        due = sorted(mine, key=lambda one: (one.at, one.uid))[:PROMOTED]
        newcomers = [Newcomer(one.uid, one.job.key, one.job.weight, one.vtime) for one in due]
        places, moved = stamp(newcomers, queue.vtime, queue.keys)
        for one in due:
            one.state, one.vtime, one.awaits = JobState.WAITING, places[one.uid], frozenset()
        queue.keys = {key: vtime for key, vtime in (queue.keys | moved).items() if vtime > queue.vtime}

    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        swept: list[Swept] = []
        with self._lock:
            for one in sorted(self._jobs.values(), key=lambda one: one.uid):
                run = self._runs[one.run_id]
                is_over = one.state is JobState.TAKEN and (run.lease_until <= now or self._lives(run.owner) is False)
                if not is_over or len(swept) >= most:
                    continue
                one.deaths += 1
                state, at = bury(self._find_queue(one.job.queue).settings, one.deaths, now)
                one.wait(at)
                one.state = state
                swept.append(Swept(one.run_id, run.owner, one.deaths, at, state is JobState.STUCK))
                self._change(run, owner="", lease_until=0.0, status=RunStatus.INTERRUPTED)
                self._end_claims(run.uid)
                if state is JobState.STUCK:  # nobody takes it any more: who waits for it is to hear of that
                    self._wake_waiters(one.run_id, now)
        return swept

    def jobs(
        self, now: float, *, queue: str | None = None, state: JobState | None = None, after: JobInfo | None = None, most: int = 100
    ) -> list[JobInfo]:
        with self._lock:
            line = sorted(self._jobs.values(), key=lambda one: one.place)
            mine = [one for one in line if queue is None or one.job.queue == queue]
            found = [one.show(now) for one in mine if after is None or one.place > after.place]
            return [one for one in found if state is None or one.state is state][:most]

    def job(self, run_id: str, now: float) -> JobInfo | None:
        uid = self.run(run_id).uid
        return self.find_jobs([uid], now).get(uid)

    def find_jobs(self, uids: Sequence[int], now: float) -> dict[int, JobInfo]:
        with self._lock:
            mine = [self._jobs[uid] for uid in uids if uid in self._jobs]
            return {one.uid: msgspec.structs.replace(one.show(now), awaits=tuple(sorted(one.awaits))) for one in mine}

    def enqueue_again(self, run_id: str, job: Job, fence: int, now: float) -> bool:
        with self._lock:
            run = self.run(run_id)
            if run.fence != fence or run.owner or run.status not in ENDED or run.status == RunStatus.DONE:
                return False
            run = self._change(run, status=RunStatus.INTERRUPTED, ended=0.0, cancel_requested=False)
            self._give_job(run, job, JobState.DELAYED, max(now, job.at))
            return True

    def find_ended(self, run_ids: Sequence[str]) -> set[str]:
        with self._lock:
            return {run_id for run_id in run_ids if self._has_ended(run_id)}

    def retry_job(self, run_id: str, now: float) -> bool:
        with self._lock:
            one = self._jobs.get(self.run(run_id).uid)
            if one is None or one.state is not JobState.STUCK:
                return False
            one.wait(now)
            one.deaths = 0
            self._changes += 1
            return True

    # queues and workers

    def put_queue(self, settings: QueueSettings) -> None:
        check_settings(settings)
        with self._lock:
            self._queue(settings.name).settings = settings
            self._changes += 1

    def pause_queue(self, name: str, paused: bool) -> None:
        check_settings(QueueSettings(name=name))
        with self._lock:
            self._queue(name).paused = paused
            self._changes += 1

    def queues(self, now: float) -> list[QueueInfo]:
        with self._lock:
            return [self._show_queue(self._queues[name], now) for name in sorted(self._queues)]

    def _find_queue(self, name: str) -> _Queue:
        return self._queues.get(name) or _Queue(name)

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue(name))

    def _show_queue(self, queue: _Queue, now: float) -> QueueInfo:
        shown = [one.show(now) for one in self._jobs.values() if one.job.queue == queue.settings.name]
        counts = {state.value: min(COUNTED, sum(one.state is state for one in shown)) for state in JobState}
        oldest = min((one.at for one in shown if one.state is JobState.WAITING), default=None)
        return QueueInfo(settings=queue.settings, paused=queue.paused, oldest=oldest, **counts)

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        with self._lock:
            self._workers[worker.owner] = msgspec.structs.replace(worker, seen=now)
            self._workers = {owner: one for owner, one in self._workers.items() if one.seen > now - FORGOTTEN_S}

    def forget_worker(self, owner: str) -> None:
        with self._lock:
            self._workers.pop(owner, None)

    def workers(self, now: float) -> list[WorkerInfo]:
        with self._lock:
            return [one for _, one in sorted(self._workers.items()) if one.seen > now - FORGOTTEN_S]

    # schedules

    def put_schedule(self, schedule: Schedule, now: float) -> ScheduleInfo:
        due = check_schedule(schedule, now)
        with self._lock:
            made = replace_schedule(self._schedules.get(schedule.name), schedule, due)
            self._schedules[schedule.name] = made
            return made

    def copy_schedule(self, info: ScheduleInfo) -> ScheduleInfo:
        with self._lock:
            return self._schedules.setdefault(info.schedule.name, info)

    def schedules(self) -> list[ScheduleInfo]:
        with self._lock:
            return [one for _, one in sorted(self._schedules.items())]

    def pause_schedule(self, name: str, paused: bool, now: float) -> None:
        with self._lock:
            if name not in self._schedules:
                raise unknown_schedule(name, self._schedules)
            self._schedules[name] = pause(self._schedules[name], paused, now)

    def remove_schedule(self, name: str) -> None:
        with self._lock:
            if self._schedules.pop(name, None) is None:
                raise unknown_schedule(name, self._schedules)

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        with self._lock:
            fired: list[Fired] = []
            for name, info in sorted(self._schedules.items()):
                if not info.paused and info.due <= now:
                    self._schedules[name], found = fire(info, now, make, self._fire)
                    fired += found
            return fired

    def _fire(self, info: ScheduleInfo, spec: RunSpec, now: float) -> bool:
        """Enqueue one run of a schedule; whether its overlap lets it."""
        before = self._runs.get(info.last_run)
        runs_still = before is not None and not self._has_ended(info.last_run)
        if runs_still and info.schedule.overlap is Overlap.SKIP:
            return False
        is_new = spec.run_id not in self._runs
        made = self.enqueue(spec, info.schedule.job, now)
        if before is not None and runs_still and is_new:
            one = self._jobs[made.uid]
            one.state, one.at, one.awaits = JobState.PARKED, math.inf, frozenset([info.last_run])
            if info.schedule.overlap is Overlap.CANCEL:
                self.request_cancel(info.last_run, now)
        return True

    # what happens to a run, in the transaction in which it happens

    def _note_taken(self, run: RunInfo) -> None:
        if (one := self._jobs.get(run.uid)) is not None:
            one.state, one.at, one.owner, one.awaits = JobState.TAKEN, run.lease_until, run.owner, frozenset()

    def _give_job_back(self, run: RunInfo, after: After | None, now: float) -> None:
        """Of a run that has not ended."""
        if (one := self._jobs.get(run.uid)) is None:
            return
        newest = max((signal.number for to, signal in self._signals if to == run.uid), default=0)
        ended = after is not None and any(self._has_ended(run_id) for run_id in after.runs)
        one.deaths = 0
        one.wait(now)
        one.state, one.at = go_on(after, now, cancelled=run.cancel_requested, newest_signal=newest, ended=ended)
        if after is not None and one.state is JobState.PARKED:
            one.awaits = frozenset(after.runs)

    def _has_ended(self, run_id: str) -> bool:
        """Whether nothing more is to be expected of a run."""
        run = self._runs.get(run_id)
        job = self._jobs.get(run.uid) if run is not None else None
        return run is None or run.status in ENDED or (job is not None and job.state is JobState.STUCK)

    def _end_job(self, run: RunInfo, now: float) -> None:
        """Of a run that has ended or is forgotten: its job goes, and who waits for it goes on."""
        self._jobs.pop(run.uid, None)
        self._wake_waiters(run.spec.run_id, now)

    def _wake_waiters(self, run_id: str, now: float) -> None:
        for one in self._jobs.values():
            if run_id in one.awaits:
                one.wait(now)

    def _wake_job(self, uid: int, now: float) -> None:
        one = self._jobs.get(uid)
        if one is not None and one.state is JobState.PARKED and self._runs[one.run_id].fence:
            one.wait(now)

    def _cancel_job(self, run: RunInfo, now: float) -> None:
        """Of a run whose cancel was asked for."""
        one = self._jobs.get(run.uid)
        if one is None:
            return
        if one.state is JobState.STUCK or not run.fence:
            self._change(run, status=RunStatus.CANCELLED, ended=now, cancel_requested=False)
            self._end_job(run, now)
        elif one.state in (JobState.PARKED, JobState.DELAYED):
            one.wait(min(one.at, now))
