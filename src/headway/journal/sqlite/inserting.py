"""Writes rows with few statements.

Each step of an SQLite statement gives up the interpreter lock, and a busy event loop gives it back only after 5 ms.
So a batch is few statements: `INSERT … SELECT … FROM (VALUES …)` for a power of two of rows, where rows of NULLs that
fill it up are dropped by its WHERE. SQLite compiles each size once for a connection, and that takes longer than inserting
so many rows does; so only a batch that is large itself is written by a large statement.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

from headway.journal.records import Row
from headway.journal.sql.checked_rows import pack_place

STATEMENT_ROWS = 256  # by one statement
LARGE_STATEMENT_ROWS = 2048  # of a batch that has so many; times 6 columns it stays under SQLite's 32766 variables
COLUMNS = 6  # of a row, its run left out
_statements: dict[int, str] = {}


def insert_rows(connection: sqlite3.Connection, uid: int, first_seq: int, rows: Sequence[Row]) -> None:
    """Append rows to a run inside the caller's transaction."""
    place, crc32, join = pack_place, zlib.crc32, b"".join
    start, left = 0, len(rows)
    while left:
        most = LARGE_STATEMENT_ROWS if left >= LARGE_STATEMENT_ROWS else STATEMENT_ROWS
        part = rows[start : start + most]
        values: list[object] = [uid]
        for seq, (kind, key, parent, body) in enumerate(part, first_seq + start):
            values += (seq, kind, key, parent, body, crc32(join((place(uid, seq, kind), key, parent, body))))
        size = 1 << (len(part) - 1).bit_length()
        values += [None] * ((size - len(part)) * COLUMNS)
        connection.execute(_statements.get(size) or _statement(size), values)
        start, left = start + len(part), left - len(part)


def _statement(size: int) -> str:
    row = "(" + ",".join("?" * COLUMNS) + ")"
    text = f"INSERT INTO record SELECT ?, * FROM (VALUES {','.join([row] * size)}) WHERE column1 IS NOT NULL"
    return _statements.setdefault(size, text)
