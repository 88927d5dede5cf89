"""Enqueueing inside a transaction of the caller's own: the run exists if, and only if, the caller commits.

The connection is the user's, with whatever search path, row factory and isolation it has. So each table is named with its schema,
a cursor is made that asks nothing of the connection, and nothing is set, begun or ended. One statement makes the run and its job,
so that they are one also where each statement is a transaction of its own. No row that others need is locked, however long the
transaction lasts; only whoever enqueues the same run id waits for its end.

What goes wrong in the database is raised as psycopg raises it: the transaction is the caller's. Nothing is notified from here, for
that would have all commits of the server wait for each other; workers find the job at their next poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.errors import StoreError, UsageError
from headway.extras import explain_missing
from headway.journal.records import RunInfo, RunSpec, RunStatus
from headway.journal.shared.queues import Job, check_job, decode_settings, queue_full
from headway.journal.sql import checked_rows

if TYPE_CHECKING:
    import psycopg

_THERE = "SELECT to_regclass(%s)::text"
_SETTINGS = "SELECT settings FROM {}.queue WHERE name=%s"
_FIND = f"SELECT {checked_rows.RUN_COLUMNS} FROM {{}}.run WHERE run_id=%s"
_DEPTH = "SELECT COUNT(*) FROM (SELECT 1 FROM {}.job WHERE queue=%s AND state IN ('waiting', 'delayed') LIMIT %s) AS found"
_MAKE = """WITH made AS (
    INSERT INTO {0}.run (run_id, spec, crc, status) VALUES (%s, %s, %s, %s) ON CONFLICT (run_id) DO NOTHING RETURNING uid)
    INSERT INTO {0}.job (run, run_id, task, queue, key, priority, not_before, weight, version, state, at)
    SELECT uid, %s, %s, %s, %s, %s, %s, %s, %s, 'delayed',
    GREATEST(%s, extract(epoch FROM clock_timestamp())::double precision) FROM made"""


class _Asked(NamedTuple):
    schema: str
    where: str  # the store, for messages
    spec: RunSpec
    job: Job

    def text(self, query: str) -> str:
        return query.format(self.schema)

    def values(self) -> tuple[Any, ...]:
        job, spec = self.job, self.spec
        run = (*checked_rows.encode_run(spec), RunStatus.RUNNING.value)
        line = (job.queue, job.key, job.priority, float(job.at), float(job.weight), job.version, float(job.at))
        return (*run, spec.run_id, spec.task, *line)

    def check_there(self, found: Sequence[Any]) -> None:
        if found[0] is None:
            raise StoreError(f"{self.where} has no tables of Headway yet: open it once, as `headway ls --store URL` does")

    def check_depth(self, depth: int | None, found: Sequence[Any], settings: Any) -> None:
        if depth is not None and found[0] >= depth:
            raise queue_full(settings, self.spec.run_id)

    def decode(self, found: Sequence[Any] | None) -> RunInfo:
        if found is None:
            raise StoreError(
                f"run {self.spec.run_id!r} was enqueued by a transaction that this one can't see: begin a new one and try again"
            )
        return checked_rows.decode_run(found, self.where)


def enqueue_in(conn: psycopg.Connection[Any], schema: str, where: str, spec: RunSpec, job: Job) -> RunInfo:
    """Create the run with its job in the transaction that `conn` is in, or return the run that already has this id.

    Args:
        conn: a connection to the database of the store. Without a transaction it commits at once.
        schema: of the store's tables.
        where: the store, for messages.
        spec: what the run is.
        job: how it is to be taken.

    Raises:
        QueueFull: the queue is as deep as it may be. The transaction is still good.
        StoreError: the store has no tables yet. The transaction is still good.
        psycopg.Error: as anything that the caller does with the connection.
    """
    with explain_missing("a Postgres store"):
        import psycopg
        from psycopg.rows import tuple_row
    if not isinstance(conn, psycopg.Connection):
        raise UsageError(
            f"conn={conn!r:.100}: expected a psycopg.Connection, in the transaction in which the run is to be enqueued"
        )
    asked = _Asked(schema, where, spec, check_job(job))
    with psycopg.Cursor(conn, row_factory=tuple_row) as cursor:

        def ask(query: str, *values: Any) -> Any:
            return cursor.execute(asked.text(query), values).fetchone()

        asked.check_there(ask(_THERE, f"{schema}.job"))
        if (known := ask(_FIND, spec.run_id)) is not None:
            return asked.decode(known)
        if (settings := decode_settings(job.queue, ask(_SETTINGS, job.queue))).depth is not None:
            asked.check_depth(settings.depth, ask(_DEPTH, job.queue, settings.depth), settings)
        cursor.execute(asked.text(_MAKE), asked.values())
        return asked.decode(ask(_FIND, spec.run_id))


async def aenqueue_in(conn: psycopg.AsyncConnection[Any], schema: str, where: str, spec: RunSpec, job: Job) -> RunInfo:
    """`enqueue_in` on an asynchronous connection."""
    with explain_missing("a Postgres store"):
        import psycopg
        from psycopg.rows import tuple_row
    if not isinstance(conn, psycopg.AsyncConnection):
        raise UsageError(
            f"conn={conn!r:.100}: expected a psycopg.AsyncConnection, in the transaction in which the run is to be enqueued"
        )
    asked = _Asked(schema, where, spec, check_job(job))
    async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:

        async def ask(query: str, *values: Any) -> Any:
            return await (await cursor.execute(asked.text(query), values)).fetchone()

        asked.check_there(await ask(_THERE, f"{schema}.job"))
        if (known := await ask(_FIND, spec.run_id)) is not None:
            return asked.decode(known)
        if (settings := decode_settings(job.queue, await ask(_SETTINGS, job.queue))).depth is not None:
            asked.check_depth(settings.depth, await ask(_DEPTH, job.queue, settings.depth), settings)
        await cursor.execute(asked.text(_MAKE), asked.values())
        return asked.decode(await ask(_FIND, spec.run_id))
