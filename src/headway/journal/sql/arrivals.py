"""Runs and shared results that come from another store, as they were there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

from headway.errors import StoreDamaged
from headway.journal.owner import unknown_run
from headway.journal.records import Row, RunInfo, Signal
from headway.journal.shared.queues import JobInfo
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.database import Connection, Tables
from headway.journal.store import taken_id

_RUN = "run_id, spec, crc, status, fence, owned_since, cancel, error_floor, ended"
_ROW = "INSERT INTO record (run, seq, kind, key, parent, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?)"
_CACHED = "INSERT INTO cache (key, kind, call, parent, body, crc) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"


class Arrivals(Tables):
    """The part of a store that takes in what another store has."""

    _locks: jobs.Locks

    @abstractmethod
    def put_signals(self, connection: Connection, uid: int, signals: Sequence[Signal], heard: int) -> None:
        """Keep the signals of a run under their numbers, and see that later ones are numbered behind `heard`."""

    def put_run(
        self, info: RunInfo, parts: Callable[[], Iterable[Sequence[Row]]], signals: Sequence[Signal], heard: int
    ) -> RunInfo:
        spec = info.spec
        with self.writing() as connection:
            if connection.execute("SELECT uid FROM run WHERE run_id=?", (spec.run_id,)).fetchone() is not None:
                raise taken_id(spec.run_id, self.url)
            state = (info.status.value, info.fence, info.owned_since, int(info.cancel_requested), info.error_floor, info.ended)
            values = (*checked_rows.encode_run(spec), *state)
            made = f"INSERT INTO run ({_RUN}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT (run_id) DO NOTHING"
            if not connection.execute(made, values).rowcount:
                raise taken_id(spec.run_id, self.url)
            uid: int = connection.execute("SELECT uid FROM run WHERE run_id=?", (spec.run_id,)).fetchone()[0]
            seq = 0
            for rows in parts():
                numbered = list(enumerate(rows, seq + 1))
                connection.executemany(_ROW, [(uid, at, *row, checked_rows.row_crc(uid, at, row)) for at, row in numbered])
                seq += len(numbered)
            connection.execute("UPDATE run SET nrows=? WHERE uid=?", (seq, uid))
            self.put_signals(connection, uid, signals, heard)
            query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE uid=?"
            return checked_rows.decode_run(connection.execute(query, (uid,)).fetchone(), self.url)

    def put_job(self, job: JobInfo, now: float) -> bool:
        with self.writing() as connection:
            query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE run_id=? {self._locks.wait}"
            if (stored := connection.execute(query, (job.run_id,)).fetchone()) is None:
                raise unknown_run(job.run_id, [], self.url)
            return jobs.arrive_job(connection, checked_rows.decode_run(stored, self.url), job, now)

    def cache_entries(self, *, after: bytes = b"", most: int = 500) -> list[tuple[bytes, Row]]:
        query = "SELECT key, kind, call, parent, body, crc FROM cache WHERE key>? ORDER BY key LIMIT ?"
        found = self.reading(lambda connection: connection.execute(query, (after, most)).fetchall())
        for key, *row, crc in found:
            if not checked_rows.whole_cache(key, Row(*row), crc):
                raise StoreDamaged(
                    f"the cached result {key.hex()} in {self.url} is damaged: see what is lost with `headway doctor`"
                )
        return [(key, Row(*row)) for key, *row, _ in found]

    def put_cache(self, entries: Sequence[tuple[bytes, Row]]) -> int:
        with self.writing() as connection:
            return sum(connection.execute(_CACHED, (key, *row, checked_rows.cache_crc(key, row))).rowcount for key, row in entries)
