"""What a Postgres server promises about what it has committed, by its settings and by what goes on in it.

`read_server` asks, `judge` says: which failures a reported result survives, and what will make the store slow or hold it up. A
journal can be whole today on a server that loses it tomorrow, so the doctor says both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headway.journal.postgres.link import Statements
from headway.journal.sql.database import Connection
from headway.journal.upkeep.findings import Finding

OLD_S = 300.0
"""A transaction that has been open for so long keeps the server from cleaning up."""

SETTINGS = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
    "autovacuum",
    "default_transaction_read_only",
    "server_version",
)


class Session(msgspec.Struct, frozen=True, array_like=True):
    """A session of the server that holds an old view of the tables."""

    pid: int
    user: str
    state: str
    open_s: float


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself."""

    settings: dict[str, str]
    is_standby: bool = False
    standbys: tuple[tuple[str, str], ...] = ()  # name, and "async", "potential", "sync" or "quorum"
    old: tuple[Session, ...] = ()
    prepared_s: float = 0.0  # how long the oldest prepared transaction has been left
    idle_slots: tuple[str, ...] = ()  # replication slots that nobody reads and that hold old rows
    is_pooled: bool = False  # something between here and there hands out other sessions
    listens: bool = True


def read_server(connection: Connection, *, listens: bool) -> Server:
    """Ask the server. A pooler gives a connection another number than that of the session that it hands out."""
    known = connection.raw.info.backend_pid if isinstance(connection, Statements) else 0

    def ask(query: str, *values: object) -> list[tuple[Any, ...]]:
        return connection.execute(query, values).fetchall()

    names = ", ".join("?" * len(SETTINGS))
    pid, is_standby = ask("SELECT pg_backend_pid(), pg_is_in_recovery()")[0]
    found = {
        "settings": dict(ask(f"SELECT name, setting FROM pg_settings WHERE name IN ({names})", *SETTINGS)),
        "is_standby": is_standby,
        "standbys": ask("SELECT COALESCE(application_name, ''), COALESCE(sync_state, '') FROM pg_stat_replication ORDER BY 1"),
        "old": ask(_OLD, OLD_S),
        "prepared_s": ask(_PREPARED)[0][0],
        "idle_slots": [name for (name,) in ask(_SLOTS)],
        "is_pooled": pid != known,
        "listens": listens,
    }
    return msgspec.convert(found, Server)


_AGE = "extract(epoch FROM clock_timestamp() - {})::double precision"
_OLD = (
    f"SELECT pid, COALESCE(usename, ''), COALESCE(state, ''), {_AGE.format('xact_start')} FROM pg_stat_activity "
    f"WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND {_AGE.format('xact_start')} > ? ORDER BY xact_start"
)
_PREPARED = f"SELECT COALESCE(max({_AGE.format('prepared')}), 0) FROM pg_prepared_xacts"
_SLOTS = "SELECT slot_name::text FROM pg_replication_slots WHERE NOT active AND COALESCE(xmin, catalog_xmin) IS NOT NULL ORDER BY 1"


def judge(server: Server) -> list[Finding]:
    """What follows from what a server says. A risk is what can lose, or hold up, what was reported as durable."""
    return [
        Finding(severity, what, means)
        for severity, what, means in (
            *_durability(server.settings),
            *_replication(server),
            *_cleaning(server),
            *_connection(server),
        )
    ]


Said = Iterator[tuple[str, str, str]]


def _durability(settings: dict[str, str]) -> Said:
    if settings.get("fsync") == "off":
        means = "a crash of its machine can lose or garble everything, results that were reported too: set fsync = on and reload"
        yield "risk", "the server does not wait for its disk (fsync = off)", means
    if settings.get("full_page_writes") == "off":
        means = "a power failure can leave half-written pages: set full_page_writes = on, unless its file system writes whole pages"
        yield "risk", "the server does not guard against half-written pages (full_page_writes = off)", means
    if settings.get("synchronous_commit") == "off":
        means = "Headway turns it on in its own sessions, which a pooler undoes: ALTER ROLE … SET synchronous_commit = on"
        yield "info", "this role's commits return before they are on the disk (synchronous_commit = off)", means
    if settings.get("default_transaction_read_only") == "on":
        means = "no run can go on here: ALTER ROLE … SET default_transaction_read_only = off"
        yield "risk", "this role may only read (default_transaction_read_only = on)", means


def _replication(server: Server) -> Said:
    names, mode = server.settings.get("synchronous_standby_names", ""), server.settings.get("synchronous_commit", "on")
    if server.is_standby:
        means = "runs can be looked at and none can go on: name the primary, or all hosts with target_session_attrs=read-write"
        yield "risk", "this server is a standby", means
        return
    waits = bool(names.strip()) and mode not in ("local", "off")
    sync = [name for name, state in server.standbys if state in ("sync", "quorum")]
    if waits and sync:
        means = "a failover to one of them keeps what was reported, if the failover only takes one that is synchronous"
        if mode == "remote_write":
            means += "; with synchronous_commit = remote_write, not when the standby's machine fails with it"
        yield "info", f"results are on {len(sync)} synchronous standbys before they are reported", means
    elif waits:
        means = "every commit waits until one connects, and runs stand still: start a standby, or empty synchronous_standby_names"
        yield "risk", f"no synchronous standby is connected (synchronous_standby_names = {names})", means
    else:
        copies = ""
        if server.standbys:
            copies = f"; its {len(server.standbys)} standbys follow later, and a failover can lose the last results"
        means = f"they survive a crash of the server and of its machine, and not the loss of its disk{copies}"
        yield "info", "results are on the server's own disk before they are reported", means


def _cleaning(server: Server) -> Said:
    if server.settings.get("autovacuum") == "off":
        means = "the tables grow and get slow with every commit: set autovacuum = on"
        yield "risk", "the server does not clean up (autovacuum = off)", means
    for one in server.old[:3]:
        means = f"no table can be cleaned up behind it, and runs get slower: end it with SELECT pg_terminate_backend({one.pid})"
        yield "risk", f"session {one.pid} of {one.user!r} has a transaction open for {one.open_s:,.0f} s ({one.state})", means
    if server.prepared_s > OLD_S:
        means = "no table can be cleaned up behind it: COMMIT PREPARED or ROLLBACK PREPARED it (pg_prepared_xacts has its name)"
        yield "risk", f"a prepared transaction was left {server.prepared_s:,.0f} s ago", means
    for name in server.idle_slots:
        means = f"it keeps old rows and logs for ever: SELECT pg_drop_replication_slot('{name}'), unless its reader comes back"
        yield "risk", f"nobody reads the replication slot {name!r}", means


def _connection(server: Server) -> Said:
    if server.is_pooled and server.listens:
        means = "in transaction mode it passes on no notifications and loses settings of sessions: add listen=off to the URL"
        yield "risk", "a pooler stands between this machine and the server", means
    elif not server.listens:
        yield "info", "nothing is listened to (listen=off)", "signals and cancels are noticed within a second instead of at once"
