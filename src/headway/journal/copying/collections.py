"""Copies a collection: its items keep their numbers, since runs have recorded them."""

from __future__ import annotations

from collections.abc import Callable

from headway.errors import StoreDamaged
from headway.journal.copying.report import CopiedCollection
from headway.journal.shared.items import Item
from headway.journal.store import Store

PART = 1000


def copy_collection(source: Store, target: Store, name: str, copy_blob: Callable[[bytes], object]) -> CopiedCollection:
    """Append what the target lacks. A collection that has gone its own way there is refused, and nothing of it is changed."""
    size, there = source.count_items(name), target.count_items(name)

    def refuse(why: str) -> CopiedCollection:
        return CopiedCollection(name=name, outcome="refused", why=f"collection {name!r} {why}", items=size)

    try:
        for start in range(0, min(size, there), PART):
            end = min(start + PART, size, there)
            mine, theirs = (store.items(name, after=start, until=end) for store in (source, target))
            for number, (item, other) in enumerate(zip(mine, theirs, strict=True), start):
                if not _are_one(item, other):
                    return refuse(f"has another item {number} in {target.url}: copy to another store")
        for start in range(there, size, PART):
            items = source.items(name, after=start, until=min(start + PART, size))
            for item in items:
                for digest in item.blobs:
                    copy_blob(digest)
            if target.append_items(name, items) != list(range(start, start + len(items))):
                return refuse(f"was appended to in {target.url} while it was copied: copy to another store")
            if target.items(name, after=start, until=start + len(items)) != items:
                return refuse(f"in {target.url} is not what was written: run `headway doctor` on it")
    except StoreDamaged as error:
        return refuse(f"can't be copied ({error})")
    return CopiedCollection(name=name, outcome="copied" if size > there else "there already", items=size)


def _are_one(item: Item, other: Item) -> bool:
    """Whether two items are the same; one that was erased in one of the stores has its place left."""
    return item == other or (item.token == other.token and (item.is_lost or other.is_lost))
