"""A connection that the caller lends: what is written goes into the transaction that it is in.

The caller ends the transaction. What fails here is undone to where it began, by a savepoint, so that the caller's own writes stand and
it may go on. Whatever the connection was made with (`row_factory`, prepared statements) is not changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from headway.errors import UsageError
from headway.journal.postgres.database import Statements

if TYPE_CHECKING:
    import psycopg


class BorrowedStatements(Statements):
    """Statements through somebody else's connection."""

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        from psycopg.rows import tuple_row

        cursor = self.raw.cursor(row_factory=tuple_row, binary=True)
        return cursor.execute(self.text(query), parameters or None)


@contextlib.contextmanager
def borrow(conn: Any, schema: str, url: str) -> Iterator[Statements]:
    """Statements in the transaction of a psycopg connection.

    Raises:
        UsageError: It is none, or leads to a database without the store's tables.
    """
    import psycopg
    from psycopg.pq import TransactionStatus

    if not isinstance(conn, psycopg.Connection):
        raise UsageError(f"conn={conn!r:.100}: expected a psycopg.Connection to the database of {url}")
    if conn.info.transaction_status == TransactionStatus.INERROR:
        raise UsageError("conn=…: its transaction has failed, and takes nothing more until it is rolled back")
    if not conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE:
        conn.execute("SELECT")  # begins the caller's transaction, which the caller is to end
    try:
        with conn.transaction():
            yield BorrowedStatements(conn, schema)
    except psycopg.errors.UndefinedTable as error:
        raise UsageError(f"conn=… leads to a database without the tables of {url}: connect to the database of the store") from error
