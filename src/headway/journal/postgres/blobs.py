"""The table of blobs of a store in Postgres: it has the bytes of small ones and the names of large ones (`storage.large`).

A large blob's row is written before it: whoever collects garbage takes no object whose row is young, and holds the row while it
removes one. So an object is there when `put_blob` returns, and a row without an object is named by nothing.
"""

from __future__ import annotations

from headway.journal.sql.database import Connection


def put_row(connection: Connection, digest: bytes, nbytes: int, data: bytes | None) -> None:
    """Say that a blob is there, with its bytes where they are few, or that it was asked for again."""
    connection.execute(
        "INSERT INTO blob (digest, nbytes, data, at) VALUES (?, ?, ?, extract(epoch FROM clock_timestamp())) "
        "ON CONFLICT (digest) DO UPDATE SET at=excluded.at",
        (digest, nbytes, data),
    )


def read_row(connection: Connection, digest: bytes) -> tuple[int, bytes | None] | None:
    """The size of a blob, and its bytes where the table has them; None where there is none."""
    found: tuple[int, bytes | None] | None = connection.execute(
        "SELECT nbytes, data FROM blob WHERE digest=?", (digest,)
    ).fetchone()
    return found
