"""One connection to the server: how it is made, and what is asked of every new one.

A connection that is made anew asks first what it has to know, in one round trip: the server's clock, whether commits are durable,
which server this is. It also ends the session that it had before: where the network broke and not the session, that one would keep
its locks for as long as the server believes in it. This file must never send anything again that was under way when a connection
broke.

Statements are written with `?` and plain names of tables, and sent with the schema's name before each: a pooler gives every
transaction another session, in which nothing that was set before holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.errors import StoreError, StoreNotReplicated
from headway.journal.postgres import schema
from headway.journal.postgres.address import Address

if TYPE_CHECKING:
    import psycopg

LOCK_TIMEOUT_S = 5.0  # how long a statement waits for a lock before it is asked again
FORGOTTEN_S = 15.0  # after which the server ends a session that went away inside a transaction
OLDEST = 140_000  # the oldest Postgres with all that is asked of it here
_SETTINGS = {
    "lock_timeout": f"{LOCK_TIMEOUT_S * 1000:.0f}",
    "idle_in_transaction_session_timeout": f"{FORGOTTEN_S * 1000:.0f}",
    "default_transaction_isolation": r"read\ committed",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""Of a session that is ours alone. A driver that is gone is to be noticed on the server's side as well."""
_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
_GREET = """SELECT extract(epoch FROM clock_timestamp())::double precision, current_setting('synchronous_commit'),
    current_setting('server_version_num')::integer, (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())),
    (SELECT system_identifier FROM pg_control_system()),
    CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END"""
_END_BEFORE = "(SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity(%s) WHERE backend_start=%s)"
_REACH_STANDBYS = "UPDATE version SET pulse=pulse+1"
"""A commit waits until the standbys have all that was written before it, also what a try left there whose answer was lost. A second
try that finds that, and writes nothing, would not wait."""
_NAMES = re.compile(rf"\b(FROM|INTO|UPDATE|JOIN|USING|TABLE)(\s+)({'|'.join(schema.TABLES)})\b")
_NOT_REPLICATED = "canceling wait for synchronous replication"


class Server(NamedTuple):
    """Which server it is: a standby that is promoted goes on with the next timeline."""

    system: int
    timeline: str


class Session(NamedTuple):
    """A session on the server; a process id alone is used again. Empty behind a pooler, which gives each transaction another."""

    pid: int = 0
    started: Any = None


class Greeting(NamedTuple):
    """What a server said when a connection was made."""

    server: Server
    clock: float
    began: float  # of this machine's monotonic clock
    ended: float


class Statements:
    """One connection, which takes statements as SQLite does."""

    def __init__(self, raw: psycopg.Connection[Any], schema_name: str, session: Session = Session()) -> None:  # noqa: B008 - frozen
        self.raw = raw
        self.session = session
        self._schema = schema_name
        self._texts: dict[str, str] = {}

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        return self.raw.execute(self.text(query), parameters or None, binary=True)

    def executemany(self, query: str, parameters: Iterable[Sequence[Any]], /) -> None:
        for one in parameters:
            self.execute(query, one)

    def text(self, query: str) -> str:
        """The statement as Postgres takes it."""
        if (known := self._texts.get(query)) is None:
            known = _NAMES.sub(rf"\1\2{self._schema}.\3", query).replace("?", "%s")
            self._texts[query] = known
        return known


class Link:
    """A connection that is made when it is needed, and made again when it broke.

    Args:
        address: where to.
        writes: whether commits go through it.
        greet: called with what the server said, before the connection is used for anything else; may refuse it.
    """

    def __init__(self, address: Address, *, writes: bool, greet: Callable[[Greeting, Statements], None]) -> None:
        self.lock = threading.RLock()
        self._address = address
        self._writes = writes
        self._greet = greet
        self._session = Session()  # the newest one, also when it is gone
        self._was_open = False
        self._statements: Statements | None = None
        self._unreplicated = False
        _links.add(self)

    @property
    def session(self) -> Session:
        """The newest session."""
        return self._session

    def open(self) -> Statements:
        """The connection. Raises psycopg's errors, and StoreError for a server that can't be used."""
        if self._statements is None or self._statements.raw.closed:
            self._statements = None
            self._statements = self._connect()
        return self._statements

    def check_replicated(self, where: str) -> None:
        """Raises StoreNotReplicated where a commit was reported that standbys do not have, although they are to."""
        if self._unreplicated:
            self._unreplicated = False
            raise StoreNotReplicated(
                f"{where} stopped waiting for its standbys: what was written last is on one server alone, and is not durable"
            )

    def close(self) -> None:
        if self._statements is not None:
            with contextlib.suppress(Exception):
                self._statements.raw.close()
            self._statements = None

    def _connect(self) -> Statements:
        import psycopg

        if not self._address.listens:  # named statements outlive a transaction, and a pooler's session does not
            raw = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=None)
        else:
            theirs = psycopg.conninfo.conninfo_to_dict(self._address.conninfo).get("options") or ""
            raw = psycopg.connect(self._address.conninfo, autocommit=True, options=f"{_OPTIONS} {theirs}")
        try:
            raw.add_notice_handler(self._hear)
            return self._ask(raw)
        except BaseException:
            raw.close()
            raise

    def _ask(self, raw: psycopg.Connection[Any]) -> Statements:
        parts, values = [_GREET], []
        if self._session.pid:
            parts.append(_END_BEFORE)
            values += [*self._session]
        began = time.monotonic()
        found = raw.execute(", ".join(parts), values or None, prepare=False).fetchone()
        assert found is not None
        clock, synchronous, version, started, system, timeline, *_ = found
        if version < OLDEST:
            raise StoreError(f"{self._address.url} is Postgres {version // 10_000}: Headway needs {OLDEST // 10_000} or newer")
        if self._address.listens:
            self._session = Session(raw.info.backend_pid, started)
        statements = Statements(raw, self._address.schema, self._session)
        if self._writes and synchronous == "off":
            self._commit_durably(raw)
        self._greet(Greeting(Server(system, timeline), clock, began, time.monotonic()), statements)
        if self._writes and self._was_open:
            statements.execute(_REACH_STANDBYS)
        self._was_open = True
        return statements

    def _commit_durably(self, raw: psycopg.Connection[Any]) -> None:
        """A commit that returns is to be on the disk."""
        if not self._address.listens:
            raise StoreError(
                f"{self._address.url} reports commits before they are durable (synchronous_commit=off): "
                "ALTER ROLE … SET synchronous_commit = on, since a pooler keeps no setting of a session"
            )
        raw.execute("SET synchronous_commit = on")

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self._unreplicated |= _NOT_REPLICATED in (notice.message_primary or "")

    def _forget(self) -> None:
        """In a fork: the connection is the parent's, and whoever held the lock is not here."""
        self.lock = threading.RLock()
        if self._statements is not None:
            _inherited.append(self._statements)
        self._statements, self._session = None, Session()


_links: weakref.WeakSet[Link] = weakref.WeakSet()
_inherited: list[Statements] = []  # never closed: the server would hear the parent say goodbye


def _forget_all() -> None:
    for link in list(_links):
        link._forget()


os.register_at_fork(after_in_child=_forget_all)
