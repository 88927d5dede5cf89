"""Columns of a commit as Postgres takes arrays, packed at once.

psycopg packs a list item by item, in Python; for thousands of rows that costs more than the server does. These have the same
layout (`array_recv` in Postgres' `arrayfuncs.c`): a head, then each value behind its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_pack_head = struct.Struct(">iiIii").pack
_pack_length = struct.Struct(">i").pack


class Packed(bytes):
    """An array as it is sent."""

    array_oid = 0


class Bigints(Packed):
    """bigint[]"""

    array_oid = 1016


class Smallints(Packed):
    """smallint[]"""

    array_oid = 1005


class Byteas(Packed):
    """bytea[]"""

    array_oid = 1001


def pack_bigints(values: Sequence[int]) -> Bigints:
    """Whole numbers below 2⁶³. Raises struct.error for others.

    >>> len(pack_bigints([1, 2]))
    44
    """
    count = len(values)
    return Bigints(_head(20, count) + struct.pack(">" + "iq" * count, *chain.from_iterable(zip(repeat(8), values, strict=False))))


def pack_smallints(values: Sequence[int]) -> Smallints:
    """Whole numbers below 2¹⁵. Raises struct.error for others."""
    count = len(values)
    return Smallints(_head(21, count) + struct.pack(">" + "ih" * count, *chain.from_iterable(zip(repeat(2), values, strict=False))))


def pack_byteas(values: Sequence[bytes]) -> Byteas:
    """Bytes."""
    lengths: Iterable[bytes] = map(_pack_length, map(len, values))
    return Byteas(b"".join((_head(17, len(values)), *chain.from_iterable(zip(lengths, values, strict=True)))))


def _head(oid: int, count: int) -> bytes:
    """Dimensions, whether there are nulls, the type of a value; length and first index of the one dimension."""
    return _pack_head(1, 0, oid, count, 1) if count else _pack_head(0, 0, oid, 0, 0)[:12]


def register(connection: psycopg.Connection[Any]) -> None:
    """Have a connection take these."""
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    for kind in (Bigints, Smallints, Byteas):

        class Sent(Dumper):
            format = Format.BINARY
            oid = kind.array_oid

            def dump(self, obj: Any) -> Any:
                return obj

        connection.adapters.register_dumper(kind, Sent)
