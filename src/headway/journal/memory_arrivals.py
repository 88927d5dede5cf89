"""Runs and shared results that come into a store in memory from another store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from headway.journal.owner import check_takeover
from headway.journal.records import ENDED, Row, RunInfo, RunSpec, Signal
from headway.journal.shared.queues import JobInfo, JobState
from headway.journal.store import taken_id


class ArrivalsInMemory:
    """The part of a store in memory that takes in what another store has."""

    _lock: threading.RLock
    _runs: dict[str, RunInfo]
    _cache: dict[bytes, Row]
    _signals: list[tuple[int, Signal]]
    _last_signal: int
    run: Callable[[str], RunInfo]
    _insert: Callable[[RunSpec, list[Row]], RunInfo]
    _change: Callable[..., RunInfo]
    job: Callable[[str, float], JobInfo | None]
    _give_job: Callable[..., None]
    _has_ended: Callable[[str], bool]

    @property
    def url(self) -> str:
        raise NotImplementedError

    def free_run(self, run_id: str, now: float) -> RunInfo:
        run = self.run(run_id)
        check_takeover(run, now)
        return run

    def put_run(
        self, info: RunInfo, parts: Callable[[], Iterable[Sequence[Row]]], signals: Sequence[Signal], heard: int
    ) -> RunInfo:
        rows = [row for part in parts() for row in part]
        with self._lock:
            if info.spec.run_id in self._runs:
                raise taken_id(info.spec.run_id, self.url)
            run = self._insert(info.spec, rows)
            self._signals += [(run.uid, signal) for signal in signals]
            self._last_signal = max(self._last_signal, heard)
            return self._change(
                run,
                status=info.status,
                fence=info.fence,
                owned_since=info.owned_since,
                cancel_requested=info.cancel_requested,
                error_floor=info.error_floor,
                ended=info.ended,
            )

    def put_job(self, job: JobInfo, now: float) -> bool:
        with self._lock:
            run = self.run(job.run_id)
            if run.owner or run.status in ENDED or self.job(job.run_id, now) is not None:
                return False
            state, at, awaits = job.state, job.at, frozenset(job.awaits)
            if state is JobState.WAITING:
                state = JobState.DELAYED
            elif state is JobState.TAKEN or (
                state is JobState.PARKED and (run.cancel_requested or at <= now or any(map(self._has_ended, awaits)))
            ):
                state, at, awaits = JobState.DELAYED, now, frozenset()
            self._give_job(run, job.job, state, at, deaths=job.deaths, awaits=awaits)
            return True

    def cache_entries(self, *, after: bytes = b"", most: int = 500) -> list[tuple[bytes, Row]]:
        with self._lock:
            return [(key, self._cache[key]) for key in sorted(self._cache) if key > after][:most]

    def put_cache(self, entries: Sequence[tuple[bytes, Row]]) -> int:
        with self._lock:
            new = [(key, row) for key, row in entries if key not in self._cache]
            self._cache.update(new)
            return len(new)
