"""The tables of a store in Postgres, and how older ones become these.

A migration only adds: drivers of the version before go on beside it. It takes its locks with a short patience and is tried again,
so that it never stands in a queue in front of live drivers; an index is built by itself, concurrently, after the rest. The schema's
version is the number of migrations. A schema of a newer Headway is refused, and nothing of it changes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from headway.errors import StoreDamaged, StoreVersion
from headway.journal.sql.database import Connection

if TYPE_CHECKING:
    from headway.journal.postgres.database import Statements

LOCK = 0x48647779_0001  # of whoever makes or changes a schema: "Hdwy"
LOCK_TIMEOUT_MS = 3000


class Migration(NamedTuple):
    """One step. `indexes` are made outside of a transaction, one by one."""

    statements: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...] = ()  # name, and what comes after `CREATE INDEX CONCURRENTLY name`


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        (
            """CREATE TABLE {}.run (
            uid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run_id text NOT NULL UNIQUE, spec bytea NOT NULL,
            crc bigint NOT NULL, status text NOT NULL, fence bigint NOT NULL DEFAULT 0, owner text NOT NULL DEFAULT '',
            owned_since double precision NOT NULL DEFAULT 0, lease_until double precision NOT NULL DEFAULT 0,
            cancel smallint NOT NULL DEFAULT 0, error_floor bigint NOT NULL DEFAULT 0, ended double precision NOT NULL DEFAULT 0,
            nrows bigint NOT NULL DEFAULT 0, word bigint NOT NULL DEFAULT 0, backend integer NOT NULL DEFAULT 0,
            backend_start timestamptz) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0.05)""",
            """CREATE TABLE {}.record (
            run bigint NOT NULL, seq bigint NOT NULL, kind smallint NOT NULL, key bytea NOT NULL, parent bytea NOT NULL,
            body bytea NOT NULL, crc bigint NOT NULL, PRIMARY KEY (run, seq))""",
            "ALTER TABLE {}.record ALTER body SET STORAGE EXTERNAL",
            """CREATE TABLE {}.rejected (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run bigint NOT NULL, fence bigint NOT NULL, seq bigint NOT NULL,
            kind smallint NOT NULL, key bytea NOT NULL, parent bytea NOT NULL, body bytea NOT NULL,
            at double precision NOT NULL)""",
            """CREATE TABLE {}.signal (
            run bigint NOT NULL, number bigint NOT NULL, name text NOT NULL, value bytea NOT NULL, at double precision NOT NULL,
            crc bigint NOT NULL, token bytea NOT NULL, PRIMARY KEY (run, number), UNIQUE (run, token))""",
            """CREATE TABLE {}.cache (
            key bytea PRIMARY KEY, kind smallint NOT NULL, call bytea NOT NULL, parent bytea NOT NULL, body bytea NOT NULL,
            crc bigint NOT NULL)""",
            "CREATE TABLE {}.shared_limit (name text PRIMARY KEY, board bytea NOT NULL, until double precision NOT NULL)",
            """CREATE TABLE {}.item (
            collection text NOT NULL, number bigint NOT NULL, token bytea NOT NULL, body bytea NOT NULL, crc bigint NOT NULL,
            PRIMARY KEY (collection, number), UNIQUE (collection, token))""",
            """CREATE TABLE {}.claim (
            name bytea PRIMARY KEY, run bigint NOT NULL, fence bigint NOT NULL, since double precision NOT NULL,
            waits bytea NOT NULL)""",
            """CREATE TABLE {}.blob (
            digest bytea PRIMARY KEY, nbytes bigint NOT NULL, data bytea, at double precision NOT NULL)""",
            "ALTER TABLE {}.blob ALTER data SET STORAGE EXTERNAL",
            """CREATE TABLE {}.queue (
            name text PRIMARY KEY, settings bytea NOT NULL, paused smallint NOT NULL DEFAULT 0,
            vtime double precision NOT NULL DEFAULT 0) WITH (fillfactor=50, autovacuum_vacuum_threshold=500)""",
            """CREATE TABLE {}.queue_key (
            queue text NOT NULL, key text NOT NULL, vtime double precision NOT NULL, PRIMARY KEY (queue, key))""",
            """CREATE TABLE {}.job (
            run bigint PRIMARY KEY, run_id text NOT NULL, task text NOT NULL, queue text NOT NULL, key text NOT NULL,
            priority integer NOT NULL, not_before double precision NOT NULL, weight double precision NOT NULL,
            version text NOT NULL, state text NOT NULL, at double precision NOT NULL, vtime double precision NOT NULL DEFAULT 0,
            owner text NOT NULL DEFAULT '', deaths integer NOT NULL DEFAULT 0, token bytea NOT NULL DEFAULT '')
            WITH (autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0)""",
            "CREATE TABLE {}.awaits (run bigint NOT NULL, waiter bigint NOT NULL, PRIMARY KEY (run, waiter))",
            "CREATE TABLE {}.worker (owner text PRIMARY KEY, body bytea NOT NULL, seen double precision NOT NULL)",
            """CREATE TABLE {}.schedule (
            name text PRIMARY KEY, body bytea NOT NULL, paused smallint NOT NULL, due double precision NOT NULL)""",
            "CREATE INDEX queue_key_by_vtime ON {}.queue_key (queue, vtime)",
            "CREATE INDEX job_by_state ON {}.job (queue, state, at, run)",
            "CREATE INDEX job_line ON {}.job (queue, priority DESC, vtime, run) WHERE state='waiting'",
            "CREATE INDEX job_lease ON {}.job (owner, at) WHERE state='taken'",
            "CREATE INDEX awaits_by_waiter ON {}.awaits (waiter)",
        ),
        (
            ("run_by_status", "ON {}.run (status, uid)"),
            ("claim_by_run", "ON {}.claim (run)"),
            ("rejected_by_run", "ON {}.rejected (run)"),
        ),
    ),
)
VERSION = len(MIGRATIONS)
TABLES = (
    "run", "record", "rejected", "signal", "cache", "shared_limit", "item", "claim", "blob", "version",
    "queue", "queue_key", "job", "awaits", "worker", "schedule",
)  # fmt: skip


def read_version(connection: Connection, schema: str, where: str) -> int:
    """How many migrations the schema has had; 0 where there is none. Raises StoreVersion or StoreDamaged."""
    there = connection.execute("SELECT to_regclass(?), to_regclass(?)", (f"{schema}.version", f"{schema}.run")).fetchone()
    if there[0] is None:
        if there[1] is not None:
            raise StoreDamaged(
                f"the schema {schema!r} of {where} has a table 'run' that is not Headway's: name another with schema="
            )
        return 0
    version: int = connection.execute("SELECT number FROM version").fetchone()[0]
    if version > VERSION:
        raise StoreVersion(f"{where} was written by schema {version}, this Headway reads schema {VERSION}: upgrade headway")
    return version


def is_older(version: int, where: str) -> StoreVersion:
    """The error for a schema that would have to be changed first."""
    return StoreVersion(
        f"{where} has schema {version}, this Headway reads schema {VERSION}: open it once with a run, which adds to it"
    )


def migrate(statements: Statements, schema: str, where: str) -> None:
    """Make the schema this version's. Of several that begin at once, one does it. Raises psycopg's errors; nothing is half done but
    indexes, which the next one makes."""
    raw = statements.raw
    try:
        raw.execute("BEGIN")
        raw.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        version = read_version(statements, schema, where)
        if not version:
            raw.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            raw.execute(f"CREATE TABLE {schema}.version (number integer NOT NULL, store uuid NOT NULL)")
            raw.execute(f"INSERT INTO {schema}.version VALUES (0, gen_random_uuid())")
        for migration in MIGRATIONS[version:]:
            for statement in migration.statements:
                raw.execute(statement.format(schema))
        raw.execute(f"UPDATE {schema}.version SET number = {VERSION}")
        raw.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):
            raw.execute("ROLLBACK")
        raise
    make_indexes(statements, schema)


def make_indexes(statements: Statements, schema: str) -> None:
    """Make the indexes that are missing, beside live drivers; one that was left half made is made again."""
    query = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid::regclass::text LIKE %s"
    there = dict(statements.raw.execute(query, (f"{schema}.%",)).fetchall())
    for migration in MIGRATIONS:
        for name, what in migration.indexes:
            full = f"{schema}.{name}"
            if there.get(full) is False:
                statements.raw.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {full}")
            if not there.get(full):
                statements.raw.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} {what.format(schema)}")
