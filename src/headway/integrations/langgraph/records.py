"""What is kept of a thread: records, each an item of the thread's collection.

    put      a checkpoint: its head, and of each channel the value, or where the value is
    writes   what a task wrote after a checkpoint
    cut      everything before a place is gone: the thread was deleted, or pruned

A value that is a list or a dictionary is kept as its difference from the value of the same channel in another record: a
conversation that grows by two messages adds two messages. Records refer to each other by number, so whatever is appended beside a
record leaves it right.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from headway.journal.codec.codec import decode, digest, encode
from headway.journal.records import INLINE_BYTES
from headway.journal.shared.items import Item
from headway.journal.store import Buffer, Store

Typed = tuple[str, bytes]
"""A value as LangGraph's serializer gives it: the kind of bytes, and the bytes."""


Form = Literal["whole", "list", "dict"]
"""Of a value: one part, the elements of a list, or the pairs of a dictionary."""

Parts = tuple[Form, list[Typed]]
"""The form of a value, and its parts."""


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a channel: whole, or parts of a list or dictionary that replace some of those of another record's value."""

    form: Form
    parts: list[Typed]  # of a whole value the only one; of a dictionary each a pair
    base: int | None = None  # the record whose value is cut: its number, or below zero how far back it is
    head: int = 0  # how many parts of the base stay at the beginning
    tail: int = 0  # and how many at the end


class Put(msgspec.Struct, frozen=True, omit_defaults=True, tag="put", tag_field="kind"):
    """A checkpoint."""

    ns: str
    id: str
    parent: str | None
    checkpoint: Typed  # without the values of its channels
    metadata: Typed
    values: dict[str, Value]
    kept: dict[str, int] = {}  # the record in which the value of a channel is, as `base`
    was: int | None = None  # the number that it had before a cut


class Writes(msgspec.Struct, frozen=True, omit_defaults=True, tag="writes", tag_field="kind"):
    """What a task wrote after a checkpoint: `(place, channel, value)`. A value may be cut from the channel's in the checkpoint."""

    ns: str
    checkpoint: str
    task: str
    path: str
    writes: list[tuple[int, str, Value]]


class Cut(msgspec.Struct, frozen=True, tag="cut", tag_field="kind"):
    """Every record with a smaller number is gone."""

    until: int


Record = Put | Writes | Cut


def append(store: Store, name: str, records: Sequence[Record]) -> int:
    """Append records in one durable transaction. Returns the number of the first; the others follow it without a gap."""
    items = []
    for record in records:
        head, buffers = encode(msgspec.to_builtins(record, builtin_types=(bytes,)), where=f"a record of {name}")
        blobs: list[Buffer] = [*buffers] if len(head) <= INLINE_BYTES else [head, *buffers]
        names = tuple(digest(blob) for blob in blobs)
        for blob_name, blob in zip(names, blobs, strict=True):
            store.put_blob(blob_name, blob)
        inline = head if len(head) <= INLINE_BYTES else b""
        items.append(Item(secrets.token_bytes(16), inline, names, at=time.time()))
    return store.append_items(name, items)[0]


def read(store: Store, name: str, after: int) -> list[Record | None]:
    """The records from a number on; None in the place of one that was erased or lost."""
    return [None if item.is_lost else _read(store, item) for item in store.items(name, after=after)]


def _read(store: Store, item: Item) -> Record:
    blobs: list[Any] = [store.get_blob(name) for name in item.blobs]
    plain = decode(item.value, blobs) if item.value else decode(bytes(blobs[0]), blobs[1:])
    found: Record = msgspec.convert(plain, Record, builtin_types=(bytes,))
    return found
