"""What a queue of runs has to do, as plainly as it can be said. It says what the docstrings say, and knows no store."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from store_model import DEAD

from headway.errors import LeaseLost, QueueFull, RunOwned, UnknownRun
from headway.journal.records import After, RunStatus
from headway.journal.shared.queues import Job, JobState, QueueSettings

ENDED = (RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED)


@dataclass
class ModelRun:
    name: str
    uid: int
    job: Job | None
    status: RunStatus = RunStatus.RUNNING
    fence: int = 0
    owner: str = ""
    until: float = 0.0
    cancel: bool = False
    newest_signal: int = 0
    state: JobState = JobState.DELAYED  # of its job
    at: float = 0.0
    vtime: float = 0.0
    deaths: int = 0
    awaits: set[int] = field(default_factory=set)

    def wait_from(self, at: float) -> None:
        self.state, self.at, self.awaits = JobState.DELAYED, at, set()

    def shown(self, now: float) -> JobState:
        is_due = self.state in (JobState.DELAYED, JobState.PARKED) and self.at <= now
        return JobState.WAITING if is_due else self.state


@dataclass
class QueueModel:
    runs: dict[str, ModelRun] = field(default_factory=dict)
    settings: QueueSettings = field(default_factory=QueueSettings)
    paused: bool = False
    vtime: float = 0.0
    keys: dict[str, float] = field(default_factory=dict)

    def run(self, name: str) -> ModelRun:
        if name not in self.runs:
            raise UnknownRun
        return self.runs[name]

    def jobs(self) -> list[ModelRun]:
        return [run for run in self.runs.values() if run.job is not None]

    def enqueue(self, name: str, job: Job, now: float, uid: int) -> None:
        if name in self.runs:
            assert self.runs[name].uid == uid
            return
        if self.settings.depth is not None:
            waiting = [run for run in self.jobs() if run.state in (JobState.WAITING, JobState.DELAYED)]
            if len(waiting) >= self.settings.depth:
                raise QueueFull
        self.runs[name] = ModelRun(name, uid, job, at=max(now, job.at))

    def take(self, owner: str, most: int, versions: tuple[str, ...], now: float, ttl_s: float) -> list[str]:
        if self.paused:
            return []
        due = [run for run in self.jobs() if run.state in (JobState.DELAYED, JobState.PARKED) and run.at <= now]
        for run in sorted(due, key=lambda run: (run.at, run.uid)):
            assert run.job is not None
            if run.vtime:
                run.vtime = self.vtime
            else:
                run.vtime = max(self.vtime, self.keys.get(run.job.key, 0.0)) + 1 / run.job.weight
                self.keys[run.job.key] = run.vtime
            run.state, run.awaits = JobState.WAITING, set()
        taken: list[str] = []
        waiting = [run for run in self.jobs() if run.state is JobState.WAITING]
        for run in sorted(waiting, key=lambda run: (-run.job.priority, run.vtime, run.uid)):
            if len(taken) < most and run.job.version in ("", *versions) and self.has_room(run.job.key):
                run.status, run.fence, run.owner, run.until = RunStatus.RUNNING, run.fence + 1, owner, now + ttl_s
                run.state, run.at = JobState.TAKEN, now + ttl_s
                self.vtime = max(self.vtime, run.vtime)
                taken.append(run.name)
        return taken

    def has_room(self, key: str) -> bool:
        taken = [run.job.key for run in self.jobs() if run.state is JobState.TAKEN]
        limit, key_limit = self.settings.limit, self.settings.key_limit
        return (limit is None or len(taken) < limit) and (key_limit is None or taken.count(key) < key_limit)

    def holds(self, name: str, fence: int, owner: str) -> ModelRun:
        run = self.run(name)
        if (run.fence, run.owner) != (fence, owner):
            raise LeaseLost
        return run

    def renew(self, name: str, fence: int, owner: str, now: float, ttl_s: float) -> None:
        self.holds(name, fence, owner).until = now + ttl_s

    def give_back(self, name: str, fence: int, owner: str, status: RunStatus, after: After | None, now: float) -> None:
        run = self.holds(name, fence, owner)
        run.owner, run.until, run.status = "", 0.0, status
        if status in ENDED:
            run.cancel = False
            self.end(run, now)
            return
        if run.job is None:
            return
        run.deaths = 0
        run.wait_from(now)
        if after is None or run.cancel:
            return
        if not after.parked:
            run.at = max(now, after.at)
            return
        awaited = [self.runs.get(other) for other in after.runs]
        if run.newest_signal <= after.seen and after.at > now and all(one and one.status not in ENDED for one in awaited):
            run.state, run.at, run.awaits = JobState.PARKED, after.at, {one.uid for one in awaited if one is not None}

    def end(self, run: ModelRun, now: float) -> None:
        run.job = None
        for other in self.jobs():
            if run.uid in other.awaits:
                other.wait_from(now)

    def signal(self, name: str, number: int, now: float) -> None:
        run = self.run(name)
        run.newest_signal = number
        if run.job is not None and run.state is JobState.PARKED and run.fence:
            run.wait_from(now)

    def cancel(self, name: str, now: float) -> None:
        run = self.run(name)
        if run.status in ENDED and not run.owner:
            return
        run.cancel = True
        if run.job is None:
            return
        if run.state is JobState.STUCK or not run.fence:
            run.status, run.cancel = RunStatus.CANCELLED, False
            self.end(run, now)
        elif run.state in (JobState.PARKED, JobState.DELAYED):
            run.wait_from(min(run.at, now))

    def sweep(self, now: float) -> set[tuple[str, int, float, bool]]:
        swept = set()
        for run in self.jobs():
            if run.state is JobState.TAKEN and (run.until <= now or run.owner == DEAD):
                run.deaths += 1
                is_stuck = run.deaths >= self.settings.deaths
                pause_s = min(self.settings.backoff_s * 2 ** (run.deaths - 1), self.settings.longest_backoff_s)
                run.wait_from(now if is_stuck else now + pause_s)
                run.state = JobState.STUCK if is_stuck else JobState.DELAYED
                run.owner, run.until, run.status = "", 0.0, RunStatus.INTERRUPTED
                swept.add((run.name, run.deaths, run.at, is_stuck))
        return swept

    def acquire(self, name: str, owner: str, now: float, ttl_s: float, *, take_over: bool) -> int:
        run = self.run(name)
        if not take_over:
            run.until = min(run.until, now + ttl_s)
            if run.owner and run.owner != DEAD and run.until > now:
                raise RunOwned
        run.status, run.fence, run.owner, run.until = RunStatus.RUNNING, run.fence + 1, owner, now + ttl_s
        if run.job is not None:
            run.state, run.awaits = JobState.TAKEN, set()
        return run.fence

    def retry(self, name: str, now: float) -> bool:
        run = self.run(name)
        if run.job is None or run.state is not JobState.STUCK:
            return False
        run.wait_from(now)
        run.deaths = 0
        return True

    def delete(self, name: str, now: float) -> None:
        run = self.run(name)
        if run.owner and run.owner != DEAD and run.until > now:
            raise RunOwned
        self.end(run, now)
        del self.runs[name]

    def show(self, now: float) -> dict[str, tuple[JobState, int, str]]:
        return {run.name: (run.shown(now), run.deaths, run.owner) for run in self.jobs()}

    def oldest(self, now: float) -> float | None:
        since = min((run.at for run in self.jobs() if run.shown(now) is JobState.WAITING), default=math.inf)
        return None if since == math.inf else since
