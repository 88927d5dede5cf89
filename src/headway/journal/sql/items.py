"""Collections, as a table of items."""

from __future__ import annotations

from collections.abc import Sequence

from headway.errors import StoreDamaged
from headway.journal.shared.items import CollectionInfo, Item, check_item, encode_item, item_crc, too_short
from headway.journal.sql.database import Connection, Tables

READ_ITEMS = 2000
PART = 500  # tokens in one statement
TABLES = """
CREATE TABLE item (
    collection TEXT NOT NULL, number INTEGER NOT NULL, token BLOB NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (collection, number)) WITHOUT ROWID;
CREATE UNIQUE INDEX item_by_token ON item (collection, token);
"""
ALL_ITEMS = "SELECT collection, number, token, body, crc FROM item ORDER BY collection, number"


class SharedCollections(Tables):
    """The part of a store that keeps collections."""

    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        with self.writing(f"collection {name}") as connection:
            size, known = _size(connection, name), _find_tokens(connection, name, [item.token for item in items])
            fresh: list[tuple[int, Item]] = []
            for item in items:
                if item.token not in known:
                    known[item.token] = size + len(fresh)
                    fresh.append((known[item.token], item))
            _insert_items(connection, name, fresh)
        return [known[item.token] for item in items]

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
        with self.writing(f"collection {name}") as connection:
            query = "SELECT number, token FROM item WHERE collection=? AND number>=? AND number<?"
            for number, token in connection.execute(query, (name, after, until)).fetchall():
                body = encode_item(Item(token))
                changed = (body, item_crc(name, number, token, body), name, number)
                connection.execute("UPDATE item SET body=?, crc=? WHERE collection=? AND number=?", changed)

    def collections(self) -> list[CollectionInfo]:
        query = "SELECT collection, MAX(number)+1 FROM item GROUP BY collection ORDER BY collection"
        return [CollectionInfo(*one) for one in self.reading(lambda connection: connection.execute(query).fetchall())]


def _find_tokens(connection: Connection, name: str, tokens: Sequence[bytes]) -> dict[bytes, int]:
    """The numbers of items that a collection has, by token."""
    found: dict[bytes, int] = {}
    for part in (tokens[at : at + PART] for at in range(0, len(tokens), PART)):
        query = f"SELECT token, number FROM item WHERE collection=? AND token IN ({', '.join('?' * len(part))})"
        found.update(connection.execute(query, (name, *part)).fetchall())
    return found


def _size(connection: Connection, name: str) -> int:
    size: int = connection.execute("SELECT COALESCE(MAX(number)+1, 0) FROM item WHERE collection=?", (name,)).fetchone()[0]
    return size


def insert_item(connection: Connection, name: str, number: int, item: Item) -> None:
    """Put an item in its place, inside the caller's transaction."""
    _insert_items(connection, name, [(number, item)])


def _insert_items(connection: Connection, name: str, items: Sequence[tuple[int, Item]]) -> None:
    """A statement for many: each may be a round trip to a server."""
    for part in (items[at : at + PART] for at in range(0, len(items), PART)):
        values: list[object] = []
        for number, item in part:
            body = encode_item(item)
            values += (name, number, item.token, body, item_crc(name, number, item.token, body))
        places = ", ".join(["(?,?,?,?,?)"] * len(part))
        connection.execute(f"INSERT INTO item (collection, number, token, body, crc) VALUES {places}", values)
