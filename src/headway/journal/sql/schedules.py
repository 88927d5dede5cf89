"""Schedules, as a table. Whoever fires one holds its row, before any other; a schedule that somebody else holds is skipped."""

from __future__ import annotations

from abc import abstractmethod

import msgspec

from headway.journal.records import ENDED, RunInfo, RunSpec
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
from headway.journal.sql import checked_rows, jobs
from headway.journal.sql.database import Connection
from headway.journal.sql.queues import SharedQueues

FIRED = 100
"""How many schedules are looked for at once."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ScheduleInfo).decode


class Schedules(SharedQueues):
    """The part of a store that keeps schedules."""

    @abstractmethod
    def _cancel(self, connection: Connection, run: RunInfo, now: float) -> None:
        """Have a run cancelled whose row is locked."""

    def put_schedule(self, schedule: Schedule, now: float) -> ScheduleInfo:
        due = check_schedule(schedule, now)
        with self.writing(f"schedule {schedule.name}") as connection:
            made = replace_schedule(self._read(connection, schedule.name), schedule, due)
            _put(connection, made)
        return made

    def copy_schedule(self, info: ScheduleInfo) -> ScheduleInfo:
        with self.writing(f"schedule {info.schedule.name}") as connection:
            if (there := self._read(connection, info.schedule.name)) is not None:
                return there
            _put(connection, info)
        return info

    def schedules(self) -> list[ScheduleInfo]:
        query = "SELECT body FROM schedule ORDER BY name"
        return [_decode(body) for (body,) in self.reading(lambda connection: connection.execute(query).fetchall())]

    def pause_schedule(self, name: str, paused: bool, now: float) -> None:
        with self.writing(f"schedule {name}") as connection:
            if (info := self._read(connection, name)) is None:
                raise _unknown(connection, name)
            _put(connection, pause(info, paused, now))

    def remove_schedule(self, name: str) -> None:
        with self.writing(f"schedule {name}") as connection:
            if self._read(connection, name) is None:
                raise _unknown(connection, name)
            connection.execute("DELETE FROM schedule WHERE name=?", (name,))

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        query = "SELECT name FROM schedule WHERE paused=0 AND due<=? ORDER BY due, name LIMIT ?"
        due = self.reading(lambda connection: connection.execute(query, (now, FIRED)).fetchall())
        return [fired for (name,) in due for fired in self._fire(name, now, make)]

    def _fire(self, name: str, now: float, make: Make) -> list[Fired]:
        with self.writing() as connection:
            query = f"SELECT body FROM schedule WHERE name=? AND paused=0 AND due<=? {self._locks.skip}"
            stored = connection.execute(query, (name, now)).fetchone()
            if stored is None:
                return []
            info, fired = fire(_decode(stored[0]), now, make, lambda *asked: self._enqueue_next(connection, *asked))
            _put(connection, info)
            return fired

    def _enqueue_next(self, connection: Connection, info: ScheduleInfo, spec: RunSpec, now: float) -> bool:
        """Enqueue one run of a schedule; whether its overlap lets it."""
        before = self._find_live(connection, info.last_run)
        if before is not None and info.schedule.overlap is Overlap.SKIP:
            return False
        run, is_new = self._enqueue(connection, spec, info.schedule.job, now)
        if before is not None and is_new:
            jobs.park_behind(connection, run.uid, before.uid)
            if info.schedule.overlap is Overlap.CANCEL:
                self._cancel(connection, before, now)
        return True

    def _find_live(self, connection: Connection, run_id: str) -> RunInfo | None:
        """The run of this id, locked, where it has not ended and is not stuck either."""
        query = f"SELECT {checked_rows.RUN_COLUMNS} FROM run WHERE run_id=? {self._locks.wait}"
        stored = connection.execute(query, (run_id,)).fetchone()
        if stored is None or (run := checked_rows.decode_run(stored, self.url)).status in ENDED:
            return None
        stuck = connection.execute("SELECT 1 FROM job WHERE run=? AND state='stuck'", (run.uid,)).fetchone()
        return run if stuck is None else None

    def _read(self, connection: Connection, name: str) -> ScheduleInfo | None:
        stored = connection.execute(f"SELECT body FROM schedule WHERE name=? {self._locks.wait}", (name,)).fetchone()
        return None if stored is None else _decode(stored[0])


def _put(connection: Connection, info: ScheduleInfo) -> None:
    query = (
        "INSERT INTO schedule (name, body, paused, due) VALUES (?, ?, ?, ?) ON CONFLICT (name) "
        "DO UPDATE SET body=excluded.body, paused=excluded.paused, due=excluded.due"
    )
    connection.execute(query, (info.schedule.name, _encode(info), int(info.paused), info.due))


def _unknown(connection: Connection, name: str) -> Exception:
    return unknown_schedule(name, [one for (one,) in connection.execute("SELECT name FROM schedule").fetchall()])
