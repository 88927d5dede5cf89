"""What is set for queues and what is shown of them, of their jobs and of their workers.

Nothing here counts further than `COUNTED`: a page that counts a million rows is a page that nobody can open when it matters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from headway.journal.records import RunInfo
from headway.journal.shared.queues import (
    COUNTED,
    FORGOTTEN_S,
    JobInfo,
    JobState,
    QueueInfo,
    QueueSettings,
    WorkerInfo,
    check_settings,
)
from headway.journal.sql import jobs
from headway.journal.sql.database import Connection, Tables
from headway.journal.sql.queues import default_settings, read_settings

_encode = msgspec.msgpack.Encoder().encode
_decode_worker = msgspec.msgpack.Decoder(WorkerInfo).decode
_NAMES = """WITH RECURSIVE named(queue) AS (
    SELECT MIN(queue) FROM job UNION ALL
    SELECT (SELECT MIN(job.queue) FROM job WHERE job.queue>named.queue) FROM named WHERE named.queue IS NOT NULL)
    SELECT queue FROM named WHERE queue IS NOT NULL UNION SELECT name FROM queue"""
_SHOWN = {
    JobState.WAITING: "AND (state='waiting' OR state IN ('delayed', 'parked') AND at<=?)",
    JobState.DELAYED: "AND state='delayed' AND at>?",
    JobState.PARKED: "AND state='parked' AND at>?",
    JobState.TAKEN: "AND state='taken'",
    JobState.STUCK: "AND state='stuck'",
}


class QueueViews(Tables):
    """The part of a store that has the settings of queues, and shows them."""

    @abstractmethod
    def run(self, run_id: str) -> RunInfo: ...

    # queues

    def put_queue(self, settings: QueueSettings) -> None:
        check_settings(settings)
        query = "INSERT INTO queue (name, settings) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET settings=excluded.settings"
        with self.writing() as connection:
            connection.execute(query, (settings.name, _encode(settings)))

    def pause_queue(self, name: str, paused: bool) -> None:
        check_settings(QueueSettings(name=name))
        query = (
            "INSERT INTO queue (name, settings, paused) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET paused=excluded.paused"
        )
        with self.writing() as connection:
            connection.execute(query, (name, default_settings(name), int(paused)))

    def queues(self, now: float) -> list[QueueInfo]:
        return self.reading(lambda connection: _read_queues(connection, now))

    # jobs

    def jobs(
        self, now: float, *, queue: str | None = None, state: JobState | None = None, after: JobInfo | None = None, most: int = 100
    ) -> list[JobInfo]:
        where, values = "", list[Any]()
        if queue is not None:
            where, values = "AND queue=?", [queue]
        if state is not None:
            where += f" {_SHOWN[state]}"
            values += [now] * _SHOWN[state].count("?")
        if after is not None:
            where += " AND (queue, state, at, run)>(?, ?, ?, ?)"
            values += after.place
        query = f"SELECT {jobs.COLUMNS} FROM job WHERE 1=1 {where} ORDER BY queue, state, at, run LIMIT ?"
        found = self.reading(lambda connection: connection.execute(query, (*values, most)).fetchall())
        return [jobs.decode_job(one, now) for one in found]

    def job(self, run_id: str, now: float) -> JobInfo | None:
        uid = self.run(run_id).uid
        return self.find_jobs([uid], now).get(uid)

    def find_jobs(self, uids: Sequence[int], now: float) -> dict[int, JobInfo]:
        return {
            one.uid: one
            for part in jobs.parts(uids)
            for one in self.reading(lambda connection: jobs.read_jobs(connection, part, now))  # noqa: B023 - at once
        }

    # workers

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        query = (
            "INSERT INTO worker (owner, body, seen) VALUES (?, ?, ?) "
            "ON CONFLICT (owner) DO UPDATE SET body=excluded.body, seen=excluded.seen"
        )
        with self.writing() as connection:
            connection.execute(query, (worker.owner, _encode(worker), float(now)))
            connection.execute("DELETE FROM worker WHERE seen<=?", (now - FORGOTTEN_S,))

    def forget_worker(self, owner: str) -> None:
        with self.writing() as connection:
            connection.execute("DELETE FROM worker WHERE owner=?", (owner,))

    def workers(self, now: float) -> list[WorkerInfo]:
        query = "SELECT body, seen FROM worker WHERE seen>? ORDER BY owner"
        found = self.reading(lambda connection: connection.execute(query, (now - FORGOTTEN_S,)).fetchall())
        return [msgspec.structs.replace(_decode_worker(body), seen=seen) for body, seen in found]


def _read_queues(connection: Connection, now: float) -> list[QueueInfo]:
    return [_read_queue(connection, name, now) for name in sorted(name for (name,) in connection.execute(_NAMES).fetchall())]


def _read_queue(connection: Connection, name: str, now: float) -> QueueInfo:
    def count(state: str, when: str = "") -> int:
        query = f"SELECT COUNT(*) FROM (SELECT 1 FROM job WHERE queue=? AND state='{state}' {when} LIMIT ?) AS found"
        values = (name, now, COUNTED) if when else (name, COUNTED)
        found: int = connection.execute(query, values).fetchone()[0]
        return found

    def oldest(state: str) -> float | None:
        query = f"SELECT MIN(at) FROM job WHERE queue=? AND state='{state}' AND at<=?"
        found: float | None = connection.execute(query, (name, now)).fetchone()[0]
        return found

    due, later = "AND at<=?", "AND at>?"
    paused = connection.execute("SELECT paused FROM queue WHERE name=?", (name,)).fetchone()
    since = [at for state in ("waiting", "delayed", "parked") if (at := oldest(state)) is not None]
    return QueueInfo(
        settings=read_settings(connection, name),
        paused=bool(paused and paused[0]),
        waiting=min(COUNTED, count("waiting") + count("delayed", due) + count("parked", due)),
        delayed=count("delayed", later),
        taken=count("taken"),
        parked=count("parked", later),
        stuck=count("stuck"),
        oldest=min(since, default=None),
    )
