"""The limits that runs share, as a table of boards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from headway.journal.owner import is_alive
from headway.journal.shared.limits import Ask, Board, Grant, Want, any_wants, is_changed, share_out
from headway.journal.sql.database import Connection, Tables

TABLES = "CREATE TABLE shared_limit (name TEXT PRIMARY KEY, board BLOB NOT NULL, until REAL NOT NULL) WITHOUT ROWID;"
_PUT = (
    "INSERT INTO shared_limit (name, board, until) VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET board=excluded.board, until=excluded.until"
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Board).decode


class SharedLimits(Tables):
    """The part of a store that keeps limits."""

    _has_swept = False

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        names = [ask.name for ask in asks]
        if self._has_swept:  # who only waits writes nothing
            before = self.reading(lambda connection: _read_boards(connection, names))
            grants, after = share_out(before, holder, asks, wants, now, ttl_s)
            if not any(is_changed(before.get(ask.name), after[ask.name], ask) for ask in asks):
                return grants
        with self.writing(*[f"limit {name}" for name in names]) as connection:
            if not self._has_swept:
                _sweep(connection, names, now)
            before = _read_boards(connection, names)
            grants, after = share_out(before, holder, asks, wants, now, ttl_s)
            for name, board in sorted(after.items()):
                if (until := board.ends()) == -math.inf:
                    connection.execute("DELETE FROM shared_limit WHERE name=?", (name,))
                else:
                    connection.execute(_PUT, (name, _encode(board), until))
        self._has_swept = True
        return grants

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        """Whether another process waits for a place in one of these limits. Cheap enough to ask often."""
        boards = self.reading(lambda connection: _read_boards(connection, names)) if self._has_swept else {}
        return any_wants(boards.values(), holder, now)


def _sweep(connection: Connection, asked: Sequence[str], now: float) -> None:
    """Drop the boards of which nothing matters any more. A process that lives holds its places however long it was silent."""
    for name, stored in connection.execute("SELECT name, board FROM shared_limit ORDER BY name").fetchall():
        board = _decode_board(stored) or Board()
        board.look(now)
        board.forget("", is_alive)
        if name not in asked and board.ends() == -math.inf:  # and is as it was read: another process may use it now
            connection.execute("DELETE FROM shared_limit WHERE name=? AND board=?", (name, stored))


def _read_boards(connection: Connection, names: Sequence[str]) -> dict[str, Board]:
    query = f"SELECT name, board FROM shared_limit WHERE name IN ({', '.join('?' * len(names))})"
    stored = connection.execute(query, names).fetchall() if names else []
    return {name: board for name, data in stored if (board := _decode_board(data)) is not None}


def _decode_board(stored: object) -> Board | None:
    try:
        return _decode(stored)  # type: ignore[arg-type]  # the decoder tells of a wrong type
    except (msgspec.MsgspecError, TypeError):  # damaged: what it held is over in a moment, and nothing else depends on it
        return None
