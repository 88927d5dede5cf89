"""What is whole in a Postgres store and what is not, and what its server promises.

Everything is read page by page, each page by itself: one long look would keep the server from cleaning up behind live drivers. What
a driver changes meanwhile is looked at twice before it is called damaged. Nothing is changed. Records that an interrupted deletion
has left are no damage; `gc` removes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from headway.errors import StoreDamaged, StoreError
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunInfo
from headway.journal.sql import checked_rows
from headway.journal.upkeep.examination import Examination
from headway.journal.upkeep.findings import Report
from headway.journal.upkeep.salvage import Found
from headway.journal.upkeep.server import judge, read_server

PAGE = 2000
ORPHANS = """WITH RECURSIVE seen(uid) AS ((SELECT min(run) FROM record) UNION ALL
    SELECT (SELECT min(run) FROM record WHERE run>seen.uid) FROM seen WHERE seen.uid IS NOT NULL)
    SELECT seen.uid FROM seen WHERE seen.uid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE run.uid=seen.uid) LIMIT ?"""
"""Numbers of runs that are gone and whose records are there."""


class PostgresExamination(Examination):
    """One walk through a database."""

    way_out = "restore the database from a backup; `headway store copy` saves the runs that can be read"

    def __init__(self, url: str) -> None:
        self._opened = PostgresStore(url, readonly=True)
        super().__init__(self._opened.url)

    def report(self) -> Report:
        try:
            self.step("the server", self._check_server)
            self.check_tables()
            self.step("the rejected records", self._check_rejected)
            self.step("the records without a run", self._check_orphans)
            self.step("the blobs", self._check_blobs)
            return self.make_report()
        finally:
            self._opened.close()

    def now(self) -> float:
        return self._opened.by_server(time.time())

    def _check_server(self) -> None:
        self.findings += judge(self._opened.reading(partial(read_server, listens=self._opened.address.listens)))

    def read(self, columns: str, table: str, order: str, what: str, means: str) -> Iterator[tuple[object, ...]]:
        """Read by pages, each from behind the last row of the one before: `order` names the first columns."""
        width = len(order.split(","))
        names = ", ".join(columns.split(", ")[:width])
        behind: tuple[object, ...] = ()
        while True:
            where = f"WHERE ({names}) > ({', '.join('?' * width)})" if behind else ""
            query = f"SELECT {columns} FROM {table} {where} ORDER BY {names} LIMIT {PAGE}"
            try:
                page = self._opened.reading(lambda connection: connection.execute(query, behind).fetchall())  # noqa: B023 - at once
            except StoreDamaged as error:
                self.say("error", f"{what} ({error})", means=means)
                return
            yield from page
            if len(page) < PAGE:
                return
            behind = page[-1][:width]

    def read_records(self, info: RunInfo) -> Iterator[Found]:
        last = 0
        while stored := self._opened.reading(partial(checked_rows.read_rows, uid=info.uid, after=last)):
            for one in stored:
                for seq in range(last + 1, one[0]):
                    if not self._is_there(info):
                        return
                    yield Found(seq, None, None)
                last = one[0]
                if last > info.nrows and self._now(info) >= last:
                    return  # a driver has gone on meanwhile
                yield Found(last, checked_rows.check_row(info.uid, one), one)
        if last < info.nrows and self._is_there(info):
            yield from (Found(seq, None, None) for seq in range(last + 1, info.nrows + 1))

    def _is_there(self, info: RunInfo) -> bool:
        """Whether a run was not deleted while it was read."""
        return self._now(info) >= 0

    def _now(self, info: RunInfo) -> int:
        """How many rows a run has by now; -1 where it is gone."""
        query = "SELECT nrows FROM run WHERE uid=?"
        found = self._opened.reading(lambda connection: connection.execute(query, (info.uid,)).fetchone())
        return -1 if found is None else int(found[0])

    def _check_rejected(self) -> None:
        query = (
            "SELECT COALESCE(run_id, rejected.run::text), COUNT(*) FROM rejected LEFT JOIN run ON uid=rejected.run "
            "GROUP BY 1 ORDER BY 1 LIMIT 100"
        )
        for run, count in self._opened.reading(lambda connection: connection.execute(query).fetchall()):
            self.say_rejected(run, count)

    def _check_orphans(self) -> None:
        query = ORPHANS
        if found := self._opened.reading(lambda connection: connection.execute(query, (1000,)).fetchall()):
            many = f"{len(found)} deleted runs have" if len(found) > 1 else "a deleted run has"
            self.say("info", f"{many} records left", means="`headway gc` removes them")

    # blobs

    def check_blob(self, digest: bytes) -> None:
        self._opened.get_blob(digest).release()

    def _check_blobs(self) -> None:
        query = "SELECT count(*), COALESCE(sum(nbytes), 0)::bigint FROM blob"
        self.nblobs, self.nbytes = self._opened.reading(lambda connection: connection.execute(query).fetchone())
        self.check_used_blobs()
        spare = sum(1 for (digest,) in self.read("digest", "blob", "digest", "the blobs", "") if digest not in self.users)
        if spare:
            means = "`headway gc` removes those that no run is about to name"
            self.say("info", f"{spare} blobs are named by no record", means=means)

    def is_kept_out(self, error: StoreError) -> bool:
        """What is not damage is about the server or who may read."""
        return not isinstance(error, StoreDamaged)
