"""Durable collections as a store keeps them: items that runs append, numbered from 0 in one total order.

An item carries a token, which its caller makes of the call that appends it. A collection never holds two items of one token, so an
append that is made again, by a resumed run or by a driver that lost its lease, finds its item and gets the same number. Items never
change and never move: the first n of a collection are the same for ever, which makes n a version of it.

Where a repair could not save an item, or it was erased, its place stays, without a value. This file must never give a number twice,
and never return an item whose checksum it did not compare.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeVar

import msgspec

from headway.errors import StoreDamaged

READ_ITEMS = 2000
T = TypeVar("T")


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One item. `value` is the codec's head, empty where it is the first of `blobs`, as in an outcome."""

    token: bytes
    value: bytes = b""
    blobs: tuple[bytes, ...] = ()
    run: str = ""  # who appended it
    call: bytes = b""
    at: float = 0.0  # wall clock, seconds since 1970

    @property
    def is_lost(self) -> bool:
        """Whether nothing of it is left but its place: a repair could not save the rest, or it was erased."""
        return not self.value and not self.blobs

    def without_value(self) -> Item:
        """What stays of it when it is erased."""
        return Item(self.token)


class CollectionInfo(NamedTuple):
    """A collection as the store knows it."""

    name: str
    size: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Item).decode


def too_short(name: str, size: int, wanted: int, where: str) -> StoreDamaged:
    """The error for a collection that has lost items of a version that was recorded."""
    return StoreDamaged(
        f"collection {name!r} in {where} has {size} items, and {wanted} were there before: run `headway doctor` to see what is lost"
    )


class Shelves:
    """The collections of a store in memory. Its owner locks."""

    def __init__(self) -> None:
        self.items: dict[str, list[Item]] = {}
        self._numbers: dict[tuple[str, bytes], int] = {}

    def append(self, name: str, items: Sequence[Item]) -> list[int]:
        shelf = self.items.setdefault(name, [])
        numbers = []
        for item in items:
            number = self._numbers.setdefault((name, item.token), len(shelf))
            if number == len(shelf):
                shelf.append(item)
            numbers.append(number)
        return numbers

    def keep(self, wanted: Callable[[Item], bool]) -> Shelves:
        """A copy with the items that are wanted."""
        copy = Shelves()
        for name, items in self.items.items():
            copy.append(name, [item for item in items if wanted(item)])
        return copy


# --- in SQLite -------------------------------------------------------------------------------------------------------

TABLES = """
CREATE TABLE item (
    collection TEXT NOT NULL, number INTEGER NOT NULL, token BLOB NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (collection, number)) WITHOUT ROWID;
CREATE UNIQUE INDEX item_by_token ON item (collection, token);
"""
ALL_ITEMS = "SELECT collection, number, token, body, crc FROM item ORDER BY collection, number"


class SharedCollections:
    """The part of SqliteStore that keeps collections."""

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One write transaction."""

    @abstractmethod
    def reading(self, read: Callable[[sqlite3.Connection], T]) -> T: ...

    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        with self.writing() as connection:
            size, numbers = _size(connection, name), []
            for item in items:
                query = "SELECT number FROM item WHERE collection=? AND token=?"
                found = connection.execute(query, (name, item.token)).fetchone()
                if found is None:
                    insert_item(connection, name, size, item)
                    found, size = (size,), size + 1
                numbers.append(found[0])
            return numbers

    def count_items(self, name: str) -> int:
        return self.reading(lambda connection: _size(connection, name))

    def items(self, name: str, *, after: int = 0, until: int | None = None) -> list[Item]:
        end = self.count_items(name) if until is None else until
        found: list[Item] = []
        while (start := after + len(found)) < end:
            query = (
                "SELECT number, token, body, crc FROM item WHERE collection=? AND number>=? AND number<? ORDER BY number LIMIT ?"
            )
            asked = (name, start, end, READ_ITEMS)
            part = self.reading(lambda connection: connection.execute(query, asked).fetchall())  # noqa: B023 - asked at once
            if not part:
                raise too_short(name, start, end, self.url)
            for expected, (number, token, body, crc) in enumerate(part, start):
                item = check_item(name, number, token, body, crc)
                if item is None or number != expected:
                    what = (
                        f"item {expected} does not have the bytes that were written"
                        if number == expected
                        else f"item {expected} is gone"
                    )
                    raise StoreDamaged(
                        f"collection {name!r} in {self.url} is damaged: {what}; run `headway doctor` to see what is lost, "
                        "`headway doctor --repair` to go on without it"
                    )
                found.append(item)
        return found

    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        with self.writing() as connection:
            query = "SELECT number, token FROM item WHERE collection=? AND number>=? AND number<?"
            for number, token in connection.execute(query, (name, after, until)).fetchall():
                body = _encode(Item(token))
                changed = (body, _crc(name, number, token, body), name, number)
                connection.execute("UPDATE item SET body=?, crc=? WHERE collection=? AND number=?", changed)

    def collections(self) -> list[CollectionInfo]:
        query = "SELECT collection, MAX(number)+1 FROM item GROUP BY collection ORDER BY collection"
        return [CollectionInfo(*one) for one in self.reading(lambda connection: connection.execute(query).fetchall())]


def _size(connection: sqlite3.Connection, name: str) -> int:
    size: int = connection.execute("SELECT COALESCE(MAX(number)+1, 0) FROM item WHERE collection=?", (name,)).fetchone()[0]
    return size


def insert_item(connection: sqlite3.Connection, name: str, number: int, item: Item) -> None:
    """Put an item in its place, inside the caller's transaction."""
    body = _encode(item)
    values = (name, number, item.token, body, _crc(name, number, item.token, body))
    connection.execute("INSERT INTO item (collection, number, token, body, crc) VALUES (?,?,?,?,?)", values)


def _crc(name: str, number: int, token: bytes, body: bytes) -> int:
    """The checksum of an item, which covers its place."""
    return zlib.crc32(b"".join((struct.pack("<q", number), name.encode(), token, body)))


def check_item(name: object, number: object, token: object, body: object, crc: object) -> Item | None:
    """The item, or None where it does not have the bytes that were written."""
    try:
        if _crc(name, number, token, body) != crc:  # type: ignore[arg-type]  # the sum tells of a wrong type
            return None
        return _decode(body)  # type: ignore[arg-type]  # the sum tells of a wrong type
    except (TypeError, AttributeError, UnicodeError, struct.error, msgspec.MsgspecError):
        return None
