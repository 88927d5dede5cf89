"""`collection`: shows the collections that runs of a store share."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Column, Table
from rich.text import Text

from headway.cli import console
from headway.engine.collecting import read_buffers
from headway.errors import UsageError
from headway.journal.codec.codec import decode
from headway.journal.open import open_to_read
from headway.journal.owner import clock
from headway.journal.place import show_place
from headway.journal.shared.items import Item
from headway.journal.store import Buffer, Store
from headway.near import near_misses
from headway.observe import words


class ItemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An item; `value` is null where a repair could not save it."""

    number: int
    value: Any
    lost: bool
    run_id: str
    call: str
    appended: float


class CollectionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A collection, and of those that were asked for the items."""

    name: str
    size: int
    items: list[ItemDocument] | None = None


class CollectionsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`headway collection --json`"""

    store: str
    collections: list[CollectionDocument]


def list_collections(store: str, *, as_json: bool) -> None:
    """Print every collection of the store with its size."""
    opened = open_to_read(store)
    try:
        found = opened.collections()
    finally:
        opened.close()
    if as_json:
        documents = [CollectionDocument(name=one.name, size=one.size) for one in found]
        console.print_json(CollectionsDocument(store=show_place(store), collections=documents))
        return
    if not found:
        console.note(f"no collections in {show_place(store)} yet")
        return
    table = Table("collection", Column("items", justify="right"), box=None, padding=(0, 2, 0, 0), header_style="dim")
    for one in found:
        table.add_row(Text(one.name, style="bold"), Text(f"{one.size:,}"))
    console.out().print(table)


def show_collection(store: str, name: str, last: int, *, as_json: bool) -> None:
    """Print the newest items of a collection. Raises UsageError where there is none of the name."""
    opened = open_to_read(store)
    try:
        size = _size(opened, name)
        items = opened.items(name, after=max(0, size - last), until=size)
        buffers = read_buffers(opened, items)
    finally:
        opened.close()
    documents = [
        _document(number, item, own) for number, (item, own) in enumerate(zip(items, buffers, strict=True), size - len(items))
    ]
    if as_json:
        console.print_json(CollectionDocument(name=name, size=size, items=documents))
        return
    if len(documents) < size:
        console.note(f"{size - len(documents):,} older items: headway collection {name} --last {size}")
    for number, item, own, document in zip(range(size - len(items), size), items, buffers, documents, strict=True):
        said = "lost" if document.lost else words.clip(repr(_value(item, own)), 160)
        line = Text(f"{number}", style="bold").append(f"  {said}", style="").append(f"  {item.run}, {clock(item.at)}", style="dim")
        console.out().print(line, soft_wrap=True)


def _size(opened: Store, name: str) -> int:
    sizes = {one.name: one.size for one in opened.collections()}
    if name not in sizes:
        raise UsageError(f"the store {opened.url} has no collection {name!r}; {near_misses(name, sizes)}")
    return sizes[name]


def _value(item: Item, buffers: list[Buffer]) -> Any:
    head, rest = (item.value, buffers) if item.value else (bytes(buffers[0]), buffers[1:])
    return decode(head, rest, lenient=True)


def _document(number: int, item: Item, buffers: list[Buffer]) -> ItemDocument:
    value = None if item.is_lost else console.plain(_value(item, buffers))
    return ItemDocument(number=number, value=value, lost=item.is_lost, run_id=item.run, call=item.call.hex(), appended=item.at)
