"""Pages of runs."""

from __future__ import annotations

from collections.abc import Sequence

from headway.journal.records import RunInfo, RunStatus
from headway.journal.sql.checked_rows import RUN_COLUMNS, decode_run
from headway.journal.sql.database import Tables
from headway.journal.store import RUNS_PAGE

_LAST = (1 << 63) - 1


class PagedRuns(Tables):
    """The part of a store that lists runs."""

    def runs(
        self, *, after: int = 0, most: int = RUNS_PAGE, newest_first: bool = False, statuses: Sequence[RunStatus] = ()
    ) -> list[RunInfo]:
        query, values = _page(after, most, newest_first=newest_first, statuses=statuses)
        return [decode_run(one, self.url) for one in self.reading(lambda connection: connection.execute(query, values).fetchall())]


def _page(after: int, most: int, *, newest_first: bool, statuses: Sequence[RunStatus]) -> tuple[str, list[object]]:
    """The query for a page. Each status is looked for by itself, so that an index on (status, uid) gives the page without reading
    the runs of other ones."""
    behind, order = ("uid<?", "uid DESC") if newest_first else ("uid>?", "uid")
    start = (after or _LAST) if newest_first else after
    if not statuses:
        return f"SELECT {RUN_COLUMNS} FROM run WHERE {behind} ORDER BY {order} LIMIT ?", [start, most]
    parts: list[str] = []
    values: list[object] = []
    for number, status in enumerate(dict.fromkeys(statuses)):
        one = f"SELECT {RUN_COLUMNS} FROM run WHERE status=? AND {behind} ORDER BY {order} LIMIT ?"
        parts.append(f"SELECT * FROM ({one}) AS part{number}")
        values += [status.value, start, most]
    return f"{' UNION ALL '.join(parts)} ORDER BY {order} LIMIT ?", [*values, most]
