"""Durable collections as a store keeps them: items that runs append, numbered from 0 in one total order.

An item carries a token, which its caller makes of the call that appends it. A collection never holds two items of one token, so an
append that is made again, by a resumed run or by a driver that lost its lease, finds its item and gets the same number. Items never
change and never move: the first n of a collection are the same for ever, which makes n a version of it.

Where a repair could not save an item, or it was erased, its place stays, without a value. This file must never give a number twice,
and never return an item whose checksum it did not compare.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from headway.errors import StoreDamaged


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


encode_item = msgspec.msgpack.Encoder().encode
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


def item_crc(name: str, number: int, token: bytes, body: bytes) -> int:
    """The checksum of an item, which covers its place."""
    return zlib.crc32(b"".join((struct.pack("<q", number), name.encode(), token, body)))


def check_item(name: object, number: object, token: object, body: object, crc: object) -> Item | None:
    """The item, or None where it does not have the bytes that were written."""
    try:
        if item_crc(name, number, token, body) != crc:  # type: ignore[arg-type]  # the sum tells of a wrong type
            return None
        return _decode(body)  # type: ignore[arg-type]  # the sum tells of a wrong type
    except (TypeError, AttributeError, UnicodeError, struct.error, msgspec.MsgspecError):
        return None
