"""Sessions as a server sees them, and clients that leave some behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from headway.journal.postgres import commit as commits
from headway.journal.postgres.link import Session, Statements
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import NO_PARENT, Ending, Lease, Row

T = TypeVar("T")
PATIENCE_S = 30.0


def rows(*bodies: bytes) -> list[Row]:
    return [Row(3, bytes([number]) * 16, NO_PARENT, body) for number, body in enumerate(bodies, 1)]


def group(lease: Lease, first_seq: int, *bodies: bytes, ending: Ending | None = None) -> commits.Group:
    return commits.Group(lease, first_seq, rows(*bodies), (), ending, 0.0)


def append(connection: psycopg.Connection[Any], schema: str, one: commits.Group) -> int | None:
    """What a store sends, by another connection."""
    return commits.append(Statements(connection, schema), one, one.columns())


def until(is_so: Callable[[], T]) -> T:
    """What is waited for, when it is there."""
    end = time.monotonic() + PATIENCE_S
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came to that"
        threading.Event().wait(0.01)
    return found


def until_waiting(admin: psycopg.Connection[Any], pid: int) -> None:
    """Until a session waits for a lock."""
    query = "SELECT count(*) FROM pg_locks WHERE pid=%s AND NOT granted"
    until(lambda: admin.execute(query, (pid,)).fetchone() == (1,))


def is_there(admin: psycopg.Connection[Any], pid: int) -> bool:
    return admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid=%s", (pid,)).fetchone() == (1,)


def session_of(store: PostgresStore) -> Session:
    """The session in which a store writes."""
    with store.talking() as statements:
        return statements.session


class Doing:
    """Something done in a thread."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do, self._found, self._error = do, None, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._do()
        except Exception as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._found


def leave_behind(connection: psycopg.Connection[Any], query: str, *values: Any) -> None:
    """Send a statement and never the end of its message: the server runs it, keeps its locks and waits for more."""
    wire = connection.pgconn
    wire.enter_pipeline_mode()
    wire.send_query_params(query.encode(), [str(value).encode() for value in values])
    wire.send_flush_request()
    while wire.flush():
        pass
