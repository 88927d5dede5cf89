"""What comes into a store in Postgres from another one, and what its upkeep needs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec

from headway.journal.owner import check_takeover
from headway.journal.postgres.database import again
from headway.journal.postgres.runs import Runs
from headway.journal.postgres.schema import TABLES
from headway.journal.records import Row, RunInfo, Signal
from headway.journal.shared.queues import JobInfo
from headway.journal.sql import checked_rows
from headway.journal.sql.arrivals import Arrivals
from headway.journal.sql.database import Connection


class ArrivingRuns(Runs, Arrivals):
    """The part of the store that takes in what another store has, and that cleans up."""

    def by_server(self, at: float) -> float:
        """A time of this machine, by the server's clock."""
        return at + self._ahead_s

    def free_run(self, run_id: str, now: float) -> RunInfo:
        run = self.run(run_id)
        check_takeover(run, self.by_server(now))
        return run

    @again
    def put_run(
        self, info: RunInfo, parts: Callable[[], Iterable[Sequence[Row]]], signals: Sequence[Signal], heard: int
    ) -> RunInfo:
        return super().put_run(info, parts, signals, heard)

    def put_signals(self, connection: Connection, uid: int, signals: Sequence[Signal], heard: int) -> None:
        query = "INSERT INTO signal (run, number, name, value, at, crc, token) VALUES (?, ?, ?, ?, ?, ?, ?)"
        for number, name, value, at in map(msgspec.structs.astuple, signals):
            crc = checked_rows.signal_crc(uid, name, value, at)
            connection.execute(query, (uid, number, name, value, at, crc, secrets.token_bytes(16)))
        connection.execute("UPDATE run SET word=? WHERE uid=?", (heard, uid))

    @again
    def put_job(self, job: JobInfo, now: float) -> bool:
        return super().put_job(job, now + self._ahead_s)

    @again
    def put_cache(self, entries: Sequence[tuple[bytes, Row]]) -> int:
        return super().put_cache(entries)

    def vacuum(self) -> None:
        """Give the space of deleted rows to new ones, and tell the planner how large the tables are."""
        with self.talking() as statements:
            for table in TABLES:
                statements.raw.execute(f"VACUUM (ANALYZE) {self.address.schema}.{table}")
