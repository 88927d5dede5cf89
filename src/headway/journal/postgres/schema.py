"""The tables of a store in Postgres, and how older ones become these.

A migration only adds: drivers of the version before go on beside it, also those that open the store later. One that could not be
like that says so (`breaks`), and older drivers refuse what it made. The schema's version is the number of migrations.

A migration is one transaction. It takes its locks with a short patience and is tried again, so that it never stands in a queue in
front of live drivers. Indexes of tables that are new are made with them; others are built afterwards, concurrently, by whoever
opens the store and finds them missing or half made: `indexed` says up to which migration they are there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from headway.errors import StoreError, StoreVersion
from headway.journal.sql.database import Connection

if TYPE_CHECKING:
    from headway.journal.postgres.link import Statements

LOCK = 0x48647779_0001  # of whoever makes or changes a schema: "Hdwy"
LOCK_TIMEOUT_MS = 3000  # a migration that waits for a lock longer lets others pass, and is tried again


class Migration(NamedTuple):
    """One step. `{}` stands for the schema."""

    statements: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...] = ()  # name, and what comes after `CREATE INDEX name`
    breaks: bool = False  # drivers that don't know it can't go on


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        (
            """CREATE TABLE {}.run (
            uid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run_id text NOT NULL UNIQUE, spec bytea NOT NULL,
            crc bigint NOT NULL, status text NOT NULL, fence bigint NOT NULL DEFAULT 0, owner text NOT NULL DEFAULT '',
            owned_since double precision NOT NULL DEFAULT 0, lease_until double precision NOT NULL DEFAULT 0,
            cancel smallint NOT NULL DEFAULT 0, error_floor bigint NOT NULL DEFAULT 0, ended double precision NOT NULL DEFAULT 0,
            nrows bigint NOT NULL DEFAULT 0, word bigint NOT NULL DEFAULT 0, token bytea NOT NULL DEFAULT '',
            backend integer NOT NULL DEFAULT 0, backend_start timestamptz)
            WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0.05)""",
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


class State(NamedTuple):
    """What the schema's table `version` says."""

    number: int  # migrations that were made
    least: int  # that a driver has to know
    indexed: int  # migrations whose indexes are there

    @property
    def is_current(self) -> bool:
        return self.number >= VERSION and self.indexed >= VERSION


def read_state(connection: Connection, schema: str, where: str) -> State | None:
    """What there is of the schema; None where there is nothing. Raises StoreVersion, and StoreError where the name is taken."""
    import psycopg

    try:
        found = connection.execute("SELECT number, least, indexed FROM version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    except psycopg.errors.UndefinedColumn as error:
        raise _is_taken(schema, where, "version") from error
    if found is None:
        raise _is_taken(schema, where, "version")
    state = State(*found)
    if state.least > VERSION:
        raise StoreVersion(
            f"{where} was written by schema {state.number}, this Headway reads schema {VERSION}: upgrade headway to "
            f"one that knows schema {state.least}"
        )
    return state


def _check_free(connection: Connection, schema: str, where: str) -> None:
    """Raises StoreError where the schema has somebody else's tables by our names. Under the lock: they may just be being made."""
    query = "SELECT relname::text FROM pg_class WHERE relnamespace=to_regnamespace(?) AND relname=ANY(?) ORDER BY 1"
    taken = connection.execute(query, (schema, list(TABLES))).fetchone()
    if taken is not None:
        raise _is_taken(schema, where, taken[0])


def _is_taken(schema: str, where: str, table: str) -> StoreError:
    return StoreError(
        f"the schema {schema!r} of {where} has a table {table!r} that is not Headway's: name another schema, as in ?schema=headway2"
    )


def is_older(version: int, where: str) -> StoreVersion:
    """The error for a schema that would have to be changed first."""
    return StoreVersion(
        f"{where} has schema {version}, this Headway reads schema {VERSION}: open it once with a run, which adds to it"
    )


def migrate(statements: Statements, schema: str, where: str, migrations: Sequence[Migration] = MIGRATIONS) -> State:
    """Make the schema this version's, and return what it is then. Of several that begin at once, one does it. Raises psycopg's
    errors; nothing is half done."""
    raw = statements.raw
    try:
        raw.execute(f"BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SELECT pg_advisory_xact_lock({LOCK})", prepare=False)
        there = raw.execute("SELECT to_regnamespace(%s) IS NOT NULL", (schema,)).fetchone()
        state = read_state(statements, schema, where) if _has_version(statements, schema) else None
        if state is None:
            _check_free(statements, schema, where)
            if there != (True,):  # who may not make one may use one that is there
                raw.execute(f"CREATE SCHEMA {schema}")
            raw.execute(
                f"""CREATE TABLE {schema}.version (number integer NOT NULL, least integer NOT NULL, indexed integer NOT NULL,
                store uuid NOT NULL, pulse bigint NOT NULL) WITH (fillfactor=10)"""
            )
            raw.execute(f"INSERT INTO {schema}.version VALUES (0, 0, 0, gen_random_uuid(), 0)")
            state = State(0, 0, 0)
        state = _add(statements, schema, state, migrations)
        raw.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):
            raw.execute("ROLLBACK")
        raise
    return state


def _has_version(statements: Statements, schema: str) -> bool:
    """In a transaction, which an error would end."""
    return statements.execute("SELECT to_regclass(?) IS NOT NULL", (f"{schema}.version",)).fetchone() == (True,)


def _add(statements: Statements, schema: str, state: State, migrations: Sequence[Migration]) -> State:
    """Make the migrations that are missing."""
    is_new = not state.number
    for number, migration in enumerate(migrations[state.number :], state.number + 1):
        for statement in migration.statements:
            statements.raw.execute(statement.format(schema))
        if is_new:
            for name, what in migration.indexes:
                statements.raw.execute(f"CREATE INDEX {name} {what.format(schema)}")
        if is_new or not migration.indexes:
            state = state._replace(indexed=number if state.indexed == number - 1 else state.indexed)
        state = state._replace(number=number, least=number if migration.breaks else state.least)
    statements.execute("UPDATE version SET number=?, least=?, indexed=?", state)
    return state


def make_indexes(lock: Statements, statements: Statements, schema: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make the indexes that are missing, beside live drivers; one that was left half made is made again. Of several that begin at
    once, one does it, the others go on without. `lock` is another connection: an index can't be built inside of the transaction
    that holds the lock."""
    lock.raw.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0", prepare=False)
    try:
        if lock.raw.execute(f"SELECT pg_try_advisory_xact_lock({LOCK})").fetchone() != (True,):
            return
        query = """SELECT relname::text, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid=indexrelid
            WHERE relnamespace=to_regnamespace(%s)"""
        there = dict(statements.raw.execute(query, (schema,)).fetchall())
        for migration in migrations:
            for name, what in migration.indexes:
                if there.get(name) is False:
                    statements.raw.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{name}")
                if not there.get(name):
                    statements.raw.execute(f"CREATE INDEX CONCURRENTLY {name} {what.format(schema)}")
        statements.execute("UPDATE version SET indexed=GREATEST(indexed, ?)", (len(migrations),))
    finally:
        with contextlib.suppress(Exception):
            lock.raw.execute("ROLLBACK", prepare=False)
