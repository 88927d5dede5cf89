"""From what a user calls a store to the store itself. This file must never know how a store works inside."""

from __future__ import annotations

from pathlib import Path

from headway.errors import StoreError
from headway.journal.memory import MemoryStore
from headway.journal.schema import DATABASE
from headway.journal.sqlite import BLOBS, SqliteStore
from headway.journal.store import Store

DEFAULT_STORE = ".headway"


def open_existing(store: str | Path | Store | None = None) -> Store:
    """Open a store that must be there: looking at a store never makes one. Raises StoreError."""
    if store is None:
        store = DEFAULT_STORE
    if isinstance(store, str | Path) and str(store) != ":memory:" and not (Path(store) / DATABASE).exists():
        blobs = " (it has blobs but no journal.db: restore that from a copy)" if (Path(store) / BLOBS).exists() else ""
        raise StoreError(
            f"there is no store {str(store)!r} here{blobs}: a run makes one; name another with store= or --store, "
            "or HEADWAY_STORE for the command line"
        )
    return open_store(store)


def open_store(store: str | Path | Store | None = None) -> Store:
    """Open a store: a folder (made if there is none), ":memory:", or a store that is open already.

    >>> open_store(":memory:").url
    ':memory:'
    """
    if store is None:
        return SqliteStore(Path(DEFAULT_STORE))
    if not isinstance(store, str | Path):
        return store
    if not str(store):
        raise StoreError("store='' names no folder: give a path, such as .headway, or None to keep nothing")
    return MemoryStore() if str(store) == ":memory:" else SqliteStore(Path(store))
